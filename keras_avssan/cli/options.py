"""Options that several commands share, and the data and models that they name."""

import argparse
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from keras_avssan._internal.saved_files import find_preset
from keras_avssan._internal.types import PathLike

if TYPE_CHECKING:
    import keras

    from keras_avssan.data import Catalog, ScenePlan
    from keras_avssan.models import Localizer
    from keras_avssan.simulation import RIRBank

# What `ArgumentParser.add_subparsers` returns.
Commands: TypeAlias = "argparse._SubParsersAction[Any]"

# Help of `--model`.
MODEL_HELP = (
    "folder of the trained model, or the name of a packaged one, see `keras-avssan presets`"
)
BUILT_IN = "built-in"  # in place of a path: data that are synthesised in memory
ALL = "all"
# Help of `--spacing` of commands that train, and of commands that score.
_SPACING = "distance between the microphones; default: that of --bank, else 0.2"
_GIVEN_SPACING = (
    "distance between the microphones of the scenes, which is passed to the model; default: none "
    "is passed, rooms are simulated with the spacing of its training, and a --bank with another "
    "spacing is refused"
)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose recordings and pictures."""
    parser.add_argument(
        "--data",
        default=BUILT_IN,
        help=f"folder with one folder a class, or of `build vggsound-ssl`, or {BUILT_IN!r}",
    )
    parser.add_argument("--classes", nargs="+", help="classes to use; default: all")
    parser.add_argument(
        "--allow-single-picture", action="store_true", help="accept classes with one picture"
    )


def add_scene_options(
    parser: argparse.ArgumentParser, split: str | None, rooms: int, seed: int
) -> None:
    """Adds the options of scenes with these defaults; `split=None` is `test`, else `val`."""
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
        help=_SPACING if split else _GIVEN_SPACING,
    )


def add_encoder_options(parser: argparse.ArgumentParser, image_default: str) -> None:
    """Adds the options of encoders; `image_default` describes the default in the help."""
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
        "--text-encoder",
        metavar="PRESET",
        help="adds words to an image encoder without a text side, used frozen: a BERT that embeds "
        "sentences, by its folder or the name of a KerasHub preset; `--align-steps` of `train` "
        "trains its projection (default: no words)",
    )
    parser.add_argument(
        "--audio-encoder",
        metavar="DIR",
        help="folder of an audio preset such as a converted VGGish, used frozen; default: a small "
        "one that trains",
    )


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--engine` and `--workers`, the arguments of `run_units`."""
    parser.add_argument("--engine", default="processes", help="processes or ray")
    parser.add_argument("--workers", type=int, default=1, help="units of work at a time")


def open_catalog(
    options: argparse.Namespace, sampling_rate: int = 16000, **settings: Any
) -> "Catalog":
    """Opens the catalog that the options of `add_data_options` name, and `root` for a CSV.

    A folder of `build vggsound-ssl` has its own sampling rate. `settings` are further arguments of
    `ClassFolders`.
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


def choose_test_split(options: argparse.Namespace, catalog: "Catalog") -> str | None:
    """The split that `--split` names, else `test`, else `val`; `None` is all of them."""
    check_splits(options, catalog)
    if options.split:
        return None if options.split == ALL else options.split
    for split in ("test", "val"):
        if split in catalog.splits:
            return split
    raise ValueError(
        "`--data` must have a split test or val: write one with `build folders --write-metadata`, "
        f"or score all data, which may include training data, with `--split {ALL}`. "
        f"Received: --data={options.data!r} with splits {', '.join(catalog.splits)}"
    )


def check_splits(options: argparse.Namespace, catalog: "Catalog") -> None:
    """Refuses a split that the data do not have, before rooms are simulated."""
    for name in ("split", "validation_split", "reference_split"):
        known = (*catalog.splits, *([] if name == "reference_split" else [ALL]))
        split, option = getattr(options, name, None), f"--{name.replace('_', '-')}"
        if split is not None and split not in known:
            raise ValueError(
                f"`{option}` must be one of {', '.join(known)}: the data have no other split. "
                f"Received: {option}={split}"
            )


def open_bank(options: argparse.Namespace) -> "RIRBank | None":
    """Opens the bank that is named, if any."""
    from keras_avssan.simulation import RIRBank

    return RIRBank.load(options.bank) if options.bank else None


def choose_test_rooms(
    options: argparse.Namespace,
    bank: "RIRBank | None",
    spacing: float = 0.2,
    sampling_rate: int = 16000,
) -> "tuple[RIRBank, tuple[int, int] | None]":
    """A bank and the range of its rooms to score in, `None` for all; `train` uses none of them.

    Rooms are simulated, with spacing in metres and sampling rate in hertz, if there is no bank.
    """
    from keras_avssan.simulation import RIRBank, RoomRanges
    from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM

    if bank is not None:
        part = getattr(options, "bank_part", "test")
        try:
            return bank, None if part == ALL else bank.part(part)
        except ValueError as error:
            raise ValueError(
                f"{error} `--bank-part all` uses all rooms of a bank that was built for tests."
            ) from error
    bank = RIRBank.build(
        options.rooms,
        ranges=RoomRanges(spacing=spacing if options.spacing is None else options.spacing),
        sampling_rate=sampling_rate,
        first_index=FIRST_EVALUATION_ROOM,
    )
    return bank, None


def choose_training_rooms(
    options: argparse.Namespace, bank: "RIRBank | None", sampling_rate: int = 16000
) -> "tuple[RIRBank, tuple[int, int], tuple[int, int]]":
    """A bank, the range of its rooms to train in, and the range to validate in.

    Rooms of `choose_test_rooms` are in neither. Rooms are simulated if there is no bank.
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


