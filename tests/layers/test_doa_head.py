"""Equation (11): three forms of the head, from masked spectrogram to posterior."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.classical import SRPPHAT
from keras_avssan.layers import DoAHead

FORMS = ["srp", "cross_spectrum", "spectrogram"]
FRAMES, BINS = 4, 513


def pure_delay_scene(azimuths, spacing, seed=0):
    """Spectrograms of noise from far sources: channel 0 leads by spacing · cos θ / c."""
    rng = np.random.default_rng(seed)
    shape = (len(azimuths), FRAMES, BINS)
    source = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    delay = spacing * np.cos(np.deg2rad(azimuths)) / 343.0
    hertz = np.linspace(0, 8000, BINS)
    late = source * np.exp(-2j * np.pi * hertz * delay[:, None, None])
    return np.stack([source.real, source.imag, late.real, late.imag], axis=-1).astype("float32")


def steered_response_head(**arguments):
    """A head whose convolutions give zero, so that the steered response is its only term."""
    head = DoAHead(hidden_dim=8, num_layers=1, **arguments)
    head.build((None, None, BINS, 4))
    head.logits.set_weights([np.zeros_like(w) for w in head.logits.get_weights()])
    return head


def estimate(posterior):
    return ops.convert_to_numpy(posterior).argmax(axis=-1) + 1


AZIMUTHS = np.array([15.0, 40.0, 90.0, 121.0, 160.0])


@pytest.mark.one_backend
@pytest.mark.parametrize("spacing", [0.05, 0.2])
def test_steered_response_peaks_at_the_source(spacing):
    head = steered_response_head(microphone_spacing=spacing)
    posterior = head(pure_delay_scene(AZIMUTHS, spacing))
    np.testing.assert_array_equal(estimate(posterior), AZIMUTHS)


@pytest.mark.one_backend
def test_zero_degrees_is_beside_the_microphone_that_leads():
    head = steered_response_head()
    posterior = estimate(head(pure_delay_scene(np.array([0.0, 180.0]), 0.2)))
    assert posterior[0] <= 3
    assert posterior[1] >= 178


@pytest.mark.parametrize("spacing", [0.05, 0.2])
def test_spacing_of_each_scene_wins_over_the_layers_own(spacing):
    scenes = pure_delay_scene(AZIMUTHS, spacing)
    head = steered_response_head(microphone_spacing=0.1)
    posterior = head(scenes, np.full(len(AZIMUTHS), spacing, "float32"))
    np.testing.assert_array_equal(estimate(posterior), AZIMUTHS)
    own = steered_response_head(microphone_spacing=spacing)(scenes)
    np.testing.assert_allclose(
        ops.convert_to_numpy(posterior), ops.convert_to_numpy(own), atol=1e-5
    )


def test_steered_response_equation():
    """Full band: Σ_f Re(G(f) exp(-j 2π f τ(θ))) / Σ_f |G(f)|, G compressed and averaged."""
    head = steered_response_head(exponent=0.5)
    scene = pure_delay_scene(np.array([70.0]), 0.2) * np.array([1, 1, 2, 2], "float32")
    bins = scene[0, ..., 0::2] + 1j * scene[0, ..., 1::2]
    cross = bins[..., 0] * bins[..., 1].conj()
    cross = (cross * np.abs(cross) ** -0.5)[:, 1:513]
    hertz = np.linspace(0, 8000, BINS)[1:513]
    delay = 0.2 * np.cos(np.deg2rad(np.arange(1, 181))) / 343.0
    steering = np.exp(-2j * np.pi * hertz[:, None] * delay[None, :])
    response = (cross.mean(axis=0) @ steering).real / np.abs(cross).mean(axis=0).sum()
    logits = float(ops.convert_to_numpy(head.sharpness)) * response
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(ops.convert_to_numpy(head(scene))[0], expected, rtol=1e-3)


def phase_response(scene, mask, degrees):
    """Σ mask · Re(e^jφ exp(-j 2π f τ(θ))) / Σ mask over frames and bins, for any angles."""
    bins = scene[0, ..., 0::2] + 1j * scene[0, ..., 1::2]
    phase = np.angle(bins[..., 0] * bins[..., 1].conj())[:, 1:513]
    weight = mask[0, :, 1:513]
    hertz = np.linspace(0, 8000, BINS)[1:513]
    delay = 0.2 * np.cos(np.deg2rad(degrees)) / 343.0
    steering = np.exp(-2j * np.pi * hertz[:, None] * delay[None, :])
    return ((weight * np.exp(1j * phase)).sum(axis=0) @ steering).real / weight.sum()


def test_weights_stand_in_place_of_magnitudes(rng):
    """Full band: Σ mask · Re(e^jφ exp(-j 2π f τ(θ))) / Σ mask, whatever the magnitudes."""
    head = steered_response_head()
    scene = pure_delay_scene(np.array([70.0]), 0.2)
    scene *= rng.lognormal(sigma=2.0, size=(1, FRAMES, BINS, 1)).astype("float32")
    mask = rng.uniform(size=(1, FRAMES, BINS)).astype("float32")
    response = phase_response(scene, mask, np.arange(1, 181))
    logits = float(ops.convert_to_numpy(head.sharpness)) * response
    expected = np.exp(logits) / np.exp(logits).sum()
    posterior = ops.convert_to_numpy(head(scene, bin_weights=mask))[0]
    np.testing.assert_allclose(posterior, expected, rtol=1e-3)


def low_pitched_scenes(azimuths, rng):
    """Far sources of which few, mostly low, bands are loud, as loud as sound from all sides."""
    scenes = pure_delay_scene(azimuths, 0.2) + rng.normal(size=(len(azimuths), FRAMES, BINS, 4))
    bands = np.repeat(rng.lognormal(sigma=3.0, size=(len(azimuths), 1, 27, 1)), 19, axis=2)
    slope = (1 + np.linspace(0, 16, BINS)) ** -2
    scenes[:, :, -1] = 0.0  # outside the bands of SRP-PHAT, which ends one bin earlier
    return (bands * slope[:, None] * scenes).astype("float32")


@pytest.mark.one_backend
def test_weights_of_one_agree_with_srp_phat_near_the_axis(rng):
    azimuths = np.concatenate([rng.uniform(10, 20, 40), rng.uniform(160, 170, 40)])
    scenes = low_pitched_scenes(azimuths, rng)
    localizer = SRPPHAT(frequency_range=(10.0, 8000.0))
    spectrogram, phase = ops.convert_to_tensor(scenes[:, :, 1:512]), localizer._phase(None)
    srp_phat = estimate(localizer.spectrum(spectrogram, phase))
    head = steered_response_head()
    found = estimate(head(scenes, bin_weights=np.ones(scenes.shape[:3], "float32")))
    np.testing.assert_allclose(found, srp_phat, atol=1)
    error, by_loud_bins = (np.abs(e - azimuths) for e in (found, estimate(head(scenes))))
    assert error.mean() < 1.0
    assert error.max() < 5.0
    assert by_loud_bins.mean() > 2.0  # the error of a head that weighted bins by their amplitude


def test_padding_beyond_the_axis_is_the_steered_response(rng):
    """It is the same at -θ and θ, and at 180° - θ and 180° + θ."""
    head = DoAHead(hidden_dim=8)
    scene = pure_delay_scene(np.array([25.0]), 0.2)
    mask = rng.uniform(size=(1, FRAMES, BINS)).astype("float32")
    on_grid = phase_response(scene, mask, np.arange(1, 181)).astype("float32")
    beyond = phase_response(scene, mask, np.arange(-3, 185))
    padded = ops.convert_to_numpy(head._pad_directions(on_grid[None, :, None]))[0, :, 0]
    np.testing.assert_allclose(padded, beyond, atol=2e-3)


def test_convolutions_do_not_depend_on_the_axis(randomize):
    """Constant maps give constant outputs."""
    flat = np.full((1, 180, 35), 0.3, "float32")
    spread = {}
    for padding in ("mirror", "zeros"):
        head = DoAHead(hidden_dim=8, padding=padding)
        head.build((None, None, BINS, 4))
        randomize(head)
        x = ops.convert_to_tensor(flat)
        for layer in (*head.hidden, head.logits):
            x = layer(head._pad_directions(x))
        assert x.shape == (1, 180, 1)
        spread[padding] = np.ptp(ops.convert_to_numpy(x))
    assert spread["mirror"] < 1e-3 < 1.0 < spread["zeros"]


@pytest.mark.one_backend
def test_a_new_head_corrects_nothing():
    scenes = pure_delay_scene(AZIMUTHS, 0.2)
    new, uncorrected = DoAHead(hidden_dim=8), steered_response_head()
    posterior = ops.convert_to_numpy(new(scenes))
    np.testing.assert_allclose(posterior, ops.convert_to_numpy(uncorrected(scenes)), rtol=1e-5)
    assert all(np.any(layer.get_weights()[0]) for layer in new.hidden)


@pytest.mark.backend_agnostic
def test_heads_stored_before_padding_had_zeros():
    config = DoAHead().get_config()
    assert config.pop("padding") == "mirror"
    assert DoAHead.from_config(config).padding == "zeros"


@pytest.mark.backend_agnostic
def test_weights_are_for_the_steered_response():
    scenes = pure_delay_scene(AZIMUTHS, 0.2)
    with pytest.raises(ValueError, match="`bin_weights`"):
        DoAHead("cross_spectrum", hidden_dim=8).call(scenes, bin_weights=np.ones(scenes.shape[:3]))


@pytest.mark.parametrize("form", FORMS)
def test_posterior_sums_to_one(form):
    scenes = pure_delay_scene(AZIMUTHS, 0.2)
    head = DoAHead(form, hidden_dim=8)
    posterior = ops.convert_to_numpy(head(scenes))
    assert posterior.shape == head.compute_output_shape(scenes.shape) == (5, 180)
    assert posterior.min() >= 0
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-5)
    assert np.abs(posterior[0] - posterior[2]).max() > 1e-4


@pytest.mark.one_backend
def test_spectrogram_form_is_an_mlp_averaged_over_time(twin, randomize, rng):
    head = DoAHead("spectrogram", hidden_dim=6, num_layers=2)
    head.build((None, None, 5, 4))
    randomize(head)
    scene = rng.normal(size=(1, FRAMES, 5, 4)).astype("float32")
    x = scene.reshape(FRAMES, 20)
    for hidden in head.hidden:
        x = twin.relu(twin.dense(hidden, x))
    expected = twin.softmax(twin.dense(head.logits, x.mean(axis=0)))
    np.testing.assert_allclose(ops.convert_to_numpy(head(scene))[0], expected, rtol=1e-4)


@pytest.mark.one_backend
def test_cross_spectrum_form_ignores_loudness():
    scenes = pure_delay_scene(AZIMUTHS, 0.2)
    head = DoAHead("cross_spectrum", hidden_dim=8)
    loud, quiet = head(10 * scenes), head(scenes)
    np.testing.assert_allclose(ops.convert_to_numpy(loud), ops.convert_to_numpy(quiet), rtol=1e-3)


@pytest.mark.one_backend
def test_cross_spectrum_form_sees_shares():
    """One frame of equal magnitudes in all bins: the MLP is given their cosines and sines."""
    phase = np.linspace(-3, 3, BINS)
    late = np.exp(1j * phase)
    scene = np.stack([np.ones(BINS), np.zeros(BINS), late.real, late.imag], axis=-1)[None, None]
    head = DoAHead("cross_spectrum", num_layers=0)
    head.build((None, None, BINS, 4))
    kernel = np.zeros((2 * BINS, 180), "float32")
    kernel[:BINS, 20] = np.cos(phase)
    kernel[:BINS, 30] = 0.9 * np.cos(phase)
    head.logits.set_weights([kernel, np.zeros(180, "float32")])
    posterior = ops.convert_to_numpy(head(scene.astype("float32")))[0]
    expected = 0.1 * np.sum(np.cos(phase) ** 2)
    assert np.log(posterior[20] / posterior[30]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.one_backend
def test_a_louder_frame_counts_for_more():
    """The mask decides: two sources, the second masked to a hundredth."""
    first, second = pure_delay_scene(np.array([50.0, 130.0]), 0.2)
    head = steered_response_head()
    both = np.stack(
        [np.concatenate(pair) for pair in [(first, 0.01 * second), (0.01 * first, second)]]
    )
    np.testing.assert_array_equal(estimate(head(both)), [50, 130])


@pytest.mark.parametrize("form", FORMS)
def test_silence_is_finite(form, gradient):
    head = DoAHead(form, hidden_dim=8)
    silence = np.zeros((1, FRAMES, BINS, 4), "float32")
    posterior = ops.convert_to_numpy(head(silence))
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-5)
    slope = gradient(lambda x: ops.sum(ops.square(head(x))), silence)
    assert np.isfinite(slope).all()


def test_silence_is_finite_with_weights(gradient):
    head = DoAHead(hidden_dim=8)
    head.build((None, FRAMES, BINS, 4))
    silence = np.zeros((1, FRAMES, BINS, 4), "float32")
    for mask in (np.zeros((1, FRAMES, BINS), "float32"), np.ones((1, FRAMES, BINS), "float32")):
        slope = gradient(lambda x, m=mask: ops.sum(ops.square(head(x, bin_weights=m))), silence)
        assert np.isfinite(slope).all()
        slope = gradient(lambda m: ops.sum(ops.square(head(silence, bin_weights=m))), mask)
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("form", FORMS)
def test_stays_in_float32_under_mixed_precision(form):
    head = DoAHead(form, hidden_dim=8, dtype="mixed_float16")
    posterior = ops.convert_to_numpy(head(pure_delay_scene(AZIMUTHS, 0.2)))
    assert posterior.dtype == "float32"
    assert {weight.dtype for weight in head.weights} == {"float32"}
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"form": "music"}, "form"),
        ({"padding": "reflect"}, "padding"),
        ({"microphone_spacing": 0.0}, "microphone_spacing"),
        ({"microphone_spacing": -0.2}, "microphone_spacing"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        DoAHead(**arguments)


@pytest.mark.backend_agnostic
def test_more_bands_than_bins_are_refused():
    with pytest.raises(ValueError, match="`num_bands`"):
        DoAHead(num_bands=16).build((None, None, 9, 4))
