"""What decides the results of a benchmark."""

import dataclasses

import numpy as np

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import count, one_line

SIZES = ("full", "small")
# Learning rates that are tried, in this order, as multiples of a system's own. Upwards first: most
# published rates belong to trainings that are a hundred times as long.
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
    """What decides the results of a benchmark, the same for every system.

    Args:
        budget: Training steps of every network.
        batch_size: Scenes a step.
        trials: Number of learning rates that are tried for every network: the first of
            `TRIAL_FACTORS`, times the system's own. With one, nothing is tried.
        trial_steps: Training steps of each trial.
        scenes: Number of test scenes.
        validation_scenes: Number of scenes on which the learning rate is chosen.
        snr: Levels of the target above the interferer in dB that are tested, numbers or strings;
            training is at 0 dB.
        duration: Duration of scenes in seconds.
        rooms: Number of rooms to train in.
        test_rooms: Number of rooms to test in; half as many are there to validate in.
        spacing: Distance between the microphones in metres.
        seed: Seed of scenes and weights.
        train_split: Split of the catalog to train on.
        test_split: Split to test on; if not given `"test"`, or `"val"` where there is none.
        unseen_classes: Number of classes that are kept from training; tests are on them alone.
        size: `"full"` or `"small"`, see `Setup`.

    Raises:
        ValueError: If one is out of range.

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
    snr: tuple = (0.0, -5.0, -10.0)
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
            raise ValueError("`unseen_classes` must be 0 or at least 2. Received: 1")
        if self.size not in SIZES:
            raise ValueError(f"`size` must be one of {SIZES}. Received: size={self.size!r}")
        for name in ("duration", "spacing"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(
                    f"`{name}` must be positive. Received: {name}={getattr(self, name)}"
                )
        object.__setattr__(self, "snr", _levels(self.snr))


def _levels(snr):
    try:
        levels = tuple(dict.fromkeys(float(level) for level in snr))
    except (TypeError, ValueError):
        levels = ()
    if not levels or not np.isfinite(levels).all():
        raise ValueError(f"`snr` must be one or more finite numbers of dB. Received: snr={snr}")
    return levels
