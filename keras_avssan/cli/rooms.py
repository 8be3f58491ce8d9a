"""The commands `rooms build` and `rooms show`: banks of room impulse responses."""

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from keras_avssan._internal.types import PathLike
from keras_avssan.cli.options import Commands

if TYPE_CHECKING:
    import numpy as np

    from keras_avssan.simulation import Room, RoomRanges
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
}
_LENGTHS = {
    "spacing": "distance between the microphones in metres; default: 0.2",
    "wall_margin": "least distance from every wall in metres; default: 0.3",
}


def add_rooms(commands: Commands) -> None:
    """Adds `rooms build` and `rooms show`."""
    rooms = commands.add_parser("rooms", help="build a bank of rooms, or look at one")
    actions = rooms.add_subparsers(dest="action", required=True)
    _add_build(actions)
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
    parser.add_argument("--workers", type=int, default=1, help="threads, one room each")
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


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _add_show(actions: Commands) -> None:
    parser = actions.add_parser(
        "show",
        help="contents of a bank, and whether it is complete",
        epilog="keras-avssan rooms show rooms --room 17 --plot plan.png",
    )
    parser.add_argument("folder", help="the folder of a bank, complete or partial")
    parser.add_argument(
        "--check", action="store_true", help="read all of it, to find damaged shards too"
    )
    parser.add_argument("--room", type=int, default=0, help="the room to draw, from 0")
    parser.add_argument("--plot", metavar="FILE", help="file for a plan of that room")
    parser.set_defaults(run=_show)


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
    given |= {name: length for name, length in lengths.items() if length is not None}
    return RoomRanges(**given)


def _show(options: argparse.Namespace) -> None:
    from keras_avssan.simulation.bank.bank_folder import BankFolder

    bank = BankFolder.open(options.folder)
    if options.plot:
        _plot(bank.room(options.room), options.plot)
    print(_table(bank, bank.missing(read_all=options.check), options.check))


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
        "responses": f"{settings['sources_per_room']} sources x 2 microphones x "
        f"{settings['length']} samples at {settings['sampling_rate']} Hz",
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
    return "\n".join(f"{name:<12}{value}" for name, value in rows.items())


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
    return {
        name: f"{min(map(min, values)):.2f} to {max(map(max, values)):.2f} {unit}"
        for name, (values, unit) in columns.items()
    }
