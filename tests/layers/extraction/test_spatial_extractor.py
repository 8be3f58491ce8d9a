"""The mask of a direction: what holds by construction, and at the edges."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.layers import SpatialExtractor

BINS = 65


@pytest.fixture(scope="module")
def extractor(randomize):
    layer = SpatialExtractor(6)
    layer.build((None, None, BINS, 4))
    return randomize(layer)


def spectrograms(batch=2, frames=7, bins=BINS, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, frames, bins, 4)).astype("float32")


def run(layer, *inputs):
    return ops.convert_to_numpy(layer(*(ops.convert_to_tensor(one) for one in inputs)))


def degrees(*rows):
    return np.array(rows, "float32")


@pytest.mark.one_backend
def test_masks_are_of_their_own_scene_and_azimuth(extractor):
    mixture, azimuths = spectrograms(), degrees([20, 90, 150], [70, 10, 90])
    masks = run(extractor, mixture, azimuths)
    assert masks.shape == (2, 3, 7, BINS) and masks.dtype == "float32"
    assert masks.min() >= 0 and masks.max() <= 1 and np.ptp(masks) > 0.01
    for scene, azimuth in [(0, 0), (0, 2), (1, 1)]:
        alone = run(extractor, mixture[[scene]], azimuths[[scene]][:, [azimuth]])
        np.testing.assert_allclose(alone[0, 0], masks[scene, azimuth], atol=1e-5)
    order = [2, 0, 1]
    np.testing.assert_allclose(
        run(extractor, mixture, azimuths[:, order]), masks[:, order], atol=1e-5
    )
    assert np.abs(masks[:, 0] - masks[:, 1]).max() > 1e-3


@pytest.mark.parametrize(
    "frames", [1, *(pytest.param(count, marks=pytest.mark.one_backend) for count in (2, 40))]
)
def test_any_duration(frames, extractor):
    masks = run(extractor, spectrograms(1, frames), degrees([20, 90]))
    assert masks.shape == (1, 2, frames, BINS) and np.isfinite(masks).all()


@pytest.mark.one_backend
def test_inputs_mirror_with_the_microphones(extractor, mirrored):
    mixture, azimuths = spectrograms(), degrees([20, 90], [70, 10])
    rivals = degrees([[120, 50], [10, -1]], [[-1, -1], [80, 150]])
    first = extractor._maps(ops.convert_to_tensor(mixture), azimuths, None, rivals)
    there = ops.convert_to_numpy(rivals) >= 0
    opposite = np.where(there, 180 - ops.convert_to_numpy(rivals), -1.0).astype("float32")
    other = ops.convert_to_tensor(mirrored(mixture))
    swapped = extractor._maps(other, 180 - azimuths, None, ops.convert_to_tensor(opposite))
    # Level, in phase, quadrature, level difference, frequency, sine of the azimuth, rival.
    expected = ops.convert_to_numpy(first) * [1, 1, -1, -1, 1, 1, 1]
    np.testing.assert_allclose(ops.convert_to_numpy(swapped), expected, atol=2e-5)


def test_the_rival_that_fits_best_counts(extractor):
    mixture, azimuths = ops.convert_to_tensor(spectrograms()), degrees([20, 90], [70, 10])

    def last(rivals=None):
        maps = extractor._maps(mixture, azimuths, None, rivals)
        return ops.convert_to_numpy(maps)[..., -1]

    one, two = degrees([[120], [10]], [[60], [80]]), degrees([[50], [30]], [[5], [150]])
    both = ops.concatenate([one, two], axis=-1)
    np.testing.assert_allclose(last(both), np.maximum(last(one), last(two)), atol=1e-6)
    assert (last() == -1).all() and (last(-1.0 - 0.0 * one) == -1).all()
    in_phase = ops.convert_to_numpy(extractor._maps(mixture, one[..., 0], None))[..., 1]
    np.testing.assert_allclose(last(one), in_phase, atol=1e-5)


def test_a_plane_wave_from_the_azimuth_is_in_phase(extractor, far_sources):
    sources = far_sources([60.0])
    layer = SpatialExtractor(2)
    layer.build(sources.spectrogram.shape)
    mixture = ops.convert_to_tensor(sources.spectrogram)
    maps = ops.convert_to_numpy(layer._maps(mixture, degrees([60, 100]), None))
    np.testing.assert_allclose(maps[0, 0, ..., 1], 1.0, atol=1e-4)
    np.testing.assert_allclose(maps[0, 0, ..., 2], 0.0, atol=2e-3)
    assert maps[0, 1, ..., 1].mean() < 0.5


@pytest.mark.one_backend
def test_spacing_of_each_scene(extractor):
    mixture, azimuths = spectrograms(), degrees([20, 90], [70, 10])
    masks = run(extractor, mixture, azimuths, np.array([0.1, 0.3], "float32"))
    for scene, spacing in enumerate([0.1, 0.3]):
        other = SpatialExtractor(6, microphone_spacing=spacing)
        other.build((None, None, BINS, 4))
        other.set_weights(extractor.get_weights())
        alone = run(other, mixture[[scene]], azimuths[[scene]])
        np.testing.assert_allclose(masks[[scene]], alone, atol=1e-4)
    assert np.abs(masks - run(extractor, mixture, azimuths)).max() > 1e-3


def test_silence_is_finite_and_so_are_its_gradients(extractor, gradient):
    silence = np.zeros((1, 3, BINS, 4), "float32")

    def total(mixture):
        return ops.sum(extractor(mixture, ops.convert_to_tensor(degrees([40]))))

    assert np.isfinite(run(extractor, silence, degrees([40]))).all()
    assert np.isfinite(gradient(total, silence)).all()
    assert np.abs(gradient(total, spectrograms(1, 3))).max() > 0


@pytest.mark.one_backend
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_computes_in_float32(policy, extractor):
    layer = SpatialExtractor(6, dtype=policy)
    layer.build((None, None, BINS, 4))
    layer.set_weights(extractor.get_weights())
    assert {str(weight.dtype) for weight in layer.weights} == {"float32"}
    mixture, azimuths = spectrograms(), degrees([20], [70])
    np.testing.assert_array_equal(run(layer, mixture, azimuths), run(extractor, mixture, azimuths))


@pytest.mark.one_backend
@pytest.mark.parametrize("bins", [9, 33, 66, 513])
def test_numbers_of_bins(bins):
    masks = run(SpatialExtractor(2), spectrograms(1, 3, bins), degrees([90]))
    assert masks.shape == (1, 1, 3, bins)


@pytest.mark.backend_agnostic
def test_saved_model(extractor, tmp_path):
    inputs = keras.Input((None, BINS, 4)), keras.Input((2,))
    model = keras.Model(inputs, extractor(*inputs))
    model.save(tmp_path / "extractor.keras")
    loaded = keras.models.load_model(tmp_path / "extractor.keras")
    mixture, azimuths = spectrograms(), degrees([20, 90], [70, 10])
    arrays = [ops.convert_to_tensor(mixture), ops.convert_to_tensor(azimuths)]
    expected, found = (ops.convert_to_numpy(one(arrays)) for one in (model, loaded))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("bins", [None, 8])
def test_too_few_bins_are_refused(bins):
    with pytest.raises(ValueError, match=r"a known number of bins above 8\. Received: spectrogram"):
        SpatialExtractor().build((None, None, bins, 4))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, r"`filters` must be .*Received: filters=0"),
        ({"filters": 2.5}, r"`filters` must be an integer.*Received: filters=2.5"),
        ({"microphone_spacing": 0.0}, "`microphone_spacing` must be a positive distance in metres"),
        ({"sampling_rate": -1}, "`sampling_rate` must be a positive rate in hertz"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpatialExtractor(**arguments)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spectrogram": (2, 7, BINS, 3)}, rf"spectrogram.*\(any, any, {BINS}, 4\)"),
        ({"spectrogram": (2, 7, BINS - 8, 4)}, rf"spectrogram.*\(any, any, {BINS}, 4\)"),
        ({"azimuths": (2,)}, r"azimuths.*\(batch, K\).*azimuths.shape=\(2,\)"),
        ({"azimuths": (3, 2)}, r"azimuths.*here \(2, any\).*azimuths.shape=\(3, 2\)"),
        ({"microphone_spacing": (2, 1)}, r"microphone_spacing.*microphone_spacing.shape=\(2, 1\)"),
        ({"microphone_spacing": (3,)}, r"microphone_spacing.*here \(2\).*shape=\(3,\)"),
        ({"rivals": (2, 2)}, r"rivals.*\(batch, K, R\), here \(2, 2, any\).*rivals.shape=\(2, 2\)"),
        ({"rivals": (2, 3, 1)}, r"rivals.*rivals.shape=\(2, 3, 1\)"),
        ({"rivals": (3, 2, 1)}, r"rivals.*rivals.shape=\(3, 2, 1\)"),
    ],
)
def test_inputs_of_another_shape_are_refused(changes, message, extractor):
    shapes = {"spectrogram": (2, 7, BINS, 4), "azimuths": (2, 2), **changes}
    with pytest.raises(ValueError, match=f"`{message}"):
        extractor(**{name: ops.ones(shape) for name, shape in shapes.items()})


@pytest.mark.backend_agnostic
def test_a_spectrogram_of_one_scene_is_refused():
    with pytest.raises(ValueError, match=r"shape \(batch, T, F, 4\).*shape=\(7, 65, 4\)"):
        SpatialExtractor(2)(ops.ones((7, BINS, 4)), ops.ones((1, 1)))


@pytest.mark.one_backend
@pytest.mark.parametrize("rivals", [np.zeros((2, 3, 0)), np.full((2, 1, 2), -1.0)])
def test_rivals_of_all_masks_or_none(rivals, extractor):
    mixture, azimuths = spectrograms(), degrees([20, 90, 150], [70, 10, 90])
    masks = ops.convert_to_numpy(
        extractor(mixture, azimuths, rivals=ops.convert_to_tensor(rivals.astype("float32")))
    )
    np.testing.assert_allclose(masks, run(extractor, mixture, azimuths), atol=1e-6)
