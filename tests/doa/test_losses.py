"""Equations (12) to (14) against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.doa import (
    AlignmentLoss,
    DoALoss,
    JointLoss,
    ReconstructionLoss,
    encode_azimuth,
)

AZIMUTH = np.array([10.0, 90.0, 171.5], "float32")


@pytest.fixture
def posterior():
    logits = np.random.default_rng(0).normal(size=(3, 180))
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype("float32")


@pytest.fixture
def spectrograms():
    return np.random.default_rng(1).normal(size=(2, 3, 4, 9, 4)).astype("float32")


def label(kind="laplacian", sigma=5.0):
    return ops.convert_to_numpy(encode_azimuth(AZIMUTH, sigma, kind))


def numpy_doa(loss, posterior, kind="laplacian", sigma=5.0):
    target = label(kind, sigma)
    if loss == "mse":
        return ((posterior - target) ** 2).sum(axis=1)
    target = target / target.sum(axis=1, keepdims=True)
    return -(target * np.log(posterior + 1e-7)).sum(axis=1)


def numpy_reconstruction(loss, true, predicted):
    if loss == "compressed":
        true, predicted = numpy_compress(true), numpy_compress(predicted)
    squares = (true - predicted) ** 2
    return squares.sum(axis=(1, 2, 3)) if loss == "sum" else squares.mean(axis=(1, 2, 3))


def numpy_compress(spectrogram):
    bins = spectrogram[..., 0::2] + 1j * spectrogram[..., 1::2]
    magnitude = np.sqrt(np.abs(bins) ** 2 + 1e-6)
    bins = bins * magnitude**-0.7
    return np.stack(
        [bins[..., 0].real, bins[..., 0].imag, bins[..., 1].real, bins[..., 1].imag], -1
    )


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("kind", ["laplacian", "gaussian"])
def test_doa_loss(loss, kind, posterior):
    values = DoALoss(loss, sigma=3.0, kind=kind, reduction="none")(AZIMUTH, posterior)
    expected = numpy_doa(loss, posterior, kind, 3.0)
    np.testing.assert_allclose(ops.convert_to_numpy(values), expected, rtol=1e-4)


def test_doa_loss_takes_a_column_of_azimuths(posterior):
    loss = DoALoss()
    assert float(loss(AZIMUTH[:, None], posterior)) == float(loss(AZIMUTH, posterior))


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_doa_loss_is_least_at_the_label(loss):
    best = encode_azimuth(AZIMUTH, normalize=loss == "cross_entropy")
    other = np.roll(ops.convert_to_numpy(best), 1, axis=1)
    criterion = DoALoss(loss)
    assert float(criterion(AZIMUTH, best)) < float(criterion(AZIMUTH, other))


def test_paper_form_is_zero_at_the_unnormalised_label():
    assert float(DoALoss("mse")(AZIMUTH, encode_azimuth(AZIMUTH))) == pytest.approx(0.0, abs=1e-9)


def test_cross_entropy_of_a_certain_wrong_answer_is_finite():
    wrong = np.zeros((1, 180), "float32")
    wrong[0, 179] = 1.0
    assert np.isfinite(float(DoALoss("cross_entropy")([1.0], wrong)))


@pytest.mark.parametrize("loss", ["mse", "sum", "compressed"])
def test_reconstruction_loss(loss, spectrograms):
    true, predicted = spectrograms
    values = ReconstructionLoss(loss, reduction="none")(true, predicted)
    expected = numpy_reconstruction(loss, true, predicted)
    np.testing.assert_allclose(ops.convert_to_numpy(values), expected, rtol=1e-4)


@pytest.mark.parametrize("loss", ["mse", "compressed"])
def test_reconstruction_of_silence_costs_nothing(loss):
    silence = np.zeros((2, 3, 4, 4), "float32")
    assert float(ReconstructionLoss(loss)(silence, silence)) == 0.0


def test_compressed_form_gives_quiet_bins_a_say():
    loud, quiet = np.zeros((1, 1, 2, 4), "float32"), np.zeros((1, 1, 2, 4), "float32")
    loud[0, 0, 0], quiet[0, 0, 1] = 1.0, 0.1
    silence = np.zeros_like(loud)
    plain, compressed = ReconstructionLoss("mse"), ReconstructionLoss("compressed")
    plain_share = float(plain(quiet, silence)) / float(plain(loud, silence))
    compressed_share = float(compressed(quiet, silence)) / float(compressed(loud, silence))
    assert plain_share == pytest.approx(0.01, rel=1e-3)
    assert compressed_share == pytest.approx(10**-0.6, rel=1e-2)


def numpy_alignment(targets, prompts, temperature):
    """Cross-entropy of the right pair: among all targets, and among all prompts."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (targets, prompts)]
    values = []
    for i in range(len(targets)):
        target_scores = unit[0] @ unit[1][i] / temperature
        prompt_scores = unit[1] @ unit[0][i] / temperature
        values.append(
            0.5 * (np.log(np.exp(target_scores).sum()) + np.log(np.exp(prompt_scores).sum()))
            - target_scores[i]
        )
    return values


@pytest.fixture
def embeddings():
    return np.random.default_rng(2).normal(size=(2, 3, 6)).astype("float32")


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_alignment_loss(temperature, embeddings):
    targets, prompts = embeddings
    values = AlignmentLoss(temperature, reduction="none")(targets, prompts)
    expected = numpy_alignment(targets, prompts, temperature)
    np.testing.assert_allclose(ops.convert_to_numpy(values), expected, rtol=1e-4)


