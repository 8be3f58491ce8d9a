"""Which clips meet where: scenes as a pure function of a seed and an index."""

import itertools
import operator
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from keras_avssan._internal.checks import check_integer, check_number
from keras_avssan._internal.one_line import count, one_line, span
from keras_avssan.data.catalogs.catalog import Catalog, Clip, Picture
from keras_avssan.data.scenes.augmentation import EQUALISER_HERTZ, Augmentation
from keras_avssan.data.scenes.scene_source import SceneSource

if TYPE_CHECKING:
    from keras_avssan.simulation import RIRBank

_MOST_DB = 200.0  # of a level above another; beyond it float32 knows one of them only
_MOST_SECONDS = 86400.0
PROMPT_KINDS = ("picture", "text", "recording")


@dataclass(frozen=True)
class Scene:
    """Everything that says how one scene sounds and what it is asked for.

    Args:
        index: Int. Number of the scene in its plan.
        target: `Clip` to be found.
        interferer: `Clip` of another class, unless the plan has interferers of the same class.
        target_offset: Int. First sample taken from the target clip.
        interferer_offset: Int. First sample taken from the interferer clip.
        prompt_kind: Str. What asks for the target: `"picture"`, `"text"` or `"recording"`.
        picture: `Picture` of the target's class, of another instance than the target clip; where
            the plan asks for what is absent, of a class that is not in the mix.
        reference: `Clip` of the picture's class, of another instance than the target clip; `None`
            where the plan has no recordings as prompts.
        reference_offset: Int. First sample taken from the reference.
        room: Int. Index of the room in the bank.
        target_slot: Int. Source position of the target in the room.
        interferer_slot: Int. Source position of the interferer, another one.
        azimuth: Float. Direction of the target in degrees, 0 beside microphone 1.
        interferer_azimuth: Float. Direction of the interferer in degrees.
        snr: Float. Level of the target above every single interferer in dB, over both channels.
        num_samples: Int. Length of the scene.
        further_interferers: Tuple of `SceneSource`: the interferers beyond the first.
        swapped: Bool. Whether the microphones are exchanged. Azimuths are those after it.
        augmentations: Tuple of an `Augmentation` for every source, the target first; empty where
            recordings are played as they are.
        sensor_noise: Float or `None`. Level of the mix above white noise at the microphones in dB.

    Example:
        ```python
        scene = plan[0]
        assert scene.target.class_name != scene.interferer.class_name
        assert 0 <= scene.azimuth <= 180
        ```
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
    further_interferers: tuple[SceneSource, ...] = ()
    swapped: bool = False
    augmentations: tuple[Augmentation, ...] = ()
    sensor_noise: float | None = None

    def __repr__(self):
        target, *others = (f"{s.clip.class_name} at {s.azimuth:.1f}°" for s in self.sources)
        return one_line(
            self,
            f"{self.index}: {target} among {' and '.join(others)}",
            f"{self.snr:g} dB",
            f"room {self.room}",
            f"prompt: {self.prompt_kind}",
        )

    @property
    def sources(self) -> tuple[SceneSource, ...]:
        """Tuple of `SceneSource`: the target, then all interferers."""
        sources = (
            SceneSource(self.target, self.target_offset, self.target_slot, self.azimuth),
            SceneSource(
                self.interferer,
                self.interferer_offset,
                self.interferer_slot,
                self.interferer_azimuth,
            ),
            *self.further_interferers,
        )
        if not self.augmentations:
            return sources
        pairs = zip(sources, self.augmentations, strict=True)
        return tuple(replace(source, augmentation=change) for source, change in pairs)

    @property
    def interferer_azimuths(self) -> tuple[float, ...]:
        """Tuple of floats: directions of all interferers in degrees."""
        return tuple(source.azimuth for source in self.sources[1:])

    @property
    def nearest_interferer_azimuth(self) -> float:
        """Float. Direction in degrees of the interferer at the least angle from the target."""
        return min(self.interferer_azimuths, key=lambda azimuth: abs(azimuth - self.azimuth))


@dataclass(frozen=True, eq=False)
class ScenePlan:
    """An endless list of scenes: `plan[i]` is a pure function of the seed and of `i`.

    The classes of target and interferer differ and are uniform over the classes of the split,
    whatever the number of their clips. Clip and picture come from the same split but from different
    instances. Both sources stand in the same room at two different positions. A clip longer than
    the scene is cropped at a random offset; a shorter one is repeated from a random offset on.

    Changing `snr`, `prompt_kinds` or one of the arguments from `swap_channels` on
    (`dataclasses.replace(plan, snr=10.0)`) changes nothing else in the scenes; but with
    `min_separation`, `num_interferers` also decides where two sources may stand.

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
        swap_channels: Bool. Whether the microphones are exchanged in half of the scenes, so that
            azimuths become 180 degrees minus themselves.
        speed: Tuple `(low, high)`: factor of speed and pitch of every source, drawn evenly over
            its logarithm. Recordings as prompts are played as they are.
        equalise: Float. Every source gets gains over frequency, uniform within so many dB to
            either side for each octave.
        sensor_noise: Float, tuple `(low, high)`, or `None`: level of the mix above white noise at
            each microphone in dB. Host rendering only.
        num_interferers: Int. Number of interferers, of different classes and at different
            positions, each at the same level.
        same_class_interferer: Float. Share of scenes whose first interferer is of the target's
            class, of another instance. What asks cannot tell the two apart.
        absent: Bool. Whether scenes are asked for a class that is not in the mix, for
            `keras_avssan.evaluation.evaluate_presence`.

    Raises:
        ValueError: An argument is out of range, the split has fewer usable classes than are in a
            scene, no room has so many sources that far apart, or a clip has no other recording of
            its class where one is needed.

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
    swap_channels: bool = False
    speed: tuple[float, float] = (1.0, 1.0)
    equalise: float = 0.0
    sensor_noise: float | tuple[float, float] | None = None
    num_interferers: int = 1
    same_class_interferer: float = 0.0
    absent: bool = False

    def __repr__(self):
        first, stop = self.rooms or (0, len(self.bank))
        return one_line(
            self,
            f"{self.split or 'every'} split of {count(len(self.classes), 'class', 'classes')}",
            f"rooms {first} to {stop - 1}",
            f"{self.duration:g} s",
            span(self.snr, " dB"),
            f"prompts: {'/'.join(self.prompt_kinds)}",
            f"seed {self.seed}",
        )

    def __post_init__(self) -> None:
        for name, kind in (("catalog", "a `Catalog`"), ("bank", "an `RIRBank`")):
            if not hasattr(getattr(self, name), "sampling_rate"):
                raise TypeError(
                    f"`{name}` must be {kind}. Received: {name}={getattr(self, name)!r}"
                )
        # Whole floats are taken, and become the integers that they are.
        object.__setattr__(self, "seed", check_integer("seed", self.seed))
        check_number("duration", self.duration, 0, _MOST_SECONDS)
        if self.num_samples < 1:
            raise ValueError(f"`duration` must be positive, in seconds, got {self.duration!r}.")
        self._check_augmentation()
        if self.catalog.sampling_rate != self.bank.sampling_rate:
            raise ValueError(
                f"`catalog` is at {self.catalog.sampling_rate} Hz, but `bank` at "
                f"{self.bank.sampling_rate} Hz."
            )
        if self.split is not None and self.split not in self.catalog.splits:
            raise ValueError(
                f"Unknown `split` {self.split!r}; the catalog has {list(self.catalog.splits)}."
            )
        if self.reference_split is not None and self.reference_split not in self.catalog.splits:
            raise ValueError(
                f"`reference_split` must be one of {list(self.catalog.splits)}. "
                f"Received: reference_split={self.reference_split!r}"
            )
        check_number("min_separation", self.min_separation, 0, 180)
        self._check_interferers()
        if len(self.classes) < 2:
            raise ValueError(
                f"`split` {self.split!r} needs two classes that have a clip and a picture of "
                f"another instance; it has {list(self.classes)}."
            )
        if not self._positions:
            raise ValueError(
                f"No room of `rooms` {self.rooms} has {1 + self.num_interferers} sources at least "
                f"{self.min_separation} degrees apart (`min_separation`)."
            )
        if self.rooms is not None:
            object.__setattr__(self, "rooms", tuple(map(int, self.rooms)))
        self._check_prompts()

    def _check_augmentation(self) -> None:
        _limits("snr", self.snr)
        if self.sensor_noise is not None:
            _limits("sensor_noise", self.sensor_noise)
        for name in ("swap_channels", "absent"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise ValueError(
                    f"`{name}` must be True or False. Received: {name}={getattr(self, name)!r}"
                )
        speed = _numbers(self.speed)
        if speed.shape != (2,) or not 0.25 <= speed[0] <= speed[1] <= 4:
            raise ValueError(
                f"`speed` must be (low, high), factors from 0.25 to 4, got {self.speed!r}."
            )
        check_number("equalise", self.equalise, 0, 40)

    def _check_interferers(self) -> None:
        number = check_integer("num_interferers", self.num_interferers, least=1)
        object.__setattr__(self, "num_interferers", number)
        slots = self.bank.azimuths.shape[1]
        if self.num_interferers >= slots:
            raise ValueError(
                f"`num_interferers` {self.num_interferers} and a target need a source position "
                f"each, but the rooms of `bank` have {slots}."
            )
        needed = 1 + self.num_interferers + bool(self.absent)
        if 2 < needed > len(self.classes):
            raise ValueError(
                f"`num_interferers` {self.num_interferers} with `absent` {self.absent} needs "
                f"{needed} classes; `split` {self.split!r} has {len(self.classes)}."
            )
        check_number("same_class_interferer", self.same_class_interferer, 0, 1)
        if self.same_class_interferer:
            for name in self.classes:
                if len({clip.instance for clip in self._clips[name]}) < 2:
                    raise ValueError(
                        f"`same_class_interferer`: the class '{name}' has a single recording in "
                        f"the split {self.split!r}."
                    )

    def _check_prompts(self) -> None:
        kinds = self.prompt_kinds
        if not isinstance(kinds, (tuple, list)) or not kinds or set(kinds) - set(PROMPT_KINDS):
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

    @property
    def microphone_spacing(self) -> float | None:
        """Float. Distance between the microphones in metres; `None` where the bank has none."""
        return getattr(self.bank, "microphone_spacing", None)

    @property
    def room_range(self) -> tuple[int, int]:
        """Tuple `(start, stop)`: the rooms of the bank that scenes are drawn from."""
        return (0, len(self.bank.azimuths)) if self.rooms is None else self.rooms

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """Tuple of `Clip`: all that a scene may play."""
        return tuple(c for name in self.classes for c in self._clips[name])

    @cached_property
    def references(self) -> tuple[Clip, ...]:
        """Tuple of `Clip`: all that a scene may be asked for with."""
        asks = "recording" in self.prompt_kinds
        return tuple(c for name in self.classes for c in self._references[name] if asks)

    @cached_property
    def pictures(self) -> tuple[Picture, ...]:
        """Tuple of `Picture`: all that a scene may be asked for with."""
        return tuple(p for name in self.classes for p in self._pictures[name])

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
        rooms = _numbers(self.room_range)
        whole = rooms.shape == (2,) and np.isfinite(rooms).all() and not np.any(rooms % 1)
        start, stop = rooms.astype(int).tolist() if whole else (0, 0)
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
        if self.num_interferers > 1 and self.min_separation > 0:
            pairs = ((room, self._with_room_for_more(room, slots)) for room, slots in pairs)
        return [(room, slots) for room, slots in pairs if len(slots)]

    def _with_room_for_more(self, room, pairs):
        """Those pairs of slots beside which all further interferers find one."""
        keep = [pair for pair in pairs if next(self._further_slots(room, pair), None)]
        return np.array(keep).reshape(-1, 2)

    def _further_slots(self, room, used):
        """Iterator over tuples of slots for the further interferers, each far from all others."""
        azimuths = np.asarray(self.bank.azimuths[room], "float64")
        free = [slot for slot in range(len(azimuths)) if slot not in used]
        for slots in itertools.permutations(free, self.num_interferers - 1):
            heard = np.sort(azimuths[[*used, *slots]])
            if np.diff(heard).min() >= self.min_separation:
                yield slots

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
        scene = self._draw_scene(index)
        if self.same_class_interferer:
            scene = self._with_same_class(scene)
        if self.num_interferers > 1:
            scene = replace(scene, further_interferers=self._draw_further(scene))
        if self.absent:
            scene = replace(scene, **self._draw_absent(scene))
        return replace(scene, **self._draw_augmentation(scene))

    def generator(self, index: int, purpose: str = "") -> np.random.Generator:
        """A random generator of a scene; those of different purposes are independent.

        Args:
            index: Int. Number of the scene.
            purpose: Str. What is drawn: by default the scene itself.

        Returns:
            `numpy.random.Generator`.
        """
        name = f"{purpose} {self.split}" if purpose else str(self.split)
        return np.random.default_rng([self.seed, zlib.crc32(name.encode()), index])

    def _draw_scene(self, index):
        """Two sources of two classes, and what asks for the first."""
        rng = self.generator(index)
        target_class, interferer_class = self._draw_classes(rng)
        target = _draw(rng, self._targets[target_class])
        interferer = _draw(rng, self._clips[interferer_class])
        others = [p for p in self._pictures[target_class] if p.instance != target.instance]
        picture = _draw(rng, others)
        room, target_slot, interferer_slot = self._draw_positions(rng)
        low, high = _limits("snr", self.snr)
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
        rng = self.generator(index, "prompt")
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

    def _with_same_class(self, scene):
        """A scene, or in a share of them the same with an interferer of the target's class."""
        rng = self.generator(scene.index, "same class")
        if rng.random() >= self.same_class_interferer:
            return scene
        clips = self._clips[scene.target.class_name]
        clip = _draw(rng, [c for c in clips if c.instance != scene.target.instance])
        return replace(scene, interferer=clip, interferer_offset=self._draw_offset(rng, clip))

    def _draw_further(self, scene):
        """The interferers beyond the first, of other classes and at other positions."""
        rng = self.generator(scene.index, "further interferers")
        heard = {scene.target.class_name, scene.interferer.class_name}
        names = [name for name in self.classes if name not in heard]
        drawn = rng.permutation(len(names))[: self.num_interferers - 1]
        slots = self._further_slots(scene.room, (scene.target_slot, scene.interferer_slot))
        sources = []
        for number, slot in zip(drawn, _draw(rng, list(slots)), strict=True):
            clip = _draw(rng, self._clips[names[number]])
            azimuth = float(self.bank.azimuths[scene.room, slot])
            sources.append(SceneSource(clip, self._draw_offset(rng, clip), slot, azimuth))
        return tuple(sources)

    def _draw_absent(self, scene):
        """What asks for a class that is not in the mix."""
        rng = self.generator(scene.index, "absent")
        heard = {source.clip.class_name for source in scene.sources}
        name = _draw(rng, [name for name in self.classes if name not in heard])
        changes = {"picture": _draw(rng, self._pictures[name])}
        if scene.reference is not None:
            reference = _draw(rng, self._references[name])
            offset = self._draw_offset(rng, reference)
            changes |= {"reference": reference, "reference_offset": offset}
        return changes

    def _draw_augmentation(self, scene):
        """What is changed about sounds and microphones; each change is drawn apart."""
        changes = {}
        if tuple(self.speed) != (1.0, 1.0) or self.equalise:
            changes["augmentations"] = self._draw_recordings(scene)
        if self.sensor_noise is not None:
            low, high = _limits("sensor_noise", self.sensor_noise)
            share = self.generator(scene.index, "sensor noise").random()
            changes["sensor_noise"] = float(low + (high - low) * share)
        if self.swap_channels and self.generator(scene.index, "swap").random() < 0.5:
            changes |= {
                "swapped": True,
                "azimuth": 180.0 - scene.azimuth,
                "interferer_azimuth": 180.0 - scene.interferer_azimuth,
                "further_interferers": tuple(
                    replace(source, azimuth=180.0 - source.azimuth)
                    for source in scene.further_interferers
                ),
            }
        return changes

    def _draw_recordings(self, scene):
        """An `Augmentation` for every source."""
        count = len(scene.sources)
        low, high = self.speed
        shares = self.generator(scene.index, "speed").random(count)
        speeds = (low * (high / low) ** shares).tolist()
        equalisers: list[tuple[float, ...]] = [()] * count
        if self.equalise:
            rng = self.generator(scene.index, "equaliser")
            shape = (count, len(EQUALISER_HERTZ))
            gains = rng.uniform(-self.equalise, self.equalise, shape)
            equalisers = [tuple(row) for row in gains.tolist()]
        return tuple(map(Augmentation, speeds, equalisers))


def _draw(rng, items):
    return items[rng.integers(len(items))]


def _limits(name, value):
    """A range of decibels as a pair of floats; a single number is both ends."""
    limits = _numbers(value)
    if limits.shape in ((), (2,)):
        low, high = np.broadcast_to(limits, 2).tolist()
        if -_MOST_DB <= low <= high <= _MOST_DB:
            return low, high
    raise ValueError(
        f"`{name}` must be a number or (low, high) in dB, within {_MOST_DB:g} to either side. "
        f"Received: {name}={value!r}"
    )


def _numbers(value):
    """One number or several as float64; an array of NaN of no use where it is something else."""
    try:
        numbers = np.asarray(value)
    except ValueError:  # of lists of unequal lengths
        return np.full(0, np.nan)
    return numbers.astype("float64") if numbers.dtype.kind in "iuf" else np.full(0, np.nan)
