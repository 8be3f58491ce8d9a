"""A network of pairs used with an array: each pair's own answer, fused, and what it refuses."""

import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan._internal.saved_files import DEFAULT_MODEL, packaged_presets
from keras_avssan.arrays import DirectionGrid, MicrophoneArray, fuse_posteriors
from keras_avssan.arrays.geometries import circle, unit_vector
from keras_avssan.classical import SRPPHAT
from keras_avssan.data import example_file
from keras_avssan.data.media.audio_io import read_audio
from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.models import MLPAVC, ArrayAnswer, ArrayLocalizer
from keras_avssan.simulation import simulate_rirs

SQUARE = MicrophoneArray(circle(4, 0.1, 45.0), "square")


@pytest.fixture(scope="module")
def with_candidates(make_candidates):
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)))
    model.backbone.fusion.evidence_scale.assign(200.0)
    return model


@pytest.fixture
def recordings(make_inputs):
    """Two recordings of four microphones."""
    return np.concatenate([make_inputs(2, seed=seed)["audio"] for seed in (0, 1)], axis=-1)


@pytest.fixture
def pictures(make_inputs):
    return (255 * make_inputs(2)["images"]).astype("uint8")


def of_pairs(model, recording, prompt, localizer):
    """Posteriors (P, 180) of the pairs, one call each."""
    return np.stack(
        [
            model._answer(recording[:, pair], prompt, None, None, float(spacing))[0]["doa"][0]
            for pair, spacing in zip(localizer.pairs, localizer.spacings, strict=True)
        ]
    )


def test_the_posteriors_of_pairs_are_those_of_single_calls(model, recordings, pictures):
    localizer = ArrayLocalizer(model, SQUARE)
    answer = localizer.answer(recordings, pictures)
    assert isinstance(answer, ArrayAnswer) and len(answer) == 2
    for row in range(2):
        expected = of_pairs(model, recordings[row], pictures[row], localizer)
        np.testing.assert_allclose(answer.pair_posteriors[row], expected, atol=1e-5)
    assert np.ptp(answer.pair_posteriors, axis=1).max() > 1e-4  # the pairs differ
    fused = fuse_posteriors(answer.pair_posteriors, SQUARE, localizer.pairs)
    np.testing.assert_array_equal(answer.posterior, fused)
    np.testing.assert_array_equal(answer.directions, fused.argmax(axis=1))
    near = np.abs((np.arange(360) - answer.directions[:, None] + 180) % 360 - 180) <= 5
    np.testing.assert_allclose(answer.confidence, (fused * near).sum(axis=1), rtol=1e-5)


@pytest.mark.one_backend
def test_prompts_and_recordings_share(model, recordings, pictures):
    """One prompt for several recordings, several prompts for one recording, as single calls."""
    localizer = ArrayLocalizer(model, SQUARE)
    each = [[localizer.answer(one, picture) for picture in pictures] for one in recordings]
    one_prompt = localizer.answer(recordings, pictures[0])
    one_recording = localizer.answer(recordings[0], list(pictures))
    for found, expected in (
        (one_prompt, [each[0][0], each[1][0]]),
        (one_recording, each[0]),
    ):
        np.testing.assert_allclose(
            found.pair_posteriors, [one.pair_posteriors[0] for one in expected], atol=1e-5
        )
        np.testing.assert_array_equal(found.directions, [one.directions[0] for one in expected])
    with pytest.raises(ValueError, match="one prompt a recording, or a single one"):
        localizer.answer(recordings, [*pictures, pictures[0]])


def test_localize_takes_an_array(model, recordings, pictures):
    answer = ArrayLocalizer(model, SQUARE).answer(recordings, pictures)
    theta = model.localize(recordings, pictures, array=SQUARE)
    assert theta.dtype == "float32" and theta.shape == (2,)
    np.testing.assert_array_equal(theta, answer.directions)
    theta, confidence = model.localize(recordings, pictures, return_confidence=True, array=SQUARE)
    np.testing.assert_allclose(confidence, answer.confidence, rtol=1e-5)
    more = np.concatenate([0.5 * recordings[..., :1] ** 2, recordings[..., ::-1]], axis=-1)
    turned = model.localize(more, pictures, channels=(4, 3, 2, 1), array=SQUARE)
    np.testing.assert_array_equal(turned, theta)
    with pytest.raises(ValueError, match="`microphone_spacing` must be `None` with `array`"):
        model.localize(recordings, pictures, microphone_spacing=0.1, array=SQUARE)
    with pytest.raises(TypeError, match="`array` must be a .*Received: array=list"):
        model.localize(recordings, pictures, array=[(0, 0), (0, 1)])


