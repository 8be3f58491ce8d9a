"""Catalog of the clips and pictures in the shards of VGGSound-SSL."""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import soundfile
from PIL import Image

from keras_avssan._internal.atomic_files import sha256
from keras_avssan._internal.types import PathLike
from keras_avssan.data.catalogs.catalog import Catalog, Clip, Picture
from keras_avssan.data.catalogs.checks import check_classes
from keras_avssan.data.catalogs.folder_catalog import embeddings_folder
from keras_avssan.data.media.image_io import read_image
from keras_avssan.data.vggsound_ssl.folder import MANIFEST_FILE
from keras_avssan.data.vggsound_ssl.stage3_shard import read_index, shard_path
from keras_avssan.data.vggsound_ssl.stage4_manifest import FORMAT, read_manifest
from keras_avssan.data.vggsound_ssl.tar_files import read_member

# Place of a member: the shard's name, offset and size in bytes.
_Place: TypeAlias = tuple[str, int, int]


class VGGSoundSSL(Catalog):
    """Clips and pictures of a folder that `build_vggsound_ssl` wrote.

    The shards stay on the disk: a clip is read on demand, with one seek. A video's
    sound and its picture are one *instance*, which is never paired in a scene.

    Args:
        root: Path of the folder.
        classes: The classes to take. `None` takes all.
        cache_bytes: Memory for decoded audio and resized pictures.

    Raises:
        ValueError: The folder holds no complete dataset, or a class is unknown.

    Example:
        ```python
        catalog = VGGSoundSSL("vggsound-ssl")
        plan = ScenePlan(catalog, RIRBank.load("rooms"), split="train", duration=10.0)
        model.fit(make_dataset(plan, num_scenes=100_000))
        ```
    """

    def __init__(
        self,
        root: PathLike,
        classes: Iterable[str] | None = None,
        *,
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        self.root = Path(root)
        self.manifest = read_manifest(self.root)
        known = self.manifest["classes"]
        chosen = check_classes(known if classes is None else classes, known)
        clips: list[Clip] = []
        pictures: list[Picture] = []
        self._places: dict[str, _Place] = {}
        for shard in self.manifest["shards"]:
            for entry in _entries(self.root, shard["name"]):
                if entry["class"] in chosen:
                    clips.append(_clip(entry))
                    pictures.append(_picture(entry))
                    self._places[clips[-1].id] = (shard["name"], *entry["audio"])
                    self._places[pictures[-1].id] = (shard["name"], *entry["image"])
        rate = self.manifest["settings"]["sampling_rate"]
        super().__init__(clips, pictures, sampling_rate=rate, cache_bytes=cache_bytes)

    def read_bytes(self, item: Clip | Picture) -> bytes:
        """Reads the file of a clip (FLAC) or of a picture (JPEG) from its shard.

        Args:
            item: `Clip` or `Picture` of this catalog.

        Returns:
            The bytes of the file.

        Raises:
            ValueError: The shard is missing or truncated.
        """
        shard, offset, size = self._places[item.id]
        path = shard_path(self.root, shard)
        try:
            return read_member(path, (offset, size))
        except FileNotFoundError as error:
            raise ValueError(f"The shard '{path}' is missing.") from error

    def read_clip(self, clip: Clip) -> np.ndarray:
        """Decodes a clip: float32 `(samples,)`, mono."""
        try:
            return decode_flac(self.read_bytes(clip))
        except soundfile.SoundFileError as error:
            raise ValueError(f"The clip '{clip.id}' is damaged: {error}") from error

    def read_picture(self, picture: Picture, size: tuple[int, int]) -> np.ndarray:
        """Decodes a picture and fits it into `size`, `(height, width)` in pixels."""
        try:
            with Image.open(io.BytesIO(self.read_bytes(picture))) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError) as error:
            raise ValueError(f"The picture '{picture.id}' is damaged: {error}") from error
        return read_image(pixels, size)

    @property
    def store(self) -> str | None:
        """The folder `.embeddings` in the root, or `None` where the root is read-only."""
        return embeddings_folder(self.root)

    def fingerprint(self, picture: Picture) -> str:
        """Computes the SHA-256 of a picture's file."""
        return sha256(self.read_bytes(picture))


def decode_flac(content: bytes) -> np.ndarray:
    """Decodes the bytes of a FLAC file: float32 `(samples,)` or `(samples, channels)`."""
    samples, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    return samples


def is_vggsound_ssl(folder: PathLike) -> bool:
    """Whether a folder holds a complete VGGSound-SSL."""
    try:
        manifest = json.loads(Path(folder, MANIFEST_FILE).read_text(encoding="utf-8"))
        return manifest["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _entries(root: Path, shard: str) -> list[dict[str, Any]]:
    try:
        return read_index(root, shard)["clips"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"The index of shard {shard} in '{root}' is damaged: {error}.") from error


def _clip(entry: dict[str, Any]) -> Clip:
    return Clip(
        class_name=entry["class"],
        id=f"{entry['key']}.flac",
        instance=entry["youtube_id"],
        split=entry["split"],
        num_samples=entry["num_samples"],
    )


def _picture(entry: dict[str, Any]) -> Picture:
    return Picture(
        class_name=entry["class"],
        id=f"{entry['key']}.jpg",
        instance=entry["youtube_id"],
        split=entry["split"],
    )
