"""Deviation of the measured reverberation time from the target.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/decay.py --positions 4

In each room of a grid, and for each T60, the absorption comes from one formula; a few sources are
simulated to as many microphones, and T30 is measured on each response. A response lasts for the
target T60: one that decays much more slowly cannot be measured, and is excluded. With the tail,
images are used for a share of that time, followed by a diffuse tail. `--oracle` also measures
responses of pyroomacoustics at the same absorption.
"""

import argparse
import datetime
import json
import pathlib

import numpy as np
from keras import ops
from machine import processor

from keras_avssan.simulation import (
    calibrated_absorption,
    reverberation_time,
    simulate_rirs,
)

SAMPLING_RATE = 16_000  # hertz
SPEED_OF_SOUND = 343.0  # metres per second
# Lengths in metres: from small to large, the last three long.
ROOMS = (
    (3.0, 3.0, 2.5),
    (4.0, 3.5, 2.7),
    (5.3, 4.1, 2.7),
    (6.0, 5.0, 3.0),
    (8.0, 6.0, 3.5),
    (10.0, 8.0, 4.0),
    (7.0, 3.5, 3.0),
    (8.0, 4.0, 2.5),
    (10.0, 3.0, 2.5),
)
T60S = (0.2, 0.3, 0.5, 0.8, 1.2)  # seconds
FORMULAS = {
    "Sabine": {"formula": "sabine"},
    "Eyring": {"formula": "eyring"},
    "calibrated": {"calibrate": True},
}
LEAST_DISTANCE, WALL_MARGIN = 0.5, 0.3  # metres


def main():
    options = _options()
    rows = []
    for number, size in enumerate(ROOMS):
        rng = np.random.default_rng([options.seed, number])
        places = _positions(rng, np.array(size), options.positions)
        for t60 in options.t60:
            for formula in FORMULAS:
                row = measure(size, *places, t60, formula, options)
                if row:
                    rows.append(row)
                    print(json.dumps(row), flush=True)
    print(table(rows, options))
    if options.oracle:
        print(oracle_line(rows))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=2) + "\n")


def measure(size, sources, microphones, t60, formula, options):
    """Errors of the measured T60 in percent, per response; nothing where it is infeasible."""

    def simulated(**kwargs):
        rirs = simulate_rirs(
            size,
            sources[None],
            microphones,
            t60=t60,
            sampling_rate=SAMPLING_RATE,
            speed_of_sound=SPEED_OF_SOUND,
            **FORMULAS[formula],
            **kwargs,
        )
        return ops.convert_to_numpy(rirs)[0]

    def errors(rirs):
        times = reverberation_time(rirs, SAMPLING_RATE, high_pass=options.high_pass or None)
        return (100 * (times / t60 - 1)).ravel().tolist()

    try:
        images = simulated()
        with_tail = simulated(tail=True, image_duration=options.image_share * t60)
    except ValueError:
        return None
    row = {"size": size, "t60": t60, "formula": formula}
    row |= {"images": errors(images), "tail": errors(with_tail)}
    if options.oracle and formula == "calibrated" and t60 <= options.longest_oracle:
        absorption = float(calibrated_absorption(size, t60, SPEED_OF_SOUND))
        oracle = _oracle(size, sources[0], microphones[:1], absorption, images.shape[-1])
        times = reverberation_time([oracle[0], images[0, 0]], SAMPLING_RATE)
        row["oracle"] = [100 * (times[0] / times[1] - 1)]
    return row


def table(rows, options):
    """Errors in Markdown, over all positions and over the medians of room and T60."""
    lines = [
        "| Absorption by | Images: measured | Median | Worst room | Worst position "
        "| Images + tail: measured | Median | Worst room | Worst position |",
        "|---|" + "---|" * 8,
    ]
    for formula in FORMULAS:
        own = [row for row in rows if row["formula"] == formula]
        cells = []
        for part in ("images", "tail"):
            errors = np.array([row[part] for row in own])
            # A room with a response that decays too slowly to be measured has no median.
            medians = np.median(errors, axis=-1)
            cells += [
                f"{np.isfinite(errors).sum()} of {options.positions**2 * _num_rooms(options)}"
            ]
            cells += [_percent(np.nanmedian(errors)), _percent(_worst(medians))]
            cells += [_percent(_worst(errors))]
        lines.append(f"| {formula} | " + " | ".join(cells) + " |")
    lines.append(
        f"\n{len(ROOMS)} rooms, T60 {', '.join(map(str, options.t60))} s, {options.positions} "
        f"sources and as many microphones, images of the first {100 * options.image_share:g} % "
        f"of T60 before the tail, seed {options.seed}, {processor()}, "
        f"{datetime.date.today().isoformat()}."
    )
    return "\n".join(lines)


def oracle_line(rows):
    """Difference in T60 from the same images by pyroomacoustics."""
    errors = np.array([row["oracle"] for row in rows if "oracle" in row])
    return (
        f"\npyroomacoustics against these responses, {errors.size} of them: median "
        f"{_percent(np.nanmedian(errors))}, worst {_percent(_worst(errors))}."
    )


def _positions(rng, size, count):
    """Sources, and microphones that are beside none of them."""
    sources = rng.uniform(WALL_MARGIN, size - WALL_MARGIN, (count, 3))
    microphones = []
    while len(microphones) < count:
        place = rng.uniform(WALL_MARGIN, size - WALL_MARGIN)
        if np.linalg.norm(place - sources, axis=1).min() > LEAST_DISTANCE:
            microphones.append(place)
    return sources, np.array(microphones)


def _oracle(size, source, microphones, absorption, length):
    """The same responses by the images of pyroomacoustics, without its high-pass and lag."""
    import pyroomacoustics as pra

    reach = SPEED_OF_SOUND * length / SAMPLING_RATE * np.linalg.norm(1 / np.array(size))
    pra.constants.set("rir_hpf_enable", False)
    room = pra.ShoeBox(
        size, fs=SAMPLING_RATE, materials=pra.Material(absorption), max_order=int(reach) + 3
    )
    room.set_sound_speed(SPEED_OF_SOUND)
    room.add_source(source)
    room.add_microphone_array(microphones.T)
    room.compute_rir()
    lag = pra.constants.get("frac_delay_length") // 2
    return np.stack([response[lag : lag + length] for (response,) in room.rir])


def _num_rooms(options):
    """Pairs of a room and a T60."""
    return len(ROOMS) * len(options.t60)


def _worst(values):
    """The value farthest from zero, of those that could be measured."""
    values = np.ravel(values)[np.isfinite(np.ravel(values))]
    return values[np.argmax(abs(values))] if len(values) else np.nan


def _percent(value):
    return f"{value:+.1f} %"


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--positions", type=int, default=4, help="sources, and microphones, in each room"
    )
    parser.add_argument("--t60", type=float, nargs="+", default=list(T60S))
    parser.add_argument("--image-share", type=float, default=0.25, help="of T60 before the tail")
    parser.add_argument("--high-pass", type=float, default=100.0, help="in hertz, 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--oracle", action="store_true", help="also measure pyroomacoustics")
    parser.add_argument("--longest-oracle", type=float, default=0.8, help="T60 in seconds")
    parser.add_argument("--json", help="file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
