import dataclasses
import importlib.util
import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_avssan.data import (
    SceneBatches,
    ScenePlan,
    make_dataset,
    render_scene,
    render_scenes,
)
from keras_avssan.data.scenes.rendering import crop_clip
from keras_avssan.layers import SceneRenderer

LOADERS = ["grain"]
if importlib.util.find_spec("tensorflow"):
    LOADERS.append("tf")


def as_numpy(dataset, count=None):
    """The batches of a dataset, all arrays as NumPy."""
    batches = []
    for batch in dataset:
        if len(batches) == count:
            break
        batches.append(keras.tree.map_structure(np.asarray, batch))
    return batches


def assert_same_batches(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        keras.tree.map_structure(np.testing.assert_array_equal, one, other)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("loader", LOADERS)
def test_a_batch_has_the_agreed_structure(plan, loader):
    dataset = make_dataset(plan, 7, batch_size=4, loader=loader, image_size=(24, 32))
    first, last = as_numpy(dataset)
    for size, (inputs, labels) in ((4, first), (3, last)):
        shapes = {name: array.shape for name, array in {**inputs, **labels}.items()}
        assert shapes == {
            "audio": (size, 8000, 2),
            "images": (size, 24, 32, 3),
            "azimuth": (size,),
            "target": (size, 8000, 2),
            "interferer_azimuth": (size,),
        }
        assert {array.dtype for array in (*inputs.values(), *labels.values())} == {
            np.dtype("float32")
        }
        assert set(labels) == {"azimuth", "target", "interferer_azimuth"}
    only = as_numpy(make_dataset(plan, 7, batch_size=4, loader=loader, drop_remainder=True))
    assert [len(inputs["audio"]) for inputs, _ in only] == [4]


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("loader", LOADERS)
def test_a_dataset_holds_the_scenes_of_the_plan(plan, loader):
    batches = as_numpy(make_dataset(plan, 5, batch_size=2, start=10, loader=loader, image_size=16))
    for offset in range(5):
        inputs, labels = batches[offset // 2]
        scene, rendered = plan[10 + offset], render_scene(plan, 10 + offset)
        row = offset % 2
        np.testing.assert_array_equal(inputs["audio"][row], rendered["audio"])
        np.testing.assert_array_equal(labels["target"][row], rendered["target"])
        assert labels["azimuth"][row] == np.float32(scene.azimuth)
        assert labels["interferer_azimuth"][row] == np.float32(scene.interferer_azimuth)
        np.testing.assert_array_equal(
            inputs["images"][row], plan.catalog.load_image(scene.picture, 16)
        )


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": True},
        {"start": 3, "batch_size": 7},
        {"render": "device", "shard": (1, 2)},
    ],
)
def test_both_loaders_yield_the_same(plan, options):
    pytest.importorskip("tensorflow")
    options = {"batch_size": 4, **options}
    tf_batches = as_numpy(make_dataset(plan, 10, loader="tf", num_workers=2, **options))
    grain_batches = as_numpy(make_dataset(plan, 10, loader="grain", **options))
    assert_same_batches(tf_batches, grain_batches)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("loader", LOADERS)
def test_shards_together_are_the_whole(plan, loader):
    options = {"batch_size": 2, "image_size": 16, "loader": loader, "shuffle": True}
    whole = make_dataset(plan, 7, repeat=True, **options)
    rounds = as_numpy(whole, count=8)
    for index in range(3):
        shard = make_dataset(plan, 7, shard=(index, 3), **options)
        assert_same_batches(as_numpy(shard), rounds[index:4:3])
        # The next round has another order, and shards of it are shards of the whole again.
        endless = make_dataset(plan, 7, shard=(index, 3), repeat=True, **options)
        second = as_numpy(endless, count=2 * len(shard))[len(shard) :]
        assert_same_batches(second, rounds[4 + index : 8 : 3])


@pytest.mark.backend_agnostic
def test_a_shard_is_a_slice_of_the_grain_dataset(plan):
    whole = make_dataset(plan, 10, batch_size=2, loader="grain", render="device")
    shard = make_dataset(plan, 10, batch_size=2, loader="grain", render="device", shard=(1, 2))
    assert_same_batches(as_numpy(shard), as_numpy(whole[1::2]))


