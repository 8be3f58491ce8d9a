"""`benchmarks/extractor.py`, `directions.py` and `selection.py`, from recordings to the tables."""

import csv
import importlib
import json
import pathlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.data import SyntheticClasses
from keras_avssan.encoders import ConvImageEncoder, PictureTextEncoder, WordTable

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
            for path, kind in ((sound, "audio"), (shown, "image")):
                rows.append((path, name, kind, split, "synthesis", license))
    with open(tmp_path / "data" / "metadata.csv", "w", newline="") as file:
        head = ("path", "class", "kind", "split", "source_package", "license")
        csv.writer(file).writerows([head, *rows])
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
    words = ["x", "--data", folder / "data", "--licensed", *ROOMS, "--scenes", "2"]
    words += ["--steps", "4", "--epochs", "1", "--batch-size", "2", "--filters", "3"]
    words += ["--save", folder / "d.npz", "--out", folder / "d.json"]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    script("directions").main()
    found = json.loads((folder / "d.json").read_text())["scores"]
    assert list(found) == list(scores)
    names = {f"{search}, {count}" for search in ("steered", "learned") for count in (2, 3)}
    assert all(set(one) == names for one in found.values())

    def make_model(options):
        names = WordTable.from_vectors(["bell", "bird", "rain"], np.eye(3), "three words")
        encoder = PictureTextEncoder(ConvImageEncoder(8, (4,), (16, 16)), names)
        model = make_candidates(image_encoder=encoder, num_prototypes=3)
        second.load_weights(model.backbone.candidates.extractor, options.extractor)
        return model

    monkeypatch.setattr(second, "make_model", make_model)
    # The extractor of two steps finds too little for the fusion.
    monkeypatch.setattr(second, "fit_fusion", lambda *args, **kwargs: {})
    monkeypatch.setattr(second, "_CONDITIONS", ((1.0, 0.0, ("picture", "text")),))
    words = ["x", "--data", folder / "data", "--licensed", *ROOMS, "--scenes", "2"]
    words += ["--steps", "2", "--scenes-to-align", "2", "--image-encoder", "-", "--yamnet", "-"]
    words += ["--sentences", "-", "--extractor", folder / "e.npz", "--out", folder / "s.json"]
    words += ["--path-steps", "2", "--save", folder / "model"]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    second.main()
    scores = json.loads((folder / "s.json").read_text())["scores"]
    assert list(scores) == ["1 s, 0 dB, picture", "1 s, 0 dB, text", "1 s, 0 dB, presence"]
    assert 0 <= scores["1 s, 0 dB, picture"]["scores"]["selection"]["mean"] <= 1

    words = ["x", "--preset", folder / "model", "--data", folder / "data", "--scenes", "3"]
    words += ["--validation-rooms", "2", "--duration", "1", "--out", folder / "l.json"]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    script("candidate_limits").main()
    results = json.loads((folder / "l.json").read_text())
    alone = results["one source alone"]["anywhere"]
    difference = alone["network"]["mean"] - alone["SRP-PHAT"]["mean"]
    assert alone["difference"]["mean"] == pytest.approx(difference)
    limits = results["scores"]
    assert list(limits) == ["picture", "text", "recording"]
    stages = {"true sounds", "extracted"}
    stages |= {f"{stage}, without prototypes" for stage in stages} | {"names", "network"}
    assert all(set(one) == stages for one in limits.values())
    assert limits["text"]["names"]["mean"] == 1.0  # a name is nearest to itself
    selection = limits["picture"]["true sounds"]["selection"]
    assert 0 <= selection["interval"][0] <= selection["mean"] <= selection["interval"][1] <= 1

    card = script("model_card")
    words = ["x", "--preset", folder / "model", "--data", folder / "data", "--date", "2026-11-30"]
    words += ["--scores", folder / "s.json", "--extractor", folder / "e.json"]
    words += ["--directions", folder / "d.json", "--commit", "0123abc"]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    card.main()
    text = (folder / "model" / "MODEL_CARD.md").read_text()
    assert "| CC0-1.0 | 6 | 6 |" in text and "The classes: bell, bird, rain." in text
    assert "--path-steps 2" in text and "and the 3 names" in text
    assert "- synthesis: 12, CC0-1.0" in (folder / "model" / "NOTICES.md").read_text()
