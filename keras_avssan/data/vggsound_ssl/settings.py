"""Everything that the files of a built VGGSound-SSL depend on, but for the videos."""

import dataclasses
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_avssan._internal.checks import check_integer
from keras_avssan.data.catalogs.checks import check_splits


@dataclasses.dataclass(frozen=True)
class BuildSettings:
    """How VGGSound becomes VGGSound-SSL.

    Args:
        classes: Iterable of str, or `None` for all labels of the table.
        duration: Longest clip in seconds; longer ones are cut.
        min_duration: Shortest clip that is kept, in seconds.
        sampling_rate: Rate of the audio in Hz.
        silence_level: A clip whose RMS is below is silent and dropped; in dB of full scale.
        frames: Number of pictures of each video that CLIP chooses from.
        template: Text around a class name when CLIP compares it with pictures.
        picture_size: Longest side of the pictures in pixels; larger ones are scaled down.
        min_instances: Number of videos that a class needs to be kept.
        max_classes: Keep so many classes, those with the most videos.
        max_clips: Keep so many clips, spread evenly over the classes.
        max_clips_per_class: Keep so many clips of a class.
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
                "`splits` must leave a share to train or validation where `csv_splits` says the "
                f"test split, got {self.splits!r}."
            )
        for name in ("duration", "min_duration"):
            seconds = getattr(self, name)
            if not (np.isfinite(seconds) and seconds * self.sampling_rate >= 1):
                raise ValueError(f"`{name}` must be positive, in seconds, got {seconds!r}.")
        if self.min_duration > self.duration:
            raise ValueError(
                f"`min_duration` must not exceed `duration`, got {self.min_duration} and "
                f"{self.duration}."
            )
        if not np.isfinite(self.silence_level):
            raise ValueError(f"`silence_level` must be in dB, got {self.silence_level!r}.")
        if "{}" not in self.template:
            raise ValueError(f"`template` must hold {{}}, got {self.template!r}.")
        object.__setattr__(self, "classes", _as_classes(self.classes))
        object.__setattr__(self, "splits", tuple(map(float, self.splits)))

    def layout(self, csv_checksum: str, clip: str | None) -> dict[str, Any]:
        """All that the files depend on, as JSON has it.

        Args:
            csv_checksum: SHA-256 of the table.
            clip: What chooses frames, see `encoder_identity`.

        Returns:
            Dict of numbers, strings, lists and `None`.
        """
        own = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }
        return {"csv_sha256": csv_checksum, "clip": clip, "backend": _backend(clip), **own}


def encoder_identity(preset: str | os.PathLike | None) -> str | None:
    """Tells CLIP presets apart, without loading them.

    Args:
        preset: Folder or name of a preset, or `None`.

    Returns:
        The name; for a folder, the SHA-256 of its files; `None` for `None`.
    """
    if preset is None or not os.path.isdir(preset):
        return None if preset is None else os.fspath(preset)
    digest = hashlib.sha256()
    for path in sorted(Path(preset).rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(preset).as_posix().encode())
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def _backend(clip: str | None) -> str | None:
    """What computes CLIP: backends agree up to rounding, which may choose another frame."""
    if clip is None:
        return None
    import keras  # takes seconds, which a build without CLIP is spared

    return keras.config.backend()


def _as_classes(classes: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if classes is None:
        return None
    return tuple(sorted({classes} if isinstance(classes, str) else set(classes)))
