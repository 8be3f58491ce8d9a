"""Scenes: their sources, where these stand, and the prompt for the target."""

from dataclasses import dataclass

from keras_avssan._internal.one_line import one_line
from keras_avssan.data.catalogs.catalog import Clip, Picture
from keras_avssan.data.scenes.augmentation import Augmentation

PROMPT_KINDS = ("picture", "text", "recording")


@dataclass(frozen=True)
class SceneSource:
    """One source of a scene: a part of a clip, played at a position of the room.

    Args:
        clip: `Clip` that is played.
        offset: First sample taken from the clip.
        slot: Source position in the scene's room.
        azimuth: Direction in degrees, 0 beside microphone 1.
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

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{self.clip.class_name} at {self.azimuth:.1f}°",
            f"{self.clip.id!r} from sample {self.offset}",
        )


@dataclass(frozen=True)
class Scene:
    """Complete description of one scene: its sources and the prompt for its target.

    Args:
        index: Number of the scene in its plan.
        sources: The target, then one or more interferers, as `SceneSource`s. The first interferer
            is of another class, unless the plan has interferers of the same class.
        prompt_kind: What prompts for the target: `"picture"`, `"text"` or `"recording"`.
        picture: `Picture` of the target's class, of another instance than the target clip; where
            the plan prompts for what is absent, of a class that is not in the mixture.
        reference: `Clip` of the picture's class, of another instance than the target clip; `None`
            where the plan has no recordings as prompts.
        reference_offset: First sample taken from the reference.
        room: Index of the room in the bank.
        snr: Level of the target above every single interferer in dB, over both channels.
        num_samples: Length of the scene.
        swapped: Whether the microphones are exchanged. Azimuths are those after it.
        sensor_noise: Level of the mixture above white noise at the microphones in dB; `None`
            without noise.

    Raises:
        ValueError: There are fewer than two sources.

    Example:
        ```python
        scene = plan[0]
        assert scene.target.class_name != scene.interferer.class_name
        assert 0 <= scene.azimuth <= 180
        ```
    """

    index: int
    sources: tuple[SceneSource, ...]
    prompt_kind: str
    picture: Picture
    reference: Clip | None
    reference_offset: int
    room: int
    snr: float
    num_samples: int
    swapped: bool = False
    sensor_noise: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.sources, tuple) or len(self.sources) < 2:
            raise ValueError(
                "`sources` must be a tuple of a target and at least one interferer. "
                f"Received: sources={self.sources!r}"
            )

    def __repr__(self) -> str:
        target, *others = (f"{s.clip.class_name} at {s.azimuth:.1f}°" for s in self.sources)
        return one_line(
            self,
            f"{self.index}: {target} among {' and '.join(others)}",
            f"{self.snr:g} dB",
            f"room {self.room}",
            f"prompt: {self.prompt_kind}",
        )

    @property
    def target(self) -> Clip:
        """The clip to be localised."""
        return self.sources[0].clip

    @property
    def target_offset(self) -> int:
        """First sample taken from the target clip."""
        return self.sources[0].offset

    @property
    def target_slot(self) -> int:
        """Source position of the target in the room."""
        return self.sources[0].slot

    @property
    def azimuth(self) -> float:
        """Direction of the target in degrees, 0 beside microphone 1."""
        return self.sources[0].azimuth

    @property
    def interferer(self) -> Clip:
        """The clip of the first interferer."""
        return self.sources[1].clip

    @property
    def interferer_offset(self) -> int:
        """First sample taken from the first interferer's clip."""
        return self.sources[1].offset

    @property
    def interferer_slot(self) -> int:
        """Source position of the first interferer."""
        return self.sources[1].slot

    @property
    def interferer_azimuth(self) -> float:
        """Direction of the first interferer in degrees."""
        return self.sources[1].azimuth

    @property
    def further_interferers(self) -> tuple[SceneSource, ...]:
        """The interferers beyond the first."""
        return self.sources[2:]

    @property
    def augmentations(self) -> tuple[Augmentation, ...]:
        """Augmentation of each source; empty where they are played as recorded."""
        return tuple(s.augmentation for s in self.sources if s.augmentation is not None)

    @property
    def interferer_azimuths(self) -> tuple[float, ...]:
        """Directions of all interferers in degrees."""
        return tuple(source.azimuth for source in self.sources[1:])

    @property
    def nearest_interferer_azimuth(self) -> float:
        """Direction in degrees of the interferer at the least angle from the target."""
        return min(self.interferer_azimuths, key=lambda azimuth: abs(azimuth - self.azimuth))
