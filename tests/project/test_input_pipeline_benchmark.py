"""`benchmarks/input_pipeline.py` compares pipelines that make the same scenes."""

import importlib
import pathlib

import numpy as np
import pytest

from keras_avssan.data import render_scenes

pytestmark = [pytest.mark.backend_agnostic, pytest.mark.extensive]

SCRIPTS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("input_pipeline")


@pytest.fixture(scope="module")
def options(script):
    return script._options(
        "--seconds 1 --rooms 3 --batch-size 2 --scenes 4 --rounds 1 --budget 0 --warm-up 1".split()
    )


@pytest.fixture(scope="module")
def plan(script, options, tmp_path_factory):
    return script.make_plan(tmp_path_factory.mktemp("made"), options)


def test_the_plain_loop_renders_the_same_scenes(script, plan):
    rendered = render_scenes(plan, [plan[index] for index in range(4)])
    for index in range(4):
        mix, target = script.plain_scene(plan, index)
        np.testing.assert_allclose(mix, rendered["audio"][index], atol=1e-5)
        np.testing.assert_allclose(target, rendered["target"][index], atol=1e-5)


def test_every_row_yields_scenes(script, plan, options, tmp_path):
    for name, make in script.make_rows(plan, tmp_path, options).items():
        scenes = make()
        assert [int(next(scenes)) for _ in range(2)] in ([1, 1], [2, 2]), name


def test_speed_goes_by_the_time_of_the_processor(script):
    results = {
        "rates": {"plain loop": [(10, 20), (5, 20)], "other": [(30, 80), (1, 60)]},
        **{name: 1 for name in ("seconds", "threads", "batch_size", "seed", "cores", "load")},
        **{name: "x" for name in ("date", "machine", "backend", "python")},
    }
    row = next(line for line in script.table(results).splitlines() if "other" in line)
    assert row == "| other | 16 | 14.3 ms | 3.5 (3.0–4.0) | 17.9 |"


def test_the_profile_finds_every_stage(script, plan, options):
    stages = script._stages(plan, "host", options)
    assert set(stages) >= set(script.STAGES) - {"decode"}
    assert 0 < stages["convolve"] < stages["all"]
    dry = script._stages(plan, "device", options)
    assert {"crop, decoding included", "gather responses"} <= set(dry) and "convolve" not in dry
