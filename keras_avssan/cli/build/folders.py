"""The commands `build folders` and `build check-splits`: checks of the user's data."""

import argparse
import os

from keras_avssan._internal.atomic_files import write_json
from keras_avssan.cli.options import BUILT_IN, Commands, add_engine_options, open_catalog


def add_folders(actions: Commands) -> None:
    """Adds `build folders`."""
    parser = actions.add_parser(
        "folders",
        help="check a folder of classes: its files, copies, and damaged files",
        epilog="keras-avssan build folders sounds --write-metadata",
    )
    parser.add_argument("root", help="folder with one folder per class")
    parser.add_argument("--json", metavar="FILE", help="file for the whole report")
    parser.add_argument(
        "--write-metadata",
        action="store_true",
        help="write metadata.csv in the folder: its usable files and their splits, with copies in "
        "the same split",
    )
    parser.add_argument(
        "--splits",
        type=float,
        nargs=3,
        default=(0.7, 0.15, 0.15),
        metavar=("TRAIN", "VAL", "TEST"),
        help="shares of the splits",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the splits")
    add_engine_options(parser)
    parser.set_defaults(run=_check_folders)


def add_check_splits(actions: Commands) -> None:
    """Adds `build check-splits`."""
    parser = actions.add_parser(
        "check-splits",
        help="find clips and pictures that are in two splits, also near-duplicates; the exit code "
        "is 1 if there are any",
        epilog="keras-avssan build check-splits sounds --json pairs.json",
    )
    parser.add_argument(
        "data", help=f"folder of classes, or of `build vggsound-ssl`, CSV of files, or {BUILT_IN!r}"
    )
    parser.add_argument("--root", help="folder that a CSV's paths start from; default: its own")
    parser.add_argument("--seed", type=int, default=0, help="seed of splits not written down")
    parser.add_argument("--json", metavar="FILE", help="file for the pairs")
    add_engine_options(parser)
    parser.set_defaults(run=_check_splits, classes=None, allow_single_picture=True)


def _check_folders(options: argparse.Namespace) -> None:
    from keras_avssan.data import check_folders, write_metadata
    from keras_avssan.data.catalogs.checks import check_splits

    check_splits(options.splits)
    metadata = os.path.join(options.root, "metadata.csv")
    if options.write_metadata and os.path.exists(metadata):
        raise ValueError(
            "`--write-metadata` must not replace a metadata.csv, which may hold other splits: move "
            f"it away first. Received: root={options.root!r}, which holds a metadata.csv"
        )
    report = check_folders(
        options.root, engine=options.engine, workers=options.workers, progress=True
    )
    print(report.table())
    if options.json:
        write_json(options.json, report.to_dict())
    if options.write_metadata:
        print(f"wrote {write_metadata(report, splits=tuple(options.splits), seed=options.seed)}")


def _check_splits(options: argparse.Namespace) -> int:
    from keras_avssan.data import find_leaks

    catalog = open_catalog(options, seed=options.seed)
    leaks = find_leaks(catalog, engine=options.engine, workers=options.workers, progress=True)
    for leak in leaks:
        print(leak)
    if options.json:
        write_json(options.json, [leak.to_dict() for leak in leaks])
    counts = [
        f"{sum(item.split == split for item in items)} {kind} of {split}"
        for split in catalog.splits
        for kind, items in (("clips", catalog.clips), ("pictures", catalog.pictures))
    ]
    print(f"{len(leaks)} leaks among {', '.join(counts)}")
    return 1 if leaks else 0
