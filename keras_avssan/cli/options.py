"""The command line: options that several commands share, and what they open."""

import argparse
import os
import shlex
import sys
from typing import Any

from keras_avssan._internal.types import PathLike

BUILT_IN = "built-in"  # data that are made in memory, where a path stands else
ALL = "all"
# What `--spacing` is to a command that trains, and to one that scores.
_SPACING = "distance between the microphones; default: that of --bank, else 0.2"
_TOLD_SPACING = (
    "distance between the microphones of the scenes, which the model is told; default: the model "
    "is told nothing, rooms are simulated with the spacing of its training, and a --bank with "
    "another one is refused"
)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Adds what says which recordings and pictures there are.

    Args:
        parser: `ArgumentParser` of a command.
    """
    parser.add_argument(
        "--data",
        default=BUILT_IN,
        help=f"folder with one folder a class, or of `build vggsound-ssl`, or {BUILT_IN!r}",
    )
    parser.add_argument("--classes", nargs="+", help="classes to use; default: all")
    parser.add_argument(
        "--allow-single-picture", action="store_true", help="accept classes with one picture"
    )


def add_scene_options(parser: argparse.ArgumentParser, split: str, rooms, seed: int) -> None:
    """Adds what says how scenes are made.

    Args:
        parser: `ArgumentParser` of a command.
        split: Split of the data by default; `None`: `test`, else `val`.
        rooms: Number of rooms by default.
        seed: Seed by default.
    """
    add_data_options(parser)
    parser.add_argument(
        "--split",
        default=split,
        help=f"split of the data, or {ALL}" + ("" if split else "; default: test, else val"),
    )
    parser.add_argument("--duration", type=float, default=1.0, help="seconds a scene lasts")
    parser.add_argument("--snr", type=float, default=0.0, help="target over interferer in dB")
    parser.add_argument("--seed", type=int, default=seed, help="seed of the scenes")
    parser.add_argument(
        "--reference-split", help="split of recordings that serve as prompts; default: the split"
    )
    parser.add_argument("--rooms", type=int, default=rooms, help="rooms to simulate")
    parser.add_argument(
        "--bank",
        help="bank of room impulse responses to use instead: a file, or a folder of `rooms build`; "
        "its last tenth of rooms tests, the tenth before validates, the others train",
    )
    parser.add_argument(
        "--spacing",
        type=float,
        metavar="METRES",
        help=_SPACING if split else _TOLD_SPACING,
    )


def add_encoder_options(parser: argparse.ArgumentParser, image_default) -> None:
    """Adds what says which encoders the networks have.

    Args:
        parser: `ArgumentParser` of a command.
        image_default: What stands in where no image encoder is named, for the help.
    """
    parser.add_argument(
        "--image-encoder",
        metavar="PRESET",
        help="used frozen: folder of a KerasHub image backbone or of CLIP, or the name of a CLIP "
        f"preset such as clip_vit_base_patch32; default: {image_default}",
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


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--engine` and `--workers`, the arguments of `run_units`.

    Args:
        parser: `ArgumentParser` of a command.
    """
    parser.add_argument("--engine", default="processes", help="processes or ray")
    parser.add_argument("--workers", type=int, default=1, help="units of work at a time")


def open_catalog(options: argparse.Namespace, sampling_rate: int = 16000, **settings: Any):
    """Opens the catalog of a command.

    Args:
        options: Parsed options of `add_data_options`, or what stands for them; where `data` is
            a CSV of files, also `root`.
        sampling_rate: Sampling rate in hertz; a folder of `build vggsound-ssl` has its own.
        **settings: Further arguments of `ClassFolders`.

    Returns:
        A `keras_avssan.data.Catalog`.
    """
    from keras_avssan.data import ClassFolders, SyntheticClasses, VGGSoundSSL
    from keras_avssan.data.vggsound_ssl.catalog import is_vggsound_ssl

    if options.data == BUILT_IN:
        catalog = SyntheticClasses(sampling_rate=sampling_rate)
        return catalog.select(classes=options.classes) if options.classes else catalog
    if is_vggsound_ssl(options.data):
        return VGGSoundSSL(options.data, classes=options.classes)
    settings = {
        "classes": options.classes,
        "allow_single_picture": options.allow_single_picture,
        "sampling_rate": sampling_rate,
        **settings,
    }
    if os.path.isfile(options.data):
        return ClassFolders.from_csv(options.data, options.root, **settings)
    return ClassFolders(options.data, **settings)


