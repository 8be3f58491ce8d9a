"""Fitting from real datasets, compiled and not."""

import keras
import numpy as np
import pytest

from keras_avssan.data import ScenePlan, SyntheticClasses, make_dataset
from keras_avssan.doa import JointLoss

BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def plan(bank):
    catalog = SyntheticClasses(["dog", "rain"], instances_per_class=6, duration=0.5)
    return ScenePlan(catalog, bank, split="train", duration=0.5)


def dataset(plan, loader, **arguments):
    if loader == "tf":
        pytest.importorskip("tensorflow", reason="loader='tf' needs TensorFlow")
    return make_dataset(plan, 4, 2, loader=loader, image_size=(16, 16), **arguments)


# Each compiles a step: under every backend the loader that most trainings use.
USUAL = "tf" if BACKEND == "tensorflow" else "grain"


@pytest.mark.parametrize(
    "loader",
    [
        pytest.param(name, marks=() if name == USUAL else pytest.mark.one_backend)
        for name in ("tf", "grain")
    ],
)
def test_fits_and_evaluates(loader, plan, make_tiny):
    model = make_tiny()
    history = model.fit(
        dataset(plan, loader), validation_data=dataset(plan, loader, start=4), verbose=0
    ).history
    scores = {"loss", "mae", "acc_5deg", "selection", "selected_mae"}
    assert set(history) == scores | {f"val_{name}" for name in scores}
    counted = set(history) - {"selected_mae", "val_selected_mae"}  # NaN where none was selected
    assert all(np.isfinite(history[name]).all() for name in counted)
    results = model.evaluate(dataset(plan, loader, start=4), verbose=0, return_dict=True)
    assert results["mae"] == pytest.approx(history["val_mae"][0], abs=1e-3)
    assert int(model.optimizer.iterations) == 2


@pytest.mark.one_backend
def test_fits_from_cached_prompt_embeddings(plan, make_tiny):
    pictures = len(plan.catalog.pictures)
    embeddings = np.random.default_rng(0).normal(size=(pictures, 8)).astype("float32")
    model = make_tiny(image_encoder=None, prompt_dim=8)
    data = dataset(plan, "grain", prompt="embedding", prompt_embeddings=embeddings)
    assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()


@pytest.mark.one_backend
def test_predicts_from_a_dataset_of_inputs(model, plan):
    inputs = dataset(plan, "grain").map(lambda batch: batch[0])
    outputs = model.predict(inputs, verbose=0)
    assert outputs["doa"].shape == (4, 180)


def test_scores_are_those_of_numpy(model, make_batch, run):
    inputs, labels = make_batch(4)
    model.reset_metrics()
    results = model.test_on_batch(inputs, labels, return_dict=True)
    theta = run(model, inputs)["doa"].argmax(axis=1) + 1.0
    error = np.abs(theta - labels["azimuth"])
    selected = error[:3] < np.abs(theta - labels["interferer_azimuth"])[:3]
    assert results["mae"] == pytest.approx(error.mean(), rel=1e-4)
    assert results["acc_5deg"] == pytest.approx(np.mean(error <= 5))
    assert results["selection"] == pytest.approx(selected.mean())


@pytest.mark.one_backend
def test_labels_without_an_interferer_train_too(make_tiny, make_batch):
    inputs, labels = make_batch()
    del labels["interferer_azimuth"]
    results = make_tiny().train_on_batch(inputs, labels, return_dict=True)
    assert np.isfinite(results["loss"])
    assert np.isnan(results["selection"])  # there was nothing to choose from


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("name", "better", "worse"),
    [("mae", 9, 11), ("acc_5deg", 0.6, 0.4), ("selection", 0.6, 0.4), ("selected_mae", 9, 11)],
)
def test_callbacks_know_which_way_is_better(name, better, worse, model, batch):
    model.test_on_batch(*batch)
    callback = keras.callbacks.EarlyStopping(f"val_{name}", patience=5)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate([worse, better, worse]):
        callback.on_epoch_end(epoch, {f"val_{name}": value})
    assert (callback.best, callback.best_epoch) == (better, 1)


@pytest.mark.one_backend
def test_sample_weights_choose_the_scenes(make_tiny, make_batch, eagerly):
    model = make_tiny()
    model.compile(loss=JointLoss(alignment_weight=0.0), run_eagerly=eagerly)
    inputs, labels = make_batch()
    weighted = model.test_on_batch(inputs, labels, sample_weight=np.array([2.0, 0.0], "float32"))
    first = [{key: value[:1] for key, value in part.items()} for part in (inputs, labels)]
    model.reset_metrics()
    assert weighted[0] == pytest.approx(model.test_on_batch(*first)[0], rel=1e-3)


def test_loss_falls_on_a_batch_seen_again_and_again(make_tiny, make_batch, eagerly):
    keras.utils.set_random_seed(0)
    model = make_tiny()
    model.compile(keras.optimizers.Adam(0.02), run_eagerly=eagerly)
    inputs, labels = make_batch()
    losses = []
    for _ in range(6):
        model.reset_metrics()
        losses.append(model.train_on_batch(inputs, labels)[0])
    assert losses[-1] < 0.9 * losses[0]


def one_step(model, batch, **compile_arguments):
    model.compile(keras.optimizers.SGD(0.01), **compile_arguments)
    return model.train_on_batch(*batch)[0]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_steps_are_those_of_eager_mode(jit_compile, make_tiny, make_batch):
    if BACKEND != "tensorflow":
        pytest.skip("torch trains eagerly; JAX's compiled step is compared in tests/parity")
    compiled, eager = make_tiny(compiled=False), make_tiny(compiled=False)
    eager.set_weights(compiled.get_weights())
    loss = one_step(compiled, make_batch(), jit_compile=jit_compile)
    assert loss == pytest.approx(one_step(eager, make_batch(), run_eagerly=True), rel=1e-3)
    for fast, slow in zip(compiled.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_allclose(fast, slow, atol=2e-3)


def test_no_step_after_the_first_traces_the_network(make_tiny, make_batch, monkeypatch):
    model = make_tiny()
    batch = make_batch()
    model.train_on_batch(*batch)
    calls = []
    network = type(model.backbone)
    call = network.call

    def counted(self, inputs, training=None, mask=None):
        calls.append(training)
        return call(self, inputs, training=training)

    monkeypatch.setattr(network, "call", counted)
    model.train_on_batch(*batch)
    assert calls in ([], [True])  # compiled, or run once
