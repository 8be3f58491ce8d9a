"""Deterministic scene plans: scene `i` is a pure function of the seed and of `i`."""

import operator
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from keras_avssan._internal.checks import check_integer, check_number
from keras_avssan._internal.one_line import count, one_line, span
from keras_avssan.data.catalogs.catalog import Catalog, Clip, Picture
from keras_avssan.data.scenes.augmentation import draw_augmentations
from keras_avssan.data.scenes.plan_checks import (
    check_augmentation,
    check_catalog,
    check_num_interferers,
    check_prompt_kinds,
    check_switch,
    decibel_range,
    room_range,
)
from keras_avssan.data.scenes.scene import Scene, SceneSource
from keras_avssan.data.scenes.source_positions import SourcePositions

if TYPE_CHECKING:
    from keras_avssan.simulation import RIRBank

_MOST_SECONDS = 86400.0
_Item = TypeVar("_Item", Clip, Picture)


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
        split: Split of the catalog; `None` for the clips and pictures of all splits together.
        seed: Random seed of all scenes.
        duration: Length of a scene in seconds.
        snr: Number, or `(low, high)`: level of the target above the interferer in dB, fixed or
            uniform.
        rooms: `(start, stop)` of room indices to draw from, or `None` for all. Give training and
            validation different rooms.
        min_separation: Least angle between the two sources in degrees.
        prompt_kinds: Any of `"picture"`, `"text"`, `"recording"`: each scene is prompted with one
            of them, drawn uniformly.
        reference_split: Split of the recordings that serve as prompts; `None` for `split`.
        swap_channels: Whether the microphones are exchanged in half of the scenes, so that azimuths
            become 180 degrees minus themselves.
        speed: `(low, high)`: factor of speed and pitch of every source, drawn evenly over its
            logarithm. Recordings as prompts are played as they are.
        equalise: Largest gain or loss in dB: every source gets a gain for each octave, uniform
            within this range.
        sensor_noise: Number, `(low, high)`, or `None` for no noise: level of the mixture above
            white noise at each microphone in dB. Host rendering only.
        num_interferers: Number of interferers, of different classes and at different positions,
            each at the same level.
        same_class_interferer: Share of scenes whose first interferer is of the target's class, of
            another instance. No prompt distinguishes the two.
        absent: Whether scenes are prompted with a class that is not in the mixture, for
            `keras_avssan.evaluation.evaluate_presence`.

    Raises:
        ValueError: An argument is out of range, the split has fewer usable classes than are in a
            scene, no room has enough sources that far apart, or a clip has no other recording of
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

    def __repr__(self) -> str:
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
        check_catalog(self.catalog, self.bank, self.split, self.reference_split)
        # Floats without a fraction become integers.
        object.__setattr__(self, "seed", check_integer("seed", self.seed))
        check_number("duration", self.duration, 0, _MOST_SECONDS)
        if self.num_samples < 1:
            raise ValueError(
                "`duration` must last for one sample or more, in seconds. "
                f"Received: duration={self.duration!r}"
            )
        decibel_range("snr", self.snr)
        if self.sensor_noise is not None:
            decibel_range("sensor_noise", self.sensor_noise)
        check_switch("swap_channels", self.swap_channels)
        check_switch("absent", self.absent)
        check_augmentation(self.speed, self.equalise)
        check_number("min_separation", self.min_separation, 0, 180)
        self._check_interferers()
        if len(self.classes) < 2:
            raise ValueError(
                "`split` must have two classes or more with a clip and a picture of another "
                f"instance; it has {list(self.classes)}. Received: split={self.split!r}"
            )
        if not self._positions.pairs:
            raise ValueError(
                f"`rooms` must hold a room with {1 + self.num_interferers} source positions at "
                f"least `min_separation` {self.min_separation} degrees apart. "
                f"Received: rooms={self.rooms}"
            )
        if self.rooms is not None:
            object.__setattr__(self, "rooms", tuple(map(int, self.rooms)))
        self._check_prompts()

    def _check_interferers(self) -> None:
        slots, classes = self.bank.azimuths.shape[1], len(self.classes)
        number = check_num_interferers(self.num_interferers, slots, classes, self.absent)
        object.__setattr__(self, "num_interferers", number)
        check_number("same_class_interferer", self.same_class_interferer, 0, 1)
        if self.same_class_interferer:
            for name in self.classes:
                if len({clip.instance for clip in self._clips[name]}) < 2:
                    raise ValueError(
                        f"`same_class_interferer` needs two recordings of every class; '{name}' "
                        f"has one in the split {self.split!r}. "
                        f"Received: same_class_interferer={self.same_class_interferer}"
                    )

    def _check_prompts(self) -> None:
        kinds = self.prompt_kinds
        check_prompt_kinds(kinds)
        if "recording" not in kinds:
            return
        for name in self.classes:
            for clip in self._targets[name]:
                if not self._other_recordings(clip):
                    raise ValueError(
                        f"`prompt_kinds` {kinds}: the class '{name}' has no recording in the split "
                        f"{self.reference_split or self.split!r} as a prompt for '{clip.id}'. Name "
                        f"another `reference_split`. Received: prompt_kinds={kinds!r}"
                    )

    def _other_recordings(self, clip: Clip) -> list[Clip]:
        """Recordings of a clip's class, of other instances, that may be its prompt."""
        return [c for c in self._references[clip.class_name] if c.instance != clip.instance]

    @property
    def sampling_rate(self) -> int:
        """Rate of the scenes in Hz."""
        return self.bank.sampling_rate

    @property
    def num_samples(self) -> int:
        """Length of a scene in samples."""
        return round(self.duration * self.bank.sampling_rate)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes that scenes are made of."""
        return tuple(name for name, targets in self._targets.items() if targets)

    @property
    def microphone_spacing(self) -> float | None:
        """Distance between the microphones in metres; `None` where the bank has none."""
        return getattr(self.bank, "microphone_spacing", None)

    @property
    def room_range(self) -> tuple[int, int]:
        """`(start, stop)`: the rooms of the bank that scenes are drawn from."""
        return (0, len(self.bank.azimuths)) if self.rooms is None else self.rooms

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """All clips that a scene may play."""
        return tuple(c for name in self.classes for c in self._clips[name])

    @cached_property
    def references(self) -> tuple[Clip, ...]:
        """All clips that may serve as a prompt."""
        if "recording" not in self.prompt_kinds:
            return ()
        return tuple(c for name in self.classes for c in self._references[name])

    @cached_property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures that may serve as a prompt."""
        return tuple(p for name in self.classes for p in self._pictures[name])

    @cached_property
    def _clips(self) -> dict[str, list[Clip]]:
        return self._by_class(self.catalog.clips, self.split)

    @cached_property
    def _pictures(self) -> dict[str, list[Picture]]:
        return self._by_class(self.catalog.pictures, self.split)

    @cached_property
    def _references(self) -> dict[str, list[Clip]]:
        return self._by_class(self.catalog.clips, self.reference_split or self.split)

    @cached_property
    def _targets(self) -> dict[str, list[Clip]]:
        """By class, the clips for which the split has a picture of another instance."""
        targets = {}
        for name in self.catalog.classes:
            instances = {picture.instance for picture in self._pictures[name]}
            targets[name] = [c for c in self._clips[name] if instances - {c.instance}]
        return targets

    @cached_property
    def _positions(self) -> SourcePositions:
        rooms = room_range(self.room_range, len(self.bank.azimuths))
        return SourcePositions(self.bank, rooms, self.min_separation, self.num_interferers)

    @staticmethod
    def _by_class(items: Iterable[_Item], split: str | None) -> dict[str, list[_Item]]:
        grouped: dict[str, list[_Item]] = defaultdict(list)
        for item in items:
            if split in (None, item.split):
                grouped[item.class_name].append(item)
        return grouped

    def __getitem__(self, index: int) -> Scene:
        index = operator.index(index)
        if index < 0:
            raise IndexError(f"`index` of a scene must not be negative. Received: index={index}")
        scene = self._draw_scene(index)
        if self.same_class_interferer:
            scene = self._with_same_class(scene)
        if self.num_interferers > 1:
            scene = replace(scene, sources=scene.sources + self._draw_further(scene))
        if self.absent:
            scene = replace(scene, **self._draw_absent(scene))
        return self._with_augmentation(scene)

    def generator(self, index: int, purpose: str = "") -> np.random.Generator:
        """Makes a random generator of a scene; those of different purposes are independent.

        Args:
            index: Number of the scene.
            purpose: Name of the quantity that is drawn; by default the scene itself.

        Returns:
            A `numpy.random.Generator`, the same for the same seed, split, index and purpose.

        Example:
            ```python
            plan.generator(0, "my noise").standard_normal(plan.num_samples)
            ```
        """
        name = f"{purpose} {self.split}" if purpose else str(self.split)
        return np.random.default_rng([self.seed, zlib.crc32(name.encode()), index])

    def _draw_scene(self, index: int) -> Scene:
        """Two sources of two classes, and the prompt for the first."""
        rng = self.generator(index)
        target_class, interferer_class = self._draw_classes(rng)
        target = _draw(rng, self._targets[target_class])
        interferer = _draw(rng, self._clips[interferer_class])
        others = [p for p in self._pictures[target_class] if p.instance != target.instance]
        picture = _draw(rng, others)
        room, slots = self._draw_positions(rng)
        low, high = decibel_range("snr", self.snr)
        clips = zip((target, interferer), slots, strict=True)
        return Scene(
            index=index,
            sources=tuple(self._draw_source(rng, clip, room, slot) for clip, slot in clips),
            picture=picture,
            room=room,
            snr=float(low + (high - low) * rng.random()),
            num_samples=self.num_samples,
            **self._draw_prompt(index, target),
        )

    def _draw_source(
        self, rng: np.random.Generator, clip: Clip, room: int, slot: int
    ) -> SceneSource:
        """A clip at a position of a room, from a random sample on."""
        azimuth = float(self.bank.azimuths[room, slot])
        return SceneSource(clip, self._draw_offset(rng, clip), slot, azimuth)

    def _draw_prompt(self, index: int, target: Clip) -> dict[str, Any]:
        """Kind of prompt and recording; their own generator leaves the scene itself unchanged."""
        rng = self.generator(index, "prompt")
        kind, reference, offset = _draw(rng, self.prompt_kinds), None, 0
        if "recording" in self.prompt_kinds:
            reference = _draw(rng, self._other_recordings(target))
            offset = self._draw_offset(rng, reference)
        return {"prompt_kind": kind, "reference": reference, "reference_offset": offset}

    def _draw_classes(self, rng: np.random.Generator) -> tuple[str, str]:
        first = rng.integers(len(self.classes))
        step = rng.integers(1, len(self.classes))
        return self.classes[first], self.classes[(first + step) % len(self.classes)]

    def _draw_positions(self, rng: np.random.Generator) -> tuple[int, list[int]]:
        room, pairs = self._positions.draw_room(rng)
        return room, _draw(rng, pairs).tolist()

    def _draw_offset(self, rng: np.random.Generator, clip: Clip) -> int:
        spare = clip.num_samples - self.num_samples
        return int(rng.integers(spare + 1 if spare >= 0 else clip.num_samples))

    def _with_same_class(self, scene: Scene) -> Scene:
        """The scene itself or, for a share of scenes, with an interferer of the target's class."""
        rng = self.generator(scene.index, "same class")
        if rng.random() >= self.same_class_interferer:
            return scene
        clips = self._clips[scene.target.class_name]
        clip = _draw(rng, [c for c in clips if c.instance != scene.target.instance])
        target, interferer = scene.sources
        interferer = replace(interferer, clip=clip, offset=self._draw_offset(rng, clip))
        return replace(scene, sources=(target, interferer))

    def _draw_further(self, scene: Scene) -> tuple[SceneSource, ...]:
        """The interferers beyond the first, of other classes and at other positions."""
        rng = self.generator(scene.index, "further interferers")
        present = {scene.target.class_name, scene.interferer.class_name}
        names = [name for name in self.classes if name not in present]
        drawn = rng.permutation(len(names))[: self.num_interferers - 1]
        used = tuple(source.slot for source in scene.sources)
        slots = list(self._positions.further_slots(scene.room, used))
        sources = []
        for number, slot in zip(drawn, _draw(rng, slots), strict=True):
            clip = _draw(rng, self._clips[names[number]])
            sources.append(self._draw_source(rng, clip, scene.room, slot))
        return tuple(sources)

    def _draw_absent(self, scene: Scene) -> dict[str, Any]:
        """A prompt of a class that is not in the mixture."""
        rng = self.generator(scene.index, "absent")
        present = {source.clip.class_name for source in scene.sources}
        name = _draw(rng, [name for name in self.classes if name not in present])
        changes: dict[str, Any] = {"picture": _draw(rng, self._pictures[name])}
        if scene.reference is not None:
            reference = _draw(rng, self._references[name])
            offset = self._draw_offset(rng, reference)
            changes |= {"reference": reference, "reference_offset": offset}
        return changes

    def _with_augmentation(self, scene: Scene) -> Scene:
        """The scene with augmented sounds and microphones; each change has its own generator."""
        sources, noise, swapped = scene.sources, None, False
        if tuple(self.speed) != (1.0, 1.0) or self.equalise:
            rngs = [self.generator(scene.index, name) for name in ("speed", "equaliser")]
            changes = draw_augmentations(rngs, len(sources), self.speed, self.equalise)
            pairs = zip(sources, changes, strict=True)
            sources = tuple(replace(source, augmentation=change) for source, change in pairs)
        if self.sensor_noise is not None:
            low, high = decibel_range("sensor_noise", self.sensor_noise)
            share = self.generator(scene.index, "sensor noise").random()
            noise = float(low + (high - low) * share)
        if self.swap_channels and self.generator(scene.index, "swap").random() < 0.5:
            swapped = True
            sources = tuple(replace(source, azimuth=180.0 - source.azimuth) for source in sources)
        return replace(scene, sources=sources, sensor_noise=noise, swapped=swapped)


def _draw(rng: np.random.Generator, items: Sequence[Any] | np.ndarray) -> Any:
    return items[int(rng.integers(len(items)))]
