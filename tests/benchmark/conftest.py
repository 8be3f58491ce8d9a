"""A small catalog and rooms for the benchmark."""

import pytest

from keras_avssan.benchmark import BenchmarkSettings
from keras_avssan.benchmark.rooms import divide_bank
from keras_avssan.data import SyntheticClasses
from keras_avssan.simulation import RIRBank, RoomRanges


@pytest.fixture(scope="session")
def bank():
    ranges = RoomRanges(t60=(0.2, 0.3))
    return RIRBank.build(10, ranges=ranges, sources_per_room=2, max_duration=0.03, progress=False)


@pytest.fixture(scope="session")
def banks(bank):
    return divide_bank(bank)


@pytest.fixture(scope="session")
def catalog():
    return SyntheticClasses(["bell", "dog", "rain", "drum"], instances_per_class=20, duration=0.5)


@pytest.fixture
def settings():
    return BenchmarkSettings(
        budget=2, batch_size=4, trial_steps=2, scenes=8, validation_scenes=4, duration=0.1
    )
