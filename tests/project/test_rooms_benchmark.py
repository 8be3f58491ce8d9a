"""What `benchmarks/rooms.py` makes of its measurements, and that it asks all for the same."""

import importlib
import pathlib

import pytest

from keras_avssan.simulation import sample_room
from keras_avssan.simulation.absorption import sabine_absorption

pytestmark = [pytest.mark.backend_agnostic, pytest.mark.extensive]

SCRIPTS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("rooms")


def entry(row, number, seconds, compile_seconds=0.0):
    return {
        "row": row,
        "round": number,
        "seconds": seconds,
        "compile_seconds": compile_seconds,
        "images_per_room": 10,
    }


def test_rows_are_compared_round_by_round(script):
    rounds = [entry(script.REFERENCE_ROW, number, 2.0 + 2.0 * number) for number in range(3)]
    rounds += [entry("whole", number, 0.5 + number, compile_seconds=9.0) for number in range(3)]
    rounds += [entry("partly", 1, 8.0)]
    results = {
        "rounds": rounds,
        "rows": {"whole": {}, "partly": {}, "missing": {"error": "not installed"}},
        "num_rounds": 3,
        "options": {"sample": 100},
    }
    whole = script.summarize(results, "whole")
    assert whole["seconds"] == 4.5 and whole["seconds_for_all"] == 450
    assert whole["ratios"] == [0.25, 0.375, pytest.approx(2.5 / 6)]
    # The one round of this row took twice as long as that of the reference row, of 12 s in all.
    assert script.summarize(results, "partly")["seconds"] == 24
    assert script.summarize(results, "missing") == {"error": "not installed"}


def test_all_simulators_give_the_same_response(script):
    drawn = next(
        room for room in (sample_room(0, i, num_sources=2) for i in range(99)) if room.t60 < 0.22
    )
    absorption = sabine_absorption(drawn.size, drawn.t60)
    room = script.Room.of(drawn.size, drawn.t60, absorption, drawn.sources, drawn.microphones)
    assert script.Room.of(**room.to_dict()).expected_images == room.expected_images
    (ours,) = script.simulate("keras_avssan", [room])
    assert ours.shape[:2] == (2, 2)
    for simulator in ("pyroomacoustics", "rir_generator", "torchrir"):
        try:
            (other,) = script.simulate(simulator, [room])
        except ImportError:
            continue
        assert other.shape == ours.shape
        for own, theirs in zip(ours.reshape(4, -1), other.reshape(4, -1), strict=True):
            assert script.reference_rirs.relative_error(own, theirs) < -40


def test_expected_images_are_about_those_in_reach(script):
    room = script.Room.of((4.0, 5.0, 3.0), 0.3, 0.3, [(1, 1, 1)], [(2, 3, 1)])
    distances, _ = script.reference_rirs.images(room.size, (1, 1, 1), (2, 3, 1), 0.5, 0.3 * 343)
    assert script.image_count("keras_avssan", room) == pytest.approx(len(distances), rel=0.02)


def test_exponent_of_a_power_law(script):
    rows = [{"series": "t60", "tail": False, "value": t, "seconds": 2 * t**3} for t in range(1, 9)]
    assert script._exponent(rows, "t60", tail=False) == pytest.approx(3)
    assert script._exponent(rows, "t60", tail=True) is None
