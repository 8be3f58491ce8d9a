"""`benchmarks/extractor.py` and `benchmarks/selection.py`, from recordings to the tables."""

import csv
import importlib
import json
import pathlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.data import SyntheticClasses
from keras_avssan.encoders import ConvImageEncoder

pytestmark = pytest.mark.backend_agnostic

SCRIPTS = pathlib.Path(__file__).parents[2] / "benchmarks"
ROOMS = ["--rooms", "2", "--validation-rooms", "2"]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


@pytest.fixture
def folder(tmp_path):
    """Three classes, each with a recording and a picture of an unknown licence."""
    catalog = SyntheticClasses(["bell", "bird", "rain"], instances_per_class=5)
    rows = []
    for name in catalog.classes:
        (tmp_path / "data" / name).mkdir(parents=True)
        clips = [clip for clip in catalog.clips if clip.class_name == name]
        pictures = [picture for picture in catalog.pictures if picture.class_name == name]
        for index, (clip, picture) in enumerate(zip(clips, pictures, strict=True)):
            split = "val" if index > 2 else "train"
            license = "unknown" if index == 0 else "CC0-1.0"
            sound, shown = f"{name}/a{index}.wav", f"{name}/i{index}.png"
            soundfile.write(tmp_path / "data" / sound, catalog.load_audio(clip), 16000)
            pixels = np.uint8(255 * catalog.load_image(picture, 16))
            Image.fromarray(pixels).save(tmp_path / "data" / shown)
            rows += [(sound, name, split, license), (shown, name, split, license)]
    with open(tmp_path / "data" / "metadata.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "class", "split", "license"), *rows])
    return tmp_path


def test_unknown_licences_are_left_out(script, folder):
    open_catalog = script("extractor").open_catalog
    every = open_catalog(folder / "data", licensed=False)
    some = open_catalog(folder / "data", licensed=True)
    assert len(every.clips) == 15 and len(some.clips) == 12 and len(some.pictures) == 12
    assert {clip.id for clip in every.clips} - {clip.id for clip in some.clips} == {
        f"{name}/a0.wav" for name in ("bell", "bird", "rain")
    }


@pytest.mark.extensive
def test_from_recordings_to_tables(script, folder, make_candidates, monkeypatch):
    first, second = script("extractor"), script("selection")
    words = ["x", "--data", folder / "data", "--licensed", *ROOMS, "--scenes", "2"]
    words += ["--steps", "2", "--epochs", "1", "--batch-size", "2", "--filters", "4"]
    words += ["--candidates", "2", "--save", folder / "e.npz", "--out", folder / "e.json"]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    first.main()
    scores = json.loads((folder / "e.json").read_text())["scores"]
    assert list(scores) == ["1 s, 0 dB", "1 s, -10 dB", "4 s, 0 dB", "4 s, -10 dB"]
    with np.load(folder / "e.npz") as arrays:
        stored = [arrays[name] for name in arrays.files]

    def make_model(options):
        pictures = ConvImageEncoder(8, (4,), (16, 16))
        pictures.trainable = False
        model = make_candidates(image_encoder=pictures)
        model.backbone.candidates.extractor.set_weights(stored)
        return model

    monkeypatch.setattr(second, "make_model", make_model)
    # The extractor of two steps finds too little for the fusion; words need a text side.
    monkeypatch.setattr(second, "fit_fusion", lambda *args, **kwargs: {})
    monkeypatch.setattr(second, "_CONDITIONS", ((1.0, 0.0, ("picture", "recording")),))
    words = ["x", "--data", folder / "data", "--licensed", *ROOMS, "--scenes", "2"]
    words += ["--steps", "2", "--scenes-to-align", "2", "--image-encoder", "-", "--yamnet", "-"]
    words += ["--sentences", "-", "--extractor", folder / "e.npz", "--out", folder / "s.json"]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    second.main()
    scores = json.loads((folder / "s.json").read_text())["scores"]
    assert list(scores) == ["1 s, 0 dB, picture", "1 s, 0 dB, recording", "1 s, 0 dB, presence"]
    assert 0 <= scores["1 s, 0 dB, picture"]["scores"]["selection"]["mean"] <= 1
