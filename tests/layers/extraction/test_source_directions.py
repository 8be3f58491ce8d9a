"""The search for sources at once: its inputs against NumPy, and what holds by construction."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.doa.steering import direction_delays
from keras_avssan.layers import SourceDirections

BINS, FRAMES = 257, 12


def run(layer, *inputs):
    return ops.convert_to_numpy(layer(*(ops.convert_to_tensor(one) for one in inputs)))


def make(spacing=0.2):
    layer = SourceDirections(4, spacing)
    layer.build((None, None, BINS, 4))
    return layer


def test_inputs_are_responses_and_levels_of_bands(far_sources):
    layer = make()
    spectrogram = far_sources([50.0, 120.0], (0.5, 0.5), (1.0, 0.3)).spectrogram
    responses, levels = map(
        ops.convert_to_numpy, layer._maps(ops.convert_to_tensor(spectrogram), None)
    )
    first, second = (spectrogram[0, ..., i] + 1j * spectrogram[0, ..., i + 1] for i in (0, 2))
    cross = first * second.conj()
    hertz = np.linspace(0, 8000, BINS)
    wave = np.exp(-2j * np.pi * hertz[:, None] * direction_delays(0.2))
    bands = np.digitize(hertz, (300, 600, 1000, 1600, 2500, 3700, 5300))
    for band in range(8):
        inside = bands == band
        unit = (cross / np.abs(cross))[:, inside]
        np.testing.assert_allclose(
            responses[0, ..., band], (unit @ wave[inside]).real / inside.sum(), atol=2e-4
        )
        power = np.mean(0.5 * (np.abs(first) ** 2 + np.abs(second) ** 2)[:, inside], axis=1)
        np.testing.assert_allclose(levels[0, :, band], 0.25 * (np.log(power + 1e-5) + 4), atol=1e-4)


@pytest.mark.one_backend
def test_spacing_at_call_time(far_sources):
    spectrogram = far_sources([50.0], spacing=0.1).spectrogram
    layer, other = make(0.2), make(0.1)
    other.set_weights(layer.get_weights())
    found = run(layer, spectrogram, np.array([0.1], "float32"))
    np.testing.assert_allclose(found, run(other, spectrogram), atol=1e-4)
    assert np.abs(found - run(layer, spectrogram)).max() > 1e-3


@pytest.mark.one_backend
def test_scenes_of_a_batch_do_not_mix(far_sources):
    layer = make()
    scenes = [far_sources([azimuth]).spectrogram for azimuth in (30.0, 90.0)]
    both = run(layer, np.concatenate(scenes))
    for row, scene in zip(both, scenes, strict=True):
        np.testing.assert_allclose(row, run(layer, scene)[0], atol=1e-4)


@pytest.mark.parametrize(
    "frames", [1, *(pytest.param(count, marks=pytest.mark.one_backend) for count in (2, 9))]
)
def test_any_duration(frames, gradient):
    """Also of silence, whose gradients are finite."""
    layer = make()
    silence = np.zeros((1, frames, BINS, 4), "float32")
    assert run(layer, silence).shape == (1, 180)
    assert np.isfinite(gradient(lambda x: ops.sum(ops.square(layer(x))), silence)).all()


@pytest.mark.backend_agnostic
def test_few_bins_leave_no_band_empty():
    layer = SourceDirections(2)
    layer.build((None, None, 9, 4))
    assert all(low < high for low, high in layer._ranges) and layer._ranges[0][0] == 0
    assert run(layer, np.ones((1, 3, 9, 4), "float32")).shape == (1, 180)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "`filters` must be an integer of at least 1"),
        ({"microphone_spacing": -0.2}, "`microphone_spacing` must be a positive distance"),
        ({"sampling_rate": 0}, "`sampling_rate` must be a positive rate in hertz"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SourceDirections(**arguments)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 7, BINS, 2)], r"`spectrogram` must have shape \(batch, T, F, 4\)"),
        ([(2, 7, 33, 4)], r"`spectrogram` .*here \(any, any, 257, 4\)"),
        ([(2, 7, BINS, 4), (2, 1)], r"`microphone_spacing` .*shape=\(2, 1\)"),
    ],
)
def test_inputs_of_another_shape_are_refused(shapes, message):
    with pytest.raises(ValueError, match=message):
        make()(*(ops.ones(shape) for shape in shapes))
