"""The command line: train, evaluate, localize, benchmark, rooms, build, app."""

import argparse
import os
import sys
from typing import cast

from keras_avssan.cli_app import add_app
from keras_avssan.cli_benchmark import add_benchmark
from keras_avssan.cli_build import add_build
from keras_avssan.cli_options import (
    BUILT_IN,
    FIRST_EVALUATION_ROOM,
    add_scene_options,
    check_output,
    open_bank,
    open_catalog,
)
from keras_avssan.cli_rooms import add_rooms
from keras_avssan.cli_starss23 import add_starss23_options, evaluate_starss23
from keras_avssan.cli_train import add_train


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: List of arguments; those of the process if not given.

    Returns:
        Exit code: 0, or 1 where a check found something, or 2 after bad input, with one line on
        standard error that names it, or 130 where the user stopped it.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, TypeError, OSError, ImportError) as error:
        message = " ".join(str(error).split())
        print(f"keras_avssan {options.command}: error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"keras_avssan {options.command}: {str(stopped) or 'stopped'}", file=sys.stderr)
        return 130


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras_avssan", description="Localise the sound that a prompt shows."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add_train(commands, _plan)
    _add_evaluate(commands)
    _add_localize(commands)
    add_benchmark(commands)
    add_rooms(commands)
    add_build(commands)
    add_app(commands, _load_model)
    return parser


def _add_evaluate(commands):
    parser = commands.add_parser("evaluate", help="score a model on scenes of a folder")
    add_scene_options(parser, split=None, rooms=100, seed=0)
    parser.add_argument("--model", required=True, help="folder of the trained model")
    parser.add_argument("--scenes", type=int, default=1000, help="number of scenes")
    parser.add_argument(
        "--prompt",
        default="picture",
        help="what asks: picture, text (the name of the class), recording (another one of the "
        "class), or constant: the same prompt for every scene, as a control",
    )
    parser.add_argument("--json", help="file for the results")
    add_starss23_options(parser)
    parser.set_defaults(run=_evaluate)


def _add_localize(commands):
    parser = commands.add_parser("localize", help="find a prompted sound in a recording")
    parser.add_argument("audio", help="two-channel recording")
    parser.add_argument(
        "--prompt",
        required=True,
        help="what to look for: a picture, a recording, or words",
    )
    parser.add_argument("--model", required=True, help="folder of the trained model")
    parser.add_argument("--figure", help="file for a figure of posterior, mask and bands")
    parser.set_defaults(run=_localize)


def _load_model(folder):
    import keras_avssan.models.baselines  # noqa: F401  (makes them known to the loader)
    from keras_avssan.models import Localizer

    if not os.path.isdir(folder):
        raise ValueError(f"`--model` must be the folder of a saved model. Received: {folder}")
    return Localizer.from_preset(folder)


def _plan(options, catalog, bank, split, **kwargs):
    from keras_avssan.data import ScenePlan

    return ScenePlan(
        catalog,
        bank,
        split=split,
        seed=options.seed,
        duration=options.duration,
        snr=options.snr,
        reference_split=options.reference_split,
        **kwargs,
    )


def _evaluate(options):
    if options.json:
        check_output("--json", options.json)
    evaluate = evaluate_starss23 if options.starss23 else _evaluate_scenes
    evaluation = evaluate(options, _load_model)
    if options.json:
        evaluation.save(options.json)
    print(evaluation.table())


def _evaluate_scenes(options, load_model):
    from keras_avssan.evaluation import evaluate_localizer

    catalog = open_catalog(options)
    model = load_model(options.model)
    bank = open_bank(options, first_room=FIRST_EVALUATION_ROOM)
    split = options.split or ("test" if options.data == BUILT_IN else None)
    plan = _plan(options, catalog, bank, split)
    return evaluate_localizer(model, plan, options.scenes, prompt=options.prompt)


def _localize(options):
    if options.figure:
        check_output("--figure", options.figure)
    model = _load_model(options.model)
    if not hasattr(model, "explain"):
        if options.figure:
            raise ValueError(
                "`--figure` shows what led AV-SSAN to its answer, and this is another network. "
                f"Received: {type(model).__name__}"
            )
        azimuth, confidence = model.localize(options.audio, options.prompt, return_confidence=True)
        print(f"{azimuth[0]:.0f} degrees, confidence {confidence[0]:.2f}")
        return
    explanation = model.explain(options.audio, options.prompt)
    if options.figure:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib.figure import Figure

        from keras_avssan.visualization import plot_explanation

        figure = cast(Figure, plot_explanation(explanation))
        figure.savefig(options.figure, dpi=150)
    print(f"{explanation['azimuth']:.0f} degrees, confidence {explanation['confidence']:.2f}")