@pytest.mark.one_backend
def test_presence_is_the_mean_of_the_pairs(with_candidates, model, recordings, pictures):
    localizer = ArrayLocalizer(with_candidates, SQUARE)
    theta, confidence, presence = localizer.localize(
        recordings, pictures, return_confidence=True, return_presence=True
    )
    answer = localizer.answer(recordings, pictures)
    assert theta.shape == confidence.shape == presence.shape == (2,)
    each = [
        with_candidates.localize(
            recordings[0][:, pair],
            pictures[0],
            microphone_spacing=float(spacing),
            return_presence=True,
        )[1][0]
        for pair, spacing in zip(localizer.pairs, localizer.spacings, strict=True)
    ]
    np.testing.assert_allclose(answer.pair_presences[0], each, atol=1e-5)
    np.testing.assert_allclose(presence[0], np.mean(each), atol=1e-5)
    together = localizer.answer(recordings[0], list(pictures))  # share a run of the recording
    np.testing.assert_allclose(together.presence[0], presence[0], atol=1e-5)
    assert ArrayLocalizer(model, SQUARE).answer(recordings, pictures).presence is None
    with pytest.raises(ValueError, match="`return_presence` needs a network with candidates"):
        model.localize(recordings, pictures, return_presence=True, array=SQUARE)


class FromSRP:
    """In place of a network: the steered response of every pair, which needs no training."""

    def __init__(self, model, monkeypatch):
        monkeypatch.setattr(model, "_predict", self.predict, raising=False)
        self.batches = []

    def predict(self, inputs):
        self.batches.append(len(inputs["audio"]))
        posterior = SRPPHAT().predict_on_batch(
            {name: inputs[name] for name in ("audio", "microphone_spacing")}
        )["doa"]
        return {"doa": np.maximum(posterior - 1.3 / 180, 1e-6)}


def in_a_room(array, azimuths, dry, heights=0.0, seed=0):
    """Sources in a room, each of the same power: (samples, M)."""
    rng = np.random.default_rng(seed)
    centre = np.array([3.1, 2.4, 1.4])
    sources = centre + 1.5 * unit_vector(azimuths, heights)
    rirs = simulate_rirs((6.3, 5.1, 2.9), sources[None], array.placed(centre), t60=0.2)
    mixture = 0.0
    for sound, responses in zip(dry, ops.convert_to_numpy(rirs)[0], strict=True):
        wet = np.stack([np.convolve(sound, one)[: len(sound)] for one in responses], axis=1)
        mixture = mixture + 0.05 * wet / wet.std()
    return (mixture + 1e-3 * rng.normal(size=mixture.shape)).astype("float32")


@pytest.mark.one_backend
@pytest.mark.parametrize("preset", ["square", "respeaker_6"])
def test_front_and_back_are_resolved(make_tiny, pictures, monkeypatch, preset):
    array = SQUARE if preset == "square" else MicrophoneArray.from_preset(preset)
    model = make_tiny()
    network = FromSRP(model, monkeypatch)
    localizer = ArrayLocalizer(model, array)
    noise = np.random.default_rng(1).normal(size=(1, 8000))
    for azimuth in (25.0, 155.0, 205.0, 335.0):
        theta = localizer.localize(in_a_room(array, [azimuth], noise), pictures[0])
        assert abs((theta[0] - azimuth + 180) % 360 - 180) <= 4
    # All pairs of a recording at once.
    assert set(network.batches) == {len(localizer.pairs)}


@pytest.mark.one_backend
def test_elevations(make_tiny, pictures, monkeypatch):
    array = MicrophoneArray(0.1 * unit_vector([45, -45, 135, -135], [35, -35, -35, 35]))
    model = make_tiny()
    FromSRP(model, monkeypatch)
    grid = DirectionGrid(range(0, 360, 3), range(-60, 61, 3))
    localizer = ArrayLocalizer(model, array, grid)
    noise = np.random.default_rng(1).normal(size=(1, 8000))
    found, confidence = localizer.localize(
        in_a_room(array, [210.0], noise, [25.0]), pictures[0], return_confidence=True
    )
    assert found.shape == (1, 2) and confidence.shape == (1,)
    np.testing.assert_allclose(found[0], (210, 25), atol=6)


@pytest.mark.one_backend
@pytest.mark.skipif(
    DEFAULT_MODEL not in packaged_presets(), reason=f"needs the packaged {DEFAULT_MODEL}"
)
def test_a_trained_network_finds_prompted_sounds_all_around():
    """Two sounds that a single pair sees at the same angle, in front and behind."""
    model = AVSSAN.from_preset(DEFAULT_MODEL)
    dry = [read_audio(example_file(f"sources/{name}.ogg"), 16000) for name in ("dog", "rain")]
    length = min(map(len, dry))
    azimuths = [70.0, 290.0]  # mirror images for the pair on the x axis
    mixture = in_a_room(SQUARE, azimuths, [one[:length] for one in dry])
    prompts = [example_file("dog.jpg"), example_file("rain.jpg")]
    found, presence = model.localize(
        mixture, prompts, sampling_rate=16000, return_presence=True, array=SQUARE
    )
    assert np.abs((found - azimuths + 180) % 360 - 180).max() <= 10, found
    assert presence.shape == (2,) and presence.min() > 0.3


