import numpy as np
import pytest
import scipy.signal

from keras_avssan.data.convolution import convolve

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("samples", "length"),
    [(1, 1), (2, 5), (97, 1), (600, 600), (5000, 31), (4801, 900), (2000, 1999), (300, 700)],
)
def test_it_is_the_convolution_cut_to_the_length_of_the_sources(samples, length):
    rng = np.random.default_rng(samples)
    dry = rng.standard_normal((3, 2, samples)).astype("float32")
    rirs = rng.standard_normal((3, 2, 2, length)).astype("float32")
    wet = convolve(dry, rirs)
    assert wet.dtype == np.float32 and wet.shape == (3, 2, 2, samples)
    expected = scipy.signal.fftconvolve(dry[:, :, None].astype("float64"), rirs, axes=-1)
    np.testing.assert_allclose(wet, expected[..., :samples], atol=1e-5 * np.abs(expected).max())


def test_one_source_and_three_microphones():
    rng = np.random.default_rng(0)
    dry, rirs = rng.standard_normal((1, 1, 900)), rng.standard_normal((1, 1, 3, 80))
    wet = convolve(dry.astype("float32"), rirs.astype("float32"))
    for heard, rir in zip(wet[0, 0], rirs[0, 0], strict=True):
        np.testing.assert_allclose(heard, np.convolve(dry[0, 0], rir)[:900], atol=1e-4)


def test_company_changes_nothing():
    rng = np.random.default_rng(1)
    dry = rng.standard_normal((7, 2, 3001)).astype("float32")
    rirs = rng.standard_normal((7, 2, 2, 400)).astype("float32")
    alone = [convolve(dry[i : i + 1], rirs[i : i + 1])[0] for i in range(7)]
    np.testing.assert_array_equal(convolve(dry, rirs), alone)
