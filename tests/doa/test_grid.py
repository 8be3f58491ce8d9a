"""Azimuth → label over 180 directions, and posterior → azimuth."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.doa import GRID_DEGREES, NUM_DIRECTIONS, decode_posterior, encode_azimuth


def numpy_label(azimuth, sigma, kind, normalize):
    ratio = np.abs(np.arange(1, 181) - np.asarray(azimuth).reshape(-1, 1)) / sigma
    label = np.exp(-ratio) if kind == "laplacian" else np.exp(-(ratio**2) / 2)
    return label / label.sum(axis=1, keepdims=True) if normalize else label


def encode(*args, **kwargs):
    return ops.convert_to_numpy(encode_azimuth(*args, **kwargs))


def test_index_k_is_the_direction_of_k_plus_one_degrees():
    assert NUM_DIRECTIONS == len(GRID_DEGREES) == 180
    np.testing.assert_array_equal(GRID_DEGREES, np.arange(180) + 1)
    np.testing.assert_array_equal(encode(GRID_DEGREES).argmax(axis=1), np.arange(180))


@pytest.mark.parametrize("kind", ["laplacian", "gaussian"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("sigma", [1.0, 5.0])
def test_label_is_the_printed_formula(kind, normalize, sigma):
    azimuth = np.array([0.0, 1.0, 33.4, 90.0, 180.0], "float32")
    label = encode(azimuth, sigma, kind, normalize)
    expected = numpy_label(azimuth, sigma, kind, normalize)
    np.testing.assert_allclose(label, expected, rtol=1e-5, atol=1e-6)
    if normalize:
        np.testing.assert_allclose(label.sum(axis=1), 1.0, rtol=1e-5)


def test_label_takes_a_list_or_a_column():
    column = encode(np.array([[20.0], [40.0]]))
    np.testing.assert_array_equal(encode([20.0, 40.0]), column)
    assert column.shape == (2, 180)
    assert column.dtype == "float32"


@pytest.mark.parametrize("azimuth", [-30.0, 0.0, 180.0, 250.0])
def test_label_of_an_extreme_azimuth_is_finite(azimuth):
    label = encode([azimuth], sigma=0.5, kind="gaussian")
    assert np.isfinite(label).all()
    assert label.min() >= 0


def test_decode_undoes_encode():
    decoded = ops.convert_to_numpy(decode_posterior(encode_azimuth(GRID_DEGREES)))
    np.testing.assert_array_equal(decoded, GRID_DEGREES)
    assert decoded.dtype == "float32"


def test_decode_rounds_to_the_nearest_degree():
    decoded = decode_posterior(encode_azimuth([0.0, 17.4, 17.6, 179.9]))
    np.testing.assert_array_equal(ops.convert_to_numpy(decoded), [1, 17, 18, 180])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": -1.0}, "sigma"),
        ({"sigma": float("nan")}, "sigma"),
        ({"kind": "box"}, "kind"),
    ],
)
def test_encode_names_the_bad_argument(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        encode_azimuth([90.0], **arguments)


def test_a_posterior_with_nan_has_no_direction():
    posterior = ops.convert_to_numpy(encode_azimuth([42.0, 42.0])).copy()
    posterior[1, 100] = np.nan
    decoded = ops.convert_to_numpy(decode_posterior(posterior))
    np.testing.assert_array_equal(decoded, [42.0, np.nan])
