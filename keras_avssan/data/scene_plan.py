"""Which clips meet where: scenes as a pure function of a seed and an index."""

import operator
import zlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from keras_avssan.data.catalog import Catalog, Clip, Picture
from keras_avssan.data.checks import check_integer

if TYPE_CHECKING:
    from keras_avssan.simulation import RIRBank

PROMPT_KINDS = ("picture", "text", "recording")


@dataclass(frozen=True)
class Scene:
    """Everything that says how one scene sounds and what it is asked for.

    Args:
        index: Int. Number of the scene in its plan.
        target: `Clip` to be found.
        interferer: `Clip` of another class.
        target_offset: Int. First sample taken from the target clip.
        interferer_offset: Int. First sample taken from the interferer clip.
        prompt_kind: Str. What asks for the target: `"picture"`, `"text"` or `"recording"`.
        picture: `Picture` of the target's class, of another instance than the target clip.
        reference: `Clip` of the target's class, of another instance than the target clip; `None`
            where the plan has no recordings as prompts.
        reference_offset: Int. First sample taken from the reference.
        room: Int. Index of the room in the bank.
        target_slot: Int. Source position of the target in the room.
        interferer_slot: Int. Source position of the interferer, another one.
        azimuth: Float. Direction of the target in degrees, 0 beside microphone 1.
        interferer_azimuth: Float. Direction of the interferer in degrees.
        snr: Float. Level of the target above the interferer in dB, over both channels.
        num_samples: Int. Length of the scene.
    """

    index: int
    target: Clip
    interferer: Clip
    target_offset: int
    interferer_offset: int
    prompt_kind: str
    picture: Picture
    reference: Clip | None
    reference_offset: int
    room: int
    target_slot: int
    interferer_slot: int
    azimuth: float
    interferer_azimuth: float
    snr: float
    num_samples: int


