"""`--array` of `localize`: recordings of more than two microphones."""

import argparse
from typing import TYPE_CHECKING, Any

from keras_avssan.cli.checks import check_input

if TYPE_CHECKING:
    from keras_avssan.arrays import MicrophoneArray

# Options that say what the array says.
_OF_PAIRS = ("channels", "spacing")


def add_array_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--array` and `--array-channels`."""
    parser.add_argument(
        "--array",
        metavar="ARRAY",
        help="array of more than two microphones, which finds directions all around, 0 to 359 "
        "degrees counter-clockwise from its x axis: starss23, respeaker_4, respeaker_usb_4, "
        "respeaker_6, or a CSV or JSON file of positions in metres, a row x, y, z a microphone; "
        "default: two microphones",
    )
    parser.add_argument(
        "--array-channels",
        type=int,
        nargs="+",
        metavar="CHANNEL",
        help="channels of the array's microphones in their order, from 0; default: all channels",
    )


def check_array_options(options: argparse.Namespace) -> None:
    """Refuses an unknown array, and options that do not go with it."""
    channels = options.array_channels
    if options.array is None:
        if channels is not None:
            raise ValueError(
                "`--array-channels` must be used with `--array`. "
                "Received: --array-channels without --array"
            )
        return
    for name in _OF_PAIRS:
        if getattr(options, name):
            raise ValueError(
                f"`--{name}` must be left out with `--array`, which has positions of its own. "
                f"Received: --{name} with --array"
            )
    if options.figure and not options.track:
        raise ValueError(
            "`--figure` must be used with `--track` where there is an `--array`: the figure of "
            "posterior, mask and bands is that of two microphones. "
            "Received: --figure with --array, without --track"
        )
    count = len(open_array(options))
    if channels is None:
        return
    if len(channels) != count or len(set(channels)) < count or min(channels) < 0:
        raise ValueError(
            f"`--array-channels` must be {count} different channels, from 0, one for each "
            f"microphone. Received: --array-channels={channels}"
        )


def open_array(options: argparse.Namespace) -> "MicrophoneArray":
    """The array that `--array` names."""
    from keras_avssan.arrays import MicrophoneArray

    name = options.array
    if name in MicrophoneArray.presets():
        return MicrophoneArray.from_preset(name)
    if not name.lower().endswith((".csv", ".json")):
        raise ValueError(
            f"`--array` must be one of {', '.join(MicrophoneArray.presets())}, or a CSV or JSON "
            f"file of positions. Received: --array={name!r}"
        )
    check_input("--array", name)
    return MicrophoneArray.from_file(name)


def array_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the model's `localize` and `track` for the array."""
    arguments: dict[str, Any] = {"array": open_array(options)}
    if options.array_channels:
        arguments["channels"] = tuple(options.array_channels)
    return arguments
