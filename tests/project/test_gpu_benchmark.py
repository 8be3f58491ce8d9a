"""`benchmarks/gpu.py` measures all stages, keeps its time, and says why a row has no figures."""

import importlib
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks/gpu.py"
# Stands in for the process of a backend: answers by the names of rows.
STAND_IN = """
import json, os, signal, sys, time
for line in sys.stdin:
    job = json.loads(line)
    answer = json.load(open("answers.json")).get(job["row"], {"figure": 1})
    with open("measured", "a") as file:
        print(os.environ["KERAS_BACKEND"], job["row"], sep=": ", file=file)
    if answer == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if answer == "fails":
        raise SystemExit("no memory is left")
    if answer == "hangs":
        time.sleep(60)
    print(json.dumps(answer), flush=True)
"""
# Stands in for a script that trains: a line of the log every tenth of a second.
TRAINING = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[sys.argv.index("--checkpoints") + 1])
folder.mkdir(exist_ok=True)
log = folder / "log.csv"
if not log.exists():
    log.write_text("step,loss\\n")
try:
    while len(log.read_text().splitlines()) <= 8:
        with open(log, "a") as file:
            print("0,0", file=file)
        time.sleep(0.5 if "--slow" in sys.argv else 0.0)
except KeyboardInterrupt:
    (folder / "checkpoint").touch()
    raise
