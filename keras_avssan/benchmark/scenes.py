"""The scenes that all systems train on, are tuned on and are tested on."""

import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from keras_avssan.benchmark.held_out import HELD_OUT, HeldOut
from keras_avssan.data.scenes.scene_plan import ScenePlan

_VALIDATION = {
    "val": "the split val",
    HELD_OUT: "a quarter of the training split, which is missing in the trials alone",
}


class BenchmarkScenes:
    """The scenes that all systems train on, are tuned on and are tested on.

    Recordings, pictures and rooms of the test scenes are in no other ones. Learning rates are
    chosen on the split `val` where tests are on another one. Otherwise a quarter of the training
    split is kept from the trials for that, see `HeldOut`; the final trainings have all of it.

    Args:
        settings: `BenchmarkSettings`.
        catalog: `keras_avssan.data.Catalog`.
        banks: Dict from `"train"`, `"validation"` and `"test"` to a bank of rooms and the range of
            those to draw from, or `None` for all.

    Attributes:
        train: `ScenePlan` of the final trainings.
        trial: `ScenePlan` of the trials.
        validation: `ScenePlan` that decides between them.
        test: `ScenePlan` of the tests, at 0 dB.
        unseen: Classes that are in tests alone, a tuple.
        notes: Dict of what was decided, for the record.

    Raises:
        ValueError: If the catalog has too few classes, clips or pictures.
    """

    def __init__(self, settings: Mapping[str, Any], catalog: Any, banks) -> None:
        self.settings = settings
        test_split = settings.test_split or ("test" if "test" in catalog.splits else "val")
        if test_split == settings.train_split:
            raise ValueError(f"Tests cannot be on the split of the training, {test_split!r}.")
        seen = catalog
        self.unseen = ()
        if settings.unseen_classes:
            self.unseen = _draw_classes(settings, self._plan(catalog, banks, "test", test_split))
            rest = [name for name in catalog.classes if name not in self.unseen]
            if len(rest) < 2:
                raise ValueError(
                    f"`unseen_classes` {settings.unseen_classes} leaves {len(rest)} classes to "
                    "train on; at least 2 are needed."
                )
            seen, catalog = catalog.select(classes=rest), catalog.select(classes=self.unseen)
        self.train = self._plan(seen, banks, "train", settings.train_split)
        self.test = self._plan(
            catalog, banks, "test", test_split, reference_split=settings.train_split
        )
        held = "val" if "val" in seen.splits and test_split != "val" else HELD_OUT
        if held == HELD_OUT:
            seen = HeldOut(seen, settings.train_split, settings.seed)
            if HELD_OUT not in seen.splits:
                raise ValueError(
                    f"The split {settings.train_split!r} is too small to choose learning rates on "
                    "a part of it: no class has three recordings."
                )
        self.trial = self._plan(seen, banks, "train", settings.train_split)
        self.validation = self._plan(
            seen, banks, "validation", held, reference_split=settings.train_split
        )
        self._check_size()
        self.notes = {
            "test_split": test_split,
            "validation": _VALIDATION[held],
            "train_classes": list(self.train.classes),
            "test_classes": list(self.test.classes),
        }

    def _plan(self, catalog: Any, banks, role, split: str, **kwargs: Any):
        bank, rooms = banks[role]
        return ScenePlan(
            catalog,
            bank,
            split=split,
            seed=self.settings.seed,
            duration=self.settings.duration,
            rooms=rooms,
            **kwargs,
        )

    def _check_size(self):
        """Refuses more test scenes than there are different ones."""
        different = num_different_scenes(self.test)
        if different < self.settings.scenes:
            raise ValueError(
                f"The split {self.test.split!r} is too small for {self.settings.scenes} test "
                f"scenes: its clips in these rooms make {different} different ones."
            )

    def plans(self):
        """All plans, for what all pictures are embedded for."""
        return self.train, self.trial, self.validation, self.test

    def with_prompts(self, kinds):
        """The plans of training and trials, asked in another way.

        Args:
            kinds: What asks, see `ScenePlan`.

        Returns:
            Tuple of two `ScenePlan`s.

        Raises:
            ValueError: If a clip has no other recording to be asked for with.
        """
        return tuple(replace(plan, prompt_kinds=kinds) for plan in (self.train, self.trial))


def num_different_scenes(plan: ScenePlan):
    """Number of scenes of a plan that differ in a clip or in a position.

    Args:
        plan: `ScenePlan`.

    Returns:
        Int.
    """
    counts = [
        sum(c.class_name == name and plan.split in (None, c.split) for c in plan.catalog.clips)
        for name in plan.classes
    ]
    pairs = sum(counts) ** 2 - sum(count**2 for count in counts)
    rooms, sources = plan.bank.azimuths.shape
    if plan.rooms is not None:
        rooms = plan.rooms[1] - plan.rooms[0]
    return pairs * rooms * sources * (sources - 1)


def _draw_classes(settings: Mapping[str, Any], plan: ScenePlan):
    """The classes that only tests have."""
    if settings.unseen_classes > len(plan.classes):
        raise ValueError(
            f"`unseen_classes` must be at most the number of classes of the split {plan.split!r}, "
            f"{len(plan.classes)}. Received: unseen_classes={settings.unseen_classes}"
        )
    rng = np.random.default_rng([settings.seed, zlib.crc32(b"unseen classes")])
    drawn = rng.permutation(len(plan.classes))[: settings.unseen_classes]
    return tuple(sorted(plan.classes[i] for i in drawn))
