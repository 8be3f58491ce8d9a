import keras
import numpy as np
import pytest
import scipy.signal
from keras import ops

from keras_avssan.layers import SceneRenderer

SNR = np.array([-10.0, 0.0, 7.5], "float32")


@pytest.fixture
def dry(rng):
    audio = rng.normal(size=(3, 2, 700)) * [[[0.3], [0.02]]]
    rirs = rng.normal(size=(3, 2, 2, 90)) * np.exp(-np.arange(90) / 20)
    return audio.astype("float32"), rirs.astype("float32")


def render(audio, rirs, snr, **arguments):
    return [ops.convert_to_numpy(x) for x in SceneRenderer(**arguments)(audio, rirs, snr)]


def test_each_microphone_records_the_convolution(dry):
    mix, target = render(*dry, SNR)
    assert mix.shape == target.shape == (3, 700, 2)
    for scene in range(3):
        for source, image in enumerate((target[scene], mix[scene] - target[scene])):
            wet = [
                scipy.signal.convolve(dry[0][scene, source], rir)[:700]
                for rir in dry[1][scene, source].astype("float64")
            ]
            wet = np.stack(wet, axis=-1)
            gain = np.sum(image * wet) / np.sum(wet**2)
            assert gain > 0
            np.testing.assert_allclose(image, gain * wet, atol=1e-6)


@pytest.mark.parametrize("mix_rms", [0.1, 0.5])
def test_snr_and_level_hold_over_both_microphones(dry, mix_rms):
    mix, target = (x.astype("float64") for x in render(*dry, SNR, mix_rms=mix_rms))
    np.testing.assert_allclose(np.sqrt(np.mean(mix**2, axis=(1, 2))), mix_rms, rtol=1e-5)
    ratio = np.sum(target**2, axis=(1, 2)) / np.sum((mix - target) ** 2, axis=(1, 2))
    np.testing.assert_allclose(10 * np.log10(ratio), SNR, atol=1e-3)


def test_responses_may_be_longer_than_the_scene(dry):
    audio, rirs = dry
    whole = render(audio, rirs, SNR)[0][:, :60]
    cut = render(audio[..., :60], rirs, SNR)[0]
    scale = np.sum(cut * whole, axis=(1, 2)) / np.sum(whole**2, axis=(1, 2))
    assert cut.shape == (3, 60, 2) and (scale > 0).all()


def test_an_inaudible_source_leaves_numbers_finite(dry):
    audio, rirs = dry
    for silent in (0, 1):
        muted = audio * (np.arange(2) != silent)[:, None].astype("float32")
        assert all(np.isfinite(x).all() for x in render(muted, rirs, SNR))


def test_float32_under_mixed_precision(dry):
    expected = render(*dry, SNR)
    mixed = render(*dry, SNR, dtype="mixed_bfloat16")
    assert [x.dtype for x in mixed] == [np.dtype("float32")] * 2
    np.testing.assert_array_equal(mixed[0], expected[0])


def test_shapes_are_known_beforehand():
    inputs = keras.Input((2, 400)), keras.Input((2, 2, 50)), keras.Input(())
    assert [x.shape for x in SceneRenderer()(*inputs)] == [(None, 400, 2)] * 2


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((3, 700), (3, 2, 2, 90)), "`dry_audio`"),
        (((3, 1, 700), (3, 2, 2, 90)), "`dry_audio`"),
        (((3, 2, 700), (3, 2, 90)), "`rirs`"),
        (((3, 2, 700), (3, 2, 4, 90)), "`rirs`"),
        (((3, 2, 700), (3, 2, 2, 90, 1)), "`rirs`"),
    ],
)
def test_wrong_shapes_are_refused(shapes, message):
    audio, rirs = (np.ones(shape, "float32") for shape in shapes)
    with pytest.raises(ValueError, match=message):
        SceneRenderer()(audio, rirs, SNR)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("mix_rms", [0.0, -1.0, float("nan")])
def test_a_wrong_level_is_refused(mix_rms):
    with pytest.raises(ValueError, match="`mix_rms`"):
        SceneRenderer(mix_rms=mix_rms)


def test_several_interferers_are_equally_loud(rng):
    audio = rng.normal(size=(3, 4, 700)).astype("float32") * [[[1], [0.1], [5], [0.3]]]
    rirs = (rng.normal(size=(3, 4, 2, 90)) * np.exp(-np.arange(90) / 20)).astype("float32")
    mix, target = (x.astype("float64") for x in render(audio.astype("float32"), rirs, SNR))
    np.testing.assert_allclose(np.sqrt(np.mean(mix**2, axis=(1, 2))), 0.1, rtol=1e-5)
    for scene in range(3):
        wet = np.array(
            [
                [scipy.signal.convolve(audio[scene, source], rir)[:700] for rir in pair]
                for source, pair in enumerate(rirs[scene].astype("float64"))
            ]
        )
        power = np.square(wet).sum(axis=(1, 2))
        gains = np.sqrt(power[0] / power) * 10 ** (-SNR[scene] / 20 * (np.arange(4) > 0))
        expected = np.einsum("s,smt->tm", gains, wet)
        scale = np.vdot(mix[scene], expected) / np.vdot(expected, expected)
        np.testing.assert_allclose(mix[scene], scale * expected, atol=1e-5)
        np.testing.assert_allclose(target[scene], scale * wet[0].T, atol=1e-5)
