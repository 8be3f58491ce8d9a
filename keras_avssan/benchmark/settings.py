"""Settings of a benchmark."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from keras_avssan._internal.checks import check_choice, check_integer, check_positive_number
from keras_avssan._internal.one_line import count, one_line

SIZES = ("full", "small")
# Multiples of a system's own learning rate that are tried, in this order. Greater rates first:
# most published rates are meant for training that is a hundred times as long.
TRIAL_FACTORS = (1.0, 3.0, 10.0, 1 / 3)
_LEAST = {
    "budget": 2,
    "batch_size": 1,
    "trials": 1,
    "trial_steps": 2,
    "scenes": 1,
    "validation_scenes": 1,
    "rooms": 1,
    "test_rooms": 2,
    "seed": 0,
    "unseen_classes": 0,
}


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings:
    """Holds the settings that decide the results of a benchmark, the same for every system.

    Args:
        budget: Training steps of every network.
        batch_size: Scenes per step.
        trials: Number of learning rates that are tried for every network, from 1 to 4: the
            system's own times 1, 3, 10 and 1/3, in this order. With 1 there are no trials.
        trial_steps: Training steps of each trial.
        scenes: Number of test scenes.
        validation_scenes: Number of scenes on which the learning rate is chosen.
        snr: SNRs of the test scenes in dB, target over interferer, numbers or strings; training
            is at 0 dB.
        duration: Duration of scenes in seconds.
        rooms: Number of rooms to train in.
        test_rooms: Number of rooms to test in; half as many are used for validation.
        spacing: Distance between the microphones in metres.
        seed: Seed of scenes and weights.
        train_split: Split of the catalog to train on.
        test_split: Split to test on. Default: `"test"`, or `"val"` in a catalog without it.
        unseen_classes: Number of classes that are unseen in training; tests use only these. 0, or
            at least 2.
        size: `"full"` for networks as published, or `"small"` for those that a CPU can train.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> BenchmarkSettings(budget=2000, snr=("0", "-5")).snr
        (0.0, -5.0)
    """

    budget: int = 2000
    batch_size: int = 16
    trials: int = 3
    trial_steps: int = 300
    scenes: int = 1000
    validation_scenes: int = 300
    snr: tuple[float, ...] = (0.0, -5.0, -10.0)
    duration: float = 1.0
    rooms: int = 300
    test_rooms: int = 60
    spacing: float = 0.2
    seed: int = 0
    train_split: str = "train"
    test_split: str | None = None
    unseen_classes: int = 0
    size: str = "full"

    def __repr__(self) -> str:
        levels = ", ".join(f"{level:g}".replace("-", "−") for level in self.snr)
        return one_line(
            self,
            f"{self.size} size",
            f"{count(self.budget, 'step')} of {count(self.batch_size, 'scene')}",
            count(self.trials, "learning rate"),
            f"{count(self.scenes, 'test scene')} at {levels} dB",
            f"seed {self.seed}",
        )

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            object.__setattr__(self, name, check_integer(name, getattr(self, name), least))
        if self.trials > len(TRIAL_FACTORS):
            raise ValueError(
                f"`trials` must be from 1 to {len(TRIAL_FACTORS)}. Received: trials={self.trials}"
            )
        if self.unseen_classes == 1:
            raise ValueError("`unseen_classes` must be 0 or at least 2. Received: unseen_classes=1")
        check_choice("size", self.size, SIZES)
        check_positive_number("duration", self.duration, "time in seconds")
        check_positive_number("spacing", self.spacing, "distance in metres")
        object.__setattr__(self, "snr", _levels(self.snr))


def _levels(snr: Iterable[float | str]) -> tuple[float, ...]:
    levels: tuple[float, ...]
    try:
        levels = tuple(dict.fromkeys(float(level) for level in snr))
    except (TypeError, ValueError):
        levels = ()
    if not levels or not np.isfinite(levels).all():
        raise ValueError(f"`snr` must be one or more finite numbers of dB. Received: snr={snr!r}")
    return levels