def test_alignment_is_best_where_each_prompt_meets_its_own_target(embeddings):
    targets, _ = embeddings
    criterion = AlignmentLoss()
    assert float(criterion(targets, targets)) < float(criterion(targets, np.roll(targets, 1, 0)))


def test_alignment_of_empty_embeddings_has_finite_gradients():
    """Embeddings of zero, as silence may give: a step of gradient descent stays finite."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(4, kernel_initializer="zeros")(inputs))
    model.compile(keras.optimizers.SGD(0.1), AlignmentLoss(), run_eagerly=True)
    model.train_on_batch(np.ones((2, 3), "float32"), np.eye(2, 4, dtype="float32"))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("doa", ["mse", "cross_entropy"])
@pytest.mark.parametrize("reconstruction", ["mse", "compressed"])
def test_joint_loss_is_the_weighted_sum(doa, reconstruction, posterior, spectrograms):
    true, predicted = spectrograms
    criterion = JointLoss(
        doa,
        reconstruction,
        doa_weight=2.0,
        reconstruction_weight=0.5,
        sigma=4.0,
        reduction="none",
    )
    values = criterion(
        {"azimuth": AZIMUTH, "spectrogram": true},
        {"doa": posterior, "masked_spectrogram": predicted},
    )
    expected = 2.0 * numpy_doa(doa, posterior, sigma=4.0)
    expected = expected + 0.5 * numpy_reconstruction(reconstruction, true, predicted)
    np.testing.assert_allclose(ops.convert_to_numpy(values), expected, rtol=1e-4)


def test_joint_loss_adds_the_alignment_where_it_has_weight(posterior, spectrograms, embeddings):
    truth = {"azimuth": AZIMUTH, "spectrogram": spectrograms[0], "semantics": embeddings[0]}
    prediction = {
        "doa": posterior,
        "masked_spectrogram": spectrograms[1],
        "prompt_semantics": embeddings[1],
    }
    without = JointLoss(reduction="none")(truth, prediction)
    with_it = JointLoss(alignment_weight=0.5, reduction="none")(truth, prediction)
    added = ops.convert_to_numpy(with_it - without)
    np.testing.assert_allclose(added, 0.5 * np.array(numpy_alignment(*embeddings, 0.1)), rtol=1e-3)


def test_reductions_and_sample_weights(posterior):
    values = numpy_doa("cross_entropy", posterior)
    weights = np.array([0.0, 1.0, 3.0], "float32")
    mean, weighted = DoALoss()(AZIMUTH, posterior), DoALoss()(AZIMUTH, posterior, weights)
    total = DoALoss(reduction="sum")(AZIMUTH, posterior)
    np.testing.assert_allclose(float(mean), values.mean(), rtol=1e-4)
    np.testing.assert_allclose(float(total), values.sum(), rtol=1e-4)
    np.testing.assert_allclose(float(weighted), (weights * values).mean(), rtol=1e-4)


def test_joint_loss_weighs_samples(posterior, spectrograms):
    true, predicted = spectrograms
    truth = {"azimuth": AZIMUTH, "spectrogram": true}
    prediction = {"doa": posterior, "masked_spectrogram": predicted}
    values = ops.convert_to_numpy(JointLoss(reduction="none")(truth, prediction))
    only_last = JointLoss()(truth, prediction, sample_weight=np.array([0.0, 0.0, 3.0], "float32"))
    np.testing.assert_allclose(float(only_last), values[2], rtol=1e-5)


def test_low_precision_predictions_are_scored_in_float32(posterior):
    rounded = ops.cast(posterior, "bfloat16")
    values = DoALoss(reduction="none")(AZIMUTH, rounded)
    assert keras.backend.standardize_dtype(values.dtype) == "float32"
    expected = numpy_doa("cross_entropy", ops.convert_to_numpy(ops.cast(rounded, "float32")))
    np.testing.assert_allclose(ops.convert_to_numpy(values), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        DoALoss("mse", sigma=2.0, kind="gaussian", name="direction", reduction="sum"),
        ReconstructionLoss("compressed", name="spectrum", reduction="none"),
        AlignmentLoss(0.3, name="contrast", reduction="sum"),
        JointLoss("mse", "compressed", 0.5, 4.0, 0.25, 3.0, "gaussian", reduction="sum"),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_config_round_trip(loss):
    restored = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(restored) is type(loss)
    assert restored.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: DoALoss("hinge"), "loss"),
        (lambda: DoALoss(sigma=0.0), "sigma"),
        (lambda: DoALoss(kind="box"), "kind"),
        (lambda: ReconstructionLoss("mae"), "loss"),
        (lambda: JointLoss(doa_weight=-1.0), "doa_weight"),
        (lambda: JointLoss(reconstruction_weight=float("nan")), "reconstruction_weight"),
        (lambda: JointLoss(alignment_weight=-0.1), "alignment_weight"),
        (lambda: JointLoss(doa="hinge"), "loss"),
        (lambda: AlignmentLoss(temperature=0.0), "temperature"),
        (lambda: JointLoss(sigma=-5.0), "sigma"),
    ],
)
def test_bad_arguments_are_named(make, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        make()
