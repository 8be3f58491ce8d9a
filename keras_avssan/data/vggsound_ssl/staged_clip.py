"""Clips of a build before and after the choice."""

from dataclasses import dataclass, fields
from typing import Any

from keras_avssan.data.vggsound_ssl.vggsound import Video


@dataclass(frozen=True, slots=True)
class StagedClip:
    """A decoded clip with its picture, in a part of the staging folder.

    Args:
        key: Name of its files, without suffix.
        youtube_id: The video that it was cut from.
        start_second: Its beginning in the video.
        class_name: Its class.
        csv_split: Its split in the table: `"train"` or `"test"`.
        num_samples: Length of the sound.
        frame_second: Time of the picture from the beginning of the clip.
        similarity: Cosine between the embeddings of picture and class name.
        part: Number of the part.
        audio: `(offset, size)` of the FLAC in the part's tar file, in bytes.
        image: `(offset, size)` of the JPEG.
    """

    key: str
    youtube_id: str
    start_second: int
    class_name: str
    csv_split: str
    num_samples: int
    frame_second: float
    similarity: float | None
    part: int
    audio: tuple[int, int]
    image: tuple[int, int]

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "StagedClip":
        """Makes a clip from the result of `as_json`."""
        return cls(**{**entry, "audio": tuple(entry["audio"]), "image": tuple(entry["image"])})

    def as_json(self) -> dict[str, Any]:
        """Returns all fields by name, JSON-ready."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class DroppedClip:
    """A row of the table that is not in the dataset.

    Args:
        youtube_id: The video that it was cut from.
        start_second: Its beginning in the video.
        label: Its class.
        split: Its split in the table: `"train"` or `"test"`.
        reason: Short reason, by which dropped clips are counted.
        detail: The finding in words.
    """

    youtube_id: str
    start_second: int
    label: str
    split: str
    reason: str
    detail: str

    @classmethod
    def of(cls, video: Video, reason: str, detail: str) -> "DroppedClip":
        """Makes the dropped row of a video."""
        return cls(video.youtube_id, video.start_second, video.label, video.split, reason, detail)

    def as_json(self) -> dict[str, Any]:
        """Returns all fields by name, JSON-ready."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