def choose_test_split(options: argparse.Namespace, catalog: Any):
    """The split that `--split` names, or the one that a model should be scored on.

    Args:
        options: Parsed options of `add_scene_options`.
        catalog: `keras_avssan.data.Catalog`.

    Returns:
        Name of a split, or `None` for all of them.

    Raises:
        ValueError: If none is named, and the data have neither `test` nor `val`, or they have not
            what is named.
    """
    check_splits(options, catalog)
    if options.split:
        return None if options.split == ALL else options.split
    for split in ("test", "val"):
        if split in catalog.splits:
            return split
    raise ValueError(
        f"The data have no split test or val, but {', '.join(catalog.splits)}. Write one into them "
        "with `build folders --write-metadata`, or score what may be training data with "
        f"`--split {ALL}`."
    )


def check_splits(options: argparse.Namespace, catalog: Any):
    """Refuses a split that the data do not have, before rooms are simulated.

    Args:
        options: Parsed options of `add_scene_options`, perhaps with `validation_split`.
        catalog: `keras_avssan.data.Catalog`.

    Raises:
        ValueError: If an option names a split that is not there.
    """
    for name in ("split", "validation_split", "reference_split"):
        known = (*catalog.splits, *([] if name == "reference_split" else [ALL]))
        split = getattr(options, name, None)
        if split is not None and split not in known:
            raise ValueError(
                f"`--{name.replace('_', '-')}` must be one of {', '.join(known)}: the data have no "
                f"other split. Received: {split}"
            )


def open_bank(options: argparse.Namespace):
    """Opens the bank that is named.

    Args:
        options: Parsed options of `add_scene_options`.

    Returns:
        A `keras_avssan.simulation.RIRBank`, or `None` where none is named.
    """
    from keras_avssan.simulation import RIRBank

    return RIRBank.load(options.bank) if options.bank else None


def choose_test_rooms(
    options: argparse.Namespace, bank: Any, spacing: float = 0.2, sampling_rate: int = 16000
):
    """The rooms that a model is scored in, of which none is one that `train` takes.

    Args:
        options: Parsed options of `add_scene_options`, perhaps with `bank_part`.
        bank: What `open_bank` returned.
        spacing: Distance between the microphones of rooms that are simulated, in metres.
        sampling_rate: Their sampling rate in hertz.

    Returns:
        Tuple of a `keras_avssan.simulation.RIRBank` and the range of its rooms, `None` for all.
    """
    from keras_avssan.simulation import RIRBank, RoomRanges
    from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM

    if bank is not None:
        part = getattr(options, "bank_part", "test")
        try:
            return bank, None if part == ALL else bank.part(part)
        except ValueError as error:
            raise ValueError(
                f"{error} `--bank-part all` takes all of a bank that was built for tests."
            ) from error
    bank = RIRBank.build(
        options.rooms,
        ranges=RoomRanges(spacing=spacing if options.spacing is None else options.spacing),
        sampling_rate=sampling_rate,
        first_index=FIRST_EVALUATION_ROOM,
    )
    return bank, None


def choose_training_rooms(options: argparse.Namespace, bank: Any, sampling_rate: int = 16000):
    """The rooms to train and to validate in; those of `choose_test_rooms` are in neither.

    Args:
        options: Parsed options of `add_scene_options`.
        bank: What `open_bank` returned.
        sampling_rate: Sampling rate of rooms that are simulated, in hertz.

    Returns:
        Tuple of a `keras_avssan.simulation.RIRBank`, the range of its rooms to train in, and that
        to validate in.

    Raises:
        ValueError: If the bank has too few rooms, or another spacing than `--spacing`.
    """
    from keras_avssan.simulation import RIRBank, RoomRanges
    from keras_avssan.simulation.bank.room_parts import divide_rooms

    if bank is not None:
        check_bank_spacing(options, bank)
        return bank, bank.part("train"), bank.part("validation")
    rooms = divide_rooms(options.rooms, ("train", "validation"))
    ranges = RoomRanges() if options.spacing is None else RoomRanges(spacing=options.spacing)
    bank = RIRBank.build(options.rooms, ranges=ranges, sampling_rate=sampling_rate)
    return bank, rooms["train"], rooms["validation"]


