"""Directions without a prompt, from candidates and from the steered response, and their names."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan._internal.saved_files import DEFAULT_MODEL, packaged_presets
from keras_avssan.data import example_file
from keras_avssan.layers import SourceCandidates
from keras_avssan.models import GCCMLP, Source
from keras_avssan.models.localization import sources
from keras_avssan.simulation import simulate_rirs

CENTRE = np.array([3.1, 2.2, 1.4])


def in_a_room(azimuths, gains, seed=0):
    """Noise from several directions in a room, each in bursts of its own: (samples, 2)."""
    rng = np.random.default_rng(seed)
    microphones = CENTRE + np.array([[0.1, 0, 0], [-0.1, 0, 0]])
    mixture = np.zeros((16000, 2), "float32")
    for azimuth, gain in zip(azimuths, gains, strict=True):
        angle = np.deg2rad(azimuth)
        position = CENTRE + 1.2 * np.array([np.cos(angle), np.sin(angle), 0.0])
        rirs = simulate_rirs((6.3, 5.1, 2.9), position, microphones, t60=0.2, length=3200)
        dry = rng.normal(size=16000) * np.repeat(rng.uniform(0.0, 1.0, 20), 800)
        for channel, rir in enumerate(ops.convert_to_numpy(rirs)[0]):
            mixture[:, channel] += gain * np.convolve(dry, rir)[:16000]
    return mixture


@pytest.fixture(scope="module")
def with_candidates(make_candidates):
    keras.utils.set_random_seed(2)
    return make_candidates(image_encoder=None, prompt_dim=6, num_candidates=3)


@pytest.fixture(scope="module")
def plain(make_small_model):
    return make_small_model(image_encoder=None, prompt_dim=6)


@pytest.mark.one_backend
def test_peaks_of_the_steered_response(plain):
    found = plain.sources(in_a_room([50, 120], [1.0, 0.7]), max_sources=2)
    assert [type(source) for source in found] == [Source, Source]
    azimuths = [source.azimuth for source in found]
    np.testing.assert_allclose(azimuths, [50, 120], atol=5)
    assert found[0].strength == 1.0 > found[1].strength > 0.3
    assert all(source.name is source.presence is None for source in found)
    (strongest,) = plain.sources(in_a_room([50, 120], [0.6, 1.0]), max_sources=1)
    assert abs(strongest.azimuth - 120) <= 5


@pytest.mark.one_backend
def test_the_spacing_counts(plain, delayed_noise):
    (recording,) = delayed_noise([60.0])
    (source,) = plain.sources(recording, 1, microphone_spacing=0.4)
    # The same delay at twice the distance: half the cosine.
    assert abs(source.azimuth - np.rad2deg(np.arccos(0.25))) <= 1


@pytest.mark.one_backend
def test_candidates_and_the_power_of_their_masks(with_candidates):
    recording = in_a_room([50, 120], [1.0, 0.7])
    found = with_candidates.sources(recording)
    backbone = with_candidates.backbone
    spectrogram = backbone.stft(backbone.level(recording[None]))
    azimuths, masks, *_ = map(ops.convert_to_numpy, backbone.candidates(spectrogram))
    power = np.square(ops.convert_to_numpy(spectrogram)[0]).sum(axis=-1)
    kept = np.array([(mask**2 * power).sum() for mask in masks[0]])
    order = np.argsort(-kept)
    np.testing.assert_array_equal([source.azimuth for source in found], azimuths[0][order])
    np.testing.assert_allclose(
        [source.strength for source in found], kept[order] / kept.max(), rtol=1e-3
    )
    assert min(abs(source.azimuth - 50) for source in found) <= 5
    assert with_candidates.sources(recording, max_sources=1) == found[:1]


@pytest.mark.one_backend
def test_the_probability_of_a_source_counts(with_candidates, monkeypatch):
    inputs = {"audio": ops.convert_to_tensor(in_a_room([50, 120], [1.0, 0.7])[None])}
    backbone = with_candidates.backbone
    call, less = SourceCandidates.call, np.log([[1.0, 0.5, 0.1]]).astype("float32")

    def with_strengths(*args, **kwargs):
        return *call(*args, **kwargs)[:3], ops.convert_to_tensor(less)

    before = ops.convert_to_numpy(backbone.list_candidates(inputs)["power"])
    monkeypatch.setattr(SourceCandidates, "call", with_strengths)
    after = ops.convert_to_numpy(backbone.list_candidates(inputs)["power"])
    np.testing.assert_allclose(after, [[1.0, 0.5, 0.1]] * before, rtol=1e-4)


def test_a_prompt_names_the_source_that_it_points_at(with_candidates, monkeypatch):
    recording = in_a_room([50, 120], [1.0, 0.7])
    azimuths = [source.azimuth for source in with_candidates.sources(recording)]
    part = sources.network_part(with_candidates, "list_candidates", scored=False)
    (order,) = np.asarray(part.predict_on_batch({"audio": recording[None]})["azimuths"])
    rows = [list(order).index(azimuth) for azimuth in azimuths]  # of the strongest first
    weights, evidence = np.zeros((2, 3, 3))
    for prompt, (source, fit) in enumerate([(1, 0.4), (1, 0.6), (0, 0.3)]):
        weights[prompt, rows[source]], evidence[prompt, rows[source]] = 1.0, fit
    outputs = {
        "doa": np.ones((3, 180)) / 180,
        "presence": np.array([0.2, 0.8, 0.1], "float32"),
        "candidate_weights": weights,
        "candidate_evidence": evidence,
    }
    asked = []

    def answer_each(model, audio, prompts, spacing):
        asked.extend(prompts)
        return outputs

    monkeypatch.setattr(sources, "answer_each", answer_each)
    vectors = np.eye(3, 6)
    found = with_candidates.sources(recording, prompts=dict(zip("abc", vectors, strict=True)))
    names = [(source.name, source.presence) for source in found]
    assert names == [("c", pytest.approx(0.1)), ("b", pytest.approx(0.8)), (None, None)]
    np.testing.assert_array_equal([one["prompt_embedding"][0] for one in asked], vectors)


@pytest.mark.one_backend
def test_names_from_the_network_itself(with_candidates, plain):
    """Each prompt names at most one source, of networks with candidates and without."""
    recording = in_a_room([50, 120], [1.0, 0.7])
    prompts = dict(zip("abcd", np.random.default_rng(0).normal(size=(4, 6)), strict=True))
    for model, gives_presence in ((with_candidates, True), (plain, False)):
        found = model.sources(recording, prompts=prompts)
        names = [source.name for source in found if source.name]
        assert names and len(set(names)) == len(names) and set(names) <= set(prompts)
        for source in found:
            assert (source.presence is not None) == (gives_presence and source.name is not None)


def test_a_posterior_names_the_peak_that_it_is_near():
    posterior = np.zeros((3, 180), "float32")
    posterior[0, 60:70], posterior[1, 55], posterior[2, 10] = 0.1, 1.0, 1.0
    shares = sources._shares(posterior, np.array([60.0, 120.0]))
    np.testing.assert_allclose(shares, [[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], atol=1e-6)


@pytest.mark.one_backend
def test_classes_of_audioset_where_the_classifier_is_trained(with_candidates):
    recording = in_a_room([50, 120], [1.0, 0.7])
    encoder = with_candidates.backbone.audio_encoder
    assert {source.name for source in with_candidates.sources(recording)} == {None}
    bias = np.zeros(521, "float32")
    bias[74] = 50.0
    encoder.classifier.bias.assign(bias)
    found = with_candidates.sources(recording)
    encoder.classifier.bias.assign(0 * bias)
    assert {source.name for source in found} == {encoder.class_names[74]}
    np.testing.assert_allclose([source.presence for source in found], 1.0, atol=1e-4)


@pytest.mark.backend_agnostic
def test_a_network_without_prompts_lists_directions():
    model = GCCMLP()
    (source,) = model.sources(in_a_room([50], [1.0]), max_sources=1)
    assert abs(source.azimuth - 50) <= 5
    with pytest.raises(ValueError, match="`prompts` must be `None`: GCCMLP takes none"):
        model.sources(in_a_room([50], [1.0]), prompts={"dog": "dog.jpg"})


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_sources": 0}, ValueError, "`max_sources` must be an integer of at least 1"),
        ({"prompts": {}}, ValueError, "`prompts` must hold at least one"),
        ({"prompts": []}, ValueError, "`prompts` must hold at least one"),
        ({"prompts": [3]}, TypeError, "`prompts` must be a string or a list"),
        ({"prompts": ["dog"]}, ValueError, "Words as `prompt` need"),
        ({"audio": np.ones((2, 16000, 2))}, ValueError, "silent"),
        ({"microphone_spacing": -1}, ValueError, "`microphone_spacing` must be a positive"),
    ],
)
def test_wrong_arguments_are_refused(plain, arguments, error, message):
    with pytest.raises(error, match=message):
        plain.sources(**{"audio": in_a_room([50], [1.0]), **arguments})


@pytest.mark.backend_agnostic
def test_one_recording(plain):
    several = np.stack([in_a_room([50], [1.0])] * 2)
    with pytest.raises(ValueError, match="`audio` must be one recording. Received: 2"):
        plain.sources(several)
    plain = plain.from_config(plain.get_config())
    plain.preprocessor = None
    with pytest.raises(ValueError, match="`preprocessor` must be set"):
        plain.sources(several[0])


@pytest.fixture(scope="module")
def packaged():
    if DEFAULT_MODEL not in packaged_presets():
        pytest.skip(f"needs the packaged {DEFAULT_MODEL}")
    return AVSSAN.from_preset(DEFAULT_MODEL)


@pytest.mark.one_backend
def test_real_sounds_of_the_examples(packaged):
    found = packaged.sources(example_file("dog_and_rain.flac"), prompts=["dog", "rain"])
    named = {source.name: source for source in found if source.name}
    assert set(named) == {"dog", "rain"}
    assert abs(named["dog"].azimuth - 50) <= 10 and abs(named["rain"].azimuth - 125) <= 10
    assert named["dog"].presence > 0.5
