"""Scores on segments, under every backend, and the command line."""

import json
import re

import numpy as np
import pytest

from keras_avssan.cli.main import main
from keras_avssan.data import STARSS23, PictureFolders, SegmentPrompts
from keras_avssan.evaluation import evaluate_segments
from keras_avssan.models.fitting.training_record import TrainingRecord, item_digest

CLASS_MAP = {"bell": ["church_bell", "bicycle_bell"], "telephone": "phone"}
AZIMUTHS = (-135, -20, 45, 80, 120)


@pytest.fixture
def dataset(writer, sound, render):
    """Bells at five azimuths; in the last segment a knock is active too."""
    sounds = [sound("bell", 10 * k, 10 * k + 10, a) for k, a in enumerate(AZIMUTHS)]
    sounds += [sound("knock", 40, 47, -100), sound("telephone", 50, 60, 0)]
    writer.recording(sounds=sounds, audio=render(sounds, 6.5))
    return STARSS23(writer.root, duration=1.0, baffle="open")


@pytest.fixture
def prompts(dataset, pictures):
    return SegmentPrompts(dataset, PictureFolders(pictures), CLASS_MAP)


@pytest.mark.one_backend
def test_scores_are_those_of_the_estimates(make_model, prompts):
    model = make_model()
    evaluation = evaluate_segments(model, prompts, batch_size=3, progress=False)
    load = prompts.catalog.load_image
    given = {
        "images": np.stack([load(prompts.picture(s), (16, 16)) for s in prompts.segments]),
        "microphone_spacing": np.full(6, prompts.dataset.microphone_spacing, "float32"),
    }
    audio = np.stack([prompts.dataset.load_audio(segment) for segment in prompts.segments])
    np.testing.assert_array_equal(evaluation.scores.estimate, model.localize(audio, given))
    assert evaluation.scores.azimuth.tolist() == [s.azimuth for s in prompts.segments]
    assert np.isnan(evaluation.scores.interferer_azimuth).tolist() == [True] * 4 + [False, True]
    assert evaluation.interferer_classes == (None, None, None, None, "knock", None)
    summary = evaluation.summary()
    assert summary["per_class"]["telephone"]["selection"] is None
    assert summary["per_class"]["bell"]["scenes"] == 5
    assert summary["settings"]["left_out"]["end of a recording"] == 1
    assert "NaN" not in json.dumps(summary)


@pytest.mark.backend_agnostic
def test_pictures_of_the_training_are_no_test(make_model, prompts):
    model = make_model()
    digests = {item_digest(prompts.catalog, picture) for picture in prompts.pictures}
    model.training_record = TrainingRecord(({"split": "train"},), pictures=frozenset(digests))
    evaluation = evaluate_segments(model, prompts, progress=False)
    assert "NO TEST SCORES" in evaluation.table()
    with pytest.raises(ValueError, match="NO TEST SCORES"):
        evaluate_segments(model, prompts, progress=False, on_overlap="error")


@pytest.mark.backend_agnostic
def test_the_spacing_is_told_to_the_head(make_model, prompts):
    """An untrained head steers already: right with the true spacing, wrong with another."""
    model = make_model()
    informed = evaluate_segments(model, prompts, progress=False).scores
    other = evaluate_segments(model, prompts, microphone_spacing=0.2, progress=False).scores
    assert informed.means()["mae"] < 0.5 * other.means()["mae"]