def test_pairs_are_those_that_the_network_takes(model):
    circle_6 = MicrophoneArray(circle(6, 0.15))
    assert len(ArrayLocalizer(model, circle_6).pairs) == 15
    wide = ArrayLocalizer(model, circle_6, min_spacing=0.2)
    assert (wide.spacings > 0.25).all() and len(wide.pairs) == 9
    narrow = ArrayLocalizer(model, circle_6, max_spacing=0.2)
    np.testing.assert_allclose(narrow.spacings, 0.15)
    # Too near for it by default, and taken where that is wanted.
    tiny = MicrophoneArray(circle(4, 0.01))
    with pytest.raises(ValueError, match=r"0.04 to 0.3 m apart.*Received: .*0.0141–0.02 m"):
        ArrayLocalizer(model, tiny)
    assert len(ArrayLocalizer(model, tiny, min_spacing=0.001).pairs) == 6


def test_all_pairs_too_wide_are_refused(model, recordings, pictures):
    wide = MicrophoneArray(10 * SQUARE.positions)
    with pytest.raises(
        ValueError,
        match=r"`array` must have pairs of microphones 0.04 to 0.3 m apart.*Received: array with "
        r"pairs 1.41–2 m apart",
    ):
        model.localize(recordings, pictures, array=wide)


@pytest.mark.one_backend
def test_networks_of_one_spacing_use_pairs_of_it(recordings):
    model = MLPAVC(prompt_dim=6)
    sides = MicrophoneArray(circle(4, 0.2 / np.sqrt(2), 45.0))
    localizer = ArrayLocalizer(model, sides)
    assert len(localizer.pairs) == 4
    embeddings = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    answer = localizer.answer(recordings, embeddings)
    for row in range(2):
        alone = [
            model._answer(recordings[row][:, pair], embeddings[row], None, None, None)[0]["doa"][0]
            for pair in localizer.pairs
        ]
        np.testing.assert_allclose(answer.pair_posteriors[row], alone, atol=1e-5)
    with pytest.raises(ValueError, match=r"0.199 to 0.201 m apart. This network takes no other"):
        ArrayLocalizer(model, MicrophoneArray(circle(4, 0.12)))


def test_copied_and_dead_channels(model, recordings, pictures):
    copied = recordings.copy()
    copied[1, :, 3] = 0.7 * copied[1, :, 1]
    with pytest.warns(UserWarning, match=r"`audio\[1\]`: channels 1 and 3 hold the same signal"):
        _, confidence = model.localize(copied, pictures[0], return_confidence=True, array=SQUARE)
    assert confidence[0] > 0 == confidence[1]
    copied[1, :, 3] = 0.0
    with pytest.raises(ValueError, match=r"all channels.*channel 3 is constant"):
        model.localize(copied, pictures[0], array=SQUARE)
    with pytest.raises(ValueError, match=r"must have 4 channel\(s\)"):
        model.localize(copied[..., :2], pictures[0], array=SQUARE)
    with pytest.raises(ValueError, match="`channels` must be 4 different channels"):
        model.localize(copied, pictures[0], channels=(0, 1), array=SQUARE)
    with pytest.raises(ValueError, match="`prompt` must be a picture"):
        model.localize(recordings, array=SQUARE)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"array": SQUARE.positions}, TypeError, "`array` must be a .*ndarray"),
        ({"model": SRPPHAT()}, TypeError, "`model` must be a `Localizer`; .*ArraySRPPHAT"),
        ({"grid": "all"}, TypeError, "`grid` must be a `DirectionGrid`"),
        ({"weights": [1, 2]}, ValueError, "`weights` must be a number for each of the 6 pairs"),
        ({"weights": [1, 0, 0, 0, 0, 0]}, ValueError, "along two level axes or more"),
        ({"min_spacing": -1}, ValueError, "`min_spacing` must be a positive distance"),
        ({"max_spacing": "wide"}, ValueError, "`max_spacing` must be a positive distance"),
        (
            {"array": MicrophoneArray([(0, 0), (0.1, 0), (0.2, 0)])},
            ValueError,
            "along two level axes or more",
        ),
    ],
)
@pytest.mark.backend_agnostic
def test_bad_arguments_are_refused(model, arguments, error, message):
    with pytest.raises(error, match=message):
        ArrayLocalizer(**{"model": model, "array": SQUARE, **arguments})


@pytest.mark.backend_agnostic
def test_it_says_what_it_is_in_one_line(model, recordings, pictures):
    localizer = ArrayLocalizer(model, SQUARE)
    assert repr(localizer) == "<ArrayLocalizer: AVSSAN, square, 6 pairs 0.141–0.2 m apart>"
    answer = localizer.answer(recordings, pictures)
    assert repr(answer).startswith("<ArrayAnswer: 2 directions, ") and "6 pairs" in repr(answer)