def test_dry_batches_hold_what_a_renderer_needs(plan):
    plan = dataclasses.replace(plan, prompt_kinds=("recording",))
    dataset = make_dataset(plan, 3, batch_size=3, loader="grain", image_size=16, render="device")
    [(inputs, labels)] = as_numpy(dataset)
    assert set(labels) == {"azimuth", "interferer_azimuth"}
    length = plan.bank.rirs.shape[-1]
    assert {name: array.shape for name, array in inputs.items()} == {
        "dry_audio": (3, 2, 8000),
        "rirs": (3, 2, 2, length),
        "snr": (3,),
        "images": (3, 16, 16, 3),
        "prompt_audio": (3, 8000),
        "prompt_audio_weight": (3,),
    }
    assert {array.dtype for array in inputs.values()} == {np.dtype("float32")}
    scenes = [plan[index] for index in range(3)]
    rendered = render_scenes(plan, scenes)
    renderer = SceneRenderer()
    audio, target = renderer(inputs["dry_audio"], inputs["rirs"], inputs["snr"])
    for name, array in (("audio", audio), ("target", target)):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(array), rendered[name], atol=1e-5, err_msg=name
        )


@pytest.mark.backend_agnostic
def test_a_room_that_is_not_heard_is_refused_before_it_is_rendered(plan):
    deaf = dataclasses.replace(plan.bank, rirs=np.zeros_like(plan.bank.rirs))
    plan = dataclasses.replace(plan, bank=deaf)
    with pytest.raises(
        ValueError, match=r"does not reach.* Received: silence from source\(s\) \[0, 1\]"
    ):
        SceneBatches(plan, 2, batch_size=2, render="device")[0]


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("loader", LOADERS)
def test_the_number_of_threads_changes_nothing(plan, loader):
    options = {"batch_size": 2, "loader": loader, "image_size": 16}
    one, three = (make_dataset(plan, 6, num_workers=n, **options) for n in (1, 3))
    assert_same_batches(as_numpy(one), as_numpy(three))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("loader", LOADERS)
def test_a_dataset_is_the_same_each_time_it_is_read(plan, loader):
    dataset = make_dataset(plan, 6, batch_size=4, loader=loader, shuffle=True)
    assert_same_batches(as_numpy(dataset), as_numpy(dataset))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("loader", LOADERS)
