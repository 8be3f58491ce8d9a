"""Reading of spatial clips: two channels, from simulated rooms."""

import json
from pathlib import Path
from typing import Any

from keras_avssan._internal.one_line import count, one_line
from keras_avssan._internal.types import PathLike
from keras_avssan.data.vggsound_ssl.catalog import decode_flac
from keras_avssan.data.vggsound_ssl.folder import MANIFEST_FILE
from keras_avssan.data.vggsound_ssl.spatialise_clips import FORMAT, SPATIAL
from keras_avssan.data.vggsound_ssl.stage3_shard import read_index, shard_path
from keras_avssan.data.vggsound_ssl.tar_files import read_member


class SpatialClips:
    """The two-channel clips of a dataset that `spatialise_clips` has been called on.

    A sequence: indexing reads one clip, with one seek. It can be a source of Grain.

    Args:
        root: Path of the dataset.
        split: `"train"`, `"val"` or `"test"`; `None` for all.

    Raises:
        ValueError: The dataset has no spatial clips, or not that split.

    Example:
        ```python
        clips = SpatialClips("vggsound-ssl", split="test")
        theta = model.localize(clips[0]["audio"][None], "dog.jpg")
        abs(theta - clips[0]["azimuth"])
        ```
    """

    def __init__(self, root: PathLike, split: str | None = None) -> None:
        self.root = Path(root) / SPATIAL
        try:
            text = (self.root / MANIFEST_FILE).read_text(encoding="utf-8")
            self.manifest = json.loads(text)
            if self.manifest["format"] != FORMAT:
                raise ValueError(f"its format is {self.manifest['format']!r}")
            splits = list(self.manifest["rooms"])
            shards = [(shard["name"], shard["split"]) for shard in self.manifest["shards"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"`root` must have spatial clips: {error}. Received: root='{root}'"
            ) from error
        if split is not None and split not in splits:
            raise ValueError(f"`split` must be one of {splits} or None. Received: split={split!r}")
        names = [name for name, part in shards if split in (None, part)]
        self._entries = [(name, entry) for name in names for entry in self._index(name)]

    def _index(self, shard: str) -> list[dict[str, Any]]:
        try:
            return list(read_index(self.root, shard)["clips"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"The index of shard {shard} in '{self.root}' is damaged: {error}."
            ) from error

    def __repr__(self) -> str:
        return one_line(self, count(len(self), "clip"), f"in {self.root}")

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> dict[str, Any]:
        shard, entry = self._entries[index]
        audio = decode_flac(read_member(shard_path(self.root, shard), entry["audio"]))
        return {**entry, "audio": audio}