@dataclass(frozen=True, eq=False)
class ScenePlan:
    """An endless list of scenes: `plan[i]` is a pure function of the seed and of `i`.

    The classes of target and interferer differ and are uniform over the classes of the split,
    whatever the number of their clips. Clip and picture come from the same split but from different
    instances. Both sources stand in the same room at two different positions. A clip longer than
    the scene is cropped at a random offset; a shorter one is repeated from a random offset on.

    Changing `snr` or `prompt_kinds` (`dataclasses.replace(plan, snr=10.0)`) changes nothing else in
    the scenes.

    Args:
        catalog: `Catalog` of clips and pictures.
        bank: `keras_avssan.simulation.RIRBank` at the catalog's sampling rate.
        split: Str, or `None` for the clips and pictures of all splits together.
        seed: Int.
        duration: Float. Length of a scene in seconds.
        snr: Float, or tuple `(low, high)`: level of the target above the interferer in dB, fixed
            or uniform.
        rooms: Tuple `(start, stop)` of room indices to draw from, or `None` for all. Give training
            and validation different rooms.
        min_separation: Float. Least angle between the two sources in degrees.
        prompt_kinds: Tuple of `"picture"`, `"text"` and `"recording"`: each scene is asked for with
            one of them, drawn uniformly.
        reference_split: Str, or `None` for `split`: where recordings that serve as prompts come
            from.

    Raises:
        ValueError: An argument is out of range, the split has fewer than two usable classes, no
            room has two sources that far apart, or a clip has no other recording of its class to
            be asked for with.

    Example:
        ```python
        plan = ScenePlan(SyntheticClasses(), bank, split="val", seed=1, snr=(-5.0, 5.0))
        scene = plan[0]
        scene.target.class_name, scene.azimuth, scene.snr
        ```
    """

    catalog: Catalog
    bank: "RIRBank"
    split: str | None = "train"
    seed: int = 0
    duration: float = 1.0
    snr: float | tuple[float, float] = 0.0
    rooms: tuple[int, int] | None = None
    min_separation: float = 0.0
    prompt_kinds: tuple[str, ...] = ("picture",)
    reference_split: str | None = None

    def __post_init__(self) -> None:
        check_integer("seed", self.seed)
        if not (np.isfinite(self.duration) and self.num_samples >= 1):
            raise ValueError(f"`duration` must be positive, in seconds, got {self.duration!r}.")
        low, high = self._snr_range
        if not -np.inf < low <= high < np.inf:
            raise ValueError(f"`snr` must be a number or (low, high) in dB, got {self.snr!r}.")
        if self.catalog.sampling_rate != self.bank.sampling_rate:
            raise ValueError(
                f"`catalog` is at {self.catalog.sampling_rate} Hz, but `bank` at "
                f"{self.bank.sampling_rate} Hz."
            )
        if self.split is not None and self.split not in self.catalog.splits:
            raise ValueError(
                f"Unknown `split` {self.split!r}; the catalog has {list(self.catalog.splits)}."
            )
        if len(self.classes) < 2:
            raise ValueError(
                f"`split` {self.split!r} needs two classes that have a clip and a picture of "
                f"another instance; it has {list(self.classes)}."
            )
        if not self._positions:
            raise ValueError(
                f"No room of `rooms` {self.rooms} has two sources at least {self.min_separation}"
                " degrees apart (`min_separation`)."
            )
        self._check_prompts()

    def _check_prompts(self) -> None:
        kinds = self.prompt_kinds
        if isinstance(kinds, str) or not kinds or set(kinds) - set(PROMPT_KINDS):
            raise ValueError(
                f"`prompt_kinds` must be a tuple of one or more of {PROMPT_KINDS}, got {kinds!r}."
            )
        if "recording" not in kinds:
            return
        for name in self.classes:
            for clip in self._targets[name]:
                if not self._other_recordings(clip):
                    raise ValueError(
                        f"`prompt_kinds` {kinds}: the class '{name}' has no recording in the split "
                        f"{self.reference_split or self.split!r} to ask for '{clip.id}' with. Name "
                        "another `reference_split`."
                    )

    def _other_recordings(self, clip):
        """Recordings of a clip's class, of other instances, that may ask for it."""
        return [c for c in self._references[clip.class_name] if c.instance != clip.instance]

    @property
    def sampling_rate(self) -> int:
        """Int. Rate of the scenes in Hz."""
        return self.bank.sampling_rate

    @property
    def num_samples(self) -> int:
        """Int. Length of a scene in samples."""
        return round(self.duration * self.bank.sampling_rate)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Tuple of str: the classes that scenes are made of."""
        return tuple(name for name, targets in self._targets.items() if targets)

    @cached_property
    def pictures(self) -> tuple[Picture, ...]:
        """Tuple of `Picture`: all that a scene may be asked for with."""
        return tuple(p for name in self.classes for p in self._pictures[name])

    @cached_property
    def _snr_range(self):
        limits = np.asarray(self.snr, "float64")
        if limits.shape not in ((), (2,)):
            raise ValueError(f"`snr` must be a number or (low, high) in dB, got {self.snr!r}.")
        return tuple(np.broadcast_to(limits, 2).tolist())

    @cached_property
    def _clips(self):
        return self._by_class(self.catalog.clips, self.split)

    @cached_property
    def _pictures(self):
        return self._by_class(self.catalog.pictures, self.split)

    @cached_property
    def _references(self):
        return self._by_class(self.catalog.clips, self.reference_split or self.split)

    @cached_property
    def _targets(self):
        """By class, the clips for which the split has a picture of another instance."""
        targets = {}
        for name in self.catalog.classes:
            instances = {picture.instance for picture in self._pictures[name]}
            targets[name] = [c for c in self._clips[name] if instances - {c.instance}]
        return targets

    @cached_property
    def _positions(self):
        """List of the rooms that may be used, each with an array of its allowed slot pairs."""
        start, stop = (0, len(self.bank.azimuths)) if self.rooms is None else self.rooms
        if not 0 <= start < stop <= len(self.bank.azimuths):
            raise ValueError(
                f"`rooms` must be (start, stop) within the bank's {len(self.bank.azimuths)} rooms, "
                f"got {self.rooms!r}."
            )
        azimuths = np.asarray(self.bank.azimuths[start:stop], "float64")
        separation = np.abs(azimuths[:, :, None] - azimuths[:, None, :])
        different = ~np.eye(azimuths.shape[1], dtype=bool)
        allowed = (separation >= self.min_separation) & different
        pairs = ((start + room, np.argwhere(allowed[room])) for room in range(stop - start))
        return [(room, slots) for room, slots in pairs if len(slots)]

    @staticmethod
    def _by_class(items, split):
        grouped = defaultdict(list)
        for item in items:
            if split in (None, item.split):
                grouped[item.class_name].append(item)
        return grouped

    def __getitem__(self, index: int) -> Scene:
        index = operator.index(index)
        if index < 0:
            raise IndexError(f"A scene's index must not be negative, got {index}.")
        rng = np.random.default_rng([self.seed, zlib.crc32(str(self.split).encode()), index])
        target_class, interferer_class = self._draw_classes(rng)
        target = _draw(rng, self._targets[target_class])
        interferer = _draw(rng, self._clips[interferer_class])
        others = [p for p in self._pictures[target_class] if p.instance != target.instance]
        picture = _draw(rng, others)
        room, target_slot, interferer_slot = self._draw_positions(rng)
        low, high = self._snr_range
        return Scene(
            index=index,
            target=target,
            interferer=interferer,
            target_offset=self._draw_offset(rng, target),
            interferer_offset=self._draw_offset(rng, interferer),
            picture=picture,
            room=room,
            target_slot=target_slot,
            interferer_slot=interferer_slot,
            azimuth=float(self.bank.azimuths[room, target_slot]),
            interferer_azimuth=float(self.bank.azimuths[room, interferer_slot]),
            snr=float(low + (high - low) * rng.random()),
            num_samples=self.num_samples,
            **self._draw_prompt(index, target),
        )

    def _draw_prompt(self, index, target):
        """What else may ask for a target, drawn apart, so that the scene itself stays the same."""
        name = f"prompt {self.split}".encode()
        rng = np.random.default_rng([self.seed, zlib.crc32(name), index])
        kind, reference, offset = _draw(rng, self.prompt_kinds), None, 0
        if "recording" in self.prompt_kinds:
            reference = _draw(rng, self._other_recordings(target))
            offset = self._draw_offset(rng, reference)
        return {"prompt_kind": kind, "reference": reference, "reference_offset": offset}

    def _draw_classes(self, rng):
        first = rng.integers(len(self.classes))
        step = rng.integers(1, len(self.classes))
        return self.classes[first], self.classes[(first + step) % len(self.classes)]

    def _draw_positions(self, rng):
        room, pairs = _draw(rng, self._positions)
        target_slot, interferer_slot = _draw(rng, pairs).tolist()
        return room, target_slot, interferer_slot

    def _draw_offset(self, rng, clip):
        spare = clip.num_samples - self.num_samples
        return int(rng.integers(spare + 1 if spare >= 0 else clip.num_samples))


def _draw(rng, items):
    return items[rng.integers(len(items))]
