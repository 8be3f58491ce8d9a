"""`train` and `evaluate`: by themselves they share no room, clip or picture, and one spacing."""

import functools
import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan import AVSSAN, training
from keras_avssan.cli.main import main
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder
from keras_avssan.evaluation import Evaluation, SceneScores
from keras_avssan.models.baselines import GCCMLP
from keras_avssan.models.fitting.training_record import room_digests
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = pytest.mark.backend_agnostic

BUILD = RIRBank.build
RANGES = {"t60": (0.2, 0.25)}


def build_bank(path, rooms=5, spacing=0.08, **options):
    ranges = RoomRanges(**RANGES, spacing=spacing)
    options = {"sources_per_room": 2, "max_duration": 0.02, "progress": False, **options}
    BUILD(rooms, ranges=ranges, **options).save(path)
    return str(path)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """A folder of two classes, whose split `test` has one clip and picture of each."""
    root, rng = tmp_path_factory.mktemp("classes"), np.random.default_rng(0)
    for name in ("dog", "bell"):
        (root / name).mkdir()
        for index in range(5):
            soundfile.write(root / name / f"s{index}.wav", rng.normal(0, 0.1, 6000), 16000)
            pixels = rng.integers(0, 255, (9, 9, 3), dtype="uint8")
            Image.fromarray(pixels).save(root / name / f"p{index}.png")
    return root


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Networks and rooms that are made at once."""

    def make(configuration, image_encoder, audio_encoder, **network):
        rate = network["sampling_rate"]
        parts = {"dim": 8, "mlp_dim": 16, "num_heads": 2, "bridge_layers": 1}
        parts["image_encoder"] = ConvImageEncoder(8, (4,), (16, 16))
        parts["audio_encoder"] = LogMelEncoder(8, (4,), num_mels=16, sampling_rate=rate)
        model = AVSSAN(**parts, **network)
        model.compile = functools.partial(model.compile, run_eagerly=True)
        return model

    def build(*args, ranges=None, **options):
        ranges = RoomRanges(**RANGES, spacing=0.2 if ranges is None else ranges.spacing)
        options = {**options, "sources_per_room": 2, "max_duration": 0.02, "progress": False}
        return BUILD(*args, ranges=ranges, **options)

    monkeypatch.setattr("keras_avssan.AVSSAN", make)
    monkeypatch.setattr(RIRBank, "build", build)


@pytest.fixture
def plans(monkeypatch):
    """The plans that are trained on, validated on and scored on, with the model; nothing runs."""
    kept = {}

    def fit(model, plan, *, validation_plan, **_):
        kept.update(train=plan, validation=validation_plan, trained=model)

    def evaluate(model, plan, *_, **options):
        kept.update(test=plan, scored=model, options=options)
        return Evaluation(SceneScores([0.0], [0.0], [0.0]), ("a",), ("b",), {})

    monkeypatch.setattr("keras_avssan.training.fit_scenes", fit)
    monkeypatch.setattr("keras_avssan.evaluation.evaluate_localizer", evaluate)
    return kept


def train_and_evaluate(folder, classes, *options):
    data = ["--data", str(classes), "--duration", "0.2", *options]
    assert main(["train", "--out", str(folder / "model"), *data]) == 0
    assert main(["evaluate", "--model", str(folder / "model"), *data]) == 0


def rooms(plan):
    return set(room_digests(plan.bank, range(*plan.room_range)))


@pytest.mark.parametrize("own_bank", [True, False])
def test_no_room_is_in_two_of_training_validation_and_evaluation(
    own_bank, plans, classes, tmp_path
):
    options = ["--bank", build_bank(tmp_path / "bank.npz")] if own_bank else ["--rooms", "4"]
    train_and_evaluate(tmp_path, classes, *options)
    train, validation, test = (rooms(plans[name]) for name in ("train", "validation", "test"))
    assert len(train) == 3 and len(validation) == 1 and len(test) == (1 if own_bank else 4)
    assert not train & validation and not train & test and not validation & test
    splits = [plans[name].split for name in ("train", "validation", "test")]
    assert splits == ["train", "val", "test"]


def test_the_spacing_of_a_bank_is_that_of_the_model(plans, classes, tmp_path):
    train_and_evaluate(tmp_path, classes, "--bank", build_bank(tmp_path / "bank.npz"))
    assert plans["trained"].microphone_spacing == plans["scored"].microphone_spacing == 0.08
    # Rooms that are simulated are for the pair of the model.
    data = ["--data", str(classes), "--duration", "0.2", "--rooms", "3"]
    assert main(["evaluate", "--model", str(tmp_path / "model"), *data]) == 0
    assert plans["test"].microphone_spacing == 0.08
    assert plans["options"]["microphone_spacing"] is None
    assert main(["evaluate", "--model", str(tmp_path / "model"), *data, "--spacing", "0.3"]) == 0
    assert plans["test"].microphone_spacing == plans["options"]["microphone_spacing"] == 0.3


def test_the_spacing_can_be_named(plans, classes, tmp_path, capsys):
    train_and_evaluate(tmp_path, classes, "--rooms", "3", "--spacing", "0.12")
    assert plans["trained"].microphone_spacing == plans["train"].microphone_spacing == 0.12
    assert plans["scored"].microphone_spacing == plans["test"].microphone_spacing == 0.12
    bank = build_bank(tmp_path / "bank.npz")
    (tmp_path / "new").mkdir()
    model = ["--model", str(tmp_path / "model")]
    out = ["--out", str(tmp_path / "new" / "out")]
    for command in (["train", *out], ["benchmark", "--table", "2", *out], ["evaluate", *model]):
        arguments = [*command, "--data", str(classes)]
        assert main([*arguments, "--bank", bank, "--spacing", "0.2"]) == 2
        error = capsys.readouterr().err
        assert (
            "`--spacing` must be that of `--bank`" in error and "Received: --spacing=0.2" in error
        )


def test_the_sampling_rate_of_a_bank_is_that_of_model_and_data(plans, classes, tmp_path):
    bank = build_bank(tmp_path / "bank.npz", sampling_rate=8000)
    train_and_evaluate(tmp_path, classes, "--bank", bank)
    for name in ("train", "validation", "test"):
        assert plans[name].sampling_rate == plans[name].catalog.sampling_rate == 8000
    assert plans["scored"].sampling_rate == 8000


def test_a_model_and_a_bank_of_two_spacings_are_refused(classes, tmp_path, capsys):
    AVSSAN(prompt_dim=4, dim=8, mlp_dim=16, num_heads=2).save_to_preset(str(tmp_path / "model"))
    arguments = ["evaluate", "--model", str(tmp_path / "model"), "--data", str(classes)]
    arguments += ["--bank", build_bank(tmp_path / "bank.npz"), "--duration", "0.2"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "spacing, 0.2 m" in error and "microphones 0.08 m apart" in error
    assert "Pass `--spacing=0.08`" in error and "microphone_spacing" not in error


@pytest.mark.parametrize(
    ("splits", "chosen"), [(("train", "val", "test"), "test"), (("train", "val"), "val")]
)
def test_the_split_is_test_or_else_val(splits, chosen, plans, classes, tmp_path):
    model = tmp_path / "model"
    AVSSAN(prompt_dim=4, dim=8, mlp_dim=16, num_heads=2).save_to_preset(str(model))
    data = _with_splits(classes, tmp_path / "data", splits)
    arguments = ["evaluate", "--model", str(model), "--data", str(data), "--rooms", "3"]
    assert main([*arguments, "--duration", "0.2"]) == 0
    assert plans["test"].split == chosen
    assert main([*arguments, "--duration", "0.2", "--split", "all"]) == 0
    assert plans["test"].split is None


def test_data_without_a_split_to_test_on_are_refused(classes, tmp_path, capsys):
    AVSSAN(prompt_dim=4, dim=8, mlp_dim=16, num_heads=2).save_to_preset(str(tmp_path / "model"))
    data = _with_splits(classes, tmp_path / "data", ("train",))
    arguments = ["evaluate", "--model", str(tmp_path / "model"), "--data", str(data)]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "must have a split test or val" in error
    assert "build folders --write-metadata" in error and "--split all" in error


def test_a_split_that_is_not_there_is_reported_before_rooms_are_simulated(
    classes, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(RIRBank, "build", lambda *_, **__: pytest.fail("rooms were simulated"))
    AVSSAN(prompt_dim=4, dim=8, mlp_dim=16, num_heads=2).save_to_preset(str(tmp_path / "model"))
    (tmp_path / "new").mkdir()
    commands = [["evaluate", "--model", str(tmp_path / "model")]] * 2
    commands += [["train", "--out", str(tmp_path / "new" / "out")]] * 3
    options = ["--split", "--reference-split", "--split", "--validation-split", "--reference-split"]
    for command, option in zip(commands, options, strict=True):
        assert main([*command, "--data", str(classes), option, "validation"]) == 2
        error = capsys.readouterr().err
        assert f"`{option}` must be one of test, train, val" in error
        assert f"Received: {option}=validation" in error


def test_the_json_file_names_the_rooms_that_were_simulated(classes, plans, tmp_path):
    AVSSAN(prompt_dim=4, dim=8, mlp_dim=16, num_heads=2).save_to_preset(str(tmp_path / "model"))
    arguments = ["evaluate", "--model", str(tmp_path / "model"), "--data", str(classes)]
    arguments += ["--rooms", "3", "--json", str(tmp_path / "scores.json")]
    assert main(arguments) == 0
    made = json.loads((tmp_path / "scores.json").read_text())["settings"]["run"]
    first = plans["test"].bank.first_index
    assert made["simulated_rooms"] == {"rooms": 3, "seed": 0, "first_index": first}
    assert made["bank"] is None and made["sampling_rate"] == 16000


def test_a_model_without_a_spacing_names_the_option(classes, tmp_path, capsys):
    GCCMLP(hidden_dim=8).save_to_preset(str(tmp_path / "model"))
    arguments = ["evaluate", "--model", str(tmp_path / "model"), "--data", str(classes)]
    assert main([*arguments, "--rooms", "3", "--spacing", "0.3"]) == 2
    assert "cannot take another one" in (error := capsys.readouterr().err)
    assert "Received: --spacing=0.3" in error and "microphone_spacing" not in error


def _with_splits(classes, root, splits):
    """The folder again, dealt to these splits in turn."""
    root.mkdir()
    rows = ["path,class,split"]
    for index, path in enumerate(sorted(classes.glob("*/*"))):
        rows.append(f"{path},{path.parent.name},{splits[index // 2 % len(splits)]}")
    (root / "metadata.csv").write_text("\n".join(rows))
    return root


def test_scores_on_the_training_are_marked_or_refused(classes, tmp_path, capsys, monkeypatch):
    """Trains and scores in both ways; nothing is replaced but the number of validation scenes."""
    fit = training.fit_scenes
    monkeypatch.setattr(
        training, "fit_scenes", lambda *args, **options: fit(*args, validation_scenes=2, **options)
    )
    bank = build_bank(tmp_path / "bank.npz", rooms=4)
    data = ["--data", str(classes), "--bank", bank, "--duration", "0.2"]
    steps = ["--steps", "2", "--epochs", "1", "--batch-size", "2"]
    command = ["train", "--out", str(tmp_path / "model"), *data, *steps]
    assert main(command) == 0
    (note,) = AVSSAN.from_preset(str(tmp_path / "model")).training_record.trainings
    assert note["command"].startswith("keras-avssan train --out ")
    assert note["bank"]["room_range"] == [0, 2]
    assert note["validation"]["bank"]["room_range"] == [2, 3]
    assert note["microphone_spacing"] == 0.08
    out = tmp_path / "scores.json"
    score = ["evaluate", "--model", str(tmp_path / "model"), "--scenes", "4", *data]
    score += ["--json", str(out)]
    capsys.readouterr()
    assert main([*score, "--on-overlap", "error"]) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("split test, 4 scenes, 1 room, SNR 0 dB, 0.2 s each, microphones 8 cm")
    assert second.startswith("No recordings, pictures or rooms of these scenes were in")
    seen = ["--split", "train", "--bank-part", "train"]
    assert main([*score, *seen]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("NO TEST SCORES: ")
    assert json.loads(out.read_text())["settings"]["training_overlap"]["scenes"] == 1
    assert main([*score, *seen, "--on-overlap", "error"]) == 2
    assert "NO TEST SCORES" in capsys.readouterr().err
