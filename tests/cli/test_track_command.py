"""`localize --track`: lines, tables, JSON and the figure."""

import csv
import json
import os

import numpy as np
import pytest
import soundfile

from keras_avssan import AVSSAN
from keras_avssan.cli.main import main
from keras_avssan.encoders import ConvImageEncoder, PictureTextEncoder, WordTable
from keras_avssan.models import Localizer

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture(scope="module")
def recording(workspace):
    """A recording of 2 s with a silent part."""
    samples = 0.1 * np.random.default_rng(3).standard_normal((32000, 2))
    samples[12000:24000] = 0.0
    soundfile.write(workspace / "long.wav", samples, 16000)
    return "long.wav"


@pytest.fixture
def track(workspace, recording, monkeypatch):
    """Runs `localize --track` in the folder of the files, with windows of half a second."""
    monkeypatch.chdir(workspace)

    def run(*arguments, recordings=(recording,)):
        command = ["localize", *recordings, "--track", "--window", "0.5", "--model", "model"]
        return main([*command, *map(str, arguments)])

    return run


def test_a_line_a_window(track, workspace, capsys):
    assert track("--prompt", "dog.jpg") == 0
    lines = capsys.readouterr().out.splitlines()
    model = AVSSAN.from_preset(str(workspace / "model"))
    expected = model.track(str(workspace / "long.wav"), str(workspace / "dog.jpg"), 0.5)
    assert len(lines) == len(expected) == 7
    for line, time, azimuth, gap in zip(
        lines, expected.times, expected.azimuth, expected.gaps, strict=True
    ):
        words = line.split()
        assert words[:2] == [f"{time:.2f}", "s"]
        if gap:
            assert line.endswith("no direction (silent)")
        else:
            assert words[2:4] == [f"{azimuth:.0f}", "degrees,"] and "spread" in words
    assert sum("silent" in line for line in lines) == 2


