"""Ten steps on two devices give the weights of ten steps on one, under each backend's engine."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.training.distributed.data_parallel import data_parallel

BACKEND = keras.backend.backend()
PROGRAM = pathlib.Path(__file__).with_name("train.py")
TWO_CPUS = (
    "--xla_cpu_use_fusion_emitters=false --xla_force_host_platform_device_count=2 "
    "--xla_cpu_collective_call_terminate_timeout_seconds=600"
)
LIMIT = 1e-4
# Processes that start an engine and compile: minutes, where others use the machine too.
pytestmark = pytest.mark.timeout(1800)


def start(arguments, command=(), **environment):
    """A process that trains, with the devices and the role that its environment names."""
    settings = {
        "PYTHONPATH": str(PROGRAM.parents[2]),
        "OMP_NUM_THREADS": "1",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false",
        # XLA's threads: as many as cores are too few where devices of one processor wait for each
        # other in several collectives at a time.
        "NPROC": "16",
    }
    return subprocess.Popen(
        [sys.executable, *command, str(PROGRAM), *arguments],
        env={**os.environ, **settings, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes):
    try:
        for process in processes:
            output, _ = process.communicate(timeout=800)
            assert process.returncode == 0, output[-3000:]
    finally:
        for process in processes:
            process.kill()


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for listener in sockets:
        listener.bind(("localhost", 0))
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def on_one_device(out, **options):
    return [start([out, json.dumps(options)])]


def on_two_devices(out, **options):
    """Two devices under the backend's engine: of one process, or torch's process each."""
    if BACKEND == "jax":
        return [start([out, json.dumps(options)], XLA_FLAGS=TWO_CPUS)]
    if BACKEND == "tensorflow":
        options = {**options, "devices": ["CPU:0", "CPU:1"], "logical_cpus": 2}
        return [start([out, json.dumps(options)])]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [start([out, json.dumps(options)], launch)]


def on_workers(out, count, **options):
    """TensorFlow's worker processes."""
    workers = [f"localhost:{port}" for port in free_ports(count)]
    return [
        start(
            [out, json.dumps(options)],
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in range(count)
    ]


def load(out, process=0):
    with np.load(f"{out}.{process}.npz") as results:
        return dict(results)


def largest_difference(first, second):
    weights = [name for name in first if name.startswith("weights/")]
    assert len(weights) > 50
    return max(np.abs(first[name] - second[name]).max() for name in weights)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """What one device makes of the same scenes."""
    out = str(tmp_path_factory.mktemp("single") / "out")
    finish(*on_one_device(out))
    return load(out)


def check_equal(single, shared):
    assert largest_difference(single, shared) < LIMIT
    names = [name for name in single if name.startswith("history/")]
    assert "history/loss" in names and "history/val_mae" in names
    for name in names:
        # Where an epoch's scenes with a selected source differ in number between replicas,
        # TensorFlow's logs of a step are the mean of the replicas'; those of an epoch are not.
        np.testing.assert_allclose(shared[name], single[name], rtol=1e-4, err_msg=name)


@pytest.mark.extensive
def test_two_devices_give_the_weights_and_scores_of_one(single, tmp_path):
    out = str(tmp_path / "out")
    finish(*on_two_devices(out))
    shared = load(out)
    assert shared["num_replicas"] == 2
    check_equal(single, shared)
    # Worker 0 wrote it, whole, and it loads on one device.
    saved = AVSSAN.from_preset(f"{out}.preset")
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".preset"] == ["out.preset"]
    last = [shared[name] for name in shared if name.startswith("weights/")]
    for weight, value in zip(saved.weights, last, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), value, atol=1e-6)


@pytest.mark.skipif(BACKEND == "jax", reason="XLA splits one program: no replica is by itself")
@pytest.mark.extensive
def test_replicas_by_themselves_give_other_weights(single, tmp_path):
    out = str(tmp_path / "out")
    finish(*on_two_devices(out, synchronize=False))
    assert largest_difference(single, load(out)) > 10 * LIMIT


@pytest.mark.skipif(BACKEND != "torch", reason="a process a device")
@pytest.mark.extensive
def test_processes_end_with_the_same_weights(tmp_path):
    out = str(tmp_path / "out")
    finish(*on_two_devices(out))
    first, second = load(out), load(out, process=1)
    assert largest_difference(first, second) == 0
    assert first["num_processes"] == 2
    np.testing.assert_equal(first["history/loss"], second["history/loss"])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's own")
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.extensive
def test_workers_give_the_weights_of_one_device(count, single, tmp_path):
    out = str(tmp_path / "out")
    try:
        finish(*on_workers(out, count))
    except AssertionError:
        # Another process may have taken a port between its choice and its use.
        finish(*on_workers(out, count))
    results = [load(out, process) for process in range(count)]
    assert results[0]["num_processes"] == results[0]["num_replicas"] == count
    for shared in results:
        check_equal(single, shared)


def make_small():
    return AVSSAN(
        prompt_dim=8, audio_encoder=LogMelEncoder(8, (4,)), dim=8, bridge_layers=1, mlp_dim=16
    )


def test_one_device_alone_is_left_as_it_is():
    with data_parallel(None if BACKEND == "torch" else ["cpu:0"]) as workers:
        model = workers.prepare(make_small())
        assert (workers.num_replicas, workers.num_processes, workers.is_chief) == (1, 1, True)
        dataset = (
            workers.make_dataset(None, 8, 4, make=lambda *arguments, **_: arguments, shuffle=True)
            if BACKEND != "tensorflow"
            else None
        )
        assert dataset in ((None, 8, 4), None)
    assert not {"call", "train_step", "fit", "evaluate"} & set(vars(model))


@pytest.mark.skipif(BACKEND == "torch", reason="weights are sent to all processes")
def test_a_model_made_outside_is_refused():
    if BACKEND == "jax" and keras.distribution.get_device_count() == 1:
        pytest.skip("one device holds all that is made")
    model = make_small()
    with data_parallel(["cpu:0"]) as workers, pytest.raises(ValueError, match="made within"):
        workers.prepare(model)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(("num_scenes", "batch_size"), [(9, 3), (10, 4)])
def test_batches_that_are_not_full_are_refused(num_scenes, batch_size):
    with data_parallel(None if BACKEND == "torch" else ["cpu:0"]) as workers:
        workers.num_replicas = 2
        with pytest.raises(ValueError, match="must be a multiple"):
            workers.make_dataset(None, num_scenes, batch_size)


@pytest.mark.skipif(BACKEND != "torch", reason="torchrun counts devices")
def test_names_of_devices_are_refused_under_torch():
    with pytest.raises(ValueError, match="torchrun"):
        with data_parallel(["cpu:0"]):
            pass
