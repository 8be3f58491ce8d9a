"""Segments of annotated recordings: their targets, interferers and azimuths."""

from dataclasses import dataclass

import numpy as np

from keras_avssan._internal.one_line import count, one_line
from keras_avssan.data.starss23.annotations import FRAME_SECONDS, STARSS23_CLASSES, Events
from keras_avssan.data.starss23.microphone_pair import MicrophonePair

# Reasons why a segment has no usable target.
NO_EVENT = "no event"
TOO_BRIEF = "target too brief"
MOVING = "target moves"
SEVERAL = "several sources of the target's class"
INCOMPLETE = "end of a recording"
REASONS = (NO_EVENT, TOO_BRIEF, MOVING, SEVERAL, INCOMPLETE)

# Another source of the class that is active for a smaller share of the target's time is ignored.
_RIVAL_SHARE = 0.1


@dataclass(frozen=True)
class SegmentSource:
    """One source of a segment.

    Args:
        class_name: One of `STARSS23_CLASSES`.
        number: Number of the source within its class.
        azimuth: Angle at the pair in degrees, 0 beside its first microphone: the median over the
            frames in which the source is active.
        motion: Largest deviation from that median, in degrees.
        activity: Seconds in which the source is active.

    Example:
        >>> SegmentSource("bell", 0, azimuth=30.0, motion=0.0, activity=8.5).class_name
        'bell'
    """

    class_name: str
    number: int
    azimuth: float
    motion: float
    activity: float

    def __repr__(self) -> str:
        moves = f"moves by {self.motion:.1f}°" if self.motion else ""
        where = f"{self.class_name} {self.number} at {self.azimuth:.1f}°"
        return one_line(self, where, moves, f"active for {self.activity:g} s")


@dataclass(frozen=True)
class Segment:
    """A part of a recording with one target to localise.

    Args:
        recording: Folder and name of the recording, without suffix.
        start: First moment in seconds.
        duration: Length in seconds.
        target: `SegmentSource` to localise.
        interferers: Each `SegmentSource` of another class, the most active first.

    Example:
        >>> bell = SegmentSource("bell", 0, azimuth=30.0, motion=0.0, activity=8.5)
        >>> segment = Segment("dev-test-sony/fold4_room23_mix001", 0.0, 10.0, bell, ())
        >>> segment.azimuth
        30.0
    """

    recording: str
    start: float
    duration: float
    target: SegmentSource
    interferers: tuple[SegmentSource, ...]

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{self.class_name} at {self.azimuth:.1f}°",
            count(len(self.interferers), "interferer"),
            f"{self.duration:g} s of {self.id}",
        )

    @property
    def id(self) -> str:
        """Unique among the segments of the same pair and duration."""
        return f"{self.recording}@{self.start:g}"

    @property
    def class_name(self) -> str:
        """Class of the target."""
        return self.target.class_name

    @property
    def azimuth(self) -> float:
        """Angle of the target in degrees."""
        return self.target.azimuth

    @property
    def interferer_azimuth(self) -> float:
        """Angle of the most active interferer in degrees; NaN without interferers."""
        return self.interferers[0].azimuth if self.interferers else float("nan")


@dataclass(frozen=True)
class SegmentRules:
    """Conditions for a usable segment; see `STARSS23`, which takes these as arguments.

    Args:
        classes: Classes that may be targets.
        duration: Length of a segment in seconds, a multiple of 0.1.
        min_activity: Seconds for which the target must be active.
        max_motion: Largest deviation of the target from its median, in degrees.
        allow_same_class: Whether other sources of the target's class may be active elsewhere.

    Raises:
        ValueError: An argument is out of range.
    """

    classes: tuple[str, ...] = STARSS23_CLASSES
    duration: float = 10.0
    min_activity: float = 1.0
    max_motion: float | None = 10.0
    allow_same_class: bool = False

    def __post_init__(self) -> None:
        whole = np.isfinite(self.duration) and np.isclose(
            self.duration, self.num_frames * FRAME_SECONDS
        )
        if not (whole and self.num_frames >= 1):
            raise ValueError(
                f"`duration` must be a positive multiple of {FRAME_SECONDS} s, the frame of the "
                f"annotation. Received: duration={self.duration!r}"
            )
        if not 0 <= self.min_activity <= self.duration:
            raise ValueError(
                f"`min_activity` must be from 0 to the segment's {self.duration:g} s. "
                f"Received: min_activity={self.min_activity!r}"
            )
        if self.max_motion is not None and not self.max_motion >= 0:
            raise ValueError(
                "`max_motion` must be an angle in degrees or None. "
                f"Received: max_motion={self.max_motion!r}"
            )

    @property
    def num_frames(self) -> int:
        """Frames of the annotation in a segment."""
        return round(self.duration / FRAME_SECONDS) if np.isfinite(self.duration) else 0

    def label(
        self, recording: str, index: int, events: Events, pair: MicrophonePair
    ) -> Segment | str:
        """Returns segment `index` of a recording, or the one of `REASONS` why it is left out."""
        events = events.select(events.frame // self.num_frames == index)
        by_class = _sources(events, pair)
        allowed = {name: by_class[name] for name in by_class if name in self.classes}
        if not allowed:
            return NO_EVENT
        class_name = max(allowed, key=lambda name: _num_frames(events, name))
        target, *others = allowed[class_name]
        reason = self._objection(target, others)
        if reason:
            return reason
        interferers = [s for name in by_class if name != class_name for s in by_class[name]]
        interferers.sort(key=lambda source: -source.activity)
        start = round(index * self.num_frames * FRAME_SECONDS, 1)
        return Segment(recording, start, self.duration, target, tuple(interferers))

    def _objection(self, target: SegmentSource, others: list[SegmentSource]) -> str | None:
        """The reason why a target is not usable; `None` where it is."""
        limit = np.inf if self.max_motion is None else self.max_motion
        if target.activity < self.min_activity:
            return TOO_BRIEF
        if target.motion > limit:
            return MOVING
        for other in others:
            active = other.activity > _RIVAL_SHARE * target.activity
            elsewhere = abs(other.azimuth - target.azimuth) > (self.max_motion or 0.0)
            if active and elsewhere and not self.allow_same_class:
                return SEVERAL
        return None


def _num_frames(events: Events, class_name: str) -> int:
    """Frames in which one or more sources of a class are active."""
    of_class = events.class_index == STARSS23_CLASSES.index(class_name)
    return len(np.unique(events.frame[of_class]))


def _sources(events: Events, pair: MicrophonePair) -> dict[str, list[SegmentSource]]:
    """Sources by class, in the order of the classes' numbers, the most active first."""
    by_class: dict[str, list[SegmentSource]] = {}
    angles = pair.angle(events.azimuth, events.elevation)
    for class_index, number in sorted(set(zip(events.class_index, events.source, strict=True))):
        chosen = (events.class_index == class_index) & (events.source == number)
        # A frame that the annotation has twice counts once.
        _, first = np.unique(events.frame[chosen], return_index=True)
        angle = angles[chosen][first]
        azimuth = float(np.median(angle))
        source = SegmentSource(
            class_name=STARSS23_CLASSES[class_index],
            number=int(number),
            azimuth=azimuth,
            motion=float(np.max(np.abs(angle - azimuth))),
            activity=round(len(first) * FRAME_SECONDS, 1),
        )
        by_class.setdefault(source.class_name, []).append(source)
    for sources in by_class.values():
        sources.sort(key=lambda source: -source.activity)
    return by_class
