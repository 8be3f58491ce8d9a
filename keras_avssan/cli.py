"""The command line: train, evaluate, localize, rooms, build."""

import argparse
import os
import shutil
import sys
import tempfile
from typing import cast

from keras_avssan.cli_build import add_build
from keras_avssan.cli_rooms import add_rooms
from keras_avssan.cli_starss23 import add_starss23_options, evaluate_starss23

BUILT_IN = "built-in"


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
    _add_train(commands)
    _add_evaluate(commands)
    _add_localize(commands)
    add_rooms(commands)
    add_build(commands)
    return parser


def _add_train(commands):
    parser = commands.add_parser("train", help="train a model and save it as a preset folder")
    _add_scene_options(parser, split="train", rooms=300, seed=0)
    parser.add_argument("--out", required=True, help="folder to save the model in")
    parser.add_argument("--validation-split", default="val", help="split to validate on")
    parser.add_argument("--configuration", default="base", help="base or paper")
    parser.add_argument(
        "--image-encoder",
        metavar="PRESET",
        help="used frozen: folder of a KerasHub image backbone or of CLIP, or the name of a CLIP "
        "preset such as clip_vit_base_patch32; default: a small one that trains",
    )
    parser.add_argument("--image-size", type=int, default=224, help="its input size in pixels")
    parser.add_argument("--image-mean", type=float, default=0.5, help="its mean, pixels in [0, 1]")
    parser.add_argument("--image-std", type=float, default=0.5, help="its standard deviation")
    parser.add_argument(
        "--audio-encoder",
        metavar="DIR",
        help="folder of an audio preset such as a converted VGGish, used frozen; default: a small "
        "one that trains",
    )
    parser.add_argument("--steps", type=int, default=1200, help="training steps")
    parser.add_argument("--epochs", type=int, default=4, help="validations on the way")
    parser.add_argument("--batch-size", type=int, default=32, help="scenes a step")
    parser.add_argument("--learning-rate", type=float, help="highest learning rate")
    parser.add_argument(
        "--prompts",
        nargs="+",
        default=["picture"],
        metavar="KIND",
        help="what asks, drawn anew for each scene: picture, text, recording (picture)",
    )
    parser.add_argument(
        "--render",
        choices=("host", "device"),
        default="host",
        help="where scenes are rendered; the device is worth it where it is a GPU (host)",
    )
    parser.set_defaults(run=_train)


def _add_evaluate(commands):
    parser = commands.add_parser("evaluate", help="score a model on scenes of a folder")
    _add_scene_options(parser, split=None, rooms=100, seed=0)
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


def _add_scene_options(parser, split, rooms, seed):
    parser.add_argument(
        "--data",
        default=BUILT_IN,
        help="folder with one folder a class, or of `build vggsound-ssl`, or "
        f"{BUILT_IN!r} (default)",
    )
    parser.add_argument("--classes", nargs="+", help="classes to use; default: all")
    parser.add_argument(
        "--split",
        default=split,
        help=f"split of the data ({split or 'test for the built-in data, else all of them'})",
    )
    parser.add_argument(
        "--allow-single-picture", action="store_true", help="accept classes with one picture"
    )
    parser.add_argument("--duration", type=float, default=1.0, help="seconds a scene lasts (1)")
    parser.add_argument("--snr", type=float, default=0.0, help="target over interferer in dB (0)")
    parser.add_argument("--seed", type=int, default=seed, help=f"seed of the scenes ({seed})")
    parser.add_argument(
        "--reference-split", help="split of recordings that serve as prompts; default: the split"
    )
    parser.add_argument("--rooms", type=int, default=rooms, help=f"rooms to simulate ({rooms})")
    parser.add_argument(
        "--bank",
        help="bank of room impulse responses to use instead: a file, or a folder of `rooms build`",
    )


def _catalog(options):
    from keras_avssan.data import ClassFolders, SyntheticClasses, VGGSoundSSL
    from keras_avssan.data.vggsound_ssl.catalog import is_vggsound_ssl

    if options.data == BUILT_IN:
        catalog = SyntheticClasses()
        return catalog.select(classes=options.classes) if options.classes else catalog
    if is_vggsound_ssl(options.data):
        return VGGSoundSSL(options.data, classes=options.classes)
    return ClassFolders(
        options.data,
        classes=options.classes,
        allow_single_picture=options.allow_single_picture,
    )


