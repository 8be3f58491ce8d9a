"""`benchmarks/training.py` times what it says, and its tables say what was timed."""

import importlib
import json
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

pytestmark = [pytest.mark.backend_agnostic, pytest.mark.extensive]

SCRIPTS = pathlib.Path(__file__).parents[2] / "benchmarks"
TINY = "--seconds 0.5 --batch-size 2 --dim 8 --filters 4 --threads 1".split()
ROW_OF_BACKEND = {"torch": "KerasTorch", "jax": "KerasJAX", "tensorflow": "KerasTensorFlow"}


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("training")


@pytest.fixture(scope="module")
def reference(script):
    pytest.importorskip("torch")
    return script.Reference(script.parse(TINY))


def weights(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def test_sizes_give_what_is_not_asked_for(script):
    options = script.parse(["--size", "quickstart", "--batch-size", "7"])
    assert (options.seconds, options.batch_size, options.dim) == (1.0, 7, 32)
    assert options.part == list(script.PARTS)
    sent = script.parse(["--worker", json.dumps({**vars(options), "worker": "KerasJAX"})])
    assert (sent.worker, sent.batch_size, sent.filters) == ("KerasJAX", 7, [8, 16, 32])


def test_the_pipeline_makes_batches_like_the_fixed_one(script):
    options = script.parse(TINY)
    made, fixed = next(script.make_batches(options)), script.make_batch(options)
    for own, other in zip(made, fixed, strict=True):
        assert {name: array.shape for name, array in own.items()} == {
            name: array.shape for name, array in other.items()
        }


@pytest.mark.parametrize("part", ["forward", "gradient"])
def test_parts_before_the_step_leave_the_weights(reference, part):
    before = weights(reference.network)
    getattr(reference, part)()
    assert all((a == b).all() for a, b in zip(before, weights(reference.network), strict=True))


@pytest.mark.parametrize("part", ["step", "input"])
def test_steps_change_the_weights(reference, part):
    before = weights(reference.network)
    getattr(reference, part)()
    after = weights(reference.network)
    changed = [bool((a != b).any()) for a, b in zip(before, after, strict=True)]
    assert np.mean(changed) > 0.9


def test_keras_steps_change_the_weights_and_the_loss_does_not(script, monkeypatch):
    # Other tests of this process have set TensorFlow to work, which keeps its threads then.
    monkeypatch.setattr(script.KerasTensorFlow, "hold_threads", lambda self: None)
    row = getattr(script, ROW_OF_BACKEND[keras.backend.backend()])(
        script.parse([*TINY, "--part", "step"])
    )
    before = [ops.convert_to_numpy(weight) for weight in row.model.trainable_weights]
    row.forward()
    for weight, old in zip(row.model.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)
    row.step()
    changed = [
        np.any(ops.convert_to_numpy(weight) != old)
        for weight, old in zip(row.model.trainable_weights, before, strict=True)
    ]
    assert np.mean(changed) > 0.9
    assert row.memory() > 2**20


def test_ratios_are_taken_round_by_round(script):
    rows = {
        "PyTorch, eager": {
            "times": {"step": [(1.0, 2.0), (4.0, 2.0), (2.0, 2.0)]},
            "memory": 2**30,
        },
        "Keras, JAX": {"times": {"step": [(0.5, 1.0), (1.0, 2.0), (2.0, 4.0)]}, "memory": 2**31},
        "PyTorch, compiled": {"error": "no compiler"},
    }
    results = {
        "rows": rows,
        **{name: 8 for name in ("seconds", "batch_size", "dim", "filters", "threads", "cores")},
        **{name: 1.0 for name in ("load",)},
        **{name: "x" for name in ("date", "machine", "python")},
    }
    lines = script.table(results).splitlines()
    assert lines[3] == (
        "| Keras, JAX | 1.00 s | 8.0 | 2.00 (1.00–4.00) | 1.00 (0.50–2.00) | 2.0 GiB |"
    )
    assert "no compiler" in lines[4]


def test_a_row_that_fails_says_why(script, monkeypatch, tmp_path):
    monkeypatch.setitem(script.ROWS, "absent", ("torch", "Absent"))
    worker = script.Worker("absent", script.parse([*TINY, "--part", "step"]), tmp_path)
    assert "Absent" in worker.state["error"]
    worker.run_round()
    assert "Absent" in worker.stop()["error"]


def test_operations_of_known_kernels(script):
    torch = pytest.importorskip("torch")
    operations = importlib.import_module("torch_reference.operations")
    left, right = torch.ones(3, 5), torch.ones(5, 7)
    with operations.Operations() as counted:
        product = left @ right
        product.t()  # a view moves nothing
        product.relu_()
    assert counted.flops == 2 * 3 * 5 * 7
    assert counted.bytes == 4 * (15 + 35 + 21) + 4 * (21 + 21)
    assert counted.least_seconds(210.0, 1e12) == pytest.approx(1.0)
    query = torch.ones(2, 4, 6, 8)
    with operations.Operations() as counted:
        torch.nn.functional.scaled_dot_product_attention(query, query, query)
    assert counted.flops == 4 * 2 * 4 * 6 * 6 * 8


def test_a_step_takes_up_to_three_times_the_operations_of_the_loss(reference):
    operations = importlib.import_module("torch_reference.operations")
    with operations.Operations() as forward:
        reference.forward()
    with operations.Operations() as whole:
        reference.step()
    # Less than three: nothing is differentiated before the first weights, nor phases of the mix.
    assert 1.8 < whole.flops / forward.flops < 3.0
    assert 1.8 < whole.bytes / forward.bytes < 3.0
