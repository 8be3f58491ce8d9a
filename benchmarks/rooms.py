"""Times room simulation, ours and other simulators, and measures the accuracy of the responses.

    python benchmarks/rooms.py paper --json paper.json
    python benchmarks/rooms.py paper --sources 4 --json paper_4.json
    KERAS_BACKEND=torch python benchmarks/rooms.py grid --json grid.json --figure grid.png
    KERAS_BACKEND=torch python benchmarks/rooms.py accuracy --json accuracy.json
    KERAS_BACKEND=torch python benchmarks/rooms.py gpu --bandwidth 3350 --operations 67

`paper` takes a sample of rooms as `sample_room` draws them and extrapolates to 10,000. The rows
take turns, a round of a few rooms each, so that other load on the machine affects all equally.
`grid` is the room and the ranges that gpuRIR publishes its own times for. `gpu` times one backend
on its device and prints the minimal memory traffic and arithmetic. `--smoke` runs each
in seconds. The other simulators are optional, and a missing one is a row that says so:

    pip install pyroomacoustics rir-generator
    pip install --no-deps torchrir    # would replace the installed PyTorch otherwise

With `--json`, each figure is written when it is measured, and a second run resumes the first.
"""

import argparse
import collections
import concurrent.futures
import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import numpy as np
import reference_rirs
from machine import processor
from room_simulators import (
    HYBRID_ORDER,
    ROWS,
    SAMPLING_RATE,
    SPEED_OF_SOUND,
    Room,
    image_count,
    simulate,
)

NUM_ROOMS = 10_000  # of the paper
BATCH = 16  # rooms in one call of simulate_rirs
REFERENCE_ROW = "pyroomacoustics, images"
SMOKE_T60 = (0.2, 0.22)  # seconds
WARM_UP_INDEX = 1_000_000  # first room of the warm-up; no room of the sample
COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
# Room, T60 and attenuations of gpuRIR's own measurements.
GRID_ROOM = (3.0, 4.0, 2.5)  # metres
GRID_T60 = 0.7  # seconds
GRID_T60S = tuple(round(0.1 + 0.2 * step, 1) for step in range(11))  # seconds
GRID_RESPONSES = (*(2**power for power in range(12)), 4095)
GRID_SOURCES, GRID_MICROPHONES = 32, 4
ENOUGH = 10.0  # seconds of calls after which a point is not repeated
IMAGE_ATTENUATION, RESPONSE_ATTENUATION = 13.0, 50.0  # decibels
# Room, source, microphones and T60 of the comparison with the float64 reference.
ACCURACY_ROOMS = (
    ((5.3, 4.1, 2.7), (1.7, 2.9, 1.6), ((3.13, 1.52, 1.2), (2.95, 1.44, 1.21)), 0.2),
    ((6.9, 5.2, 3.2), (4.83, 1.07, 1.3), ((1.31, 3.9, 1.7), (1.12, 3.84, 1.7)), 0.4),
    ((9.2, 7.3, 3.4), (2.21, 5.6, 1.9), ((6.9, 2.13, 1.4), (6.9, 2.33, 1.4)), 0.6),
)
# Least work that one image costs in one response: three sums and three products for the distance,
# root, division, gain, and two weights; and two bins of 4 bytes that are read and written.
OPERATIONS_PER_IMAGE = 16
BYTES_PER_IMAGE = 16
GRID_PASSES = 6  # times that a fine grid is read or written: zeros, mask and product
GIGA, TERA = 1e9, 1e12


def main():
    options = _options()
    options.run(options)


# --- the paper's rooms -------------------------------------------------------------------


