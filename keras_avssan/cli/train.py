"""The command `train`: train a model, with checkpoints from which training resumes."""

import argparse
import os
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_avssan._internal.saved_files import find_preset
from keras_avssan.cli.checks import check_output
from keras_avssan.cli.options import (
    Commands,
    add_encoder_options,
    add_scene_options,
    check_splits,
    choose_training_rooms,
    command_line,
    make_plan,
    open_audio_encoder,
    open_bank,
    open_catalog,
    open_image_encoder,
)

if TYPE_CHECKING:
    from keras_avssan.data import Catalog, ScenePlan
    from keras_avssan.simulation import RIRBank


def add_train(commands: Commands) -> None:
    """Adds `train`."""
    parser = commands.add_parser(
        "train",
        help="train a model and save it as a preset folder; the same command resumes an "
        "interrupted run",
        epilog="keras-avssan train --data sounds --bank rooms --out my_model --steps 20000",
    )
    add_scene_options(parser, split="train", rooms=300, seed=0)
    parser.add_argument("--out", required=True, help="folder to save the model in")
    parser.add_argument("--validation-split", default="val", help="split to validate on")
    parser.add_argument(
        "--configuration",
        default="base",
        help="base, or paper, which needs both encoders",
    )
    add_encoder_options(parser, image_default="a small one that trains")
    parser.add_argument("--steps", type=int, default=1200, help="training steps")
    parser.add_argument(
        "--epochs",
        type=int,
        help="validations on the way (default: 4, or one per step where there are fewer)",
    )
    parser.add_argument(
        "--align-steps",
        type=int,
        default=0,
        metavar="N",
        help="steps that align prompts with sounds first, such as 400; needs frozen encoders",
    )
    parser.add_argument("--batch-size", type=int, default=32, help="scenes per step")
    parser.add_argument(
        "--learning-rate",
        type=float,
        help="highest learning rate; default: that of the configuration",
    )
    parser.add_argument(
        "--prompts",
        nargs="+",
        default=["picture"],
        metavar="KIND",
        help="kinds of the prompts: picture, text, recording; one is drawn for each scene",
    )
    parser.add_argument(
        "--render",
        choices=("host", "device"),
        default="host",
        help="where scenes are rendered; the device pays if it is a GPU",
    )
    _add_checkpoint_options(parser)
    parser.set_defaults(run=_train, checked_by=_check)


def _add_checkpoint_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoints",
        metavar="DIR",
        help="folder of checkpoints and logs, from which the same command resumes; "
        "default: OUT.checkpoints",
    )
    parser.add_argument(
        "--checkpoint-every",
        type=int,
        default=100,
        metavar="N",
        help="steps between two checkpoints",
    )
    parser.add_argument(
        "--keep-checkpoints", action="store_true", help="keep that folder after the training"
    )
    parser.add_argument("--tensorboard", metavar="DIR", help="folder of a log for TensorBoard")


def _check(options: argparse.Namespace) -> None:
    check_output("--out", options.out, kind="folder")
    if os.path.lexists(options.out):
        raise ValueError(f"`--out` must not exist yet. Received: --out={options.out!r}")
    if find_preset(options.out) != options.out:
        raise ValueError(
            "`--out` must not be the name of a packaged model, because `--model` takes it for that "
            f"model: write '{os.path.join(os.curdir, options.out)}'. "
            f"Received: --out={options.out!r}"
        )


def _train(options: argparse.Namespace) -> None:
    from keras_avssan import AVSSAN
    from keras_avssan._internal.start_up.keras_tensorflow import set_random_seed
    from keras_avssan.training import fit_scenes, save_atomically

    checkpoints = options.checkpoints or f"{os.path.normpath(options.out)}.checkpoints"
    bank = open_bank(options)
    catalog = open_catalog(options, bank.sampling_rate if bank else 16000)
    check_splits(options, catalog)
    bank, *rooms = choose_training_rooms(options, bank, catalog.sampling_rate)
    set_random_seed(options.seed)  # the same command starts the same training
    model = AVSSAN(
        configuration=options.configuration,
        image_encoder=open_image_encoder(options),
        audio_encoder=open_audio_encoder(options),
        sampling_rate=bank.sampling_rate,
        microphone_spacing=bank.microphone_spacing,
    )
    train_plan, validation_plan = _plans(options, catalog, bank, rooms)
    fit_scenes(
        model,
        train_plan,
        steps=options.steps,
        validation_plan=validation_plan,
        batch_size=options.batch_size,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        render=options.render,
        checkpoints=checkpoints,
        checkpoint_every=options.checkpoint_every,
        tensorboard=options.tensorboard,
        align_steps=options.align_steps,
        command=command_line(options),
    )
    save_atomically(model, options.out)
    if not options.keep_checkpoints:
        shutil.rmtree(checkpoints, ignore_errors=True)
    print(f"saved {options.out}")


def _plans(
    options: argparse.Namespace,
    catalog: "Catalog",
    bank: "RIRBank",
    rooms: Sequence[tuple[int, int]],
) -> "list[ScenePlan]":
    """Plans for training and validation, which share no room."""
    kinds = tuple(options.prompts)
    splits = (options.split, options.validation_split)
    return [
        make_plan(options, catalog, bank, split, rooms=where, prompt_kinds=kinds)
        for split, where in zip(splits, rooms, strict=True)
    ]
