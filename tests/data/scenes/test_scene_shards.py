"""Scenes in files are those of the plan, whoever reads them."""

import dataclasses
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import soundfile

from keras_avssan.data import SceneBatches, make_dataset, read_audio_tf, read_scenes, write_scenes

pytestmark = pytest.mark.backend_agnostic

tf = pytest.importorskip("tensorflow")


def as_numpy(dataset):
    return [keras.tree.map_structure(np.asarray, batch) for batch in dataset]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert keras.tree.map_structure(np.shape, one) == keras.tree.map_structure(np.shape, other)
        keras.tree.map_structure(np.testing.assert_array_equal, one, other)


def azimuths(dataset):
    return np.concatenate([labels["azimuth"] for _, labels in as_numpy(dataset)])


@pytest.fixture
def batches(plan):
    plan = dataclasses.replace(plan, duration=0.1)
    return SceneBatches(plan, 11, start=5, image_size=8, render="device")


@pytest.fixture
def folder(batches, tmp_path):
    write_scenes(batches, tmp_path / "scenes", scenes_per_shard=3, progress=False)
    return tmp_path / "scenes"


@pytest.mark.parametrize("render", ["host", "device"])
def test_batches_are_those_of_the_plan(batches, tmp_path, render):
    batches = dataclasses.replace(batches, render=render)
    write_scenes(batches, tmp_path / "scenes", scenes_per_shard=3, progress=False)
    dataset = make_dataset(
        batches.plan, 11, batch_size=4, start=5, image_size=8, render=render, loader="grain"
    )
    assert_same(as_numpy(read_scenes(tmp_path / "scenes", 4)), as_numpy(dataset))
    full = read_scenes(tmp_path / "scenes", 4, drop_remainder=True, num_workers=1)
    assert_same(as_numpy(full), as_numpy(dataset)[:2])


def test_workers_read_files_of_their_own(folder):
    parts = [azimuths(read_scenes(folder, 2, shard=(index, 2))) for index in range(2)]
    whole = azimuths(read_scenes(folder, 2))
    np.testing.assert_array_equal(parts[0], whole[[0, 1, 2, 6, 7, 8]])
    np.testing.assert_array_equal(parts[1], whole[[3, 4, 5, 9, 10]])


def test_scenes_repeat(folder):
    dataset = read_scenes(folder, 11, repeat=True).take(2)
    assert_same(as_numpy(dataset)[:1], as_numpy(dataset)[1:])


def test_writing_goes_on_where_it_stopped(batches, folder, tmp_path, monkeypatch):
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    partial = tmp_path / "partial"
    write_scenes(batches, partial, scenes_per_shard=3, shards=[2], progress=False)
    first_written = (partial / "scenes-00002.tfrecord").stat().st_mtime_ns
    with pytest.raises(ValueError, match="lacks 3 of 4 files"):
        read_scenes(partial)

    def fail(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space"):
            write_scenes(batches, partial, scenes_per_shard=3, progress=False)
    assert {path.name for path in partial.iterdir()} == {"scenes.json", "scenes-00002.tfrecord"}
    (partial / "scenes-00000.tfrecord.7.part").write_bytes(b"of a process that was killed")
    write_scenes(batches, partial, scenes_per_shard=3, progress=False)
    assert {path.name: path.read_bytes() for path in partial.iterdir()} == whole
    assert (partial / "scenes-00002.tfrecord").stat().st_mtime_ns == first_written


def test_other_scenes_and_other_files_are_left_alone(batches, folder, tmp_path):
    other = dataclasses.replace(batches, start=6)
    with pytest.raises(ValueError, match="`start` is 5 there, but 6 now"):
        write_scenes(other, folder, scenes_per_shard=3, progress=False)
    changed = dataclasses.replace(batches, plan=dataclasses.replace(batches.plan, speed=(0.9, 1.1)))
    with pytest.raises(ValueError, match=r"`speed` is None there, but \[0.9, 1.1\] now"):
        write_scenes(changed, folder, scenes_per_shard=3, progress=False)
    rooms = dataclasses.replace(batches, plan=dataclasses.replace(batches.plan, rooms=(0, 2)))
    with pytest.raises(ValueError, match=r"`rooms` is None there, but \[0, 2\] now"):
        write_scenes(rooms, folder, scenes_per_shard=3, progress=False)
    other_bank = dataclasses.replace(batches.plan.bank, azimuths=batches.plan.bank.azimuths / 2)
    moved = dataclasses.replace(batches.plan, bank=other_bank)
    with pytest.raises(ValueError, match="`sources` is "):
        write_scenes(
            dataclasses.replace(batches, plan=moved), folder, scenes_per_shard=3, progress=False
        )
    augmented = tmp_path / "augmented"
    write_scenes(changed, augmented, scenes_per_shard=3, shards=[0], progress=False)
    with pytest.raises(ValueError, match=r"`speed` is \[0.9, 1.1\] there, but None now"):
        write_scenes(batches, augmented, scenes_per_shard=3, progress=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"which holds notes\.txt"):
        write_scenes(batches, tmp_path / "mine", progress=False)
    with pytest.raises(ValueError, match="must hold scenes of `write_scenes`"):
        read_scenes(tmp_path / "mine")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["num_scenes"], "11x", "`num_scenes` must be an integer .* num_scenes='11x'"),
        (["num_scenes"], None, "`num_scenes` must be an integer .* num_scenes=None"),
        (["scenes_per_shard"], 0, "`scenes_per_shard` must be an integer of at least 1"),
        (["inputs"], [], r"`inputs` must be a dict .* inputs=\[\]"),
        (["inputs", "audio"], 8000, "`inputs.audio` must be a list .* inputs.audio=8000"),
        (["inputs", "rirs", 0], "many", r"`inputs.rirs\[0\]` must be an integer .*'many'"),
    ],
)
def test_a_damaged_layout_names_file_and_entry(folder, place, value, message):
    path = folder / "scenes.json"
    layout = entry = json.loads(path.read_text())
    *above, last = place
    for name in above:
        entry = entry[name]
    entry[last] = value
    path.write_text(json.dumps(layout))
    with pytest.raises(ValueError, match=rf"scenes\.json' is damaged: {message}"):
        read_scenes(folder)


