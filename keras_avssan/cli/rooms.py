"""The commands `rooms build`, `rooms import` and `rooms show`: banks of impulse responses."""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from keras_avssan._internal.types import PathLike
from keras_avssan.cli.options import Commands

if TYPE_CHECKING:
    import numpy as np

    from keras_avssan.simulation import RIRBank, Room, RoomRanges
    from keras_avssan.simulation.bank.bank_folder import BankFolder

# Help of the ranges from which rooms are drawn.
_RANGES = {
    "length": "first side of the rooms in metres; default: 3 10",
    "width": "second side in metres; default: 3 8",
    "height": "third side in metres; default: 2.5 4",
    "t60": "reverberation time in seconds; default: 0.2 0.8",
    "distance": "from the pair of microphones to a source, in metres; default: 0.5 3",
    "azimuth": "of a source in degrees; default: 0.5 180",
    "elevation": "of a source in degrees; default: -25 25",
    "array_height": "of the pair above the floor, in metres; default: 1 1.8",
    "absorption_factor": "of the walls, in each octave band from 125 Hz to 8 kHz; default: 1 1",
}
_LENGTHS = {
    "spacing": "distance between the microphones in metres; default: 0.2",
    "wall_margin": "least distance from every wall in metres; default: 0.3",
    "gain_error": "largest gain or loss of a microphone in dB; default: 0",
    "phase_error": "largest phase lead or lag of a microphone in degrees; default: 0",
    "position_error": "largest error of a microphone's coordinates in metres; default: 0",
    "source_turn": "largest turn of a directional source from the pair, degrees; default: 180",
}
_PATTERNS = ("omni", "subcardioid", "cardioid", "hypercardioid", "figure_eight")


def add_rooms(commands: Commands) -> None:
    """Adds `rooms build`, `rooms import` and `rooms show`."""
    rooms = commands.add_parser("rooms", help="build a bank of rooms, import one, look at one")
    actions = rooms.add_subparsers(dest="action", required=True)
    _add_build(actions)
    _add_import(actions)
    _add_show(actions)


def _add_build(actions: Commands) -> None:
    parser = actions.add_parser(
        "build",
        help="simulate rooms into a folder; the same command resumes an interrupted run",
        epilog="keras-avssan rooms build --rooms 10000 --spacing 0.08 --out rooms",
    )
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="new, empty, or a partial bank"
    )
    parser.add_argument("--rooms", type=int, required=True, help="number of rooms of the bank")
    parser.add_argument("--seed", type=int, default=0, help="seed of the rooms")
    parser.add_argument("--first-index", type=int, default=0, help="first room of the seed")
    parser.add_argument("--sources-per-room", type=int, default=4, help="sources per room")
    parser.add_argument("--sampling-rate", type=int, default=16000, help="samples per second")
    parser.add_argument(
        "--max-duration", type=float, help="seconds of all responses; default: the longest T60"
    )
    parser.add_argument(
        "--formula",
        choices=("sabine", "eyring"),
        default="sabine",
        help="how T60 becomes absorption",
    )
    parser.add_argument(
        "--image-attenuation",
        type=float,
        metavar="DB",
        help="use image sources up to an expected decay of so many decibels",
    )
    parser.add_argument("--tail", action="store_true", help="a diffuse tail follows the images")
    parser.add_argument(
        "--calibrate", action="store_true", help="solve the absorption for a measured T60"
    )
    parser.add_argument("--rooms-per-shard", type=int, default=100, help="rooms in a file")
    parser.add_argument(
        "--shards",
        type=int,
        nargs=2,
        metavar=("START", "STOP"),
        help="build these only, from START to STOP - 1, for processes that share the work",
    )
    parser.add_argument(
        "--workers", type=int, help="threads, one room each; default: those of PyTorch, else 1"
    )
    _add_ranges(parser)
    parser.set_defaults(run=_build)


