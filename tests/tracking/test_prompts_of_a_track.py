"""`track` with a list of prompts: the tracks of single calls, from one pass over the recording."""

import numpy as np
import pytest

from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.models import MLPAVC, SELDNet
from keras_avssan.tracking import Track

pytestmark = pytest.mark.backend_agnostic

RATE = 16000
WINDOWS = {"window": 0.5, "hop": 0.25}
PARTS = ("stft", "spatial_features", "audio_encoder", "candidates")
FIELDS = ("azimuth", "spread", "posteriors", "raw_posteriors", "times")


@pytest.fixture(scope="module")
def pictures():
    return list(np.random.default_rng(0).uniform(size=(3, 16, 16, 3)))


@pytest.fixture
def recording(moving):
    audio = moving[: 2 * RATE].copy()
    audio[8000:20000] = 0.0
    return audio


def check(model, recording, prompts, **arguments):
    """Tracks of a list of prompts, which are those of single calls."""
    found = model.track(recording, prompts, **WINDOWS, **arguments)
    assert isinstance(found, list) and len(found) == len(prompts)
    for track, prompt in zip(found, prompts, strict=True):
        alone = model.track(recording, prompt, **WINDOWS, **arguments)
        assert isinstance(track, Track) and isinstance(alone, Track)
        for name in FIELDS:
            np.testing.assert_allclose(
                getattr(track, name), getattr(alone, name), rtol=1e-5, atol=1e-6, err_msg=name
            )
        assert track.gaps.tolist() == alone.gaps.tolist() and "silent" in track.gaps
        assert (track.presence is None) == (alone.presence is None)
        if track.presence is not None:
            np.testing.assert_allclose(track.presence, alone.presence, atol=1e-6)
        assert track.smoothing == alone.smoothing
    return found


@pytest.mark.parametrize("smoothing", [None, "online", "offline"])
def test_tracks_are_those_of_single_calls(make_small_model, recording, pictures, smoothing):
    model = make_small_model(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    bark = 0.1 * np.random.default_rng(1).normal(size=8000)
    embedding = np.random.default_rng(2).normal(size=8)
    found = check(model, recording, [pictures[0], bark, embedding], smoothing=smoothing)
    assert not np.allclose(found[0].raw_posteriors, found[1].raw_posteriors, atol=1e-6)


def test_networks_with_candidates(make_candidates, recording, pictures):
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    check(model, recording, pictures[:2], smoothing="online", min_presence=None)


def test_baselines_and_networks_without_a_prompt(recording):
    rng = np.random.default_rng(0)
    prompted = MLPAVC(prompt_dim=8)
    check(prompted, recording, list(rng.normal(size=(2, 8)).astype("float32")))
    blind = SELDNet()
    first, second = check(blind, recording, [None, "dog"])
    np.testing.assert_array_equal(first.posteriors, second.posteriors)


def count_rows(model, monkeypatch):
    """Rows that pass the layers that depend on the recording alone, by the layer's name."""
    model.compile(run_eagerly=True)
    rows = dict.fromkeys(PARTS, 0)
    for part in PARTS:
        layer = getattr(model.backbone, part, None)
        if layer is None:
            continue
        call = layer.call

        def count(x, *more, call=call, part=part, **named):
            rows[part] += len(x)
            return call(x, *more, **named)

        monkeypatch.setattr(layer, "call", count)
    return rows


@pytest.mark.parametrize("number", [2, 3])
def test_the_recording_runs_once_for_all_prompts(
    make_small_model, make_candidates, recording, pictures, monkeypatch, number
):
    for make in (make_small_model, make_candidates):
        model = make(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
        rows = count_rows(model, monkeypatch)
        found = model.track(recording, pictures[:number], **WINDOWS)
        usable = sum(gap in ("", "absent") for gap in found[0].gaps)
        assert 0 < usable < len(found[0])
        of_the_recording = {part: count for part, count in rows.items() if count}
        assert set(of_the_recording.values()) == {usable}, rows
        assert {"stft", "spatial_features", "audio_encoder"} <= set(of_the_recording)


def test_a_list_gives_a_list(make_small_model, recording, pictures):
    model = make_small_model(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    (alone,) = model.track(recording, (pictures[0],), **WINDOWS)
    expected = model.track(recording, pictures[0], **WINDOWS)
    np.testing.assert_array_equal(alone.posteriors, expected.posteriors)
    with pytest.raises(ValueError, match=r"at least one prompt. Received: prompt=\[\]"):
        model.track(recording, [], **WINDOWS)
    with pytest.raises(ValueError, match="a list of single ones; .*Received: 3 prompts in one"):
        model.track(recording, np.stack(pictures), **WINDOWS)


def test_all_prompts_are_read_before_the_recording(make_small_model, pictures, tmp_path):
    """A prompt that cannot be read is refused, whether there is a recording or not."""
    model = make_small_model(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    with pytest.raises(ValueError, match="Words as `prompt` need .*Received: prompt='a dog'"):
        model.track(tmp_path / "none.wav", [pictures[0], "a dog"], **WINDOWS)