def run_paper(options):
    """Times all rows in turns on the same rooms."""
    rooms = _draw_rooms(range(options.sample), options)
    rounds = [rooms[start : start + options.round] for start in range(0, len(rooms), options.round)]
    results = _resumed(options, ("sample", "round", "sources", "seed", "threads", "smoke"))
    results.setdefault("rounds", [])
    about = results.setdefault("rows", {})
    results["rows"] = {name: about.get(name, {}) for name in ROWS if name in {*about, *options.row}}
    results["num_rounds"] = len(rounds)
    done = {(entry["row"], entry["round"]) for entry in results["rounds"]}
    unfinished = [
        name
        for name in options.row
        if not all((name, number) in done for number in range(len(rounds)))
        and not _used_up(results, name, options)
    ]
    crews = _start_crews(unfinished, options, results)
    for number, rooms in enumerate(rounds):
        for name in options.row:
            if name not in crews or (name, number) in done or _used_up(results, name, options):
                continue
            try:
                entry = crews[name].run(ROWS[name], rooms)
            except RuntimeError as error:
                results["rows"][name]["error"] = str(error)
                del crews[name]
                continue
            results["rounds"].append({"row": name, "round": number, **entry})
            _progress(f"round {number + 1} of {len(rounds)}, {name}: {entry['seconds']:.2f} s")
            _write(options, results)
    for crew in set(crews.values()):
        crew.stop()
    results["summary"] = {name: summarize(results, name) for name in results["rows"]}
    _write(options, results)
    print(paper_table(results))


def summarize(results, name):
    """Figures of a row: seconds for the sample and for all rooms, ratio to the reference row.

    A row that did not take part in all rounds is extrapolated by
    its ratio to the reference row in those it did.
    """
    times = {row: _seconds_by_round(results["rounds"], row) for row in (name, REFERENCE_ROW)}
    own, reference = times[name], times[REFERENCE_ROW]
    if not own:
        return {"error": results["rows"][name].get("error", "not run")}
    common = sorted(own.keys() & reference.keys())
    ratios = [own[number] / reference[number] for number in common]
    seconds = sum(own.values())
    if len(own) < results["num_rounds"] and common:
        share = sum(own[number] for number in common) / sum(reference[number] for number in common)
        seconds = share * sum(reference.values())
    entries = [entry for entry in results["rounds"] if entry["row"] == name]
    return {
        "rounds": len(own),
        "seconds": seconds,
        "seconds_for_all": seconds * NUM_ROOMS / results["options"]["sample"],
        "ratios": ratios,
        "compile_seconds": sum(entry["compile_seconds"] for entry in entries),
        "images_per_room": statistics.mean(entry["images_per_room"] for entry in entries),
        **results["rows"][name],
    }


def _seconds_by_round(rounds, name):
    return {entry["round"]: entry["seconds"] for entry in rounds if entry["row"] == name}


