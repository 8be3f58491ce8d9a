"""One of the sounds of a scene."""

from dataclasses import dataclass

from keras_avssan._internal.one_line import one_line
from keras_avssan.data.catalogs.catalog import Clip
from keras_avssan.data.scenes.augmentation import Augmentation


@dataclass(frozen=True)
class SceneSource:
    """One of the sounds of a scene: what is played, and where.

    Args:
        clip: `Clip` that is played.
        offset: Int. First sample taken from the clip.
        slot: Int. Source position in the scene's room.
        azimuth: Float. Direction in degrees, 0 beside microphone 1.
        augmentation: `Augmentation` of the recording, or `None`.

    Example:
        ```python
        [source.azimuth for source in plan[0].sources]  # the target first
        ```
    """

    clip: Clip
    offset: int
    slot: int
    azimuth: float
    augmentation: Augmentation | None = None

    def __repr__(self):
        return one_line(
            self,
            f"{self.clip.class_name} at {self.azimuth:.1f}°",
            f"{self.clip.id!r} from sample {self.offset}",
        )
