"""What each script of `benchmarks` promises: checks of its arguments and of what it printed."""

import json
import pathlib
import re

from PIL import Image

TWELVE = ("dog cat songbird cow lion rooster fire rain drums helicopter saw violin").split()


def rows_of(out):
    """Cells of all tables that were printed, by the first cell of the row; no heads."""
    lines = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("|")]
    return {cells[0].strip(): cells[1:] for cells in lines if not cells[0].startswith("-")}


def number(text):
    """The first number of a cell."""
    return float(
        re.search(r"[-+−]?[\d,]*\.?\d+(e[-+]\d+)?", text)[0].replace(",", "").replace("−", "-")
    )


def check_share(text):
    assert "%" in text and 0 <= number(text) <= 100


def check_arrays(words, out):
    found = json.loads(pathlib.Path("arrays.json").read_text())["arrays"]
    assert {name: one["pairs"] for name, one in found.items()} == {"square": 6, "respeaker_4": 6}
    rows = rows_of(out)
    for name in ("fused", "best pair, angle at the pair", "SRP-PHAT, nearer of two peaks"):
        check_share(rows[name][0])
        check_share(rows[name][2])
        assert 0 <= number(rows[name][1]) <= 180
    for one in found.values():
        scores = one["scores"]
        assert scores["SRP-PHAT"]["selection"] <= 0.5  # one direction for both prompts
        assert all(score["scenes"] == 2 for score in scores.values())
        assert 0 < one["mean_confidence"] < 1


def check_bands(words, out):
    lines = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("| `")]
    traces = [cells for cells in lines if len(cells) == 8]
    first = {cells[0]: cells[2] for cells in traces if cells[1] == "0"}
    assert first["`gain-dropout-seed-1`"] == "0.33, 0.33, 0.33"
    assert first["`published-all-but-MB-seed-1`"] == "1.00"
    assert first["`published-fine-alone-seed-1`"] == "1.00, 0.00, 0.00"
    for cells in traces:
        assert abs(sum(map(float, cells[2].split(", "))) - 1) < 0.02
    assert {cells[1] for cells in traces} == {"0", "3"}
    scores = [cells for cells in lines if len(cells) == 14]
    assert all(0 <= number(cells[1]) <= 100 for cells in scores)
    pairs = [cells for cells in lines if len(cells) == 9]
    assert len(pairs) == 30  # of six networks at two levels
    for _, _, *shares, best, mean, _ in pairs:
        both, first_alone, second_alone, neither = map(number, shares)
        assert abs(both + first_alone + second_alone + neither - 100) < 0.3
        assert abs(number(best) - (100 - neither)) < 0.2
        assert abs(number(mean) - both - 0.5 * (first_alone + second_alone)) < 0.2
    ablated = {cells[0] for cells in scores if len(cells) == 14}
    assert {"`α uniform`", "`β uniform`", "`fine left out`"} <= ablated
    assert pathlib.Path("bands/models/gain-dropout-seed-1").is_dir()


def check_builder(words, out):
    if "--chooser" not in words:
        assert re.search(r"^20 clips, the middle frame: \d+\.\d clips/s of one core$", out, re.M)
        peaks = [float(peak) for peak in re.findall(r": (\d+) MB$", out, re.M)]
        assert len(peaks) == 5 and peaks == sorted(peaks) and peaks[0] > 50
        return
    for stage in ("sound", "the middle frame", "8 frames", r"CLIP \(ViT-B/32, \w+\), 8 frames"):
        assert re.search(rf"^{stage}: \d+ ms a clip$", out, re.M), stage


