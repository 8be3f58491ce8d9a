import numpy as np
import pytest
import scipy.signal

from keras_avssan.data.scenes.convolution import convolve

pytestmark = pytest.mark.backend_agnostic


@pytest.mark.parametrize(
    ("samples", "length", "audible"),
    [
        (1, 1, 1),
        (2, 5, 5),
        (97, 1, 1),
        (600, 600, 600),
        (5000, 31, 31),
        (4801, 900, 900),
        (2000, 1999, 1999),
        (300, 700, 700),
        # Responses that end in zeros, up to the edge of a part and beyond it.
        (4801, 800, 100),
        (4801, 800, 101),
        (4801, 803, 1),
        (4801, 5, 3),
        (4801, 800, 0),
    ],
)
def test_it_is_the_convolution_cut_to_the_length_of_the_sources(samples, length, audible):
    rng = np.random.default_rng(samples)
    dry = rng.standard_normal((2, samples)).astype("float32")
    rirs = rng.standard_normal((2, 2, length)).astype("float32")
    rirs[0, :, audible:] = 0
    rirs[1, :, audible // 2 :] = 0
    wet = convolve(dry, rirs)
    assert wet.dtype == np.float32 and wet.shape == (2, 2, samples)
    expected = scipy.signal.fftconvolve(dry[:, None].astype("float64"), rirs, axes=-1)
    atol = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(wet, expected[..., :samples], atol=atol)


def test_one_source_and_three_microphones():
    rng = np.random.default_rng(0)
    dry, rirs = rng.standard_normal((1, 900)), rng.standard_normal((1, 3, 80))
    wet = convolve(dry.astype("float32"), rirs.astype("float32"))
    for convolved, rir in zip(wet[0], rirs[0], strict=True):
        np.testing.assert_allclose(convolved, np.convolve(dry[0], rir)[:900], atol=1e-4)