# Rooms of one seed are a series: training takes the first, evaluation those from here on.
_FIRST_EVALUATION_ROOM = 1_000_000


def _bank(options, first_room):
    from keras_avssan.simulation import RIRBank

    if options.bank:
        return RIRBank.load(options.bank)
    return RIRBank.build(options.rooms, first_index=first_room)


def _load_model(folder):
    from keras_avssan import AVSSAN

    if not os.path.isdir(folder):
        raise ValueError(f"`--model` must be the folder of a saved model. Received: {folder}")
    return AVSSAN.from_preset(folder)


def _check_output(option, path):
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise ValueError(f"`{option}` must lie in an existing folder. Received: {path}")


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


def _train(options):
    from keras_avssan import AVSSAN
    from keras_avssan.training import fit_scenes

    _check_output("--out", options.out)
    if os.path.exists(options.out):
        raise ValueError(f"`--out` must not exist yet. Received: {options.out}")
    catalog = _catalog(options)
    model = AVSSAN(
        configuration=options.configuration,
        image_encoder=_image_encoder(options),
        audio_encoder=_audio_encoder(options),
    )
    bank = _bank(options, first_room=0)
    if len(bank) < 2:
        raise ValueError(f"Training needs at least 2 rooms. Received: {len(bank)}")
    # A tenth of the rooms is kept for validation.
    kept = max(1, len(bank) // 10)
    kinds = tuple(options.prompts)
    train_plan = _plan(
        options, catalog, bank, options.split, rooms=(0, len(bank) - kept), prompt_kinds=kinds
    )
    validation_plan = _plan(
        options,
        catalog,
        bank,
        options.validation_split,
        rooms=(len(bank) - kept, len(bank)),
        prompt_kinds=kinds,
    )
    fit_scenes(
        model,
        train_plan,
        steps=options.steps,
        validation_plan=validation_plan,
        batch_size=options.batch_size,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        render=options.render,
    )
    _save_whole(model, options.out)
    print(f"saved {options.out}")


def _image_encoder(options):
    if not options.image_encoder:
        return None
    import keras_hub

    from keras_avssan.encoders import ImageEncoder, get_image_encoder
    from keras_avssan.encoders.clip_encoder import is_clip

    name = options.image_encoder
    if not os.path.isdir(name) or is_clip(name):
        return get_image_encoder(name)
    backbone = keras_hub.models.Backbone.from_preset(name)
    size = (options.image_size, options.image_size)
    return ImageEncoder(backbone, size, mean=options.image_mean, std=options.image_std)


def _audio_encoder(options):
    if not options.audio_encoder:
        return None
    import keras_hub

    import keras_avssan.encoders  # noqa: F401  (makes the encoders known to the loader)

    if not os.path.isdir(options.audio_encoder):
        raise ValueError(
            f"`--audio-encoder` must be a preset folder. Received: {options.audio_encoder}"
        )
    return keras_hub.models.Backbone.from_preset(options.audio_encoder)


def _save_whole(model, folder):
    """Saves a preset folder that appears whole or not at all."""
    parent = os.path.dirname(os.path.abspath(folder))
    temporary = tempfile.mkdtemp(dir=parent)
    try:
        model.save_to_preset(temporary)
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _evaluate(options):
    if options.json:
        _check_output("--json", options.json)
    evaluate = evaluate_starss23 if options.starss23 else _evaluate_scenes
    evaluation = evaluate(options, _load_model)
    if options.json:
        evaluation.save(options.json)
    print(evaluation.table())


def _evaluate_scenes(options, load_model):
    from keras_avssan.evaluation import evaluate_localizer

    catalog = _catalog(options)
    model = load_model(options.model)
    bank = _bank(options, first_room=_FIRST_EVALUATION_ROOM)
    split = options.split or ("test" if options.data == BUILT_IN else None)
    plan = _plan(options, catalog, bank, split)
    return evaluate_localizer(model, plan, options.scenes, prompt=options.prompt)


def _localize(options):
    if options.figure:
        _check_output("--figure", options.figure)
    model = _load_model(options.model)
    explanation = model.explain(options.audio, options.prompt)
    if options.figure:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib.figure import Figure

        from keras_avssan.visualization import plot_explanation

        figure = cast(Figure, plot_explanation(explanation))
        figure.savefig(options.figure, dpi=150)
    print(f"{explanation['azimuth']:.0f} degrees, confidence {explanation['confidence']:.2f}")
