"""A scene: its sources, where they stand, and what prompts for the target."""

from dataclasses import dataclass

from keras_avssan._internal.one_line import one_line
from keras_avssan.data.catalogs.catalog import Clip, Picture
from keras_avssan.data.scenes.augmentation import Augmentation

PROMPT_KINDS = ("picture", "text", "recording")


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
        index: Int. Number of the scene in its plan.
        sources: Tuple of two or more `SceneSource`: the target, then all interferers. The first
            interferer is of another class, unless the plan has interferers of the same class.
        prompt_kind: Str. What prompts for the target: `"picture"`, `"text"` or `"recording"`.
        picture: `Picture` of the target's class, of another instance than the target clip; where
            the plan prompts for what is absent, of a class that is not in the mixture.
        reference: `Clip` of the picture's class, of another instance than the target clip; `None`
            where the plan has no recordings as prompts.
        reference_offset: Int. First sample taken from the reference.
        room: Int. Index of the room in the bank.
        snr: Float. Level of the target above every single interferer in dB, over both channels.
        num_samples: Int. Length of the scene.
        swapped: Bool. Whether the microphones are exchanged. Azimuths are those after it.
        sensor_noise: Float or `None`. Level of the mixture above white noise at the microphones
            in dB.

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
        """`Clip` to be found."""
        return self.sources[0].clip

    @property
    def target_offset(self) -> int:
        """Int. First sample taken from the target clip."""
        return self.sources[0].offset

    @property
    def target_slot(self) -> int:
        """Int. Source position of the target in the room."""
        return self.sources[0].slot

    @property
    def azimuth(self) -> float:
        """Float. Direction of the target in degrees, 0 beside microphone 1."""
        return self.sources[0].azimuth

    @property
    def interferer(self) -> Clip:
        """`Clip` of the first interferer."""
        return self.sources[1].clip

    @property
    def interferer_offset(self) -> int:
        """Int. First sample taken from the first interferer's clip."""
        return self.sources[1].offset

    @property
    def interferer_slot(self) -> int:
        """Int. Source position of the first interferer."""
        return self.sources[1].slot

    @property
    def interferer_azimuth(self) -> float:
        """Float. Direction of the first interferer in degrees."""
        return self.sources[1].azimuth

    @property
    def further_interferers(self) -> tuple[SceneSource, ...]:
        """Tuple of `SceneSource`: the interferers beyond the first."""
        return self.sources[2:]

    @property
    def augmentations(self) -> tuple[Augmentation, ...]:
        """Tuple of the sources' `Augmentation`s; empty where they are played as recorded."""
        return tuple(s.augmentation for s in self.sources if s.augmentation is not None)

    @property
    def interferer_azimuths(self) -> tuple[float, ...]:
        """Tuple of floats: directions of all interferers in degrees."""
        return tuple(source.azimuth for source in self.sources[1:])

    @property
    def nearest_interferer_azimuth(self) -> float:
        """Float. Direction in degrees of the interferer at the least angle from the target."""
        return min(self.interferer_azimuths, key=lambda azimuth: abs(azimuth - self.azimuth))
