"""What the builder knows of a clip before and after it is chosen."""

from dataclasses import dataclass, fields
from typing import Any

from keras_avssan.data.vggsound_ssl.vggsound import Video


@dataclass(frozen=True, slots=True)
class StagedClip:
    """A decoded clip with its picture, in a part of the staging folder.

    Args:
        key: Name of its files, without suffix.
        youtube_id: The video that it was cut from.
        start_second: Where in the video it begins.
        class_name: Str.
        csv_split: What the table says: `"train"` or `"test"`.
        num_samples: Length of the sound.
        frame_second: When the picture is shown, from the beginning of the clip.
        similarity: Cosine between the embeddings of picture and class name.
        part: Number of the part.
        audio: Tuple `(offset, size)`: where in the part's tar file the FLAC lies, in bytes.
        image: Tuple `(offset, size)`: likewise, the JPEG.
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
        """Makes a clip from what `as_json` gave."""
        return cls(**{**entry, "audio": tuple(entry["audio"]), "image": tuple(entry["image"])})

    def as_json(self) -> dict[str, Any]:
        """All fields by name, as JSON has them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class DroppedClip:
    """A row of the table that is not in the dataset.

    Args:
        youtube_id: The video that it was cut from.
        start_second: Where in the video it begins.
        label: Str.
        split: What the table says: `"train"` or `"test"`.
        reason: One of a few words, by which dropped clips are counted.
        detail: What exactly was found.
    """

    youtube_id: str
    start_second: int
    label: str
    split: str
    reason: str
    detail: str

    @classmethod
    def of(cls, video: Video, reason: str, detail: str) -> "DroppedClip":
        """A row that is dropped for a reason."""
        return cls(video.youtube_id, video.start_second, video.label, video.split, reason, detail)

    def as_json(self) -> dict[str, Any]:
        """All fields by name, as JSON has them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
