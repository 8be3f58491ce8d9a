"""Settings of a build of VGGSound-SSL."""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_avssan._internal.atomic_files import sha256, sha256_of_file
from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import PathLike
from keras_avssan.data.catalogs.checks import check_splits


@dataclasses.dataclass(frozen=True)
class BuildSettings:
    """Settings from which VGGSound becomes VGGSound-SSL.

    Args:
        classes: The labels to take; `None` for all of the table.
        duration: Longest clip in seconds; longer ones are cut.
        min_duration: Shortest clip that is kept, in seconds.
        sampling_rate: Rate of the audio in Hz.
        silence_level: Clips with a lower RMS, in dB of full scale, are dropped as silent.
        frames: Number of pictures of each video that CLIP chooses from.
        template: Text around a class name when CLIP compares it with pictures.
        picture_size: Longest side of the pictures in pixels; larger ones are scaled down.
        min_instances: Number of videos that a class needs to be kept.
        max_classes: Limit of the classes; those with the most videos are kept.
        max_clips: Limit of the clips, spread evenly over the classes.
        max_clips_per_class: Limit of the clips of a class.
        splits: Shares of train, validation and test.
        csv_splits: Whether the test split is the one of the table; its train split is then dealt to
            train and validation by their shares.
        seed: Seed of the choice of clips, of the splits and of the order of the clips.
        rows_per_part: Number of rows of the table in a unit of work.
        clips_per_shard: Number of clips in each shard of a split but its last.

    Raises:
        ValueError: An argument is out of range.

    Example:
        ```python
        paper = BuildSettings(max_classes=296, max_clips=13_981)
        ```
    """

    classes: tuple[str, ...] | None = None
    duration: float = 10.0
    min_duration: float = 1.0
    sampling_rate: int = 16000
    silence_level: float = -60.0
    frames: int = 8
    template: str = "a photo of {}"
    picture_size: int = 512
    min_instances: int = 10
    max_classes: int | None = None
    max_clips: int | None = None
    max_clips_per_class: int | None = None
    splits: tuple[float, float, float] = (0.7, 0.15, 0.15)
    csv_splits: bool = False
    seed: int = 0
    rows_per_part: int = 64
    clips_per_shard: int = 500

    def __post_init__(self) -> None:
        for name in ("sampling_rate", "frames", "picture_size", "min_instances"):
            check_integer(name, getattr(self, name), least=1)
        for name in ("rows_per_part", "clips_per_shard"):
            check_integer(name, getattr(self, name), least=1)
        for name in ("max_classes", "max_clips", "max_clips_per_class"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), least=1)
        check_integer("seed", self.seed)
        shares = check_splits(self.splits)
        if self.csv_splits and not {"train", "val"} & shares.keys():
            raise ValueError(
                "`splits` must leave a share to train or validation with `csv_splits=True`. "
                f"Received: splits={self.splits!r}"
            )
        for name in ("duration", "min_duration"):
            seconds = getattr(self, name)
            if not (np.isfinite(seconds) and seconds * self.sampling_rate >= 1):
                raise ValueError(
                    f"`{name}` must last for one sample or more, in seconds. "
                    f"Received: {name}={seconds!r}"
                )
        if self.min_duration > self.duration:
            raise ValueError(
                f"`min_duration` must not exceed `duration` {self.duration}. "
                f"Received: min_duration={self.min_duration}"
            )
        if not np.isfinite(self.silence_level):
            raise ValueError(
                "`silence_level` must be a finite number in dB. "
                f"Received: silence_level={self.silence_level!r}"
            )
        if "{}" not in self.template:
            raise ValueError(f"`template` must contain {{}}. Received: template={self.template!r}")
        object.__setattr__(self, "classes", _as_classes(self.classes))
        object.__setattr__(self, "splits", tuple(map(float, self.splits)))

    def layout(self, csv_checksum: str, clip: str | None) -> dict[str, Any]:
        """Returns all that the files depend on, JSON-ready; for `clip`, see `encoder_identity`."""
        own = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }
        return {"csv_sha256": csv_checksum, "clip": clip, "backend": _backend(clip), **own}


def encoder_identity(preset: PathLike | None) -> str | None:
    """Returns the name of a CLIP preset, or the SHA-256 of its files if it is a folder."""
    if preset is None or not os.path.isdir(preset):
        return None if preset is None else os.fspath(preset)
    parts: list[str | bytes] = []
    for path in sorted(Path(preset).rglob("*")):
        if path.is_file():
            name, content = path.relative_to(preset).as_posix(), sha256_of_file(path)
            parts.extend((name, bytes.fromhex(content)))
    return f"sha256:{sha256(*parts)}"


def _backend(clip: str | None) -> str | None:
    """The backend that computes CLIP: they agree up to rounding, which may choose another frame."""
    if clip is None:
        return None
    import keras  # takes seconds, which a build without CLIP saves

    return keras.config.backend()


def _as_classes(classes: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if classes is None:
        return None
    return tuple(sorted({classes} if isinstance(classes, str) else set(classes)))