def check_bank_spacing(options: argparse.Namespace, bank: "RIRBank") -> None:
    """Refuses a `--spacing` that is not that of `--bank`."""
    from keras_avssan.models.microphones import SAME_SPACING

    given, own = options.spacing, bank.microphone_spacing
    if given is not None and own and abs(given - own) > SAME_SPACING:
        raise ValueError(
            f"`--spacing` must be that of `--bank`, {own} m, or be left out. "
            f"Received: --spacing={given}"
        )


def check_model_spacing(
    options: argparse.Namespace, model: Any, bank: "RIRBank | None" = None
) -> None:
    """Refuses a model with another spacing than `--bank`, or that takes no `--spacing`."""
    from keras_avssan.models.microphones import check_spacing, match_spacing

    check_spacing(model, options.spacing, spelling="--spacing={:g}")
    if options.spacing is None and bank is not None:
        match_spacing(model, bank.microphone_spacing, spelling="--spacing={:g}")


def open_image_encoder(options: argparse.Namespace) -> "keras.Layer | None":
    """Opens the image encoder that is named, if any, with the text encoder that is named."""
    if not options.text_encoder:
        return _open_pictures(options)
    from keras_avssan.encoders import PictureTextEncoder, SentenceEncoder

    if not options.image_encoder:
        raise ValueError(
            "`--text-encoder` needs an `--image-encoder`, to which it adds words. "
            f"Received: --text-encoder {options.text_encoder}"
        )
    text_encoder = SentenceEncoder.from_preset(options.text_encoder)
    return PictureTextEncoder(_open_pictures(options), text_encoder)


def _open_pictures(options: argparse.Namespace) -> "keras.Layer | None":
    """Opens the image encoder alone."""
    if not options.image_encoder:
        return None
    from keras_avssan._internal.start_up.hub import keras_hub
    from keras_avssan.encoders import ImageEncoder
    from keras_avssan.encoders.clip_encoder import is_clip
    from keras_avssan.encoders.data_format import channels_last
    from keras_avssan.encoders.get_image_encoder import get_image_encoder
    from keras_avssan.encoders.presets import reading_preset

    name = options.image_encoder
    if not os.path.isdir(name) or is_clip(name):
        return get_image_encoder(name)
    with channels_last(), reading_preset(name, name="--image-encoder"):
        backbone = keras_hub.models.Backbone.from_preset(name)
    size = (options.image_size, options.image_size)
    return ImageEncoder(backbone, size, mean=options.image_mean, std=options.image_std)


def open_audio_encoder(options: argparse.Namespace) -> "keras.Model | None":
    """Opens the audio encoder that is named, if any."""
    if not options.audio_encoder:
        return None
    import keras_avssan.encoders  # noqa: F401  (makes the encoders known to the loader)
    from keras_avssan._internal.start_up.hub import keras_hub
    from keras_avssan.encoders.presets import reading_preset

    if not os.path.isdir(options.audio_encoder):
        raise ValueError(
            f"`--audio-encoder` must be a preset folder. "
            f"Received: --audio-encoder={options.audio_encoder!r}"
        )
    with reading_preset(options.audio_encoder, name="--audio-encoder"):
        return keras_hub.models.Backbone.from_preset(options.audio_encoder)


def load_model(model: PathLike) -> "Localizer":
    """Loads the model of `--model`: a packaged one by its name, or that of a folder."""
    from keras_avssan.models import Localizer

    if not os.path.isdir(find_preset(model)):
        raise ValueError(
            "`--model` must be the folder of a saved model or the name of a packaged one. "
            f"Received: --model={model!r}"
        )
    return Localizer.from_preset(model)


def command_line(options: argparse.Namespace) -> str:
    """The command line as it was given, for records."""
    return shlex.join(["keras-avssan", *getattr(options, "arguments", sys.argv[1:])])


def make_plan(
    options: argparse.Namespace,
    catalog: "Catalog",
    bank: "RIRBank",
    split: str | None,
    **kwargs: Any,
) -> "ScenePlan":
    """Makes the plan of the scenes that the options describe."""
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
