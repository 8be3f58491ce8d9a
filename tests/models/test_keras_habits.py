"""`fit`, `evaluate` and `predict` are those of `keras.Model`."""

import importlib.util
import warnings

import grain
import keras
import numpy as np
import pytest

from keras_avssan.doa import DoALoss

BACKEND = keras.backend.backend()
AZIMUTHS = np.arange(10.0, 90.0, 10.0)


@pytest.fixture(scope="module")
def seen(make_tiny):
    """`seen()` is a new tiny model and the azimuths of the batches that it is trained on."""

    def make():
        model, batches = make_tiny(compiled=False), []
        model.compile(loss=None, metrics=None, run_eagerly=True)

        def step(data):
            labels = keras.utils.unpack_x_y_sample_weight(data)[1]
            batches.append(keras.ops.convert_to_numpy(labels["azimuth"]).astype(int).tolist())
            return {"loss": keras.ops.zeros(())}

        model.train_step = step
        return model, batches

    return make


@pytest.fixture(scope="module")
def arrays(make_batch):
    inputs, labels = make_batch(8)
    return inputs, {**labels, "azimuth": AZIMUTHS.astype("float32")}


def batches_of(arrays, size=4):
    return [
        keras.tree.map_structure(lambda array, i=i: array[i : i + size], arrays)
        for i in range(0, len(AZIMUTHS), size)
    ]


class Batches(keras.utils.PyDataset):
    """Batches that are made when they are asked for."""

    def __init__(self, arrays):
        super().__init__()
        self.batches = batches_of(arrays)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def data_loader(arrays):
    torch = pytest.importorskip("torch")
    scenes = [keras.tree.map_structure(lambda array, i=i: array[i], arrays) for i in range(8)]
    return torch.utils.data.DataLoader(scenes, batch_size=4)


def tf_dataset(arrays):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(tuple(arrays)).batch(4)


DATA = {
    "DataLoader": data_loader,
    "PyDataset": Batches,
    "generator": lambda arrays: (batch for batch in batches_of(arrays) * 4),
    "grain": lambda arrays: grain.MapDataset.source(batches_of(arrays)),
    "grain iterator": lambda arrays: grain.MapDataset.source(batches_of(arrays)).to_iter_dataset(),
}
if importlib.util.find_spec("tensorflow"):
    DATA["tf.data"] = tf_dataset


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no eager step to look into")
def test_arrays_come_in_another_order_each_epoch(seen, arrays):
    model, batches = seen()
    model.fit(*arrays, batch_size=4, epochs=2, verbose=0)
    first, second = batches[0] + batches[1], batches[2] + batches[3]
    assert sorted(first) == sorted(second) == AZIMUTHS.tolist()
    assert AZIMUTHS.tolist() not in (first, second)
    # Where a seed is set, as it is here, Keras's own dataset of TensorFlow repeats its order.
    assert first != second or BACKEND == "tensorflow"
    batches.clear()
    model.fit(*arrays, batch_size=4, shuffle=False, verbose=0)
    assert batches[0] + batches[1] == AZIMUTHS.tolist()


@pytest.fixture(scope="module")
def model(make_tiny):
    return make_tiny()


# Each compiles a step; test_training.py fits from the usual one under every backend.
@pytest.mark.one_backend
@pytest.mark.parametrize("kind", DATA)
def test_whatever_keras_takes_is_data(kind, model, arrays):
    before = int(model.optimizer.iterations)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*shuffle.*|.*ran out of data.*")
        if kind == "grain iterator":
            warnings.filterwarnings("default", message=".*ran out of data.*")  # it has no length
        steps = 2 if kind == "generator" else None
        history = model.fit(
            DATA[kind](arrays),
            epochs=2,
            steps_per_epoch=steps,
            validation_data=DATA[kind](arrays),
            validation_steps=steps,
            verbose=0,
        ).history
        scores = model.evaluate(DATA[kind](arrays), steps=steps, return_dict=True, verbose=0)
        outputs = model.predict(DATA[kind](arrays), steps=steps, verbose=0)
    assert int(model.optimizer.iterations) == before + 4
    assert np.isfinite(history["val_loss"]).all() and len(history["val_loss"]) == 2
    estimates = outputs["doa"].argmax(axis=1) + 1
    assert np.abs(estimates - AZIMUTHS).mean() == pytest.approx(scores["mae"], rel=1e-4)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no eager step to look into")
def test_a_grain_dataset_is_read_as_often_as_there_are_epochs(seen, arrays):
    model, batches = seen()
    model.fit(DATA["grain"](arrays), epochs=3, steps_per_epoch=2, verbose=0)
    assert batches == [[10, 20, 30, 40], [50, 60, 70, 80]] * 3
    batches.clear()
    with pytest.warns(UserWarning, match="has 2 batches, fewer than the 5 steps"):
        model.fit(DATA["grain"](arrays), steps_per_epoch=5, verbose=0)
    assert batches == [[10, 20, 30, 40], [50, 60, 70, 80]]


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no eager step to look into")
def test_part_of_the_arrays_validates(seen, arrays):
    model, batches = seen()
    validated = []
    model.test_step = lambda data: validated.append(data) or {"loss": keras.ops.zeros(())}
    model.fit(*arrays, validation_split=0.25, shuffle=False, verbose=0)
    assert batches == [AZIMUTHS[:6].tolist()]
    ((_, labels),) = validated
    assert keras.ops.convert_to_numpy(labels["azimuth"]).tolist() == AZIMUTHS[6:].tolist()


@pytest.mark.one_backend
def test_weights_of_classes_are_those_of_their_scenes(make_tiny, arrays, eagerly):
    inputs, azimuths = arrays[0], arrays[1]["azimuth"]
    model = make_tiny(compiled=False)
    model.compile(keras.optimizers.SGD(0.0), DoALoss(), metrics=None, run_eagerly=eagerly)
    losses = [
        model.fit(inputs, azimuths, verbose=0, **weights).history["loss"]
        for weights in (
            {"class_weight": {azimuth: float(azimuth == 20) for azimuth in range(10, 90, 10)}},
            {"sample_weight": (azimuths == 20).astype("float32")},
            {},
        )
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][0] < 0.5 * losses[2][0]