def test_tables_of_several_prompts_and_recordings(track, workspace, tmp_path, capsys):
    files = ["--csv", tmp_path / "track.csv", "--json", tmp_path / "track.json"]
    prompts = ["--prompt", "dog.jpg", "mono.wav"]
    more = ["--hop", "0.5", "--smoothing", "offline"]
    assert track(*prompts, *files, *more, recordings=["long.wav", "mix.wav"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["long.wav", "dog.jpg"],
        ["long.wav", "mono.wav"],
        ["mix.wav", "dog.jpg"],
        ["mix.wav", "mono.wav"],
    ]
    assert lines[0].split("  ")[2].startswith("3 of 4 windows with a direction, ")
    rows = json.loads((tmp_path / "track.json").read_text())
    table = list(csv.DictReader((tmp_path / "track.csv").open()))
    names = ["recording", "prompt", "time", "azimuth", "spread", "presence", "gap"]
    assert list(table[0]) == list(rows[0]) == names and len(table) == len(rows) == 2 * (4 + 2)
    model = AVSSAN.from_preset(str(workspace / "model"))
    found = model.track(
        str(workspace / "long.wav"), str(workspace / "mono.wav"), 0.5, 0.5, smoothing="offline"
    )
    for row, cells, time, azimuth in zip(
        rows[4:8], table[4:8], found.times, found.azimuth, strict=True
    ):
        assert row["time"] == time and row["prompt"] == "mono.wav"
        assert (row["azimuth"] is None) == (cells["azimuth"] == "") == np.isnan(azimuth)
        if row["azimuth"] is not None:
            assert row["azimuth"] == azimuth == float(cells["azimuth"])
        assert row["presence"] is None and row["gap"] == cells["gap"]
    assert "silent" in {row["gap"] for row in rows}


def read_back(path):
    """Tracks of a table by recording and prompt: lists of times, azimuths and gaps."""
    tracks = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            azimuth = float(row["azimuth"]) if row["azimuth"] else np.nan
            columns = tracks.setdefault((row["recording"], row["prompt"]), [])
            columns.append((float(row["time"]), azimuth, row["gap"]))
    return {name: list(zip(*rows, strict=True)) for name, rows in tracks.items()}


def test_a_table_gives_back_the_track_of_each_prompt(track, workspace, tmp_path):
    """Also of a prompt with a comma, and of one that is given twice."""
    (workspace / "dog, barking.jpg").write_bytes((workspace / "dog.jpg").read_bytes())
    prompts = ["mono.wav", "dog, barking.jpg", "mono.wav"]
    names = ["long.wav", "mix.wav", "long.wav"]
    assert track("--prompt", *prompts, "--csv", tmp_path / "t.csv", recordings=names) == 0
    tracks = read_back(tmp_path / "t.csv")
    assert list(tracks) == [(name, one) for name in names[:2] for one in prompts[:2]]
    model = AVSSAN.from_preset(str(workspace / "model"))
    for (name, prompt), (times, azimuths, gaps) in tracks.items():
        expected = model.track(str(workspace / name), str(workspace / prompt), 0.5)
        np.testing.assert_allclose(times, expected.times, atol=1e-4)
        np.testing.assert_array_equal(azimuths, expected.azimuth)
        assert list(gaps) == expected.gaps.tolist()


def test_one_pass_for_all_prompts(track, workspace, monkeypatch, capsys):
    """The windows run through the audio encoder once, however many prompts there are."""
    rows = []
    model = AVSSAN.from_preset(str(workspace / "model"))
    model.compile(run_eagerly=True)
    encode = model.backbone.audio_encoder.call

    def count(audio, *more, **named):
        rows.append(len(audio))
        return encode(audio, *more, **named)

    monkeypatch.setattr(model.backbone.audio_encoder, "call", count)
    monkeypatch.setattr(Localizer, "from_preset", lambda *_: model)
    pictures = [f"classes/dog/picture{index}.png" for index in range(3)]
    assert track("--prompt", *pictures) == 0
    usable = len(capsys.readouterr().out.splitlines()) - len(pictures)
    usable = usable // len(pictures) - 2  # two of the windows are silent
    assert sum(rows) == usable == 5


@pytest.mark.parametrize("more", [["--track"], []])
@pytest.mark.parametrize("prompts", [["xyzzy"], ["dog.jpg", "xyzzy"]])
def test_words_that_are_not_read_are_refused_before_any_recording(
    workspace, recording, monkeypatch, capsys, prompts, more
):
    monkeypatch.chdir(workspace)
    for place in (
        "keras_avssan.tracking.track.open_blocks",
        "keras_avssan.cli.localize._localize_all",
    ):
        monkeypatch.setattr(place, lambda *_: pytest.fail("a recording was opened"))
    command = ["localize", recording, "--model", "model", *more, "--prompt", *prompts]
    assert main(command) == 2
    found = capsys.readouterr()
    (line,) = found.err.splitlines()
    assert "Words as `--prompt` need a model whose" in line and line.endswith("--prompt='xyzzy'")
    assert found.out == ""


@pytest.mark.parametrize("more", [["--track"], [], ["listen"]])
def test_all_unusable_prompts_are_named_with_similar_words(
    make_small_model, workspace, recording, monkeypatch, capsys, more
):
    words = WordTable.from_vectors(["dog", "church_bell"], np.eye(2), "two words")
    pictures = PictureTextEncoder(ConvImageEncoder(2, (4, 8), (32, 32)), words)
    model = make_small_model(image_encoder=pictures)
    monkeypatch.setattr(Localizer, "from_preset", lambda *_: model)
    monkeypatch.chdir(workspace)
    command = ["localize", recording, *more]
    if more == ["listen"]:
        command = ["listen", "-"]
    command += ["--model", "model", "--prompt", "dgo", "dog", "broken.jpg", "dog.jpg"]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "`--prompt` must be prompts that the model can take, and 2 of 4 are not." in line
    assert "Received: 'dgo', 'broken.jpg'. The first of them: Words as" in line
    assert "similar ones are ['dog']" in line and line.endswith("Received: text='dgo'")


def test_presence_in_words(track, make_candidates, monkeypatch, capsys):
    model = make_candidates(prompt_dim=8)
    monkeypatch.setattr(Localizer, "from_preset", lambda *_: model)
    for module in ("localization.sound_tracking", "prompting"):
        monkeypatch.setattr(
            f"keras_avssan.models.{module}.read_prompts",
            lambda *_: {"prompt_embedding": np.ones((1, 8), "float32")},
        )
    assert track("--prompt", "a dog") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(", presence 0." in line for line in lines) and len(lines) == 7


def test_the_figure(track, tmp_path):
    assert track("--prompt", "dog.jpg", "--figure", tmp_path / "track.svg") == 0
    (name,) = os.listdir(tmp_path)
    content = (tmp_path / name).read_text()
    assert content.startswith("<?xml") and len(content) > 5000


def test_the_title_has_names_without_folders(track, workspace, recording, tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(
        "keras_avssan.cli.localize.draw_track", lambda track, title, path: titles.append(title)
    )
    paths = [str(workspace / name) for name in (recording, "dog.jpg")]
    figure = ["--figure", tmp_path / "track.svg"]
    assert track("--prompt", paths[1], *figure, recordings=paths[:1]) == 0
    assert titles == ["long.wav, dog.jpg"]


def test_the_pair_reaches_the_model(track, workspace, monkeypatch, capsys):
    received = {}
    original = Localizer.track

    def spy(self, *arguments, **options):
        received.update(options)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Localizer, "track", spy)
    more = ["--channels", 1, 0, "--spacing", 0.1, "--hop", 0.3, "--smoothing", "online"]
    assert track("--prompt", "dog.jpg", *more) == 0
    assert received["channels"] == (1, 0) and received["microphone_spacing"] == 0.1
    assert (received["window"], received["hop"]) == (0.5, 0.3)
    assert received["smoothing"] == "online" and received["progress"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--window", "2"], "`--window` must be used with `--track`"),
        (["--smoothing", "online"], "`--smoothing` must be used with `--track`"),
        (["--track", "--window", "0"], "`--window` must be positive"),
        (["--track", "--hop", "-1"], "`--hop` must be positive"),
        (["--track", "--window", "0.1"], "`--window` must be from 0.5 to 60 seconds. Received: --"),
        (["--track", "--window", "9"], "file 'long.wav' must last for one window of 9 s or more"),
        (["--track", "--csv", "a.out", "--json", "./a.out"], "='a.out', the file of `--json`"),
        (["--json", "long.wav"], "`--json` must be a file of its own. Received: --json='long.wav'"),
        (["--track", "--csv", "dog.jpg"], "--csv='dog.jpg', the prompt 'dog.jpg'"),
    ],
)
def test_what_does_not_fit_is_reported_and_no_file_is_written(
    workspace, recording, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(workspace)
    command = ["localize", recording, "--prompt", "dog.jpg", "--model", "model"]
    before = {path.name: path.read_bytes() for path in workspace.iterdir() if path.is_file()}
    assert main([*command, *arguments]) == 2
    after = {path.name: path.read_bytes() for path in workspace.iterdir() if path.is_file()}
    assert after == before
    assert message in capsys.readouterr().err
