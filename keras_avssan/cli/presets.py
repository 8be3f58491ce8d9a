"""The command `presets`: the models that are installed with the library, and named networks."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from keras_avssan._internal.atomic_files import read_json
from keras_avssan._internal.saved_files import CARD, card_entries, packaged_presets
from keras_avssan._internal.tables.text_tables import make_table
from keras_avssan.cli.options import Commands

_HEAD = ("Name", "Class", "Weights", "Size", "Licence", "Description")


def add_presets(commands: Commands) -> None:
    """Adds `presets`."""
    parser = commands.add_parser(
        "presets",
        help="list the packaged models and the named networks without weights",
        epilog="keras-avssan presets\nkeras-avssan presets --card NAME",
    )
    parser.add_argument(
        "--card",
        metavar="NAME",
        help="print the model card of a packaged model; default: the list of all names",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    if options.card is not None:
        print(_card(options.card), end="")
        return
    print(make_table(_HEAD, [*_packaged(), *_networks()]))


def _card(name: str) -> str:
    packaged = packaged_presets()
    if name not in packaged:
        known = f"one of {', '.join(packaged)}" if packaged else "a packaged model; there is none"
        raise ValueError(f"`--card` must be {known}. Received: --card={name!r}")
    path = packaged[name] / CARD
    if not path.is_file():
        raise ValueError(
            f"`--card` must name a model with a card, and '{path}' does not exist. "
            f"Received: --card={name!r}"
        )
    return path.read_text("utf-8")


def _packaged() -> Iterator[tuple[str, ...]]:
    for name, folder in packaged_presets().items():
        entries = card_entries(folder)
        licence, description = entries.get("license", "see its card"), entries.get("description")
        yield name, _class_name(folder), "yes", _size(folder), licence, description or ""


def _networks() -> Iterator[tuple[str, ...]]:
    from keras_avssan import models

    for task in (getattr(models, name) for name in models.__all__):
        for name, network in getattr(task, "untrained", {}).items():
            yield name, task.__name__, "no", "-", "-", network["description"]


def _class_name(folder: Path) -> str:
    task = read_json(folder / "task.json") or read_json(folder / "config.json")
    return str(task.get("class_name", ""))


def _size(folder: Path) -> str:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{size / 1e6:.1f} MB"
