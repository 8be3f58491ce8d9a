"""`benchmarks/scale.py` multiplies what it has measured, and says what is assumed."""

import importlib
import json
import pathlib
import re

import pytest

pytestmark = pytest.mark.backend_agnostic

SCRIPTS = pathlib.Path(__file__).parents[2] / "benchmarks"
# Of an imagined machine, in round numbers.
PIECES = {
    **{"date": "d", "machine": "m", "cores": 2, "load": 0.5, "backend": "torch", "seconds": 10.0},
    **{"seed": 0, "room_seconds": 0.36, "room_seconds_error": 0.01, "room_bytes": 400_000},
    **{"render_operations": 1.2e9, "render_bytes": 4e9, "dry_bytes": 1.5e6, "sources": 4},
    **{"rendered_bytes": 2.5e6, "dry_seconds": 0.001, "rendered_seconds": 0.009},
    **{"step_seconds": 0.18, "step_operations": 1.2e10, "step_bytes": 1e9, "weights": 1_000_000},
    **{"video_seconds": 0.1, "picture_bytes": 20_000},
}


@pytest.fixture
def script(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("scale")


@pytest.fixture
def rows(script):
    """Rows by what they are about, of the imagined machine with further options."""

    def rows(*words, pieces=PIECES):
        options = script._options(list(words))
        speeds = script.gpu_speeds(pieces, options)
        job = script.Job(pieces, speeds, options)
        found = job.rows
        assert len({(group, what) for group, what, *_ in found}) == len(found)
        assert all(
            f"| {what} | {unit} | {kind} | " in script.table(job)
            for _, what, unit, kind, _ in found
        )
        return {(group, what): (unit, kind, *texts) for group, what, unit, kind, texts in found}

    return rows


def test_amounts_are_pieces_times_their_number(rows):
    found = rows()
    assert found["Storage", "bank of rooms"] == ("400 kB a room", "measured", "4 GB", "400 GB")
    # 4,480,000 scenes.
    assert found["Storage", "scenes, rendered, if written"][2:] == ("11.2 TB", "1.12 PB")
    assert found["One core", "render scenes"] == ("9 ms a scene", "measured", "11 h", "1,120 h")
    assert found["One core", "simulate rooms"][2:] == ("1 h", "100 h")
    assert found["One core", "train without a GPU"][2:] == ("224 h", "22,400 h")
    # Two GPUs: each sends the gradient once in a ring.
    assert found["Network", "gradients of each of 2 GPUs"][0] == "4 MB a step"
    assert found["Network", "gradients of each of 2 GPUs"][2:] == ("560 GB", "56 TB")
    assert rows("--gpus", "4")["Network", "gradients of each of 4 GPUs"][0] == "6 MB a step"


def test_other_factors(rows):
    assert rows("--times", "1", "3")["Storage", "bank of rooms"][2:] == ("4 GB", "12 GB")


def test_a_gpu_is_assumed_at_the_tighter_limit(rows):
    words = ("--tflops", "12", "--bandwidth", "4000", "--utilisation", "0.1", "0.5")
    found = rows(*words)
    # A step takes 1 ms of products a scene at the limit, and 0.25 ms of copies.
    assert found["One GPU", "train, scenes at hand"][:2] == ("100 to 500 scenes/s", "assumed")
    assert found["One GPU", "train, scenes at hand"][2] == "12 h to 2.5 h"
    # Rendering takes another 1 ms of copies.
    assert found["One GPU", "train, dry scenes rendered there"][0] == "50 to 250 scenes/s"
    assert found["2 GPUs", "train"][2] == "12 h to 2.5 h"
    assert ("One GPU", "simulate rooms") not in found
    slower = rows("--tflops", "12", "--bandwidth", "500", "--utilisation", "0.1")
    assert slower["One GPU", "train, scenes at hand"][0] == "50 scenes/s"
    busy = "To keep one GPU busy"
    assert found[busy, "cores, where scenes are rendered"][2] == "0.9 to 4.5"
    assert found[busy, "cores, where scenes are prepared"][2] == "0.05 to 0.25"
    assert found[busy, "network, where dry scenes come from elsewhere"][2] == "75 MB/s to 375 MB/s"
    uncounted = {**PIECES, "render_operations": None, "render_bytes": None}
    assert ("One GPU", "train, dry scenes rendered there") not in rows(pieces=uncounted)


def test_a_measured_gpu_takes_the_place_of_the_assumption(script, rows, tmp_path):
    stages = {
        "rooms": {
            "images": {"rooms_per_second": 50.0, "job": {"tail": False}},
            "images and tail": {"rooms_per_second": 900.0, "job": {"tail": True}},
        },
        "training": {
            "Keras, bfloat16, batch 32": {"scenes_per_second": 1000.0, "job": {"render": None}},
            "Keras, host": {"scenes_per_second": 2000.0, "job": {"render": "host"}},
            "Keras, device": {"scenes_per_second": 800.0, "job": {"render": "device"}},
            "Keras, bfloat16, batch 256": {"error": "no memory", "job": {"render": None}},
            "PyTorch, bfloat16": {"scenes_per_second": 4000.0, "job": {"render": None}},
        },
    }
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps({"rows": {"torch": stages}}))
    found = rows("--gpu", str(path))
    assert found["One GPU", "train, scenes at hand"][:3] == ("1,000 scenes/s", "measured", "1.2 h")
    assert found["One GPU", "train, dry scenes rendered there"][0] == "800 scenes/s"
    assert found["One GPU", "simulate rooms"][:2] == ("50 rooms/s", "measured")
    del stages["rooms"], stages["training"]["Keras, device"]
    path.write_text(json.dumps({"rows": {"torch": stages}}))
    found = rows("--gpu", str(path))
    assert ("One GPU", "simulate rooms") not in found and found["2 GPUs", "train"][2] == "37 min"
    del stages["training"]["Keras, bfloat16, batch 32"]
    path.write_text(json.dumps({"rows": {"torch": stages}}))
    with pytest.raises(SystemExit, match="no training row with figures"):
        rows("--gpu", str(path))


