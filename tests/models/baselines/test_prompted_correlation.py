"""MLP-AVC and AVMLP: correlation and prompt side by side, as NumPy has them too."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.models.baselines import AVMLP, MLPAVC

LAGS = {MLPAVC: np.arange(-25, 26), AVMLP: np.linspace(-1, 1, 21) * 0.2 / 343 * 16000}


@pytest.fixture(params=[MLPAVC, AVMLP], ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


@pytest.fixture
def model(cls):
    return cls(prompt_dim=4, hidden_dim=64)


def numpy_correlation(audio, lags, frame_length=1024, hop_length=512):
    """GCC-PHAT at lags in samples, averaged over the frames, of a recording (samples, 2)."""
    padded = np.pad(audio, ((frame_length // 2,) * 2, (0, 0)))
    window = np.hanning(frame_length + 1)[:-1, None]
    starts = range(0, len(audio) + 1, hop_length)
    frames = np.array([padded[start : start + frame_length] * window for start in starts])
    first, second = np.moveaxis(np.fft.fft(frames, axis=1), -1, 0)
    phase = first * np.conj(second) / np.abs(first * second)
    # Half way round a fraction of a sample has no sign: the mean of both.
    bins = np.fft.fftfreq(frame_length)
    turns = np.exp(-2j * np.pi * np.outer(bins, lags))
    turns[frame_length // 2] = np.cos(np.pi * lags)
    return np.mean((phase @ turns).real / frame_length, axis=0)


@pytest.mark.one_backend
def test_features_are_correlation_and_prompt(cls, model):
    rng = np.random.default_rng(0)
    audio = rng.normal(size=(2, 4000, 2)).astype("float32")
    prompt = rng.normal(size=(2, 4)).astype("float32")
    lags = LAGS[cls]
    features = ops.convert_to_numpy(model.backbone.features(audio, prompt))
    expected = np.stack([numpy_correlation(recording, lags) for recording in audio])
    expected /= np.sqrt(np.mean(expected**2, axis=1, keepdims=True))
    np.testing.assert_allclose(features[:, : len(lags)], expected, atol=2e-3)
    kernel, bias = (ops.convert_to_numpy(w) for w in model.backbone.projection.weights)
    scaled = prompt / np.sqrt(np.mean(prompt**2, axis=1, keepdims=True))
    np.testing.assert_allclose(features[:, len(lags) :], scaled @ kernel + bias, atol=1e-5)


@pytest.mark.one_backend
def test_length_of_the_prompt_says_nothing(model, make_scenes):
    inputs, _ = make_scenes()
    longer = {**inputs, "prompt_embedding": 1e-3 * inputs["prompt_embedding"]}
    np.testing.assert_allclose(
        model.predict_on_batch(longer)["doa"], model.predict_on_batch(inputs)["doa"], atol=1e-4
    )


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
        posterior = model.predict_on_batch(make_scenes(samples=samples)[0])["doa"]
        assert posterior.shape == (8, 180)
        np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.one_backend
def test_mixed_precision(cls, make_scenes):
    backbone = cls(prompt_dim=4, hidden_dim=16, dtype="mixed_bfloat16").backbone
    posterior = ops.convert_to_numpy(backbone(make_scenes()[0])["doa"])
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("cls", "name", "lags", "width"), [(MLPAVC, "mlp_avc", 51, 1000), (AVMLP, "avmlp", 21, 1024)]
)
def test_sizes_as_published(cls, name, lags, width):
    backbone = cls.from_preset(name, load_weights=False, prompt_dim=512).backbone
    shapes = [tuple(hidden.kernel.shape) for hidden in backbone.mlp.hidden]
    assert shapes == [(2 * lags, width), (width, width), (width, width)]
    assert backbone.projection.projection.kernel.shape == (512, lags)
    assert backbone.logits.kernel.shape == (width, 180)


@pytest.mark.backend_agnostic
def test_lags_follow_the_spacing_and_the_sampling_rate():
    model = AVMLP(prompt_dim=4, num_lags=5, microphone_spacing=0.343, sampling_rate=8000)
    np.testing.assert_allclose(model.backbone.correlation.lags, [-8, -4, 0, 4, 8])


@pytest.mark.backend_agnostic
def test_refuses_a_single_lag():
    with pytest.raises(ValueError, match="`num_lags` must be at least two.*num_lags=1"):
        AVMLP(prompt_dim=4, num_lags=1)