"""
CPU = {"is_gpu": False, "computes_on": "cpu", "build": "torch 2, CUDA None"}
CPU |= {"device": "CPU", "memory": None, "driver": "none", "versions": {}}


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The script, whose process is the stand-in, in a folder of its own."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("gpu")
    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(STAND_IN)
    monkeypatch.setattr(module.Worker, "command", [sys.executable, str(stand_in)])
    monkeypatch.setattr(module, "GRACE", 0.5)
    monkeypatch.setattr(module, "LEAST", 0.05)
    return module


@pytest.fixture
def run(script, monkeypatch):
    """Runs it with answers by row; returns the rows of the stage and of the file, and which ran."""

    def run(answers, *words, stage="training", backend="torch"):
        pathlib.Path("answers.json").write_text(json.dumps({"device": CPU, **answers}))
        measured = pathlib.Path("measured")
        measured.unlink(missing_ok=True)
        monkeypatch.setattr(script, "table", lambda *arguments: "")
        arguments = ["gpu.py", "--cpu", "--backends", backend, "--stages", stage, *words]
        monkeypatch.setattr("sys.argv", arguments)
        script.main()
        rows = json.loads(pathlib.Path("gpu.json").read_text())["rows"]
        names = [line.partition(": ")[2] for line in measured.read_text().splitlines()]
        return rows[backend].get(stage, {}), names[1:]

    return run


def jobs_of(script, stage, backend, *words):
    options = script._options(["--cpu", "--backends", backend, "--stages", stage, *words])
    return script.plan(options)[stage, backend]


def test_a_process_that_ends_is_a_row(run, script):
    names = [job["row"] for job in jobs_of(script, "training", "torch")]
    rows, measured = run({names[1]: "dies", names[6]: "fails"})
    assert rows[names[1]]["error"] == "its process was ended by SIGKILL"
    assert rows[names[6]]["error"] == "no memory is left"
    assert set(rows) == set(names) and rows[names[2]]["figure"] == rows[names[-1]]["figure"] == 1
    # Of the same precision, larger batches cannot work either.
    assert names[3] == "Keras, float32, batch 64" and names[3] not in measured
    assert rows[names[3]]["error"] == "not run, since a batch of 32 failed"
    assert names[2] in measured


def test_a_row_that_hangs_is_ended_and_measured_by_the_next_run(run, script):
    names = [job["row"] for job in jobs_of(script, "latency", "torch")]
    started = time.monotonic()
    rows, measured = run({names[1]: "hangs"}, "--budget", "5", stage="latency")
    assert time.monotonic() - started < 8
    assert rows[names[1]]["stopped"] == "its time was used up"
    assert measured == names and rows[names[2]]["figure"] == 1
    rows, measured = run({}, stage="latency")
    assert measured == [names[1]] and rows[names[1]]["figure"] == 1
    assert set(rows) == set(names)
    rows, measured = run({}, stage="latency")
    assert not measured and set(rows) == set(names)


def test_failed_rows_are_measured_again_on_request(run, script):
    first, *_ = (job["row"] for job in jobs_of(script, "rooms", "torch"))
    rows, _ = run({first: {"error": "no memory"}}, stage="rooms")
    assert rows[first]["error"] == "no memory"
    assert run({}, stage="rooms")[1] == []
    rows, measured = run({}, "--retry", stage="rooms")
    assert measured == [first] and "error" not in rows[first]


def test_without_a_device_it_says_so(run, script, monkeypatch):
    monkeypatch.setattr("sys.argv", ["gpu.py", "--stages", "rooms"])
    pathlib.Path("answers.json").write_text(json.dumps({"device": CPU}))
    with pytest.raises(SystemExit, match=r"torch: it computes on cpu and sees no GPU \(torch 2, C"):
        script.main()
    pathlib.Path("answers.json").write_text(json.dumps({"device": {"error": "no module keras"}}))
    with pytest.raises(SystemExit, match="jax: no module keras. docs/gpu.md lists"):
        script.main()


def test_a_file_of_other_settings_is_kept(run):
    run({}, stage="rooms")
    before = pathlib.Path("gpu.json").read_bytes()
    with pytest.raises(SystemExit, match=r"gpu.json holds figures of other settings.*'full'"):
        run({}, "--tiny", stage="rooms")
    assert pathlib.Path("gpu.json").read_bytes() == before


def test_each_training_row_of_jax_has_a_process(script):
    served = []
    crew = script.Crew(script._options(["--cpu"]))
    for backend in ("torch", "jax"):
        for stage in ("environment", "rooms", "training", "latency"):
            for job in jobs_of(script, stage, backend)[:3]:
                served.append((backend, stage, crew.worker(backend, job).process.pid))
    crew.stop()
    counts = {
        (backend, stage): len({pid for *key, pid in served if key == [backend, stage]})
        for backend, stage, _ in served
    }
    assert counts.pop(("jax", "training")) == 3
    assert set(counts.values()) == {1}
    assert len({pid for *_, pid in served}) == 3 + 1 + 3 + 1


def test_a_training_is_interrupted_and_resumed(run, script, tmp_path, monkeypatch):
    preset = importlib.import_module("gpu_parts.preset")
    (tmp_path / "benchmarks").mkdir()
    for name in ("extractor", "directions"):
        (tmp_path / f"benchmarks/{name}.py").write_text(TRAINING)
    (tmp_path / "benchmarks/selection.py").write_text("raise ValueError('no extractor')")
    monkeypatch.setattr(preset, "ROOT", tmp_path)
    slow = {"full": "--slow"}
    monkeypatch.setitem(preset.SCRIPTS, "directions", slow)
    words = ("--data", "sounds", "--minutes", "0.03", "--budget", "10")
    rows, _ = run({}, *words, stage="preset")
    assert rows["extractor"]["steps"] == 8 and "stopped" not in rows["extractor"]
    first = rows["directions"]
    assert "the next run resumes it" in first["stopped"] and 1 <= first["steps"] < 8
    assert (tmp_path / "gpu.json.preset/directions/checkpoint").exists()
    assert "selection" not in rows
    monkeypatch.setitem(preset.SCRIPTS, "directions", {"full": ""})
    rows, _ = run({}, *words, stage="preset")
    assert rows["directions"]["steps"] == 8
    assert rows["directions"]["new_steps"] == 8 - first["steps"]
    assert rows["selection"]["error"] == "ValueError: no extractor"


def test_the_table_has_every_row(script):
    options = script._options(["--cpu", "--backends", "torch"])
    rows = {
        "training": {
            "Keras, bfloat16, batch 32": {
                **{"step_seconds": 0.5, "scenes_per_second": 64.0, "peak_bytes": 2**31},
                **{"steps": 7, "start_seconds": 3.0},
            },
            "Keras, float32, batch 32": {"error": "OutOfMemoryError: 3 | 4 GiB"},
            "Keras, bfloat16, batch 64": {"stopped": "its time was used up"},
        }
    }
    sizes = importlib.import_module("gpu_parts.plan").SIZES["full"]
    head = {"date": "d", "commit": "c", "machine": "m", "cores": 1, "sizes": sizes}
    results = {**head, "settings": {"size": "full", "cpu": True}, "rows": {"torch": rows}}
    lines = script.table(results, script.plan(options)).splitlines()
    text = "\n".join(lines)
    assert "| PyTorch | Keras, bfloat16, batch 32 | 500.0 ms | 64 | 2.00 GiB | 7 | 3.0 s |" in lines
    assert "| PyTorch | Keras, float32, batch 32 | OutOfMemoryError: 3 / 4 GiB |  |" in text
    assert "| PyTorch | Keras, bfloat16, batch 64 | its time was used up |" in text
    assert "| PyTorch | Keras, bfloat16, batch 128 | not measured: the time was used up" in text
    assert "Not measured: it needs `--data`." in lines


@pytest.mark.extensive
@pytest.mark.timeout(600)
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_all_stages_at_a_tiny_size(backend, tmp_path):
    out = tmp_path / "gpu.json"
    words = ["--tiny", "--backends", backend, "--out", str(out)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"][backend]
    assert list(rows) == ["environment", "rooms", "training", "roofline", "latency"]
    for stage, found in rows.items():
        for name, row in found.items():
            assert "error" not in row and "stopped" not in row, (stage, name, row)
            assert f"| {name} | " in done.stdout
    for row in rows["rooms"].values():
        assert row["rooms"] == row["of"] == 4 and row["images_per_second"] > 100
    for row in rows["training"].values():
        assert row["steps"] >= 3 and row["peak_bytes"] > 2**20
        assert row["scenes_per_second"] == pytest.approx(row["job"]["batch"] / row["step_seconds"])
    places = {row["job"]["render"] for row in rows["training"].values()}
    assert places == {None, "host", "device"}
    (row,) = rows["roofline"].values()
    assert 0 < row["least_seconds"] < row["seconds"]
    assert row["operations"] > 1e6 and row["bytes"] > 1e6
    assert all(row["real_time_factor"] > 0 for row in rows["latency"].values())


def test_errors_are_one_line(script):
    stages = importlib.import_module("gpu_parts.stages")
    error = RuntimeError("Exception encountered.\n\n\x1b[1mcannot determine\x1b[0m\n\ttruth")
    assert stages._one_line(error) == "RuntimeError: Exception encountered. cannot determine truth"


def test_runs_are_timed_after_those_that_warm_up(script):
    steps = importlib.import_module("gpu_parts.steps")
    runs = []
    times = steps.timed(lambda: (runs.append(1), time.sleep(0.05)), 0.2)
    assert len(times) + steps.WARM_UPS == len(runs)
    assert steps.FEWEST <= len(times) <= 4 and sum(times) > 0.15
