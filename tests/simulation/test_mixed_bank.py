"""Mixtures of banks: their rooms, parts and shares."""

import dataclasses

import numpy as np
import pytest

from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.simulation import RIRBank
from keras_avssan.training.run_configuration import plan_settings

pytestmark = pytest.mark.backend_agnostic


def make(rooms, seed, groups=None, length=16, **changes):
    """A bank whose responses are noise of that seed."""
    rng = np.random.default_rng(seed)
    measured = groups is not None
    fields = {
        "rirs": rng.standard_normal((rooms, 2, 2, length)).astype("float32"),
        "azimuths": np.sort(rng.uniform(0, 180, (rooms, 2))).astype("float32"),
        "t60": np.full(rooms, np.nan if measured else 0.3, "float32"),
        "room_sizes": np.full((rooms, 3), 3, "float32"),
        "microphones": np.tile(np.float32([[1.1, 1, 1], [0.9, 1, 1]]), (rooms, 1, 1)),
        "sources": rng.uniform(0, 3, (rooms, 2, 3)).astype("float32"),
        "sampling_rate": 16000,
        "seed": seed,
        "groups": groups,
        "measured": np.ones(rooms, bool) if measured else None,
    }
    return RIRBank(**(fields | changes))


@pytest.fixture(scope="module")
def banks():
    return make(20, 1), make(12, 2, groups=np.repeat(np.arange(4), 3), length=24)


@pytest.fixture(scope="module")
def mixture(banks):
    return RIRBank.mix(banks, shares=(3, 1))


def test_every_room_is_there_once(banks, mixture):
    assert mixture.rirs.shape == (32, 2, 2, 24)
    for number, bank in enumerate(banks):
        rows = mixture.origins == number
        length = bank.rirs.shape[-1]
        np.testing.assert_array_equal(mixture.rirs[rows][..., :length], bank.rirs)
        assert not mixture.rirs[rows][..., length:].any()
        for name in ("azimuths", "t60", "sources"):
            np.testing.assert_array_equal(getattr(mixture, name)[rows], getattr(bank, name))
    np.testing.assert_array_equal(mixture.measured, mixture.origins == 1)
    np.testing.assert_allclose(mixture.shares, [0.75, 0.25])
    assert mixture.absorption is None and "2 banks mixed" in repr(mixture)


def test_parts_hold_whole_rooms_of_both_banks(mixture):
    train, validation, test = (mixture.part(name) for name in ("train", "validation", "test"))
    assert train[0] == 0 and train[1] == validation[0] and validation[1] == test[0]
    assert test[1] == 32
    for part in (train, test):
        assert set(mixture.origins[slice(*part)]) == {0, 1}
    for first, second in ((train, validation), (validation, test), (train, test)):
        assert not set(mixture.groups[slice(*first)]) & set(mixture.groups[slice(*second)])
    # The three rows of one measured room stand together.
    assert len(set(mixture.groups)) == 24


def test_scenes_take_rooms_by_their_shares(mixture):
    catalog = SyntheticClasses(["bell", "dog"], instances_per_class=8)
    for rooms in (None, mixture.part("train"), mixture.part("test")):
        plan = ScenePlan(catalog, mixture, duration=0.1, rooms=rooms)
        drawn = np.array([plan[k].room for k in range(2000)])
        start, stop = rooms or (0, 32)
        assert set(drawn) == set(range(start, stop))
        share = np.mean(mixture.origins[drawn] == 1)
        assert abs(share - 0.25) < 4 * (0.25 * 0.75 / 2000) ** 0.5


def test_a_part_with_one_bank_takes_its_rooms_alike(mixture):
    plan = ScenePlan(
        SyntheticClasses(["bell", "dog"], instances_per_class=8),
        mixture,
        duration=0.1,
        rooms=(0, 2),
    )
    assert set(mixture.origins[:2]) == {0}
    drawn = np.array([plan[k].room for k in range(400)])
    assert abs(np.mean(drawn) - 0.5) < 0.1


def test_scenes_of_other_banks_are_what_they_were(banks):
    """A plan's first room is drawn by `integers` from its generator, after six other draws."""
    plan = ScenePlan(SyntheticClasses(["bell", "dog"], instances_per_class=8), banks[0])
    everything = dataclasses.replace(
        banks[0], origins=np.zeros(20, int), shares=np.ones(1), groups=np.arange(20)
    )
    other = dataclasses.replace(plan, bank=everything)
    assert {plan[k].room for k in range(200)} == {other[k].room for k in range(200)}
    assert plan_settings(plan)["bank"] != plan_settings(other)["bank"]


def test_round_trip(mixture, tmp_path):
    mixture.save(tmp_path / "bank.npz")
    loaded = RIRBank.load(tmp_path / "bank.npz")
    for field in dataclasses.fields(mixture):
        value, other = getattr(mixture, field.name), getattr(loaded, field.name)
        np.testing.assert_array_equal(value, other, err_msg=field.name)
    assert loaded.part("test") == mixture.part("test")


@pytest.mark.parametrize(
    ("change", "shares", "message"),
    [
        (lambda one, two: [one], None, "two banks or more. Received: 1"),
        (lambda one, two: [one, two], (1, 0), "`shares` must be 2 positive numbers"),
        (lambda one, two: [one, two], (1,), "`shares` must be 2 positive numbers"),
        (
            lambda one, two: [one, dataclasses.replace(two, sampling_rate=8000)],
            None,
            r"same sampling rate. Received: \[16000, 8000\]",
        ),
        (
            lambda one, two: [one, make(3, 1, microphones=two.microphones[:3] * np.float32(2))],
            None,
            r"same distance between the microphones. Received: \[0.2, 0.4\] m",
        ),
        (
            lambda one, two: [
                one,
                make(
                    2,
                    1,
                    rirs=np.ones((2, 1, 2, 4), "float32"),
                    azimuths=np.ones((2, 1)),
                    sources=np.ones((2, 1, 3)),
                ),
            ],
            None,
            r"same number of sources in a room. Received: \[2, 1\]",
        ),
        (lambda one, two: [RIRBank.mix([one, two]), two], None, "must not be mixed already"),
    ],
)
def test_banks_that_do_not_fit(banks, change, shares, message):
    with pytest.raises(ValueError, match=message):
        RIRBank.mix(change(*banks), shares)


@pytest.mark.parametrize("wrong", [None, "banks.npz", ["a", "b"], 3])
def test_mixing_what_is_no_list_of_banks(wrong):
    with pytest.raises(TypeError, match="`banks` must be a list of `RIRBank`. Received: banks="):
        RIRBank.mix(wrong)


@pytest.mark.parametrize("shares", ["ab", ["a", "b"], {0: 1}, [[1], [1, 2]]])
def test_shares_that_are_no_numbers(banks, shares):
    with pytest.raises(ValueError, match="`shares` must be 2 positive numbers"):
        RIRBank.mix(list(banks), shares)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": np.array([0, 1, 0])}, "`groups` must hold equal numbers one after another"),
        ({"shares": np.ones(1)}, "`origins` and `shares` must be given together"),
        (
            {"shares": np.ones(1), "origins": np.array([0, 1, 0])},
            "a share for each number of `origins`",
        ),
        ({"measured": np.ones(3)}, "`measured` must hold True or False. Received: .*float64"),
        ({"t60": np.array([0.1, np.nan, 0.1])}, "`t60` must hold positive times"),
    ],
)
def test_arrays_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        make(3, 1, **changes)
