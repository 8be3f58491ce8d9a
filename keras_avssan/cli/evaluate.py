"""The command `evaluate`: score a model."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_avssan.cli.options import (
    ALL,
    MODEL_HELP,
    Commands,
    add_scene_options,
    check_bank_spacing,
    check_model_spacing,
    choose_test_rooms,
    choose_test_split,
    command_line,
    load_model,
    make_plan,
    open_bank,
    open_catalog,
)
from keras_avssan.cli.starss23 import add_starss23_options, evaluate_starss23

if TYPE_CHECKING:
    from keras_avssan.evaluation import Evaluation
    from keras_avssan.simulation import RIRBank


def add_evaluate(commands: Commands) -> None:
    """Adds `evaluate`."""
    parser = commands.add_parser(
        "evaluate",
        help="score a model on scenes of a folder",
        epilog="keras-avssan evaluate --model my_model --data sounds --split test "
        "--json scores.json",
    )
    add_scene_options(parser, split=None, rooms=100, seed=0)
    parser.add_argument("--model", metavar="MODEL", required=True, help=MODEL_HELP)
    parser.add_argument("--scenes", type=int, default=1000, help="number of scenes")
    parser.add_argument(
        "--prompt",
        default="picture",
        help="kind of the prompts: picture, text (the name of the class), recording (another one "
        "of the class), or constant: the same prompt for every scene, as a control",
    )
    parser.add_argument(
        "--bank-part",
        choices=("test", "validation", "train", ALL),
        default="test",
        help="part of --bank to test in; all is for a bank that is unseen in training",
    )
    parser.add_argument(
        "--on-overlap",
        choices=("mark", "error"),
        default="mark",
        help="where recordings, pictures or rooms were in the training of the model: mark the "
        "scores, or refuse",
    )
    parser.add_argument("--json", help="file for the results")
    add_starss23_options(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    from keras_avssan.models.fitting.recorded_training import circumstances

    evaluate = evaluate_starss23 if options.starss23 else _evaluate_scenes
    evaluation, facts = evaluate(options, load_model)
    if options.json:
        run = {**circumstances(), "command": command_line(options), "model": options.model, **facts}
        settings = {**evaluation.settings, "run": run}
        evaluation = dataclasses.replace(evaluation, settings=settings)
        evaluation.save(options.json)
    print(evaluation.table())


def _evaluate_scenes(
    options: argparse.Namespace, load_model: Callable[[str], Any]
) -> "tuple[Evaluation, dict[str, Any]]":
    from keras_avssan.evaluation import evaluate_localizer

    model = load_model(options.model)
    bank = open_bank(options)
    if bank is not None:
        check_bank_spacing(options, bank)
    check_model_spacing(options, model, bank)
    catalog = open_catalog(options, bank.sampling_rate if bank else model.sampling_rate)
    split = choose_test_split(options, catalog)
    bank, rooms = choose_test_rooms(options, bank, model.microphone_spacing, catalog.sampling_rate)
    plan = make_plan(options, catalog, bank, split, rooms=rooms)
    evaluation = evaluate_localizer(
        model,
        plan,
        options.scenes,
        prompt=options.prompt,
        microphone_spacing=options.spacing,
        on_overlap=options.on_overlap,
    )
    return evaluation, {"data": options.data, **_rooms(options, bank)}


def _rooms(options: argparse.Namespace, bank: "RIRBank") -> dict[str, Any]:
    """The origin of the rooms of the scenes, for the JSON file."""
    where: dict[str, Any]
    if options.bank:
        where = {"bank": options.bank, "bank_part": options.bank_part}
    else:
        simulated = {"rooms": len(bank), "seed": bank.seed, "first_index": bank.first_index}
        where = {"bank": None, "simulated_rooms": simulated}
    return {**where, "sampling_rate": bank.sampling_rate}