def check_bank_spacing(options: argparse.Namespace, bank: Any):
    """Refuses a `--spacing` that is not that of `--bank`."""
    from keras_avssan.models.microphones import SAME_SPACING

    given, own = options.spacing, bank.microphone_spacing
    if given is not None and own and abs(given - own) > SAME_SPACING:
        raise ValueError(
            f"`--spacing` {given} m is not the spacing of `--bank`, whose microphones are {own} m "
            "apart. Leave it out, or build a bank with it."
        )


def check_model_spacing(options: argparse.Namespace, model: Any, bank: Any = None) -> None:
    """Refuses a model that has another spacing than `--bank`, or cannot be told `--spacing`.

    Args:
        options: Parsed options with `spacing`.
        model: What is to be asked.
        bank: What `open_bank` returned.

    Raises:
        ValueError: If the two do not fit.
    """
    from keras_avssan.models.microphones import check_spacing, match_spacing

    check_spacing(model, options.spacing, spelling="--spacing {:g}")
    if options.spacing is None and bank is not None:
        match_spacing(model, bank.microphone_spacing, spelling="--spacing {:g}")


def open_image_encoder(options: argparse.Namespace):
    """Opens the image encoder that is named.

    Args:
        options: Parsed options of `add_encoder_options`.

    Returns:
        A Keras layer, or `None` where none is named.
    """
    if not options.image_encoder:
        return None
    import keras_hub

    from keras_avssan.encoders import ImageEncoder
    from keras_avssan.encoders.clip_encoder import is_clip
    from keras_avssan.encoders.data_format import channels_last
    from keras_avssan.encoders.get_image_encoder import get_image_encoder

    name = options.image_encoder
    if not os.path.isdir(name) or is_clip(name):
        return get_image_encoder(name)
    with channels_last():
        backbone = keras_hub.models.Backbone.from_preset(name)
    size = (options.image_size, options.image_size)
    return ImageEncoder(backbone, size, mean=options.image_mean, std=options.image_std)


def open_audio_encoder(options: argparse.Namespace):
    """Opens the audio encoder that is named.

    Args:
        options: Parsed options of `add_encoder_options`.

    Returns:
        A `keras_hub.models.Backbone`, or `None` where none is named.

    Raises:
        ValueError: If it is not a folder.
    """
    if not options.audio_encoder:
        return None
    import keras_hub

    import keras_avssan.encoders  # noqa: F401  (makes the encoders known to the loader)

    if not os.path.isdir(options.audio_encoder):
        raise ValueError(
            f"`--audio-encoder` must be a preset folder. Received: {options.audio_encoder}"
        )
    return keras_hub.models.Backbone.from_preset(options.audio_encoder)


def load_model(folder: PathLike):
    """Loads the model of `--model`."""
    import keras_avssan.models.baselines  # noqa: F401  (makes them known to the loader)
    from keras_avssan.models import Localizer

    if not os.path.isdir(folder):
        raise ValueError(f"`--model` must be the folder of a saved model. Received: {folder}")
    return Localizer.from_preset(folder)


def command_line(options: argparse.Namespace):
    """The command line as it was given, for records."""
    return shlex.join(["keras-avssan", *getattr(options, "arguments", sys.argv[1:])])


def make_plan(options: argparse.Namespace, catalog: Any, bank: Any, split: str, **kwargs: Any):
    """Makes the plan of the options' scenes."""
    from keras_avssan.data import ScenePlan

    return ScenePlan(
        catalog,
        bank,
        split=None if split == ALL else split,
        seed=options.seed,
        duration=options.duration,
        snr=options.snr,
        reference_split=options.reference_split,
        **kwargs,
    )
