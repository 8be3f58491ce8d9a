"""Scenes to try, made by the library itself."""

import os
from typing import Any, NamedTuple

import numpy as np
import soundfile
from PIL import Image

from keras_avssan._internal.types import PathLike
from keras_avssan.app.demo_model import demo_plan
from keras_avssan.data import render_scene

_FIRST = 10**6  # no scene of a training
_SEPARATION = 50.0  # degrees


class Example(NamedTuple):
    """A question, and its true answer where that is known.

    Args:
        recording: Path of a recording.
        picture: Path of the picture that asks.
        name: What the picture shows.
        azimuth: True direction of that in degrees, or `None`.
        other: What else is to be heard.
        other_azimuth: Its true direction in degrees, or `None`.
    """

    recording: str
    picture: str
    name: str = ""
    azimuth: float | None = None
    other: str = ""
    other_azimuth: float | None = None


def write_examples(folder: PathLike, count: int = 4, rooms: int = 4):
    """Writes mixes of two sounds, and for each a picture of one and a picture of the other.

    Args:
        folder: Path of a folder that exists.
        count: Number of mixes.
        rooms: Number of rooms that they lie in.

    Returns:
        List of two `Example`s a mix.
    """
    plan = demo_plan("test", rooms, seed=1)
    examples: list[Example] = []
    index = _FIRST
    while len(examples) < 2 * count:
        scene = plan[index]
        index += 1
        if abs(scene.azimuth - scene.interferer_azimuth) < _SEPARATION:
            continue
        number = len(examples) // 2 + 1
        sounds = [
            (scene.target.class_name, float(scene.azimuth)),
            (scene.interferer.class_name, float(scene.interferer_azimuth)),
        ]
        pictures = [scene.picture, _picture_of(plan, sounds[1][0], number)]
        mix = os.path.join(folder, f"{number}_{sounds[0][0]}_and_{sounds[1][0]}.wav")
        soundfile.write(mix, render_scene(plan, scene)["audio"], plan.sampling_rate)
        for asked, other, picture in zip(sounds, sounds[::-1], pictures, strict=True):
            path = os.path.join(folder, f"{number}_{asked[0]}.png")
            _write_picture(plan, picture, path)
            examples.append(Example(mix, path, *asked, *other))
    return examples


def _picture_of(plan, class_name: str, number: int):
    """A picture of a class, from the plan's split."""
    pictures = plan.catalog.select(classes=[class_name], split=plan.split).pictures
    return pictures[number % len(pictures)]


def _write_picture(plan, picture: Any, path: PathLike) -> None:
    pixels = plan.catalog.load_image(picture, (128, 128))
    Image.fromarray(np.round(255 * np.array(pixels)).astype("uint8")).save(path)
