"""What `compile` takes, and what labels may be."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.doa import (
    AlignmentLoss,
    AngularAccuracy,
    AngularMAE,
    DoALoss,
    JointLoss,
    ReconstructionLoss,
)
from keras_avssan.models.baselines import DGB

OUTPUTS = ["doa", "masked_spectrogram", "prompt_semantics"]


@pytest.fixture(scope="module")
def shared(make_tiny):
    return make_tiny(compiled=False)


@pytest.fixture
def scored(shared, eagerly):
    """`scored(batch, weights, **arguments)` compiles as asked and scores a batch."""

    def score(batch, sample_weight=None, **arguments):
        shared.compile(run_eagerly=eagerly, **arguments)
        return shared.test_on_batch(*batch, sample_weight=sample_weight, return_dict=True)

    return score


def joint(**weights):
    zero = {"doa_weight": 0.0, "reconstruction_weight": 0.0, "alignment_weight": 0.0}
    return JointLoss(**{**zero, **weights})


@pytest.mark.parametrize(
    ("loss", "same"),
    [
        (DoALoss(), joint(doa_weight=1.0)),
        (ReconstructionLoss(), joint(reconstruction_weight=1.0)),
        (AlignmentLoss(), joint(alignment_weight=1.0)),
    ],
)
@pytest.mark.one_backend
def test_a_loss_on_one_output_is_its_part_of_the_joint_loss(loss, same, scored, make_batch):
    batch = make_batch()
    expected = scored(batch, loss=same, metrics=None)
    assert scored(batch, loss=loss, metrics=None) == pytest.approx(expected, rel=1e-4)


def test_losses_by_output_are_weighed_and_reported(scored, make_batch):
    def blind(y_true, y_pred):
        return ops.abs(ops.reshape(y_true, (-1,)) - 90.0)

    batch = make_batch()
    found = scored(
        batch,
        loss={"doa": blind, "masked_spectrogram": "mse", "prompt_semantics": None},
        loss_weights={"masked_spectrogram": 3.0},
        metrics=None,
    )
    assert set(found) == {"loss", "doa_loss", "masked_spectrogram_loss"}
    assert found["doa_loss"] == pytest.approx(np.abs(batch[1]["azimuth"] - 90).mean(), rel=1e-4)
    assert found["masked_spectrogram_loss"] == pytest.approx(
        scored(batch, loss=ReconstructionLoss(), metrics=None)["loss"], rel=1e-4
    )
    total = found["doa_loss"] + 3 * found["masked_spectrogram_loss"]
    assert found["loss"] == pytest.approx(total, rel=1e-4)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "arguments",
    [
        {"loss": "mse"},
        {"loss": lambda y_true, y_pred: 0.0},
        {"loss": keras.losses.MeanSquaredError()},
        {"loss": [DoALoss()]},
        {"loss": {"doa": "mse"}},
        {"loss": {"doa": keras.losses.kl_divergence}},
        {"loss": {"mask": "mse"}},
        {"metrics": ["mae"]},
        {"metrics": "mae"},
        {"metrics": [keras.metrics.MeanAbsoluteError()]},
        {"metrics": {"doa": ["mae"]}},
        {"metrics": {"doa_head": [AngularMAE()]}},
        {"weighted_metrics": ["accuracy"]},
        {"loss": {"doa": DoALoss()}, "loss_weights": {"mask": 1.0}},
    ],
)
def test_what_cannot_be_computed_is_refused_with_what_can(arguments, shared):
    name = "loss_weights" if "loss_weights" in arguments else next(iter(arguments))
    known = "'doa'" if name == "loss_weights" else r".*".join(f"'{one}'" for one in OUTPUTS)
    with pytest.raises(ValueError, match=rf"(?s)`{name}`.*{known}.*Received"):
        shared.compile(**arguments)


@pytest.mark.backend_agnostic
def test_weights_beside_a_loss_that_has_its_own_are_refused(shared):
    with pytest.raises(ValueError, match="`JointLoss`, have weights of their own"):
        shared.compile(loss_weights={"doa": 2.0})


@pytest.mark.one_backend
def test_no_metrics_and_no_loss_are_none(scored, shared, make_batch):
    assert set(scored(make_batch(), metrics=None)) == {"loss"}
    assert set(scored(make_batch(), metrics=[])) == {"loss"}
    with pytest.raises(ValueError, match="no loss to compute: give `loss` to `compile`"):
        scored(make_batch(), loss=None)


@pytest.mark.one_backend
def test_metrics_by_output_have_its_name(scored, make_batch):
    batch = make_batch()

    def distance(azimuths, posterior):
        return azimuths[:, 0]

    found = scored(
        batch,
        metrics={"doa": [AngularMAE(), distance], "masked_spectrogram": ["mse"]},
        loss=ReconstructionLoss(),
    )
    assert set(found) == {"loss", "doa_mae", "doa_distance", "masked_spectrogram_mse"}
    assert found["doa_mae"] == pytest.approx(scored(batch)["mae"], rel=1e-5)
    assert found["doa_distance"] == pytest.approx(batch[1]["azimuth"].mean(), rel=1e-5)
    assert found["masked_spectrogram_mse"] == pytest.approx(found["loss"], rel=1e-3)


@pytest.mark.one_backend
def test_weights_of_scenes_reach_loss_and_weighted_metrics(scored, shared, make_batch):
    inputs, labels = make_batch(4)
    weights = np.array([0.0, 0.0, 1.0, 0.0], "float32")
    one = [keras.tree.map_structure(lambda array: array[2:3], part) for part in (inputs, labels)]
    arguments = {"loss": DoALoss(), "metrics": ["auto"][:0], "weighted_metrics": [AngularMAE()]}
    expected = scored(one, **arguments)
    found = scored((inputs, labels), weights, **arguments)
    assert found["mae"] == pytest.approx(expected["mae"], rel=1e-5)
    assert 4 * found["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    whole = shared.evaluate(
        inputs, labels, sample_weight=weights, batch_size=4, verbose=0, return_dict=True
    )
    assert whole == pytest.approx(found, rel=1e-4)
    shared.compile(run_eagerly=shared.run_eagerly)  # the joint loss takes them too
    assert np.isfinite(shared.fit(inputs, labels, sample_weight=weights, verbose=0).history["loss"])


@pytest.mark.one_backend
def test_azimuths_may_be_columns_or_stand_alone(scored, make_batch):
    inputs, labels = make_batch()
    columns = {name: part[:, None] if part.ndim == 1 else part for name, part in labels.items()}
    assert scored((inputs, columns)) == pytest.approx(
        scored((inputs, labels)), rel=1e-5, nan_ok=True
    )
    arguments = {"loss": DoALoss(), "metrics": [AngularMAE(), AngularAccuracy(5)]}
    expected = scored((inputs, labels), **arguments)
    for azimuths in (labels["azimuth"], labels["azimuth"][:, None]):
        assert scored((inputs, azimuths), **arguments) == pytest.approx(expected, rel=1e-5)


@pytest.mark.one_backend
@pytest.mark.parametrize("where", ["fit", "train_on_batch", "test_on_batch", "evaluate"])
def test_labels_without_the_target_train_after_one_warning(where, make_tiny, make_batch, eagerly):
    inputs, labels = make_batch()
    model = make_tiny(compiled=False)
    model.compile(run_eagerly=eagerly)
    quiet = {} if where.endswith("batch") else {"verbose": 0}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            result = getattr(model, where)(inputs, {"azimuth": labels["azimuth"]}, **quiet)
    messages = [str(one.message) for one in caught if "`target`" in str(one.message)]
    assert len(messages) == 1 and "loss=DoALoss()" in messages[0]
    assert "the loss terms `spectrogram`" in messages[0] and "are NaN" in messages[0]
    if where == "evaluate":
        model.compile(loss=DoALoss(), run_eagerly=eagerly)
        direction = model.evaluate(inputs, labels["azimuth"], verbose=0)
        assert result[0] == pytest.approx(direction[0], rel=1e-4)


@pytest.mark.backend_agnostic
def test_a_loss_that_was_asked_for_by_name_wants_its_label(scored, make_batch):
    inputs, labels = make_batch()
    with pytest.raises(ValueError, match="`masked_spectrogram` needs the label `target`"):
        scored((inputs, labels["azimuth"]), loss={"masked_spectrogram": "mse"})


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: {"azimuths": y["azimuth"]}, r"Labels must be .*`azimuth`.*\['azimuths'\]"),
        (lambda y: {**y, "targets": y["target"]}, r"Labels must be .*`target`.*'targets'"),
        (lambda y: {"azimuth": y["target"]}, r"`azimuth` must have shape \(batch,\)"),
        (lambda y: [y["azimuth"], y["target"]], "a list of 2"),
        (lambda y: None, "y=None"),
    ],
)
def test_labels_of_another_form_are_refused(change, message, make_tiny, make_batch):
    inputs, labels = make_batch()
    with pytest.raises(ValueError, match=message):
        make_tiny().test_on_batch(inputs, change(labels))


@pytest.mark.one_backend
def test_dgb_compares_its_own_outputs(make_batch, eagerly):
    model = DGB(prompt_dim=8, hidden_dim=8, num_layers=1, compile=False)
    inputs, labels = make_batch()
    inputs = {"audio": inputs["audio"], "prompt_embedding": np.ones((2, 8), "float32")}
    model.compile(loss={"doa": DoALoss(), "curve": "mse"}, metrics=None, run_eagerly=eagerly)
    found = model.test_on_batch(inputs, labels, return_dict=True)
    assert set(found) == {"loss", "doa_loss", "curve_loss"} and found["curve_loss"] > 0
    model.compile(metrics=None, run_eagerly=eagerly)
    with pytest.warns(UserWarning, match=r"loss terms `curve` are left out"):
        assert np.isfinite(model.test_on_batch(inputs, labels["azimuth"], return_dict=True)["loss"])


@pytest.mark.one_backend
def test_a_saved_model_keeps_losses_by_output(make_tiny, make_batch, eagerly, tmp_path):
    model = make_tiny(compiled=False)
    arguments = {
        "loss": {"doa": DoALoss(sigma=7.0), "masked_spectrogram": "mse"},
        "loss_weights": {"doa": 2.0, "masked_spectrogram": 1.0},
        "metrics": {"doa": [AngularMAE()]},
    }
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=eagerly, **arguments)
    expected = model.test_on_batch(*make_batch(), return_dict=True)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    restored.run_eagerly = eagerly
    found = restored.test_on_batch(*make_batch(), return_dict=True)
    assert found == pytest.approx(expected, rel=1e-4) and "doa_mae" in found


@pytest.mark.backend_agnostic
def test_a_model_that_was_stored_with_what_is_refused_now_still_loads(make_tiny, make_batch):
    model = make_tiny(compiled=False)
    config = {"optimizer": "adam", "loss": JointLoss(), "loss_weights": 2.0, "metrics": ["mae"]}
    with pytest.warns(UserWarning, match="compiled with those of its configuration"):
        model.compile_from_config(keras.saving.serialize_keras_object(config))
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    model.run_eagerly = True
    assert "selection" in model.test_on_batch(*make_batch(), return_dict=True)