def test_without_pyav_decoding_is_assumed(rows):
    pieces = {**PIECES, "video_seconds": None, "picture_bytes": None}
    found = rows("--video-seconds", "0.36", "--picture-bytes", "50000", pieces=pieces)
    assert found["One core", "decode videos, eight frames"][:2] == ("360 ms a clip", "assumed")
    assert found["Storage", "pictures"][:2] == ("50 kB a clip", "assumed")


@pytest.mark.extensive
def test_pieces_are_measured_and_read_again(script, monkeypatch, capsys, tmp_path):
    builder = importlib.import_module("builder")
    tiny = {"CLASSES": ("bird", "drum"), "DISTINCT": 2, "FRAME_RATE": 2, "SIZE": (64, 80)}
    for name, value in {**tiny, "DURATION": 2.0}.items():
        monkeypatch.setattr(builder, name, value)
    words = "--rooms 3 --sources 2 --t60 0.2 0.25 --scenes 8 --seconds 0.5 --batch-size 2 --dim 8 "
    words += "--filters 4 --repeats 1 --videos 2 --json pieces.json"
    monkeypatch.setattr("sys.argv", ["scale.py", *words.split()])
    script.main()
    first = capsys.readouterr().out
    pieces = json.loads(pathlib.Path("pieces.json").read_text())
    assert pieces["room_bytes"] == 2 * 2 * 4 * 0.25 * 16000
    # Mixture and target of two channels; or two recordings and four responses of 0.8 s, which end
    # with the scene.
    assert pieces["rendered_bytes"] == pytest.approx(2 * 2 * 4 * 8000, abs=100)
    assert pieces["dry_bytes"] == pytest.approx(2 * 4 * 8000 + 2 * 2 * 4 * 8000, abs=100)
    assert 0 < pieces["dry_seconds"] < pieces["rendered_seconds"]
    assert pieces["step_operations"] > pieces["render_operations"] > 1e5
    assert pieces["weights"] > 1000
    assert min(pieces["room_seconds"], pieces["step_seconds"], pieces["video_seconds"]) > 0
    assert not re.search(r"\b(nan|inf)\b", first)
    monkeypatch.setattr("sys.argv", ["scale.py", "--pieces", "pieces.json"])
    script.main()
    assert capsys.readouterr().out == first and "rooms of 2 sources" in first
