"""The command `build`: datasets from files."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from keras_avssan._internal.types import PathLike
from keras_avssan.cli.build.folders import add_check_splits, add_folders
from keras_avssan.cli.checks import check_input
from keras_avssan.cli.options import Commands, add_engine_options

# Options of the command that are settings of the builder, each with its type and meaning.
_NUMBERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "frames": (int, "frames of each video that CLIP chooses from; default: 8"),
    "min_instances": (int, "videos that a class needs to be kept; default: 10"),
    "max_classes": (int, "keep at most so many classes, those with most videos; default: all"),
    "max_clips": (int, "keep at most so many clips, spread over the classes; default: all"),
    "max_clips_per_class": (int, "keep at most so many clips of a class; default: all"),
    "duration": (float, "seconds of a clip; default: 10"),
    "seed": (int, "seed of the choice of clips, of their order and of the splits; default: 0"),
    "rows_per_part": (int, "rows of the CSV in a unit of work; default: 64"),
    "clips_per_shard": (int, "clips in a shard; default: 500"),
}


def add_build(commands: Commands) -> None:
    """Adds `build` with one action for each kind of dataset."""
    build = commands.add_parser("build", help="build a dataset from files")
    actions = build.add_subparsers(dest="action", required=True)
    _add_vggsound_ssl(actions)
    add_folders(actions)
    add_check_splits(actions)


def _add_vggsound_ssl(actions: Commands) -> None:
    parser = actions.add_parser(
        "vggsound-ssl",
        help="sounds and pictures from VGGSound's videos, in shards; the same command resumes an "
        "interrupted run",
        epilog="keras-avssan build vggsound-ssl --csv vggsound.csv --videos videos --clip none "
        "--out vggsound-ssl",
    )
    parser.add_argument("--csv", required=True, help="VGGSound's table, as it is published")
    parser.add_argument("--videos", required=True, metavar="FOLDER", help="folder of the .mp4")
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="new, empty, or a partial dataset"
    )
    parser.add_argument(
        "--clip",
        required=True,
        metavar="PRESET",
        help="model that chooses the frames: folder or name of a CLIP preset, such as "
        "clip_vit_base_patch32 (a name is downloaded), or none for the middle frames",
    )
    parser.add_argument("--classes", nargs="+", help="classes to use; default: all")
    parser.add_argument(
        "--splits",
        type=float,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        help="shares of the splits; default: 0.7 0.15 0.15",
    )
    parser.add_argument(
        "--csv-splits",
        action="store_true",
        help="test on the clips that the table has in `test`, divide the others into train and val",
    )
    for name, (kind, meaning) in _NUMBERS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=meaning)
    parser.add_argument(
        "--spatialise",
        type=int,
        default=0,
        metavar="N",
        help="also write every clip in N rooms, with two channels",
    )
    parser.add_argument("--bank", help="rooms for --spatialise: the file or folder of a bank")
    add_engine_options(parser)
    parser.set_defaults(run=_build_vggsound_ssl, checked_by=_check)


def _build_vggsound_ssl(options: argparse.Namespace) -> None:
    from keras_avssan.data import build_vggsound_ssl, spatialise_clips

    _check_bank(options)
    names = ("classes", "splits", "csv_splits", *_NUMBERS)
    given = {name: getattr(options, name) for name in names}
    manifest = build_vggsound_ssl(
        options.out,
        options.csv,
        options.videos,
        clip=None if options.clip == "none" else options.clip,
        engine=options.engine,
        workers=options.workers,
        **{name: value for name, value in given.items() if value is not None},
    )
    if options.spatialise:
        spatialise_clips(
            options.out,
            options.bank,
            options.spatialise,
            seed=options.seed or 0,
            engine=options.engine,
            workers=options.workers,
        )
    print(_summary(options.out, manifest))
    if options.spatialise:
        print(f"{options.out}/spatial: {options.spatialise} of each, with two channels")


def _check(options: argparse.Namespace) -> None:
    check_input("--csv", options.csv)
    if bool(options.spatialise) != bool(options.bank):
        given = "--spatialise" if options.spatialise else "--bank"
        raise ValueError(
            "`--spatialise` and `--bank` must be given together, or neither of them. "
            f"Received: {given} alone"
        )


def _check_bank(options: argparse.Namespace) -> None:
    """Checks the rooms before hours of work, at the end of which they are needed."""
    if options.bank:
        from keras_avssan.data.vggsound_ssl.settings import BuildSettings
        from keras_avssan.data.vggsound_ssl.spatialise_clips import check_bank

        check_bank(options.bank, BuildSettings.sampling_rate)


def _summary(out: PathLike, manifest: Mapping[str, Any]) -> str:
    """Numbers of clips, classes and hours, in two lines."""
    clips, seconds = (sum(manifest[name].values()) for name in ("clips", "seconds"))
    splits = ", ".join(f"{name} {count}" for name, count in manifest["clips"].items())
    dropped = ", ".join(f"{reason} {count}" for reason, count in manifest["dropped"].items())
    return (
        f"{out}: {clips} clips ({splits}) of {len(manifest['classes'])} classes, "
        f"{seconds / 3600:.2f} hours\nleft out: {dropped or 'none'}"
    )
