"""DGB: steering, divergence and sampling against NumPy, and what it learns."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.doa import DoALoss
from keras_avssan.models.baselines import DGB
from keras_avssan.models.baselines.dgb import GaussianSampler, SteeredResponse
from keras_avssan.models.baselines.dgb_loss import DGBLoss, kl_divergence

AZIMUTHS = np.arange(1, 181)
DELAYS = 0.2 * np.cos(np.deg2rad(AZIMUTHS)) / 343 * 16000


@pytest.fixture
def model():
    return DGB(prompt_dim=4, hidden_dim=64, latent_dim=8, condition_dim=16, seed=0)


@pytest.fixture
def latent():
    return np.random.default_rng(0).normal(size=(3, 2, 4)).astype("float32")


def steer(curves):
    layer = SteeredResponse(sharpness=2.0)
    return ops.convert_to_numpy(layer(np.asarray(curves, "float32")))


def test_steers_as_a_band_limited_interpolation():
    # A curve without its highest frequencies and with ends at zero, read between its samples by
    # the longest transform that is made in place of a sum of sincs.
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.normal(size=4096))
    spectrum[1800:] = 0.0
    lags = (np.arange(4096) + 2048) % 4096 - 2048
    curve = np.fft.irfft(np.fft.rfft(np.fft.irfft(spectrum) * np.exp(-((lags / 8.0) ** 2))))
    turns = np.exp(2j * np.pi * np.outer(DELAYS, np.fft.fftfreq(4096)))
    expected = (turns @ np.fft.fft(curve)).real / 4096
    found = steer(curve[np.arange(-25, 26)][None])[0]
    np.testing.assert_allclose(found, 2.0 * expected, atol=1e-3 * np.abs(expected).max())


def test_curve_that_peaks_at_a_delay_gives_its_direction():
    curves = np.sinc(np.arange(-25, 26)[None, :] - DELAYS[:, None])
    estimate = np.argmax(steer(curves), axis=1) + 1
    # Beside the microphones the delay hardly changes with the angle.
    inner = (AZIMUTHS >= 10) & (AZIMUTHS <= 170)
    assert np.abs(estimate - AZIMUTHS)[inner].max() <= 1
    assert np.abs(estimate - AZIMUTHS).max() <= 5


@pytest.mark.one_backend
def test_refuses_curves_that_end_before_the_largest_delay():
    with pytest.raises(ValueError, match="`max_lag` must be at least.*9.3 samples.*max_lag=9"):
        DGB(prompt_dim=4, max_lag=9)


def test_divergence_is_the_mean_log_ratio_of_draws(latent):
    rng = np.random.default_rng(1)
    prior = 0.5 * rng.normal(size=latent.shape).astype("float32")
    found = ops.convert_to_numpy(kl_divergence(ops.array(prior), ops.array(latent)))
    draws = latent[:, 0] + np.exp(0.5 * latent[:, 1]) * rng.normal(size=(100000, 3, 4))

    def log_density(gaussian):
        mean, log_variance = gaussian[:, 0], gaussian[:, 1]
        return -0.5 * np.sum((draws - mean) ** 2 / np.exp(log_variance) + log_variance, axis=-1)

    expected = np.mean(log_density(latent) - log_density(prior), axis=0)
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_draws_have_the_mean_and_the_variance(latent):
    sampler = GaussianSampler(seed=0)
    many = np.repeat(latent[:1], 20000, axis=0)
    draws = ops.convert_to_numpy(sampler(many, training=True))
    np.testing.assert_allclose(draws.mean(axis=0), latent[0, 0], atol=0.08)
    np.testing.assert_allclose(np.log(draws.var(axis=0)), latent[0, 1], atol=0.08)
    np.testing.assert_array_equal(ops.convert_to_numpy(sampler(latent)), latent[:, 0])


@pytest.mark.one_backend
def test_draws_in_training_alone(model, make_scenes):
    inputs, _ = make_scenes()

    def curve(training):
        return ops.convert_to_numpy(model.backbone(inputs, training=training)["curve"])

    assert np.abs(curve(True) - curve(True)).max() > 1e-3
    np.testing.assert_allclose(curve(False), curve(None), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(curve(True), axis=1), 1.0, rtol=1e-5)


def test_loss_is_the_weighted_sum(latent):
    rng = np.random.default_rng(2)
    curves = rng.normal(size=(2, 3, 51)).astype("float32")
    posterior = rng.dirichlet(np.ones(180), size=3).astype("float32")
    azimuth = np.array([20.0, 90.0, 130.0], "float32")
    truth = {"azimuth": azimuth, "curve": curves[0], "latent": np.zeros_like(latent)}
    prediction = {"doa": posterior, "curve": curves[1], "latent": latent}
    loss = DGBLoss(doa_weight=2.0, reconstruction_weight=3.0, kl_weight=0.5, reduction="none")
    mean, log_variance = latent[:, 0], latent[:, 1]
    expected = (
        2.0 * ops.convert_to_numpy(DoALoss(reduction="none")(azimuth, posterior))
        + 3.0 * np.sum((curves[0] - curves[1]) ** 2, axis=1)
        + 0.25 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1)
    )
    np.testing.assert_allclose(ops.convert_to_numpy(loss(truth, prediction)), expected, rtol=1e-5)


@pytest.mark.backend_agnostic
def test_loss_comes_back_from_its_configuration():
    loss = DGBLoss("mse", 2.0, 3.0, 0.5, 4.0, "gaussian", name="other")
    restored = keras.losses.deserialize(keras.losses.serialize(loss))
    assert restored.get_config() == loss.get_config()


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("key", ["doa_weight", "reconstruction_weight", "kl_weight"])
def test_loss_refuses_negative_weights(key):
    with pytest.raises(ValueError, match=f"`{key}` must not be negative.*{key}=-1"):
        DGBLoss(**{key: -1})


def test_clean_curve_is_that_of_the_target(model, make_scenes):
    inputs, labels = make_scenes(two_sources=True)
    outputs = model.backbone(inputs)
    truth = model.target_truth(inputs, labels, outputs)
    logits = ops.convert_to_numpy(model.backbone.logits(truth["curve"]))
    error = np.abs(np.argmax(logits, axis=1) + 1 - labels["azimuth"])
    # Low sounds have a wide peak, which what leaks into the other frequencies moves.
    high = inputs["prompt_embedding"][:, 1] == 1
    assert error[high].max() <= 1
    assert error[~high].max() <= 15
    np.testing.assert_array_equal(ops.convert_to_numpy(truth["latent"]), 0.0)
    assert truth["latent"].shape == outputs["latent"].shape


@pytest.mark.one_backend
def test_truth_that_weighs_nothing_is_not_computed(model, make_scenes):
    inputs, labels = make_scenes()
    model.compile(loss=DGBLoss(reconstruction_weight=0.0, kl_weight=0.0))
    assert model.target_truth(inputs, labels, model.backbone(inputs)) == {}


@pytest.mark.one_backend
def test_learns_eight_scenes_and_heeds_the_prompt(model, make_scenes, overfit):
    inputs, labels = make_scenes(two_sources=True)
    assert overfit(model, (inputs, labels), learning_rate=3e-3) <= 3.0
    other = {**inputs, "prompt_embedding": np.roll(inputs["prompt_embedding"], 1, axis=0)}
    estimate = np.argmax(model.predict_on_batch(other)["doa"], axis=-1) + 1
    assert np.mean(np.abs(estimate - labels["azimuth"])) > 10.0


@pytest.mark.one_backend
def test_comes_back_from_a_preset(model, make_scenes, comes_back):
    comes_back(model, make_scenes()[0])


@pytest.mark.one_backend
def test_any_duration(model, make_scenes):
    for samples in (4000, 9001):
        outputs = model.predict_on_batch(make_scenes(samples=samples)[0])
        assert outputs["doa"].shape == (8, 180)
        assert outputs["curve"].shape == (8, 51)
        np.testing.assert_allclose(outputs["doa"].sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.one_backend
def test_mixed_precision(make_scenes):
    backbone = DGB(prompt_dim=4, hidden_dim=16, dtype="mixed_bfloat16").backbone
    outputs = backbone(make_scenes()[0], training=True)
    for output in outputs.values():
        assert "float32" in str(output.dtype)
        assert np.isfinite(ops.convert_to_numpy(output)).all()


@pytest.mark.backend_agnostic
def test_sizes_of_the_preset():
    backbone = DGB.from_preset("dgb", load_weights=False, prompt_dim=512).backbone
    shapes = [tuple(hidden.kernel.shape) for hidden in backbone.encoder.hidden]
    assert shapes == [(51 + 64, 512), (512, 512)]
    assert backbone.decoder.hidden[0].kernel.shape == (32 + 64, 512)
    assert backbone.generated.kernel.shape == (512, 51)
    assert backbone.logits.factor.shape == ()
