"""The settings of a folder of rendered scenes, `scenes.json`, and the paths of its files."""

from pathlib import Path
from typing import Any

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.resumable_folder import ResumableFolder

FORMAT = "keras-avssan scenes 1"
_LAYOUT = "scenes.json"


def resumable(folder: Path) -> ResumableFolder:
    """The folder, for work that resumes."""
    return ResumableFolder(folder, _LAYOUT, "scenes", "folder")


def read_layout(folder: Path) -> dict[str, Any]:
    """Reads the settings; a ValueError names the file and the entry that is damaged."""
    layout = resumable(folder).read()
    if layout is None or layout.get("format") != FORMAT:
        raise ValueError(
            f"`folder` must hold scenes of `write_scenes`. Received: folder='{folder}'"
        )
    try:
        for name in ("num_scenes", "scenes_per_shard"):
            check_integer(name, layout.get(name), least=1)
        for part in ("inputs", "labels"):
            _check_shapes(part, layout.get(part))
    except ValueError as error:
        raise ValueError(f"'{folder / _LAYOUT}' is damaged: {error}") from error
    return layout


def shard_paths(folder: Path, layout: dict[str, Any]) -> list[Path]:
    """Paths of the files of the scenes."""
    count = -(-layout["num_scenes"] // layout["scenes_per_shard"])
    return [folder / f"scenes-{number:05d}.tfrecord" for number in range(count)]


def _check_shapes(part: str, shapes: Any) -> None:
    """Refuses all but a dict from the name of an array to the sizes of its axes in one scene."""
    if not isinstance(shapes, dict) or not shapes:
        raise ValueError(
            f"`{part}` must be a dict from name to sizes of axes. Received: {part}={shapes!r}"
        )
    for name, shape in shapes.items():
        entry = f"{part}.{name}"
        if not isinstance(shape, list):
            raise ValueError(f"`{entry}` must be a list of sizes. Received: {entry}={shape!r}")
        for axis, size in enumerate(shape):
            check_integer(f"{entry}[{axis}]", size, least=0)