def test_a_folder_without_the_later_settings_resumes(batches, folder):
    path = folder / "scenes.json"
    layout = json.loads(path.read_text())
    for name in ("rooms", "min_separation", "prompt_kinds", "reference_split", "sources"):
        del layout[name]
    path.write_text(json.dumps(layout))
    (folder / "scenes-00001.tfrecord").unlink()
    write_scenes(batches, folder, scenes_per_shard=3, progress=False)
    assert len(azimuths(read_scenes(folder, 2))) == 11
    with pytest.raises(ValueError, match="`start` is 5 there, but 6 now"):
        write_scenes(
            dataclasses.replace(batches, start=6), folder, scenes_per_shard=3, progress=False
        )


def test_wrong_arguments_are_refused(batches, folder, tmp_path):
    for wrong in ({"shuffle": True}, {"batch_size": 4, "shard": (0, 2)}):
        with pytest.raises(ValueError, match="`batches`"):
            write_scenes(dataclasses.replace(batches, **wrong), tmp_path / "a")
    for wrong, name in (({"scenes_per_shard": 0}, "scenes_per_shard"), ({"shards": [9]}, "shards")):
        with pytest.raises(ValueError, match=name):
            write_scenes(batches, tmp_path / "a", **wrong)
    assert not (tmp_path / "a").exists()
    for wrong in ({"batch_size": 0}, {"shard": (2, 2)}, {"shard": (0, 5)}, {"num_workers": 0}):
        with pytest.raises(ValueError, match=list(wrong)[0]):
            read_scenes(folder, **wrong)


WORKER = """
import sys, tensorflow as tf
service = tf.data.experimental.service
worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def dispatcher():
    """Address of a dispatcher with two workers, each a process that knows TensorFlow alone."""
    service = tf.data.experimental.service
    server = service.DispatchServer()
    address = server.target.removeprefix("grpc://")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        )
        for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout.readline() == b"ready\n"
        yield server.target
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        server._stop()


@pytest.mark.extensive
def test_two_processes_share_the_scenes(folder, dispatcher, tmp_path):
    service = tf.data.experimental.service
    dataset = read_scenes(folder, 1)
    whole = azimuths(dataset)
    shared = dataset.apply(service.distribute(service.ShardingPolicy.DYNAMIC, dispatcher))
    np.testing.assert_array_equal(np.sort(azimuths(shared)), np.sort(whole))
    # Without sharding every worker sends all, so that two were at work.
    everything = dataset.apply(service.distribute(service.ShardingPolicy.OFF, dispatcher))
    np.testing.assert_array_equal(np.sort(azimuths(everything)), np.sort(np.tile(whole, 2)))
    # Plain WAV files are decoded there too, for they need no function of Python.
    tone = np.sin(np.arange(800) / 5).astype("float32")
    soundfile.write(tmp_path / "tone.wav", tone, 16000)
    paths = tf.data.Dataset.from_tensors(str(tmp_path / "tone.wav"))
    sounds = paths.map(read_audio_tf).apply(
        service.distribute(service.ShardingPolicy.OFF, dispatcher)
    )
    read = as_numpy(sounds)
    assert len(read) == 2
    np.testing.assert_allclose(read, [tone, tone], atol=1e-4)
