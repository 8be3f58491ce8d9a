"""Scene plans for training, trials, validation and tests of all systems."""

import zlib
from dataclasses import replace
from typing import Any

import numpy as np

from keras_avssan.benchmark.held_out import HELD_OUT, HeldOut
from keras_avssan.benchmark.rooms import Banks
from keras_avssan.benchmark.settings import BenchmarkSettings
from keras_avssan.data.catalogs.catalog import Catalog
from keras_avssan.data.scenes.scene_plan import ScenePlan

_VALIDATION = {
    "val": "the split val",
    HELD_OUT: "a quarter of the training split, which is missing in the trials alone",
}


class BenchmarkScenes:
    """Plans the scenes on which all systems are trained, tuned and tested.

    No recording, picture or room of the test scenes is in other scenes. Learning rates are chosen
    on the split `val` if the tests are on another split. Otherwise a quarter of the training split
    is held out from the trials for that, see `HeldOut`; the final training has all of it.

    Args:
        settings: Settings of the benchmark.
        catalog: Catalog of clips and pictures.
        banks: Dict from `"train"`, `"validation"` and `"test"` to a bank of rooms and the range of
            those to draw from, or `None` for all.

    Attributes:
        train: `ScenePlan` of the final training.
        trial: `ScenePlan` of the trials.
        validation: `ScenePlan` on which the learning rate is chosen.
        test: `ScenePlan` of the tests, at 0 dB.
        unseen: Tuple of the classes that are only in the tests.
        notes: Dict of the splits and classes that were chosen, for the record.

    Raises:
        ValueError: If the catalog has too few classes, clips or pictures.
    """

    def __init__(self, settings: BenchmarkSettings, catalog: Catalog, banks: Banks) -> None:
        self.settings = settings
        test_split = settings.test_split or ("test" if "test" in catalog.splits else "val")
        if test_split == settings.train_split:
            raise ValueError(
                "`test_split` must not be the split of the training. "
                f"Received: test_split={test_split!r}"
            )
        seen = catalog
        self.unseen: tuple[str, ...] = ()
        if settings.unseen_classes:
            self.unseen = _draw_classes(settings, self._plan(catalog, banks, "test", test_split))
            rest = [name for name in catalog.classes if name not in self.unseen]
            if len(rest) < 2:
                raise ValueError(
                    "`unseen_classes` must leave at least 2 classes to train on. Received: "
                    f"unseen_classes={settings.unseen_classes}, which leaves {len(rest)}"
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
                    "`train_split` must have a class with three recordings, to choose learning "
                    f"rates on a part of it. Received: train_split={settings.train_split!r}"
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

    def _plan(
        self, catalog: Catalog, banks: Banks, role: str, split: str, **kwargs: Any
    ) -> ScenePlan:
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

    def _check_size(self) -> None:
        """Refuses more test scenes than there are different ones."""
        different = num_different_scenes(self.test)
        if different < self.settings.scenes:
            raise ValueError(
                f"`scenes` must be at most {different}, the number of different scenes that the "
                f"clips of the split {self.test.split!r} make in these rooms. "
                f"Received: scenes={self.settings.scenes}"
            )

    def plans(self) -> tuple[ScenePlan, ...]:
        """Returns all plans, whose pictures have to be embedded."""
        return self.train, self.trial, self.validation, self.test

    def with_prompts(self, kinds: tuple[str, ...]) -> tuple[ScenePlan, ScenePlan]:
        """Returns the plans of training and trials with other kinds of prompts.

        Raises a `ValueError` if a clip has no other recording of its class as a prompt.
        """
        return replace(self.train, prompt_kinds=kinds), replace(self.trial, prompt_kinds=kinds)


def num_different_scenes(plan: ScenePlan) -> int:
    """Number of scenes of a plan that differ in a clip or in a position."""
    counts = [
        sum(c.class_name == name and plan.split in (None, c.split) for c in plan.catalog.clips)
        for name in plan.classes
    ]
    pairs = sum(counts) ** 2 - sum(count**2 for count in counts)
    rooms, sources = plan.bank.azimuths.shape
    if plan.rooms is not None:
        rooms = plan.rooms[1] - plan.rooms[0]
    return pairs * rooms * sources * (sources - 1)


def _draw_classes(settings: BenchmarkSettings, plan: ScenePlan) -> tuple[str, ...]:
    """The classes that only tests have."""
    if settings.unseen_classes > len(plan.classes):
        raise ValueError(
            f"`unseen_classes` must be at most the number of classes of the split {plan.split!r}, "
            f"{len(plan.classes)}. Received: unseen_classes={settings.unseen_classes}"
        )
    rng = np.random.default_rng([settings.seed, zlib.crc32(b"unseen classes")])
    drawn = rng.permutation(len(plan.classes))[: settings.unseen_classes]
    return tuple(sorted(plan.classes[i] for i in drawn))