def paper_table(results):
    """The figures in Markdown."""
    options = results["options"]
    head = f"{options['sample']} rooms | {NUM_ROOMS:,} rooms"
    lines = [
        f"| Row | {head} | Time, pyroomacoustics = 1 | Images per source | Start and warm-up |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in results["summary"].items():
        if "error" in row:
            lines.append(f"| {name} | – | – | – | – | {row['error']} |")
            continue
        ratios = row["ratios"]
        spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
        ratio = f"{statistics.median(ratios):.2f}{spread}" if ratios else "–"
        partly = "" if row["rounds"] == results["num_rounds"] else "*"
        warm_up = row["warm_up_seconds"] + row["compile_seconds"]
        lines.append(
            f"| {name} | {row['seconds']:.1f} s{partly} | {_duration(row['seconds_for_all'])}"
            f"{partly} | {ratio} | {row['images_per_room']:,.0f} "
            f"| {row['start_seconds']:.0f} s, {warm_up:.0f} s |"
        )
    t60 = "0.2 to 0.22 s" if options["smoke"] else "0.2 to 0.8 s"
    lines.append(
        f"\n{options['sources']} source(s) and two microphones a room, T60 {t60}, seed "
        f"{options['seed']}, in {results['num_rounds']} rounds; ratios are the median over rounds "
        "(lowest–highest). Compiling is not in the times but in the warm-up. A row with * ran for "
        "fewer rounds and is extrapolated by its ratio. Where rows do not say otherwise, images to "
        f"the T60. Beside rays, images of up to {HYBRID_ORDER} reflections. pyroomacoustics adds "
        "images up to the order that its own function names: some arrive after the T60, and a few "
        "that arrive before are missing.\n\n" + _remark(results)
    )
    return "\n".join(lines)


def _start_crews(names, options, results):
    """Starts, warms up and returns the crew of each row; a row without one gives the reason."""
    crews, started = {}, {}
    warm_up = _draw_rooms(range(WARM_UP_INDEX, WARM_UP_INDEX + options.round), options)
    for name in names:
        row, about = ROWS[name], results["rows"][name]
        about.pop("error", None)
        key = (row.simulator, row.backend, row.process_per_core)
        try:
            if key not in started:
                started[key] = Crew(row, options)
            crews[name] = started[key]
            about["start_seconds"] = crews[name].start_seconds
            entry = crews[name].run(row, warm_up)
            about["warm_up_seconds"] = entry["seconds"] + entry["compile_seconds"]
        except RuntimeError as error:
            crews.pop(name, None)
            about["error"] = str(error)
        _progress(f"{name}: {about}")
    return crews


def _used_up(results, name, options):
    """Whether another round of a row may exceed its budget; the first is always run."""
    seconds = [entry["seconds"] for entry in results["rounds"] if entry["row"] == name]
    return bool(seconds) and sum(seconds) + statistics.mean(seconds) > options.budget


class Crew:
    """The processes of a simulator: one with all threads, or one of one thread per core."""

    def __init__(self, row, options):
        self._one_by_one = row.process_per_core
        count, threads = (options.threads, 1) if self._one_by_one else (1, options.threads)
        started = time.perf_counter()
        self._workers = [_start_worker(row, threads) for _ in range(count)]
        try:
            for worker in self._workers:
                _ask(worker, {"rooms": [], "tail": row.tail})
        except RuntimeError:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - started

    def run(self, row, rooms):
        """Simulates rooms; returns seconds, seconds lost by compiling, and images a room.

        Rooms during which a backend compiled something are simulated again, and the second time
        counts: compilation overlaps with computation, so that it cannot be subtracted.

        Raises:
            RuntimeError: With the reason, if a process could not do it.
        """
        seconds, replies = self._timed(row, rooms)
        first_seconds = seconds
        if any(reply["has_compiled"] for reply in replies):
            seconds, replies = self._timed(row, rooms)
        return {
            "seconds": seconds,
            "compile_seconds": max(0.0, first_seconds - seconds),
            "images_per_room": sum(reply["images"] for reply in replies) / len(rooms),
        }

    def _timed(self, row, rooms):
        """Seconds until all rooms are simulated, and what the processes answered."""
        # The longest go first, so that no process waits long for the last room of another.
        rooms = sorted(rooms, key=lambda room: -room.expected_images)
        jobs = [[room] for room in rooms] if self._one_by_one else [rooms]
        queue = collections.deque(
            {"rooms": [room.to_dict() for room in job], "tail": row.tail} for job in jobs
        )
        started = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(len(self._workers)) as pool:
            replies = sum(pool.map(_ask_all, self._workers, [queue] * len(self._workers)), [])
        return time.perf_counter() - started, replies

    def stop(self):
        """Ends the processes."""
        for worker in self._workers:
            worker.stdin.close()
            worker.stdout.close()
            worker.wait()


def _start_worker(row, threads):
    variables = {"KERAS_BACKEND": row.backend} if row.backend else {}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        variables[name] = str(threads)
    return subprocess.Popen(
        [sys.executable, __file__, "worker", row.simulator, "--threads", str(threads)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _ask_all(worker, queue):
    """Has a worker do jobs until none is left; returns its replies."""
    replies = []
    while True:
        try:
            job = queue.popleft()
        except IndexError:
            return replies
        replies.append(_ask(worker, job))


def _ask(worker, job):
    try:
        worker.stdin.write(json.dumps(job) + "\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
    except OSError:
        line = ""
    reply = json.loads(line) if line else {"error": "its process ended"}
    if "error" in reply:
        raise RuntimeError(reply["error"])
    return reply


def run_worker(options):
    """Answers jobs from standard input: the process of one simulator."""
    # Output of libraries must not be mixed with the replies.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    compiling = _limit_threads(options)
    for line in sys.stdin:
        job = json.loads(line)
        rooms = [Room.of(**room) for room in job["rooms"]]
        compiling.clear()
        try:
            for start in range(0, max(1, len(rooms)), BATCH):
                simulate(
                    options.simulator, rooms[start : start + BATCH], job["tail"], options.threads
                )
            images = sum(image_count(options.simulator, room, job["tail"]) for room in rooms)
            reply = {"has_compiled": bool(compiling), "images": images}
        except (ImportError, NotImplementedError) as error:
            reply = {"error": str(error)}
        except Exception as error:  # The table has the reason in place of the row.
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


def _limit_threads(options):
    """Sets the threads of a backend; returns a list that JAX adds to when it compiles."""
    events = []
    if options.simulator != "keras_avssan":
        return events
    import keras

    if keras.config.backend() == "torch":
        import torch

        torch.set_num_threads(options.threads)
    elif keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    else:
        import jax

        def listen(event, duration, **_):
            if event == COMPILE_EVENT:
                events.append(duration)

        jax.monitoring.register_event_duration_secs_listener(listen)
    return events


# --- gpuRIR's grid -----------------------------------------------------------------------


def run_grid(options):
    """Times one room by the number of responses and by the T60, with and without tail."""
    results = _resumed(options, ("seed", "threads", "smoke"))
    results.setdefault("rows", [])
    done = {(row["series"], row["tail"], row["value"]): row for row in results["rows"]}
    counts = GRID_RESPONSES[:4] if options.smoke else GRID_RESPONSES
    t60s = GRID_T60S[:3] if options.smoke else GRID_T60S
    series = {
        "responses": [(count, GRID_T60, count, 1) for count in counts],
        "t60": [(t60, t60, GRID_SOURCES, GRID_MICROPHONES) for t60 in t60s],
    }
    _simulated(GRID_ROOM, (1.0, 1.0, 1.0), [(2.0, 3.0, 1.5)], t60=GRID_T60S[0])  # starts threads
    for name, points in series.items():
        for tail in (False, True):
            for value, *setting in points:
                row = done.get((name, tail, value))
                if row is None:
                    row = {"series": name, "tail": tail, "value": value}
                    row |= _time_grid_point(*setting, tail, options)
                    results["rows"].append(row)
                    _progress(str(row))
                    _write(options, results)
                if row["seconds"] > options.budget:
                    break
    results["exponents"] = {
        f"{name}{', tail' if tail else ''}": _exponent(results["rows"], name, tail)
        for name in series
        for tail in (False, True)
    }
    _write(options, results)
    print(grid_table(results))
    if options.figure:
        _draw_grid(results, options.figure)


def _time_grid_point(t60, num_sources, num_microphones, tail, options):
    """Seconds of the fastest of two or three calls, or of one call that takes long."""
    rng = np.random.default_rng(options.seed)
    low, high = 0.3, np.array(GRID_ROOM) - 0.3
    sources = rng.uniform(low, high, (num_sources, 3))
    microphones = rng.uniform(low, high, (num_microphones, 3))
    arguments = {"duration": t60 * RESPONSE_ATTENUATION / 60}
    if tail:
        arguments |= {"image_attenuation": IMAGE_ATTENUATION, "tail": True}
    times = []
    while len(times) < 3 and sum(times) < ENOUGH:
        started = time.perf_counter()
        _simulated(GRID_ROOM, sources, microphones, t60=t60, **arguments)
        times.append(time.perf_counter() - started)
    return {"seconds": min(times), "first_seconds": times[0]}


def _exponent(rows, series, tail):
    """Slope of seconds over T60 or number of responses, both in logarithms, over the upper half."""
    points = [
        (row["value"], row["seconds"])
        for row in rows
        if row["series"] == series and row["tail"] == tail
    ]
    points = points[len(points) // 2 :]
    if len(points) < 2:
        return None
    value, seconds = np.log(points).T
    return float(np.polyfit(value, seconds, 1)[0])


def grid_table(results):
    """The figures in Markdown: a table for each series."""
    heads = {
        "responses": f"Responses, T60 {GRID_T60:g} s",
        "t60": f"T60, {GRID_SOURCES} sources × {GRID_MICROPHONES} microphones",
    }
    blocks = []
    for series, head in heads.items():
        cells = {
            (row["value"], row["tail"]): f"{row['seconds']:.3f} s"
            for row in results["rows"]
            if row["series"] == series
        }
        lines = [f"| {head} | Images alone | Images and tail |", "|---|---|---|"]
        for value in sorted({value for value, _ in cells}):
            unit = " s" if series == "t60" else ""
            both = " | ".join(cells.get((value, tail), "–") for tail in (False, True))
            lines.append(f"| {value:g}{unit} | {both} |")
        exponents = [results["exponents"][series + suffix] for suffix in ("", ", tail")]
        shown = ("–" if value is None else f"{value:.2f}" for value in exponents)
        lines.append("| grows with the power | " + " | ".join(shown) + " |")
        blocks.append("\n".join(lines))
    room = " × ".join(f"{side:g}" for side in GRID_ROOM)
    blocks.append(
        f"Room {room} m, {SAMPLING_RATE // 1000} kHz, responses to {RESPONSE_ATTENUATION:g} dB of "
        f"decay; with a tail, images to {IMAGE_ATTENUATION:g} dB. Powers are fitted to the upper "
        "half of each column.\n\n" + _remark(results)
    )
    return "\n\n".join(blocks)


def _draw_grid(results, path):
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    labels = {"responses": "responses", "t60": "T60 in seconds"}
    for axes, (series, label) in zip(figure.subplots(1, 2), labels.items(), strict=True):
        for tail, marker in ((False, "o-"), (True, "s--")):
            points = [
                (row["value"], row["seconds"])
                for row in results["rows"]
                if row["series"] == series and row["tail"] == tail
            ]
            if points:
                name = "images and tail" if tail else "images alone"
                axes.loglog(*zip(*points, strict=True), marker, label=name, markersize=4)
        axes.set(xlabel=label, ylabel="seconds")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(True, which="major", alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


# --- accuracy ----------------------------------------------------------------------------


def run_accuracy(options):
    """Compares responses with the float64 reference, and ours with those of pyroomacoustics."""
    from keras_avssan.simulation.absorption import sabine_absorption

    results = _resumed(options, ("seed", "threads", "smoke"))
    results["errors"] = {}
    for size, source, microphones, t60 in ACCURACY_ROOMS[: 1 if options.smoke else None]:
        room = Room.of(size, t60, sabine_absorption(size, t60), [source], microphones)
        expected = [
            reference_rirs.reference_response(
                size, source, place, math.sqrt(1 - room.absorption), round(t60 * SAMPLING_RATE)
            )
            for place in microphones
        ]
        column = f"T60 {t60:g} s"
        responses = {}
        for simulator in ("keras_avssan", "pyroomacoustics", "rir_generator", "torchrir"):
            try:
                found = responses[simulator] = simulate(simulator, [room])[0][0]
                error = _worst_error(reference_rirs.with_lead(found), expected)
            except ImportError as missing:
                error = str(missing)
            results["errors"].setdefault(simulator, {})[column] = error
            _progress(f"{simulator}, {column}: {error}")
        if "pyroomacoustics" in responses:
            pair = (responses[name] for name in ("keras_avssan", "pyroomacoustics"))
            row = results["errors"].setdefault("keras_avssan, against pyroomacoustics", {})
            row[column] = _worst_error(*map(reference_rirs.with_lead, pair))
    results["errors"]["keras_avssan"]["single images"] = _worst_single_image()
    _write(options, results)
    print(accuracy_table(results))


def _worst_error(found, expected):
    return max(
        reference_rirs.relative_error(response, wanted)
        for response, wanted in zip(found, expected, strict=True)
    )


def _worst_single_image():
    """Largest error of single images, at delays of all fractions of a sample."""
    samples = 150 + np.arange(128) / 128
    source = np.array([1.0, 2.0, 1.3])
    distances = samples / SAMPLING_RATE * SPEED_OF_SOUND
    microphones = source + distances[:, None] * [1.0, 0.0, 0.0]
    found = _simulated(
        (6.0, 4.0, 3.0), source, microphones, absorption=0.5, max_order=0, duration=0.1
    )[0]
    expected = [
        reference_rirs.windowed_sincs(delays, 1 / (4 * np.pi * distance), found.shape[-1])
        for delays, distance in zip(samples[:, None], distances[:, None], strict=True)
    ]
    return _worst_error(reference_rirs.with_lead(found), expected)


def accuracy_table(results):
    """The errors in Markdown."""
    columns = list(results["errors"]["keras_avssan"])
    lines = ["| Simulator | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for simulator, errors in results["errors"].items():
        cells = [errors.get(column, "–") for column in columns]
        shown = [f"{cell:.1f} dB" if isinstance(cell, float) else cell for cell in cells]
        lines.append(f"| {simulator} | " + " | ".join(shown) + " |")
    lines.append(
        "\nEnergy of the difference to a float64 sum of windowed sincs from 0 to 7 kHz, beside the "
        "energy of that sum; the worse of the microphones. pyroomacoustics adds images up to an "
        "order, so that some are missing at the end.\n\n" + _remark(results)
    )
    return "\n".join(lines)


# --- a card ------------------------------------------------------------------------------


def run_gpu(options):
    """Times the paper's rooms on the backend's device, beside the least work that they take."""
    rooms = _draw_rooms(range(options.rooms), options)
    warm_up = _draw_rooms(range(WARM_UP_INDEX, WARM_UP_INDEX + options.batch), options)
    started = time.perf_counter()
    simulate("keras_avssan", warm_up, options.tail)
    results = _resumed(options, ())
    results["warm_up_seconds"] = time.perf_counter() - started
    started = time.perf_counter()
    for start in range(0, len(rooms), options.batch):
        # The responses are copied to the host, which waits for the device.
        simulate("keras_avssan", rooms[start : start + options.batch], options.tail)
    results["seconds"] = time.perf_counter() - started
    results |= least_work(rooms, options)
    _write(options, results)
    seconds = results["seconds"]
    print(
        f"{len(rooms)} rooms: {seconds:.2f} s after {results['warm_up_seconds']:.1f} s of warm-up, "
        f"{_duration(seconds * NUM_ROOMS / len(rooms))} for {NUM_ROOMS:,}\n"
        f"{results['images']:.3g} images in responses, {results['images'] / seconds:.3g}/s\n"
        f"at least {results['bytes'] / GIGA:.3g} GB moved, {results['operations'] / TERA:.3g} "
        "tera-operations"
    )
    if options.bandwidth:
        _print_share("Moving these bytes", results["bytes"] / options.bandwidth / GIGA, seconds)
    if options.operations:
        _print_share("These operations", results["operations"] / options.operations / TERA, seconds)
    print("\n" + _remark(results))


def _print_share(what, least, seconds):
    print(f"{what} at the card's limit: {least:.3g} s, {100 * least / seconds:.2g} % of the time")


def least_work(rooms, options):
    """Images in all responses, and the bytes and operations that they take at the least.

    Each image is two bins of a fine grid that are read and written. Each grid is made, masked and
    multiplied by the low-pass, which gives each bin to three frames of samples.
    """
    from keras_avssan.simulation.oversampling import FRAME, OVERSAMPLING

    images = grids = products = 0
    for room in rooms:
        responses = len(room.sources) * len(room.microphones)
        images += responses * image_count("keras_avssan", room, options.tail)
        bins = OVERSAMPLING * room.t60 * SAMPLING_RATE
        grids += responses * bins
        products += responses * bins * 2 * 3 * FRAME
    return {
        "images": images,
        "bytes": BYTES_PER_IMAGE * images + GRID_PASSES * 4 * grids,
        "operations": OPERATIONS_PER_IMAGE * images + products,
    }


# --- common ------------------------------------------------------------------------------


def _draw_rooms(indices, options):
    from keras_avssan.simulation import RoomRanges, sample_room
    from keras_avssan.simulation.absorption import sabine_absorption

    ranges = RoomRanges(t60=SMOKE_T60) if options.smoke else RoomRanges()
    drawn = [
        sample_room(options.seed, index, num_sources=options.sources, ranges=ranges)
        for index in indices
    ]
    return [
        Room.of(
            room.size,
            room.t60,
            sabine_absorption(room.size, room.t60),
            room.sources,
            room.microphones,
        )
        for room in drawn
    ]


def _simulated(*args, **kwargs):
    from keras import ops

    from keras_avssan.simulation import simulate_rirs

    return ops.convert_to_numpy(simulate_rirs(*args, **kwargs))


def _resumed(options, names):
    """What an earlier run wrote with the same settings, or the head of a new file."""
    settings = {name: getattr(options, name) for name in names}
    path = options.json and pathlib.Path(options.json)
    if path and path.exists():
        results = json.loads(path.read_text())
        if results["options"] != settings or results["command"] != options.command:
            raise SystemExit(f"{path} holds figures of other settings: name another file")
        return results
    return {
        "command": options.command,
        "date": datetime.date.today().isoformat(),
        "machine": processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[2],
        "versions": _versions(),
        "backend": os.environ.get("KERAS_BACKEND", ""),
        "threads": options.threads,
        "options": settings,
    }


def _write(options, results):
    """Writes the figures atomically."""
    if not options.json:
        return
    temporary = pathlib.Path(f"{options.json}.part")
    temporary.write_text(json.dumps(results, indent=2) + "\n")
    os.replace(temporary, options.json)


def _versions():
    names = ("numpy", "keras", "torch", "tensorflow", "jax")
    names += ("pyroomacoustics", "rir-generator", "torchrir")
    versions = {"Python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _remark(results):
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    backend = f", {results['backend']}" if results["command"] != "paper" else ""
    return (
        f"{results['date']}, {results['machine']}, {results['cores']} cores, load "
        f"{results['load']:.1f}, {results['threads']} thread(s){backend}. {versions}."
    )


def _duration(seconds):
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _progress(text):
    print(text, file=sys.stderr, flush=True)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    paper = commands.add_parser("paper", help="the paper's rooms, ours beside others")
    paper.add_argument("--sample", type=int, default=200, help="rooms that are simulated")
    paper.add_argument("--round", type=int, default=10, help="rooms before the next row's turn")
    paper.add_argument("--row", action="append", choices=ROWS, help="only this row; repeatable")
    paper.add_argument("--budget", type=float, default=900, help="seconds that a row may take")

    grid = commands.add_parser("grid", help="one room by T60 and number of responses")
    grid.add_argument(
        "--budget", type=float, default=60, help="seconds of a call that ends its column"
    )
    grid.add_argument("--figure", help="file for the curves")

    accuracy = commands.add_parser("accuracy", help="errors below 7 kHz")

    gpu = commands.add_parser("gpu", help="the paper's rooms on one device")
    gpu.add_argument("--rooms", type=int, default=NUM_ROOMS)
    gpu.add_argument("--batch", type=int, default=64, help="rooms in one call")
    gpu.add_argument("--tail", action="store_true", help="images to 20 dB and a tail")
    gpu.add_argument("--bandwidth", type=float, help="of the card's memory, in GB/s")
    gpu.add_argument("--operations", type=float, help="of the card, in 10^12 per second")

    runs = {"paper": run_paper, "grid": run_grid, "accuracy": run_accuracy, "gpu": run_gpu}
    for command, part in (("paper", paper), ("grid", grid), ("accuracy", accuracy), ("gpu", gpu)):
        part.set_defaults(run=runs[command])
        part.add_argument("--seed", type=int, default=0)
        part.add_argument("--sources", type=int, default=1, help="in each room")
        part.add_argument("--threads", type=int, default=os.cpu_count())
        part.add_argument("--json", help="file for the figures")
        part.add_argument("--smoke", action="store_true", help="little of it, in seconds")

    worker = commands.add_parser("worker")
    worker.add_argument("simulator")
    worker.add_argument("--threads", type=int, default=1)
    worker.set_defaults(run=run_worker)
    options = parser.parse_args()
    if options.command == "paper":
        options.row = options.row or list(ROWS)
        if options.smoke:
            options.sample, options.round = 4, 2
    if options.command == "gpu" and options.smoke:
        options.rooms, options.batch = 4, 2
    return options


if __name__ == "__main__":
    main()
