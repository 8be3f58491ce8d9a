"""Rooms to train, validate and test in: all of them, and none twice."""

import dataclasses

import numpy as np
import pytest

from keras_avssan.simulation import RIRBank, RoomRanges
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM, divide_rooms

pytestmark = pytest.mark.backend_agnostic


@pytest.mark.parametrize(("rooms", "tenth"), [(3, 1), (4, 1), (19, 1), (20, 2), (305, 30)])
def test_parts_are_disjoint_and_hold_every_room(rooms, tenth):
    parts = divide_rooms(rooms)
    assert list(parts) == ["train", "validation", "test"]
    assert [room for part in parts.values() for room in range(*part)] == list(range(rooms))
    assert parts["test"] == (rooms - tenth, rooms)
    assert parts["validation"] == (rooms - 2 * tenth, rooms - tenth)
    assert divide_rooms(rooms, ("train", "validation"))["train"] == (0, rooms - tenth)


def test_too_few_rooms_are_refused():
    with pytest.raises(ValueError, match="at least 3 rooms.*Received: num_rooms=2"):
        divide_rooms(2)


def test_rooms_of_an_evaluation_come_after_all_of_a_training():
    assert FIRST_EVALUATION_ROOM >= 1_000_000  # more than anyone simulates to train in


def test_a_bank_knows_its_parts_and_its_spacing():
    ranges = RoomRanges(t60=(0.2, 0.25), spacing=0.08)
    bank = RIRBank.build(4, ranges=ranges, max_duration=0.01, progress=False)
    assert [bank.part(name) for name in ("train", "validation", "test")] == [(0, 2), (2, 3), (3, 4)]
    assert bank.microphone_spacing == 0.08
    with pytest.raises(ValueError, match="`name` must be one of .*name='val'"):
        bank.part("val")
    wider = np.concatenate([bank.microphones[:3], bank.microphones[3:] * [1, 1, 1.2]])
    wider[3, 0, 0] += 0.05
    with pytest.raises(ValueError, match=r"same distance between the microphones.*from 0\.08"):
        _ = dataclasses.replace(bank, microphones=wider).microphone_spacing
