"""The command `benchmark`: train and score the systems of the paper's tables."""

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_avssan.cli.checks import check_output
from keras_avssan.cli.options import (
    Commands,
    add_data_options,
    add_encoder_options,
    check_bank_spacing,
    open_audio_encoder,
    open_catalog,
    open_image_encoder,
)
from keras_avssan.cli.starss23 import add_segment_options, open_table_segments

if TYPE_CHECKING:
    from keras_avssan.benchmark import BenchmarkSettings
    from keras_avssan.data import SegmentPrompts
    from keras_avssan.simulation import RIRBank

# Options that decide the results: type, default, default with --smoke, and meaning.
_NUMBERS: dict[str, tuple[Callable[[str], Any], float, float, str]] = {
    "budget": (int, 2000, 2, "training steps of every network"),
    "batch_size": (int, 16, 4, "scenes per step"),
    "trials": (int, 3, 2, "learning rates that are tried: the default times 1, 3, 10, 1/3"),
    "trial_steps": (int, 300, 2, "training steps of each trial"),
    "scenes": (int, 1000, 16, "test scenes"),
    "validation_scenes": (int, 300, 8, "scenes on which the learning rate is chosen"),
    "duration": (float, 1.0, 0.5, "seconds a scene lasts"),
    "rooms": (int, 300, 4, "rooms to train in"),
    "test_rooms": (int, 60, 2, "rooms to test in; half as many to validate in"),
    "seed": (int, 0, 0, "seed of scenes and weights"),
    "unseen_classes": (int, 0, 0, "number of classes unseen in training; only these are tested"),
}


def add_benchmark(commands: Commands) -> None:
    """Adds `benchmark`."""
    parser = commands.add_parser(
        "benchmark",
        help="train and score the systems of a table of the paper; the same command resumes an "
        "interrupted run",
        epilog="keras-avssan benchmark --table 2 --out smoke --smoke\n"
        "keras-avssan benchmark --table 2 --data sounds --size small --out results",
    )
    parser.add_argument(
        "--table",
        required=True,
        metavar="N",
        help="2: all systems at several SNRs, 3: on STARSS23, 4: ablations of AV-SSAN",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder of results: new, empty, or partial"
    )
    add_data_options(parser)
    parser.add_argument(
        "--systems", nargs="+", metavar="NAME", help="rows to fill; default: all of the table"
    )
    parser.add_argument(
        "--systems-from",
        metavar="FILE.py",
        help="file with a list SYSTEMS of further rows, see the documentation",
    )
    for name, (kind, default, _, meaning) in _NUMBERS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=kind, metavar="N", help=f"{meaning}; default: {default}")
    parser.add_argument(
        "--size",
        metavar="SIZE",
        help="full: networks as published; small: networks that a CPU can train, where there are "
        "such forms; default: full, or small with --smoke",
    )
    parser.add_argument(
        "--snr",
        nargs="+",
        default=["0", "-5", "-10"],
        metavar="DB",
        help="target over interferer in test scenes; training is at 0 dB",
    )
    parser.add_argument(
        "--spacing",
        type=float,
        help="distance between the simulated microphones in metres; default: 0.2, or in table 3 "
        "that of the data set",
    )
    parser.add_argument("--split", default="train", help="split to train on")
    parser.add_argument(
        "--test-split", help="split to test on; default: test, or val in data without it"
    )
    parser.add_argument(
        "--bank",
        help="bank of rooms to use instead: eight tenths train, one validates, one tests",
    )
    add_encoder_options(
        parser, image_default="a small one with random weights, enough for the built-in data"
    )
    parser.add_argument(
        "--scene-cache",
        type=float,
        default=10.0,
        metavar="GB",
        help="rendered training scenes that are kept in --out, for all systems",
    )
    parser.add_argument(
        "--delete-scenes", action="store_true", help="delete these scenes at the end"
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="a trial run in minutes: tiny defaults, meaningless results",
    )
    add_segment_options(parser)
    parser.set_defaults(run=_benchmark, checked_by=_check)


def _check(options: argparse.Namespace) -> None:
    check_output("--out", options.out, kind="folder")


def _benchmark(options: argparse.Namespace) -> None:
    from keras_avssan._internal.start_up.keras_tensorflow import set_random_seed
    from keras_avssan.benchmark import choose_systems, run_benchmark

    systems = choose_systems(options.table, options.systems, options.systems_from)
    catalog = open_catalog(options)
    segments = further = None
    if int(options.table) == 3:
        segments, further = open_table_segments(options)
    settings = _settings(options, segments)
    set_random_seed(settings.seed)  # a projection of words is the same when resumed
    run_benchmark(
        int(options.table),
        systems,
        settings,
        catalog,
        options.out,
        bank=_bank(options),
        image_encoder=open_image_encoder(options),
        make_audio_encoder=lambda: open_audio_encoder(options),
        segments=segments,
        further=further,
        scene_cache=options.scene_cache,
        delete_scenes=options.delete_scenes,
    )
    print(f"wrote {os.path.join(options.out, f'table{options.table}.md')}")


def _bank(options: argparse.Namespace) -> "RIRBank | None":
    from keras_avssan.simulation import RIRBank

    if not options.bank:
        return None
    bank = RIRBank.load(options.bank)
    check_bank_spacing(options, bank)
    return bank


def _settings(
    options: argparse.Namespace, segments: "SegmentPrompts | None"
) -> "BenchmarkSettings":
    from keras_avssan.benchmark import BenchmarkSettings

    numbers: dict[str, Any] = {}
    for name, (_, default, tiny, _) in _NUMBERS.items():
        given = getattr(options, name)
        numbers[name] = given if given is not None else tiny if options.smoke else default
    spacing = options.spacing
    if spacing is None:
        spacing = 0.2 if segments is None else segments.dataset.microphone_spacing
    return BenchmarkSettings(
        **numbers,
        snr=options.snr,
        size=options.size or ("small" if options.smoke else "full"),
        spacing=spacing,
        train_split=options.split,
        test_split=options.test_split,
    )