def _add_ranges(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what rooms are drawn from")
    for name, meaning in _RANGES.items():
        group.add_argument(
            _option(name), type=float, nargs=2, metavar=("LOW", "HIGH"), help=meaning
        )
    for name, meaning in _LENGTHS.items():
        group.add_argument(_option(name), type=float, help=meaning)
    group.add_argument(
        "--source-pattern", choices=_PATTERNS, help="directivity of the sources; default: omni"
    )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _add_show(actions: Commands) -> None:
    parser = actions.add_parser(
        "show",
        help="contents of a bank, and whether it is complete",
        epilog="keras-avssan rooms show rooms --room 17 --plot plan.png",
    )
    parser.add_argument("path", help="the folder of a bank, complete or partial, or its file")
    parser.add_argument(
        "--check", action="store_true", help="read all of it, to find damaged shards too"
    )
    parser.add_argument("--room", type=int, default=0, help="the room to draw, from 0")
    parser.add_argument("--plot", metavar="FILE", help="file for a plan of that room")
    parser.set_defaults(run=_show)


def _add_import(actions: Commands) -> None:
    parser = actions.add_parser(
        "import",
        help="make a bank of measured responses: SOFA files, or a table of sound files",
        epilog="keras-avssan rooms import hall.sofa --spacing 0.2 --out hall.npz",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="SOFA files, or one CSV table or its folder"
    )
    parser.add_argument("--out", dest="bank_file", required=True, metavar="BANK", help="its file")
    parser.add_argument(
        "--spacing",
        type=float,
        help="distance in metres of the two microphones to take, and of those of a table with "
        "azimuths; default: that of the only two",
    )
    parser.add_argument(
        "--tolerance", type=float, default=0.005, help="largest difference from it in metres"
    )
    parser.add_argument("--max-pairs", type=int, default=1, help="pairs to take from an array")
    parser.add_argument(
        "--sources-per-room",
        type=int,
        help="sources in each room of the bank; default: all of a place of the microphones",
    )
    parser.add_argument("--sampling-rate", type=int, default=16000, help="samples per second")
    parser.add_argument(
        "--max-duration", type=float, help="seconds of all responses; default: the longest"
    )
    parser.add_argument(
        "--t60", dest="decay_time", type=float, help="T60 in seconds; default: it is measured"
    )
    parser.add_argument(
        "--baffle",
        help="rigid for the ears of a head, open for free microphones; default: rigid for the "
        "conventions MultiSpeakerBRIR and SimpleFreeFieldHRIR",
    )
    parser.set_defaults(run=_import, checked_by=_check_import)


def _check_import(options: argparse.Namespace) -> None:
    """Checks the files of `rooms import`, and options that only some of them take."""
    from keras_avssan.cli.checks import check_input

    for path in options.files:
        if not os.path.isdir(path):
            check_input("FILE", path)
    if any(map(_is_table, options.files)):
        if len(options.files) > 1:
            raise ValueError(
                "`FILE` must be one table, or SOFA files. "
                f"Received: {len(options.files)} files, a table among them"
            )
        if options.max_pairs > 1:
            raise ValueError(
                "`--max-pairs` must be 1 for a table, whose files have one pair. "
                f"Received: --max-pairs={options.max_pairs}"
            )


def _is_table(path: str) -> bool:
    return os.path.isdir(path) or path.lower().endswith(".csv")


def _import(options: argparse.Namespace) -> None:
    from keras_avssan.simulation import RIRBank

    settings: dict[str, Any] = {
        "microphone_spacing": options.spacing,
        "sources_per_room": options.sources_per_room,
        "sampling_rate": options.sampling_rate,
        "max_duration": options.max_duration,
        "t60": options.decay_time,
        "baffle": options.baffle,
    }
    if _is_table(options.files[0]):
        bank = RIRBank.from_folder(options.files[0], **settings)
    else:
        bank = RIRBank.from_sofa(
            options.files, tolerance=options.tolerance, max_pairs=options.max_pairs, **settings
        )
    bank.save(options.bank_file)
    print(_file_table(bank, options.bank_file))
    wanted, found = options.spacing, bank.microphone_spacing
    if wanted is not None and abs(found - wanted) > options.tolerance:
        print(
            f"Ears {wanted:g} m apart are taken as free microphones {found:g} m apart (--baffle)."
        )


def _build(options: argparse.Namespace) -> None:
    from keras_avssan.simulation import build_bank
    from keras_avssan.simulation.bank.bank_folder import BankFolder

    build_bank(
        options.out,
        options.rooms,
        options.seed,
        first_index=options.first_index,
        rooms_per_shard=options.rooms_per_shard,
        shards=range(*options.shards) if options.shards else None,
        workers=options.workers,
        sources_per_room=options.sources_per_room,
        ranges=_ranges(options),
        sampling_rate=options.sampling_rate,
        max_duration=options.max_duration,
        formula=options.formula,
        image_attenuation=options.image_attenuation,
        tail=options.tail,
        calibrate=options.calibrate,
    )
    bank = BankFolder.open(options.out)
    whole = set(range(len(bank))) - set(bank.missing())
    rooms = sum(len(bank.indices(shard)) for shard in whole)
    print(
        f"{options.out}: {rooms} of {bank.settings['num_rooms']} rooms are there, "
        f"{len(whole)} of {len(bank)} shards are whole"
    )


def _ranges(options: argparse.Namespace) -> "RoomRanges":
    """The ranges that were given, and the defaults of the others."""
    from keras_avssan.simulation import RoomRanges

    pairs = {name: getattr(options, name) for name in _RANGES}
    given: dict[str, Any] = {name: tuple(pair) for name, pair in pairs.items() if pair is not None}
    lengths = {name: getattr(options, name) for name in _LENGTHS}
    lengths["source_pattern"] = options.source_pattern
    given |= {name: length for name, length in lengths.items() if length is not None}
    return RoomRanges(**given)


def _show(options: argparse.Namespace) -> None:
    from keras_avssan.simulation.bank.bank_folder import BankFolder

    if not os.path.isdir(options.path):
        _show_file(options)
        return
    bank = BankFolder.open(options.path)
    if options.plot:
        _plot(bank.room(options.room), options.plot)
    print(_table(bank, bank.missing(read_all=options.check), options.check))


def _show_file(options: argparse.Namespace) -> None:
    from keras_avssan.simulation import RIRBank

    bank = RIRBank.load(options.path)
    if options.plot:
        if not 0 <= options.room < len(bank):
            raise ValueError(
                f"`room` must be from 0 to {len(bank) - 1}. Received: room={options.room}"
            )
        _plot(bank.room(options.room), options.plot)
    print(_file_table(bank, options.path))


def _file_table(bank: "RIRBank", path: PathLike) -> str:
    """The contents of a bank in one file, a line for each property."""
    rooms, sources, _, length = bank.rirs.shape
    different = rooms if bank.groups is None else len(set(bank.groups.tolist()))
    measured = 0 if bank.measured is None else int(bank.measured.sum())
    rows = {
        "rooms": f"{rooms}" + (f", of {different} different ones" if different < rooms else ""),
        "measured": f"{measured} of {rooms}",
        "responses": _responses(sources, length, bank.sampling_rate),
        "size": f"{os.path.getsize(path) / 1e6:.1f} MB",
        "spacing": f"microphones {bank.microphone_spacing:g} m apart",
    }
    if bank.shares is not None:
        rows["shares"] = " to ".join(f"{share:g}" for share in bank.shares)
    rows |= _drawn([vars(bank)])
    return _lines(rows)


def _responses(sources: int, length: int, sampling_rate: int) -> str:
    return f"{sources} sources x 2 microphones x {length} samples at {sampling_rate} Hz"


def _lines(rows: Mapping[str, str]) -> str:
    return "\n".join(f"{name:<12}{value}" for name, value in rows.items())


def _plot(room: "Room", path: PathLike) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    from keras_avssan.visualization import plot_scene

    figure = cast(Figure, plot_scene(room, [str(number) for number in range(len(room.sources))]))
    figure.savefig(path, dpi=150, bbox_inches="tight")


def _table(bank: "BankFolder", missing: Sequence[int], checked: bool) -> str:
    """The contents of a bank, a line for each property."""
    settings = bank.settings
    whole = [shard for shard in range(len(bank)) if shard not in missing]
    there = sum(len(bank.indices(shard)) for shard in whole)
    files = [file(shard) for file in (bank.responses, bank.parameters) for shard in whole]
    size = sum(file.stat().st_size for file in files)
    rows = {
        "rooms": f"{there} of {settings['num_rooms']}",
        "shards": _shards(len(bank), missing),
        "checked": "all files were read" if checked else "sizes of files alone; --check reads all",
        "responses": _responses(
            settings["sources_per_room"], settings["length"], settings["sampling_rate"]
        ),
        "sampling": f"{settings['sampling_rate']} Hz",
        "seed": f"{settings['seed']}, from room {settings['first_index']} on",
        "absorption": _absorption(settings),
        "size": f"{size / 1e6:.1f} MB",
        "backend": settings["backend"],
    }
    if whole:
        shards = [bank.read(shard) for shard in whole]
        first, second = shards[0]["microphones"][0]
        rows["spacing"] = f"microphones {math.dist(first, second):.4g} m apart"
        rows |= _drawn(shards)
    return _lines(rows)


def _shards(total: int, missing: Sequence[int]) -> str:
    if not missing:
        return f"{total}, all whole"
    named = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
    return f"{total - len(missing)} of {total} whole; missing or damaged: {named}"


def _absorption(settings: Mapping[str, Any]) -> str:
    words = ["calibrated"] if settings["calibrate"] else [settings["formula"]]
    if settings["image_attenuation"] is not None:
        words.append(f"images down to {settings['image_attenuation']:g} dB")
    return ", ".join([*words, "diffuse tail"] if settings["tail"] else words)


def _drawn(shards: "Sequence[Mapping[str, np.ndarray]]") -> dict[str, str]:
    """Least and greatest values that were drawn."""
    columns = {
        "T60": ([shard["t60"] for shard in shards], "s"),
        "length": ([shard["room_sizes"][:, 0] for shard in shards], "m"),
        "width": ([shard["room_sizes"][:, 1] for shard in shards], "m"),
        "height": ([shard["room_sizes"][:, 2] for shard in shards], "m"),
        "azimuth": ([shard["azimuths"].ravel() for shard in shards], "degrees"),
    }
    known = {
        name: ([value for part in parts for value in part if value == value], unit)  # not NaN
        for name, (parts, unit) in columns.items()
    }
    return {
        name: f"{min(values):.2f} to {max(values):.2f} {unit}" if values else "not known"
        for name, (values, unit) in known.items()
    }
