"""A folder is taken where it is new, empty or in progress with the same settings, and no other."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_avssan._internal import atomic_files
from keras_avssan._internal.resumable_folder import ResumableFolder
from keras_avssan.benchmark.train_and_score import ResultsFolder
from keras_avssan.data.scenes import scene_layout
from keras_avssan.data.vggsound_ssl.folder import start_folder
from keras_avssan.simulation.bank.bank_folder import BankFolder
from keras_avssan.training.checkpoint_folder import CheckpointFolder

pytestmark = pytest.mark.backend_agnostic

SETTINGS = {"seed": 0, "snr": (0.0, -5.0), "ranges": {"t60": [0.2, 0.8], "size": None}}
STORED = {"seed": 0, "snr": [0.0, -5.0], "ranges": {"t60": [0.2, 0.8], "size": None}}


def folder(path, **changed):
    return ResumableFolder(path, "settings.json", "a bank", "out", frozenset({"rows"}), **changed)


def contents(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def prepare(path, layout):
    """Writes files by name; `None` stands for a folder."""
    path.mkdir()
    for name, text in layout.items():
        if text is None:
            (path / name).mkdir()
        else:
            (path / name).write_text(text)


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"rows": None},
        {"settings.json.0123.part": "{"},
        {"settings.json": json.dumps(STORED), "a.npy": "done", "notes.txt": "kept"},
        # An absent setting is one that is `None`: one that was added later, at its default.
        {"settings.json": '{"seed": 0, "snr": [0, -5], "ranges": {"t60": [0.2, 0.8]}}'},
    ],
)
def test_these_are_taken(tmp_path, layout):
    path = tmp_path / "bank"
    prepare(path, layout)
    folder(path).check(SETTINGS)
    assert contents(path) == {k: v.encode() for k, v in layout.items() if v is not None}
    folder(path).start(SETTINGS)
    assert folder(path).read()["seed"] == 0
    assert layout.keys() - {"rows"} <= contents(path).keys()


def test_a_new_folder_gets_the_settings_first(tmp_path):
    path = tmp_path / "new" / "bank"
    assert folder(path).read() is None
    folder(path).check(SETTINGS)
    assert not path.exists()
    folder(path, indent=1).start(SETTINGS)
    assert contents(path) == {"settings.json": (json.dumps(STORED, indent=1) + "\n").encode()}


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"notes.txt": "mine"}, "`out` must be new, empty or hold a bank. Received: .* notes.txt"),
        ({"settings.json": ""}, r"settings\.json' is damaged"),
        ({"settings.json": '{"seed": '}, r"settings\.json' is damaged"),
        ({"settings.json": "null"}, "is damaged: it must hold an object of JSON. Received: None"),
        ({"settings.json": "[1]"}, r"is damaged: it must .* Received: \[1\]"),
    ],
)
def test_foreign_and_damaged_folders_are_refused(tmp_path, layout, message):
    path = tmp_path / "bank"
    prepare(path, layout)
    before = contents(path)
    for act in (folder(path).check, folder(path).start, lambda s: folder(path).start(s, replace=1)):
        with pytest.raises(ValueError, match=message):
            act(SETTINGS)
    assert contents(path) == before


def test_a_file_is_refused(tmp_path):
    (tmp_path / "bank").write_text("mine")
    with pytest.raises(ValueError, match="`out` must be a folder. Received: "):
        folder(tmp_path / "bank").start(SETTINGS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "`seed` is 0 there, but 1 now. Give"),
        ({"new": "x", "seed": 1}, "`seed` is 0 there, but 1 now; `new` is None there, but 'x' now"),
        ({"ranges": {"t60": [0.2, 1.5]}}, "`ranges.t60` is [0.2, 0.8] there, but [0.2, 1.5] now."),
        ({"snr": None}, "`snr` is [0.0, -5.0] there, but None now."),
        ({"long": "x" * 200}, "`long` is None there, but '" + "x" * 76 + "... now."),
        ({str(i): i for i in range(9)}, "`5` is None there, but 5 now; and 3 more. Give"),
    ],
)
def test_differences_are_named(tmp_path, changed, message):
    path = tmp_path / "bank"
    folder(path).start(SETTINGS)
    before = contents(path)
    for act in (folder(path).check, folder(path).start, folder(path).claim):
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            act({**SETTINGS, **changed})
        assert str(caught.value).startswith(f"'{path}' holds a bank of another configuration: ")
    assert contents(path) == before


def test_settings_are_replaced_on_demand(tmp_path):
    folder(tmp_path).start(SETTINGS)
    folder(tmp_path).start({"seed": 7}, replace=True)
    assert folder(tmp_path).read() == {"seed": 7}


@pytest.mark.parametrize("links", [True, False])
def test_of_processes_that_start_together_one_decides(tmp_path, monkeypatch, links):
    if not links:

        def link(*_):
            raise PermissionError("no hard links here")

        monkeypatch.setattr(os, "link", link)

    def start(seed):
        try:
            folder(tmp_path / "bank").start({"seed": seed})
        except ValueError:
            return None
        return seed

    # Without hard links, those that start later still find what the first one wrote.
    with ThreadPoolExecutor(8 if links else 1) as pool:
        started = [seed for seed in pool.map(start, [1, 2] * 8) if seed is not None]
    assert started == [folder(tmp_path / "bank").read()["seed"]] * 8
    assert list(contents(tmp_path / "bank")) == ["settings.json"]


def test_a_start_outlives_the_removal_of_its_partial_file(tmp_path, monkeypatch):
    """Another process may take the same folder up, and tidy it, just before this one is through."""
    path, link = tmp_path / "bank", os.link

    def tidied(*arguments):
        monkeypatch.setattr(os, "link", link)
        folder(path).start(SETTINGS)
        folder(path).remove_parts()
        link(*arguments)

    monkeypatch.setattr(os, "link", tidied)
    folder(path).start(SETTINGS)
    assert folder(path).read() == STORED


def test_a_failed_start_leaves_an_empty_folder(tmp_path, monkeypatch):
    def full(path):
        raise OSError("no space left on device")

    monkeypatch.setattr(atomic_files, "_sync", full)
    with pytest.raises(OSError, match="no space"):
        folder(tmp_path / "bank").start(SETTINGS)
    assert not contents(tmp_path / "bank")


def test_partial_files_are_removed(tmp_path):
    names = ["a.npy", "a.npy.01.part", "b.npy.02.part", "settings.json.03.part"]
    prepare(tmp_path / "bank", dict.fromkeys(names, "half"))
    folder(tmp_path / "bank").remove_parts({"a.npy", "settings.json"})
    assert sorted(contents(tmp_path / "bank")) == ["a.npy", "b.npy.02.part"]
    folder(tmp_path / "bank").remove_parts()
    assert sorted(contents(tmp_path / "bank")) == ["a.npy"]
    folder(tmp_path / "absent").remove_parts()


def test_how_far_it_is(tmp_path):
    bank = folder(tmp_path / "bank")
    stopped = bank.stopped(2, 4, "shards")
    assert isinstance(stopped, KeyboardInterrupt)
    assert str(stopped) == (
        f"stopped with 2 of 4 shards whole in {bank.path}; the same call or command resumes from "
        "there"
    )


# As earlier versions of the library wrote them, with the files of an interrupted process.
BANK = """{
 "format": "keras-avssan RIR shards 1",
 "num_rooms": 5,
 "first_index": 0,
 "rooms_per_shard": 2,
 "length": 160,
 "backend": "numpy",
 "seed": 3,
 "ranges": {
  "t60": [
   0.2,
   0.8
  ]
 },
 "sampling_rate": 8000,
 "formula": "sabine",
 "speed_of_sound": 343.0,
 "image_attenuation": null,
 "tail": false,
 "calibrate": false
}
"""
SCENES = """{
  "format": "keras-avssan scenes 1",
  "num_scenes": 11,
  "start": 5,
  "snr": [
    -5.0,
    5.0
  ],
  "inputs": {
    "audio": [
      1600,
      2
    ]
  }
}
"""
DATASET = """{
  "csv_sha256": "00ff",
  "clip": null,
  "template": "a photo of {}",
  "seed": 0
}
"""
TRAINING = """{
  "steps": 4,
  "plan.seed": 0,
  "network.dim": 8,
  "network.audio_encoder.class_name": "keras_avssan>LogMelEncoder",
  "text_embeddings": null
}
"""
RESULTS = """{
  "budget": 10,
  "snr": [
    0.0,
    -5.0
  ],
  "bank": null
}"""


def _bank(path, settings):
    settings = {name: value for name, value in settings.items() if name != "format"}
    BankFolder.create(path, settings)


@pytest.mark.parametrize(
    ("start", "name", "text", "others", "removed"),
    [
        (_bank, "bank.json", BANK, ["rirs-00000.npy", "rooms-00000.npz"], []),
        (
            lambda path, settings: scene_layout.resumable(path).start(settings),
            *("scenes.json", SCENES, ["scenes-00002.tfrecord"], []),
        ),
        (
            start_folder,
            *("build.json", DATASET, ["staging/part-00000.json", "train-00000.tar"]),
            ["train-00001.tar.23cd.part"],
        ),
        (CheckpointFolder, "config.json", TRAINING, ["log.csv", "step-00000002.npz"], []),
        (ResultsFolder, "config.json", RESULTS, ["rows/a.json", "starss23.json"], []),
    ],
)
def test_folders_of_earlier_versions_resume(tmp_path, start, name, text, others, removed):
    (tmp_path / name).write_text(text)
    for other in (*others, *removed):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text("done")
    settings = json.loads(text)
    start(tmp_path, settings)
    kept = {name: text.encode(), **dict.fromkeys(others, b"done")}
    assert contents(tmp_path) == kept
    number = next(key for key, value in settings.items() if isinstance(value, int))
    with pytest.raises(ValueError, match=f"`{re.escape(number)}` is {settings[number]} there, but"):
        start(tmp_path, {**settings, number: 99})
    assert contents(tmp_path) == kept