def check_exported_model(words, out):
    (row,) = [line for line in out.splitlines() if line.startswith("| torch ")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == "`torch`" and cells[2].endswith(" MB") and cells[-1].endswith(" ms")
    assert number(cells[2]) > 0 and number(cells[3]) < 1e-4 and cells[4] == cells[5] == "–"


def check_built_in(words, out):
    names = [words[place + 1] for place, word in enumerate(words) if word == "--run"]
    assert len(names) == 6
    assert re.findall(r"^(.+): 2 steps in \d+ s, \w+$", out, re.M) == names
    assert out.count("selection") >= 6


def check_copies(words, out):
    rows = rows_of(out)
    found, copied = map(int, rows["inverted"][0].split(" of "))
    assert found == copied > 0
    assert rows["none: originals among each other"][0] == "–"
    assert re.search(r"^Leaks between test, train, val: \d+ clips, \d+ pictures\.$", out, re.M)


def check_decay(words, out):
    rows = rows_of(out)
    assert re.search(r"^2 rooms, T60 0.2 s, 2 sources and as many", out, re.M)
    for formula in ("Sabine", "Eyring", "calibrated"):
        measured, median, *_ = rows[formula]
        assert measured == "8 of 8" and abs(number(median)) < 50
    assert abs(number(rows["calibrated"][1])) < 10


def check_encoder_probe(words, out):
    (cells,) = rows_of(out).values()
    assert cells[0] == "8"
    for cell in cells[2:]:
        check_share(cell)


def check_export_table(words, out):
    page = pathlib.Path("export-table.md").read_text()
    assert number(rows_of(page)["`torch`"][1]) < 1e-4
    assert re.search(r"^\d{4}-\d\d-\d\d, commit `\w+`; keras \d", page, re.M)


def check_figures(words, out):
    for name in ("figure2.png", "figure3.png", "figure3_scenes.png"):
        assert min(Image.open(f"figures/{name}").size) > 200
    scenes = json.loads(pathlib.Path("figures/figures.json").read_text())["scenes"]
    assert len(out.splitlines()) == len(scenes) > 0
    assert all(0 <= scene["error"] <= 180 for scene in scenes)


def check_fine_grid(words, out):
    rows = rows_of(out)
    errors = [number(rows[bins][0]) for bins in ("8", "32")]
    assert errors[1] < errors[0] < -30
    assert all(number(cell) > 0 for cell in rows["8"][1:])
    assert re.search(r"^2\^18 images: \d+\.\d ms by real additions, \d+\.\d ms", out, re.M)


def check_input_pipeline(words, out):
    rows = rows_of(out)
    if "--profile" in words:
        assert 0 < number(rows["convolve"][0]) < number(rows["all"][0])
    elif "--decode" in words:
        assert [number(cell) > 0 for cell in rows["flac, 16000 Hz, 0.5 s"]] == [True, True]
    else:
        assert rows["plain loop"][2] == "1.0 (1.0–1.0)"
        assert len(rows) == 13 and "host, TensorFlow, 2 threads" in rows
        assert list(json.loads(pathlib.Path("rates.json").read_text())["rates"]) == list(rows)[1:]


def check_latency(words, out):
    results = json.loads(pathlib.Path("latency.json").read_text())["rows"]
    assert list(results) == ["Keras, PyTorch", "ONNX Runtime"]
    rows = rows_of(out)
    for name, row in results.items():
        assert len(row["median"]) == 2 and min(row["fastest"]) > 0, row
        assert number(rows[name][2]) > 0
    assert rows["Keras, PyTorch"][3] == "1.00 / 1.00"


def check_limits(words, out):
    results = json.loads(pathlib.Path("limits.json").read_text())
    assert all(0 <= score["mean"] <= 1 for score in results["semantics"].values())
    assert set(results["confusions"]["by_class"]) <= set(TWELVE)
    assert "| selection, ideal ratio mask |" in out


def check_live(words, out):
    results = json.loads(pathlib.Path("live.json").read_text())["rows"]
    assert list(results) == ["AVSSAN(), Keras, PyTorch", "AVSSAN(), ONNX Runtime"]
    rows = rows_of(out)
    for name, row in results.items():
        assert 0 < row["median"] <= row["longest"] < 60, row
        share, median, longest, _ = rows[name]
        assert number(share) > 0 and number(median) <= number(longest)
    assert rows["AVSSAN(), Keras, PyTorch"][3] == "1.00"


def check_memory(words, out):
    rows = [line.strip("| ").split(" | ") for line in out.splitlines() if line[:4] == "| 0."]
    assert [row[:3] for row in rows] == [["0.3", "2", "1"]]
    assert all(number(row[3]) > 0 and number(row[4]) > 0 and "%" in row[5] for row in rows)


def check_printed_loss(words, out):
    for form in ("sum", "mse"):
        [error] = re.findall(rf"^{form}, learning rate 0.005: MAE (.*)° after \d+ s$", out, re.M)
        assert 0 <= float(error) < 180
    assert out.count("before every 1th step") == 2


def check_quantization(words, out):
    rows = rows_of(out)
    assert number(rows["int8"][0]) < number(rows["float32"][0])
    for cells in (rows["float32"], rows["int8"]):
        assert number(cells[1]) >= 0 and 0 <= number(cells[3]) < 180
        check_share(cells[2])
        check_share(cells[4])
    assert re.search(r"^another direction in \d+\.\d % of scenes$", out, re.M)
    assert len(json.loads(pathlib.Path("int8.json").read_text())["int8"]["azimuths"]) == 4


def check_recipe(words, out):
    table = pathlib.Path("results/recipe.md").read_text()
    check_share(rows_of(table)["`baseline`"][0])
    assert table.strip() in out
    assert pathlib.Path("results/models/baseline").is_dir()


def check_robustness(words, out):
    rows = json.loads(pathlib.Path("robustness.json").read_text())["rows"]
    assert list(rows) == ["as trained", "three sources", "absent"]
    check_share(rows_of(out)["as trained"][0])
    assert "AUROC" in out


def check_rooms(words, out):
    rows = rows_of(out)
    if "paper" in words:
        assert rows["pyroomacoustics, images"][2].startswith("1.00 (1.00–1.00)")
        ours = rows["keras-avssan, PyTorch, images"]
        assert all(number(cell) >= 0 for cell in ours) and number(ours[3]) > 10
    elif "grid" in words:
        for value in ("1", "8", "0.1 s", "0.15 s"):
            assert all(number(cell) > 0 for cell in rows[value])
    elif "accuracy" in words:
        errors = rows["keras_avssan"]
        assert len(errors) == 2 and all(-120 < number(error) < -60 for error in errors)
        assert number(rows["pyroomacoustics"][0]) < -50
    else:
        assert re.search(r"^4 rooms: \d+\.\d\d s after", out, re.M)
        for what in ("Moving these bytes", "These operations"):
            assert re.search(rf"^{what} at the card's limit: [\d.e-]+ s, [\d.e-]+ % of", out, re.M)


def check_several_prompts(words, out):
    one, several, ratio, difference = rows_of(out)["torch, AVSSAN(), pictures"]
    assert number(one) > 0 and number(several) > 0 and number(ratio) > 0
    assert number(difference) < 1e-4


def check_start_up(words, out):
    rows = rows_of(out)
    assert rows["torch, `import keras_hub`"][-1] == "yes"
    for name in ("import keras, keras_avssan", "localize"):
        assert rows[f"torch, `{name}`"][-1] == "no"
    figures = json.loads(pathlib.Path("start_up.json").read_text())["figures"]["torch"]
    assert figures["compared"]["ratio_of_cpu"] < 2.5
    assert figures["compared"]["beyond_keras"] < 0.3


def check_tracking(words, out):
    rows = rows_of(out)
    methods = ["each window alone", "filter", "Viterbi", "SRP-PHAT, each window"]
    assert list(rows)[-4:] == methods
    scores = json.loads(pathlib.Path("tracking.json").read_text())["scores"]
    for name in methods:
        assert 0 <= scores[name]["mae"] <= 180 and number(rows[name][0]) <= 180
        check_share(rows[name][1])
    assert scores["filter"]["windows"] == scores[methods[-1]]["windows"] > 0


def check_training(words, out):
    rows = rows_of(out)
    if "--count" in words:
        [found] = re.findall(r"products alone: .*; kernel by kernel: ", out)
        assert len(rows) > 5 and found
        return
    asked = [words[place + 1] for place, word in enumerate(words) if word == "--row"]
    assert list(rows)[1:] == asked
    for cells in (rows[name] for name in asked):
        assert len(cells) > 4, cells
        assert all(number(cell) >= 0 for cell in cells) and number(cells[-1]) > 0
    assert rows["PyTorch, eager"][-3:-1] == ["1.00 (1.00–1.00)"] * 2