def test_repeat_goes_on_and_shuffles_anew(plan, loader):
    plain = make_dataset(plan, 6, batch_size=3, loader=loader, repeat=True)
    batches = as_numpy(plain, count=4)
    assert_same_batches(batches[:2], batches[2:])
    shuffled = make_dataset(plan, 6, batch_size=3, loader=loader, repeat=True, shuffle=True)
    rounds = [
        np.concatenate([labels["azimuth"] for _, labels in part])
        for part in np.array_split(np.array(as_numpy(shuffled, count=8), dtype=object), 4)
    ]
    expected = sorted(np.float32(plan[i].azimuth) for i in range(6))
    assert all(sorted(azimuths) == expected for azimuths in rounds)
    assert len({tuple(azimuths) for azimuths in rounds}) > 1


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("loader", LOADERS)
def test_prompt_embeddings_follow_their_pictures(plan, loader):
    pictures = plan.catalog.pictures
    matrix = np.random.default_rng(0).standard_normal((len(pictures), 5)).astype("float32")
    mapping = {picture.id: row for picture, row in zip(pictures, matrix, strict=True)}
    options = {"batch_size": 4, "loader": loader, "prompt": "embedding"}
    by_matrix = as_numpy(make_dataset(plan, 8, prompt_embeddings=matrix, **options))
    by_mapping = as_numpy(make_dataset(plan, 8, prompt_embeddings=mapping, **options))
    assert_same_batches(by_matrix, by_mapping)
    for index in range(8):
        inputs, _ = by_matrix[index // 4]
        assert "images" not in inputs
        np.testing.assert_array_equal(
            inputs["prompt_embedding"][index % 4], mapping[plan[index].picture.id]
        )


def tiny_model(num_samples):
    audio = keras.Input((num_samples, 2), name="audio")
    images = keras.Input((16, 16, 3), name="images")
    features = [keras.layers.GlobalAveragePooling1D()(audio), keras.layers.Flatten()(images)]
    azimuth = keras.layers.Dense(1)(keras.layers.Concatenate()(features))
    return keras.Model({"audio": audio, "images": images}, azimuth)


class AzimuthLoss(keras.losses.Loss):
    """Reads one of the labels, so that a plain model can be fitted."""

    def call(self, y_true, y_pred):
        return keras.ops.square(y_true - y_pred[:, 0])


@pytest.mark.parametrize("loader", LOADERS)
def test_keras_fits_from_a_dataset_with_a_partial_batch(plan, loader):
    dataset = make_dataset(plan, 18, batch_size=4, loader=loader, image_size=16)
    if loader == "grain":
        dataset = dataset.map(lambda batch: (batch[0], batch[1]["azimuth"]))
    else:
        dataset = dataset.map(lambda inputs, labels: (inputs, labels["azimuth"]))
    model = tiny_model(plan.num_samples)
    model.compile(optimizer="sgd", loss=AzimuthLoss())
    history = model.fit(dataset, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert model.predict(dataset, verbose=0).shape == (18, 1)


@pytest.mark.backend_agnostic
def test_tf_datasets_have_static_shapes(plan):
    pytest.importorskip("tensorflow")
    inputs, labels = make_dataset(plan, 8, loader="tf", image_size=16).element_spec
    assert inputs["audio"].shape.as_list() == [None, 8000, 2]
    assert inputs["images"].shape.as_list() == [None, 16, 16, 3]
    assert labels["azimuth"].shape.as_list() == [None]


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("render", ["host", "device"])
def test_tensorflow_takes_rendered_arrays_without_a_copy(plan, render, monkeypatch):
    pytest.importorskip("tensorflow")
    kept, load = [], SceneBatches.__getitem__

    def load_and_keep(batches, index):
        kept.append(load(batches, index))
        return kept[-1]

    monkeypatch.setattr(SceneBatches, "__getitem__", load_and_keep)
    prompts = np.ones((len(plan.catalog.pictures), 4), "float32")
    options = {"prompt": "embedding", "prompt_embeddings": prompts, "num_workers": 1}
    dataset = make_dataset(plan, 6, 3, render=render, **options)
    large = {"host": ("audio", "target"), "device": ("dry_audio", "rirs")}[render]
    for batch, (inputs, labels) in zip(dataset, kept, strict=True):
        taken, given = {**batch[0], **batch[1]}, {**inputs, **labels}
        assert all(np.shares_memory(np.asarray(taken[name]), given[name]) for name in large)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("loader", LOADERS)
def test_the_number_of_batches_is_known(plan, loader):
    assert len(make_dataset(plan, 10, batch_size=4, loader=loader)) == 3


@pytest.mark.backend_agnostic
def test_batches_can_be_sent_to_a_worker(plan):
    batches = SceneBatches(plan, 4, batch_size=2, image_size=16)
    copy = pickle.loads(pickle.dumps(batches))
    assert_same_batches([batches[0], batches[1]], [copy[0], copy[1]])


WITHOUT_TENSORFLOW = """
import sys
import keras_avssan

class Refuse:
    wanted = []
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            self.wanted.append(name)
            raise ModuleNotFoundError(name)

for name in [name for name in sys.modules if name.split(".")[0] == "tensorflow"]:
    del sys.modules[name]
sys.meta_path.insert(0, Refuse())

import numpy as np
from types import SimpleNamespace
from keras_avssan.data import ScenePlan, SyntheticClasses, make_dataset

bank = SimpleNamespace(
    rirs=np.eye(64, dtype="float32")[[3, 5, 7, 9]].reshape(1, 2, 2, 64),
    azimuths=np.array([[30.0, 120.0]]),
    sampling_rate=16000,
)
plan = ScenePlan(SyntheticClasses(instances_per_class=4), bank, duration=0.1)
inputs, labels = next(iter(make_dataset(plan, 2, loader="grain")))
assert inputs["audio"].shape == (2, 1600, 2)
assert not Refuse.wanted, Refuse.wanted
try:
    make_dataset(plan, 2, loader="tf")
except ImportError as error:
    assert "pip install tensorflow" in str(error) and 'loader="grain"' in str(error)
else:
    raise AssertionError("no ImportError")
"""


@pytest.mark.backend_agnostic
def test_grain_does_without_tensorflow():
    backend = next((name for name in ("torch", "jax") if importlib.util.find_spec(name)), None)
    if backend is None:
        pytest.skip("neither torch nor JAX is installed")
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loader": "torch"}, "loader"),
        ({"num_scenes": 0}, "num_scenes"),
        ({"batch_size": 0}, "batch_size"),
        ({"start": -1}, "start"),
        ({"prompt": "text"}, "prompt"),
        ({"prompt": "embedding"}, "prompt_embeddings"),
        ({"prompt_embeddings": np.zeros((3, 3))}, "prompt_embeddings"),
        ({"prompt": "embedding", "prompt_embeddings": np.zeros((3, 3))}, r"\(3, 3\)"),
        (
            {"prompt": "embedding", "prompt_embeddings": {"a": np.zeros(3)}},
            "Received: prompt_embeddings with",
        ),
        ({"image_size": 0}, "size"),
        ({"num_workers": 0}, "num_workers"),
        ({"num_scenes": 3, "drop_remainder": True}, "drop_remainder"),
        ({"render": "gpu"}, "`render`"),
        ({"shard": 2}, "`shard`"),
        ({"shard": (2, 2)}, "`shard`"),
        ({"shard": (-1, 2)}, "shard"),
        ({"shard": (0, 3)}, "no more shards than the 2 batches"),
    ],
)
def test_wrong_arguments_are_refused(plan, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(plan, **{"num_scenes": 8, "batch_size": 4, "loader": "grain", **arguments})


@pytest.mark.backend_agnostic
def test_evaluation_at_a_fixed_snr(plan):
    fixed = dataclasses.replace(plan, snr=3.0)
    _, labels = SceneBatches(fixed, 6, batch_size=6)[0]
    inputs, _ = SceneBatches(fixed, 6, batch_size=6)[0]
    interferer = inputs["audio"] - labels["target"]
    energy = [np.square(x.astype("float64")).sum((1, 2)) for x in (labels["target"], interferer)]
    np.testing.assert_allclose(10 * np.log10(energy[0] / energy[1]), 3.0, atol=0.05)
    assert isinstance(fixed, ScenePlan)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("loader", LOADERS)
def test_each_scene_has_the_prompt_of_its_kind(plan, loader):
    plan = dataclasses.replace(plan, prompt_kinds=("picture", "text", "recording"))
    pictures = {p.id: np.full(3, i) for i, p in enumerate(plan.pictures)}
    texts = {name: np.full(3, -1 - i) for i, name in enumerate(plan.classes)}
    dataset = make_dataset(
        plan,
        24,
        24,
        loader=loader,
        prompt="embedding",
        prompt_embeddings=pictures,
        text_embeddings=texts,
    )
    [(inputs, _)] = as_numpy(dataset)
    for row, scene in enumerate(map(plan.__getitem__, range(24))):
        assert inputs["prompt_audio_weight"][row] == (scene.prompt_kind == "recording")
        reference = crop_clip(plan, scene.reference, scene.reference_offset)
        np.testing.assert_array_equal(inputs["prompt_audio"][row], reference)
        is_text = scene.prompt_kind == "text"
        expected = texts[scene.target.class_name] if is_text else pictures[scene.picture.id]
        np.testing.assert_array_equal(inputs["prompt_embedding"][row], expected)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, "`text_embeddings`"),
        ({}, "'\\w+' is missing"),
        ("short", r"`text_embeddings` must be finite, of shape \(3,\)"),
    ],
)
def test_wrong_text_embeddings_are_refused(texts, message, plan):
    plan = dataclasses.replace(plan, prompt_kinds=("text",))
    pictures = {picture.id: np.ones(3) for picture in plan.pictures}
    if texts == "short":
        texts = {name: np.ones(2) for name in plan.classes}
    with pytest.raises(ValueError, match=message):
        make_dataset(
            plan,
            2,
            2,
            loader="grain",
            prompt="embedding",
            prompt_embeddings=pictures,
            text_embeddings=texts,
        )