@pytest.mark.backend_agnostic
def test_a_constant_prompt_is_the_same_for_all(make_model, prompts, monkeypatch):
    model = make_model()
    received = []

    def predict(inputs):
        received.append(inputs)
        return {"doa": np.eye(180)[np.full(len(inputs["audio"]), 89)]}

    monkeypatch.setattr(model, "predict_on_batch", predict)
    evaluation = evaluate_segments(model, prompts, prompt="constant", progress=False)
    [inputs] = received
    assert np.ptp(inputs["prompt_embedding"], axis=0).max() == 0
    assert inputs["audio"].shape == (6, 16000, 2)
    np.testing.assert_allclose(inputs["microphone_spacing"], 0.0688, atol=5e-5)
    assert set(evaluation.scores.estimate) == {90.0}
    evaluate_segments(model, prompts, progress=False)
    assert np.ptp(received[1]["prompt_embedding"], axis=0).max() > 0


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ({}, {"prompt": "song"}, "`prompt`"),
        ({}, {"prompt": "text"}, "text side"),
        ({}, {"batch_size": 0}, "`batch_size`"),
        ({}, {"microphone_spacing": 0.0}, "`microphone_spacing`"),
        ({"doa_form": "spectrogram"}, {}, "0.2 m.*'spectrogram'. cannot take another"),
        ({"sampling_rate": 24000}, {}, "24000 Hz.*sampling_rate=16000"),
    ],
)
def test_bad_input(make_model, prompts, model, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_segments(make_model(**model), prompts, progress=False, **options)


@pytest.mark.backend_agnostic
def test_a_head_of_the_same_spacing_needs_not_be_told(make_model, prompts):
    model = make_model(doa_form="cross_spectrum", microphone_spacing=0.0688)
    assert evaluate_segments(model, prompts, progress=False).scores.estimate.shape == (6,)


@pytest.mark.backend_agnostic
def test_foa_is_no_input(make_model, writer, sound, pictures):
    writer.recording(sounds=[sound("bell", 0, 10, 0)], seconds=1.0, format="foa")
    dataset = STARSS23(writer.root, "foa", duration=1.0)
    prompts = SegmentPrompts(dataset, PictureFolders(pictures), CLASS_MAP)
    with pytest.raises(ValueError, match="`format` must be 'mic'"):
        evaluate_segments(make_model(), prompts, progress=False)


# --- the command line --------------------------------------------------------------------------


@pytest.fixture
def arguments(dataset, writer, pictures, tmp_path, model_folder):
    (tmp_path / "map.csv").write_text(
        "class,pictures\nbell,church_bell\nbell,bicycle_bell\ntelephone,phone\n"
    )
    arguments = ["evaluate", "--starss23", str(writer.root), "--prompts-from", str(pictures)]
    arguments += ["--class-map", str(tmp_path / "map.csv"), "--model", str(model_folder)]
    return [*arguments, "--segment-duration", "1", "--baffle", "open", "--pair", "M1-M4"]


@pytest.mark.backend_agnostic
def test_the_command_reports_and_scores(arguments, tmp_path, capsys):
    scores = tmp_path / "scores.json"
    assert main([*arguments, "--split", "test", "--json", str(scores)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^usable +6$", shown, re.MULTILINE) and "6 segments have a prompt." in shown
    assert "ACC@5°" in shown and "selection" in shown
    report = json.loads(scores.read_text())
    made = report["settings"].pop("run")
    assert made["data"] == arguments[2] and made["class_map"] == arguments[6]
    assert report["settings"]["segments"] == 6
    assert report["settings"]["split"] == "test"
    assert report["settings"]["pair"] == "M1-M4"
    assert main([*arguments, "--json", str(scores)]) == 0  # the split by default
    second = json.loads(scores.read_text())
    assert second["settings"].pop("run")["sampling_rate"] == made["sampling_rate"]
    assert second == report
    # Its options reach the data set.
    arguments[arguments.index("M1-M4")] = "M2-M3"
    more = ["--classes", "bell", "--max-motion", "5", "--allow-same-class", "--prompt", "constant"]
    more += ["--min-activity", "0.9"]
    assert main([*arguments, *more, "--json", str(scores)]) == 0
    again = json.loads(scores.read_text())
    assert (again["settings"]["pair"], again["settings"]["segments"]) == ("M2-M3", 5)
    assert again["settings"]["prompt"] == "constant"
    assert again["per_class"]["bell"]["mae"] != report["per_class"]["bell"]["mae"]


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--starss23", "nowhere", "`--starss23`"),
        ("--prompts-from", "nowhere", "nowhere"),
        ("--prompts-from", "", "--prompts-from"),
        ("--class-map", "none.csv", "none.csv"),
        ("--pair", "M1-M2", "`--pair`"),
        ("--segment-duration", "0.33", "`duration`"),
        ("--segment-duration", "0.5", "`--min-activity`"),
        ("--baffle", "soft", "`--baffle`"),
        ("--model", "nowhere", "--model"),
    ],
)
def test_bad_options_end_with_code_2_and_one_line(
    arguments, tmp_path, capsys, option, value, named
):
    arguments[arguments.index(option) + 1] = value
    scores = tmp_path / "scores.json"
    assert main([*arguments, "--json", str(scores)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("keras-avssan evaluate: error:")
    assert named in line
    assert not scores.exists()
