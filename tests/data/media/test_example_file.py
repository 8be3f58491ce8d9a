"""The recordings and pictures that are installed with the library."""

import importlib.util
import json
import pathlib
import re

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.data import example_file, read_audio
from keras_avssan.data.media.example_file import EXAMPLES

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).parents[3]
KNOWN = json.loads((EXAMPLES / "examples.json").read_text("utf-8"))
FILES = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file()}


def test_paths_and_names():
    assert pathlib.Path(example_file("dog.jpg")) == EXAMPLES / "dog.jpg"
    assert pathlib.Path(example_file("sources/dog.ogg")) == EXAMPLES / "sources" / "dog.ogg"
    for name in ("cat.jpg", "sources", "../py.typed", "/etc/passwd"):
        with pytest.raises(ValueError, match=r"`name` must be one of CREDITS.md, .*dog_and_rain"):
            example_file(name)


def test_everything_that_is_named_is_there_and_small():
    named = {"CREDITS.md", "examples.json", *KNOWN}
    for scene in KNOWN.values():
        for source in scene["sources"]:
            named |= {source["picture"], source["recording"], f"sources/{source['class']}.ogg"}
    assert named == FILES
    assert sum((EXAMPLES / name).stat().st_size for name in FILES) < 1.5e6


def test_every_recording_and_picture_is_credited_under_a_licence_that_permits_it():
    text = (EXAMPLES / "CREDITS.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\S+)` \| .* \| (.+?) \|$", text, re.M))
    assert set(rows) == {name for name in FILES if name.endswith((".ogg", ".jpg"))}
    assert set(rows.values()) <= {"CC0", "CC BY", "CC BY 4.0", "public domain"}


def test_prompts_are_other_recordings_than_the_sources():
    clips = re.findall(r"\| (4-\d+)-\w \|", (EXAMPLES / "CREDITS.md").read_text("utf-8"))
    assert len(clips) == len(set(clips)) == 12  # the number is that of the recording on Freesound
    for name in sorted(FILES):
        if name.endswith(".ogg"):
            audio = read_audio(EXAMPLES / name)
            assert len(audio) >= 2 * 16000 and np.abs(audio).max() > 0.5
        elif name.endswith(".jpg"):
            with Image.open(EXAMPLES / name) as picture:
                assert picture.mode == "RGB" and max(picture.size) == 256


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_examples", ROOT / "docs/make_examples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_renders_the_mixtures_and_their_truth(script, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["make_examples.py", "--out", str(tmp_path)])
    script.main()
    assert {path.name for path in tmp_path.iterdir()} == {"examples.json", *KNOWN}
    assert json.loads((tmp_path / "examples.json").read_text("utf-8")) == KNOWN
    for name in KNOWN:
        stored, rate = soundfile.read(EXAMPLES / name, dtype="int16")
        again, _ = soundfile.read(tmp_path / name, dtype="int16")
        assert rate == 16000 and stored.shape == again.shape == (64000, 2)
        # Backends round differently: by one step of 16 bits.
        assert np.abs(stored.astype(int) - again).max() <= 1


def test_each_source_alone_arrives_from_the_azimuth_that_is_stored(script):
    """By the peak of GCC-PHAT, within what one sixteenth of a sample and reflections change."""
    for (sources, *place), scene in zip(script.SCENES, KNOWN.values(), strict=True):
        for source, stored in zip(sources, scene["sources"], strict=True):
            audio = script.render([source], script.make_room([source], *place))
            first, second = np.fft.rfft(audio, 2**17, axis=0).T
            cross = first * second.conj()
            correlation = np.fft.irfft(cross / np.maximum(np.abs(cross), 1e-12), 2**21)
            lags = np.arange(-149, 150)  # in sixteenths of a sample; 0.2 m are 149.3 of them
            lag = lags[np.argmax(correlation[lags])]
            azimuth = np.degrees(np.arccos(-lag / 16 / 16000 * 343 / scene["microphone_spacing"]))
            assert stored["class"] == source[0]
            assert azimuth == pytest.approx(stored["azimuth"], abs=3), scene
