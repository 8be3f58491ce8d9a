"""Candidate directions: sources that are certain to be found, and what holds by construction."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.doa.grid import GRID_DEGREES
from keras_avssan.layers import SourceCandidates, SourceDirections


def run(layer, *inputs):
    outputs = layer(*(ops.convert_to_tensor(one) for one in inputs))
    return [ops.convert_to_numpy(output) for output in outputs]


@pytest.mark.one_backend
@pytest.mark.parametrize("azimuth", [1, 37, 90, 152])
def test_a_source_alone_is_found_at_its_direction(azimuth, far_sources):
    sources = far_sources([azimuth])
    azimuths, masks, posteriors, _ = run(SourceCandidates(2, 3), sources.spectrogram)
    assert azimuths[0, 0] == azimuth
    assert masks.shape == (1, 2, *sources.spectrogram.shape[1:3])
    np.testing.assert_allclose(posteriors.sum(axis=-1), 1.0, atol=1e-5)
    for found, posterior in zip(azimuths[0], posteriors[0], strict=True):
        assert posterior[np.abs(GRID_DEGREES - found) > 12].max() < 1e-30
    if azimuth > 1:  # delays hardly change along the axis
        assert GRID_DEGREES[posteriors[0, 0].argmax()] == azimuth


@pytest.mark.one_backend
def test_a_weak_source_is_found_beside_a_strong_one(far_sources, ideal_masks):
    """A source 20 dB below another, in a twentieth of the bins, and 20 degrees away from it."""
    sources = far_sources([80.0, 100.0], (0.95, 0.05), (1.0, 0.1))
    ideal_masks(sources)
    azimuths, masks, posteriors, _ = run(SourceCandidates(2, 3), sources.spectrogram)
    assert azimuths[0].tolist() == [80.0, 100.0]
    np.testing.assert_array_equal(masks[0], sources.masks)
    assert GRID_DEGREES[posteriors[0].argmax(axis=-1)].tolist() == [80.0, 100.0]


def test_what_a_mask_claims_does_not_count_again(far_sources, ideal_masks, monkeypatch):
    """Without masks the strong source hides the weak one: its side lobes are stronger."""
    sources = far_sources([60.0, 130.0], (0.95, 0.05))
    ideal_masks(sources)
    assert run(SourceCandidates(2, 3), sources.spectrogram)[0].tolist() == [[60.0, 130.0]]
    monkeypatch.setattr(sources, "masks", 0.0 * sources.masks)
    assert abs(run(SourceCandidates(2, 3), sources.spectrogram)[0][0, 1] - 130.0) > 20


def test_shared_masks_divide_what_several_claim(far_sources):
    spectrogram = far_sources([60.0, 130.0], (0.6, 0.4)).spectrogram
    separate = SourceCandidates(3, 3)
    found, masks, posteriors, _ = run(separate, spectrogram)
    shared = SourceCandidates.from_config({**separate.get_config(), "masks": "shared"})
    shared.build(spectrogram.shape)
    shared.set_weights(separate.get_weights())
    same, parts, others, _ = run(shared, spectrogram)
    np.testing.assert_array_equal(same, found)
    whole = np.sqrt(np.sum(masks**2, axis=1, keepdims=True) + 1e-4)
    np.testing.assert_allclose(parts, masks**2 / whole, atol=1e-5)
    assert (parts <= masks + 1e-6).all() and (parts < 0.7 * masks).any()
    assert np.abs(others - posteriors).max() > 1e-4  # they are localised in the parts
    known = shared.extract(ops.convert_to_tensor(spectrogram), ops.convert_to_tensor(found))
    np.testing.assert_allclose(ops.convert_to_numpy(known), parts, atol=1e-5)


def test_equal_posteriors_have_equal_peaks(far_sources):
    spectrogram = far_sources([60.0, 130.0], (0.9, 0.1)).spectrogram
    found, masks, posteriors, _ = run(SourceCandidates(3, 3, posteriors="equal"), spectrogram)
    np.testing.assert_array_equal(found, GRID_DEGREES[posteriors.argmax(axis=-1)])
    distance = np.abs(GRID_DEGREES - found[..., None])
    expected = np.where(distance <= 12, np.exp(-0.5 * (distance / 2.5) ** 2), 0.0)
    expected /= expected.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(posteriors, expected, atol=1e-6)


def test_layers_stored_before_keep_masks_and_posteriors():
    config = SourceCandidates(2, 3).get_config()
    del config["masks"], config["posteriors"]
    layer = SourceCandidates.from_config(config)
    assert (layer.masks, layer.posteriors) == ("separate", "steered")


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("argument", [{"masks": "both"}, {"posteriors": None}, {"search": 1}])
def test_unknown_forms_are_refused(argument):
    ((name, value),) = argument.items()
    with pytest.raises(ValueError, match=f"`{name}` must be one of.*Received: {name}={value!r}"):
        SourceCandidates(2, 3, **argument)


@pytest.mark.one_backend
def test_candidates_keep_apart(far_sources):
    azimuths, *_ = run(SourceCandidates(8, 2), far_sources([60.0]).spectrogram)
    assert len(set(azimuths[0].tolist())) == 8
    assert np.diff(np.sort(azimuths[0])).min() > 10


def test_candidates_mirror_with_the_microphones(far_sources, ideal_masks, mirrored):
    sources = far_sources([40.0, 110.0], (0.7, 0.3), (1.0, 0.5))
    ideal_masks(sources)
    layer = SourceCandidates(2, 3)
    azimuths, _, posteriors, _ = run(layer, sources.spectrogram)
    sources.azimuths = 180 - sources.azimuths
    swapped, _, others, _ = run(layer, mirrored(sources.spectrogram))
    np.testing.assert_array_equal(swapped, 180 - azimuths)
    np.testing.assert_allclose(others[..., :179], posteriors[..., 178::-1], atol=1e-4)


@pytest.mark.one_backend
def test_spacing_at_call_time(far_sources):
    sources = far_sources([50.0], spacing=0.1)
    layer = SourceCandidates(1, 3)
    assert abs(run(layer, sources.spectrogram)[0][0, 0] - 50.0) > 5
    found = run(layer, sources.spectrogram, np.array([0.1], "float32"))
    other = SourceCandidates(1, 3, microphone_spacing=0.1)
    other.build(sources.spectrogram.shape)
    other.set_weights(layer.get_weights())
    assert found[0][0, 0] == 50.0
    for one, two in zip(found, run(other, sources.spectrogram), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_silence_is_finite_and_so_are_its_gradients(gradient):
    layer = SourceCandidates(2, 3)
    silence = np.zeros((1, 3, 33, 4), "float32")
    assert all(np.isfinite(output).all() for output in run(layer, silence))

    def total(spectrogram):
        _, masks, posteriors, _ = layer(spectrogram)
        return ops.sum(masks) + ops.sum(ops.square(posteriors))

    assert np.isfinite(gradient(total, silence)).all()


@pytest.mark.one_backend
@pytest.mark.parametrize("frames", [1, 60])
def test_any_duration(frames):
    spectrogram = np.random.default_rng(0).normal(size=(2, frames, 33, 4)).astype("float32")
    azimuths, masks, posteriors, _ = run(SourceCandidates(2, 3), spectrogram)
    assert azimuths.shape == (2, 2) and masks.shape == (2, 2, frames, 33)
    assert np.isfinite(posteriors).all()


@pytest.fixture
def known_logits(monkeypatch):
    """`known_logits({azimuth: logit})`: every learned search finds these, and -9 elsewhere."""

    def install(peaks):
        logits = np.full((1, 180), -9.0, "float32")
        for azimuth, logit in peaks.items():
            logits[0, azimuth - 1] = logit
        monkeypatch.setattr(
            SourceDirections, "call", lambda *args, **kwargs: ops.convert_to_tensor(logits)
        )

    return install


def test_the_learned_search_takes_the_greatest_logits(far_sources, ideal_masks, known_logits):
    """They are apart, each with its log probability; masks and posteriors are as before."""
    sources = far_sources([80.0, 100.0], (0.7, 0.3))
    ideal_masks(sources)
    known_logits({100: 2.0, 104: 1.5, 80: 1.0, 30: 0.0})
    azimuths, masks, posteriors, strengths = run(
        SourceCandidates(3, 3, search="learned"), sources.spectrogram
    )
    assert azimuths[0].tolist() == [100.0, 80.0, 30.0]
    np.testing.assert_allclose(strengths[0], -np.log1p(np.exp([-2.0, -1.0, 0.0])), atol=1e-5)
    np.testing.assert_array_equal(masks[0, :2], sources.masks[::-1])
    assert GRID_DEGREES[posteriors[0, :2].argmax(axis=-1)].tolist() == [100.0, 80.0]


@pytest.mark.one_backend
def test_the_steered_search_has_no_strengths(far_sources):
    *_, strengths = run(SourceCandidates(2, 3), far_sources([60.0]).spectrogram)
    np.testing.assert_array_equal(strengths, np.zeros((1, 2)))


@pytest.mark.backend_agnostic
def test_an_extractor_that_was_built_alone_keeps_its_weights():
    layer = SourceCandidates(2, 3)
    layer.extractor.build((None, None, 33, 4))
    before = layer.extractor.get_weights()
    run(layer, np.ones((1, 3, 33, 4), "float32"))
    for one, other in zip(layer.extractor.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_candidates": 0}, "`num_candidates` must be an integer of at least 1"),
        ({"num_candidates": 9}, "from 1 to 8. Received: num_candidates=9"),
        ({"num_candidates": 1.5}, "`num_candidates` must be an integer"),
        ({"filters": 0}, "`filters` must be an integer of at least 1"),
        ({"microphone_spacing": -0.2}, "`microphone_spacing` must be a positive distance"),
        ({"search": "found"}, r"`search` must be one of .*Received: search='found'"),
        ({"sampling_rate": 0}, "`sampling_rate` must be a positive rate in hertz"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SourceCandidates(**arguments)


@pytest.mark.backend_agnostic
def test_whole_numbers_of_another_type_are_integers():
    layer = SourceCandidates(2.0, 3.0)
    config = layer.get_config()
    assert [type(config[name]) for name in ("num_candidates", "filters")] == [int, int]
    assert layer.compute_output_shape((1, 4, 65, 4))[0] == (1, 2)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 7, 65, 2)], r"`spectrogram` must have shape \(batch, T, F, 4\)"),
        ([(2, 7, 33, 4)], r"`spectrogram` .*here \(any, any, 65, 4\)"),
        ([(2, 7, 65, 4), (2, 1)], r"`microphone_spacing` .*shape=\(2, 1\)"),
    ],
)
def test_inputs_of_another_shape_are_refused(shapes, message):
    layer = SourceCandidates(2, 2)
    layer.build((None, None, 65, 4))
    with pytest.raises(ValueError, match=message):
        layer(*(keras.ops.ones(shape) for shape in shapes))


@pytest.mark.backend_agnostic
def test_unknown_bins_are_refused():
    with pytest.raises(ValueError, match="a known number of bins above 8"):
        SourceCandidates().build((None, None, None, 4))


@pytest.mark.parametrize("count", [1, 3])
def test_masks_of_given_directions_are_those_of_the_call(far_sources, count):
    spectrogram = far_sources([60.0, 130.0], (0.6, 0.4)).spectrogram
    layer = SourceCandidates(count, 3, masks="shared")
    found, masks, _, _ = run(layer, spectrogram)
    for azimuths in (found, found.astype("float64"), found.tolist(), found.astype(int)):
        again = ops.convert_to_numpy(layer.extract(spectrogram, azimuths))
        np.testing.assert_allclose(again, masks, atol=1e-6)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("shape", [(2,), (3, 2), (2, 1, 1)])
def test_directions_of_another_shape_are_refused(shape):
    layer = SourceCandidates(2, 2)
    layer.build((None, None, 65, 4))
    with pytest.raises(ValueError, match=r"`azimuths` must have shape \(batch, K\), here \(2, any"):
        layer.extract(np.ones((2, 7, 65, 4), "float32"), np.full(shape, 30.0))
