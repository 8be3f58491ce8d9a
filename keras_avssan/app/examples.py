"""Example scenes for the page: those of the library, and synthetic ones."""

import os
from typing import NamedTuple

import numpy as np
import soundfile
from PIL import Image

from keras_avssan._internal.atomic_files import read_json
from keras_avssan._internal.types import PathLike
from keras_avssan.app.demo_model import demo_plan
from keras_avssan.data import Picture, ScenePlan, example_file, render_scene

_FIRST = 10**6  # index of a scene that no training has
_SEPARATION = 50.0  # degrees


class Example(NamedTuple):
    """Holds paths of a recording and of a picture as prompt, and the true answer if it is known.

    Args:
        recording: Path of a recording.
        picture: Path of the picture that is the prompt.
        name: Class of the target.
        azimuth: True direction of the target in degrees, or `None`.
        other: Class of the interferer.
        other_azimuth: True direction of the interferer in degrees, or `None`.
    """

    recording: str
    picture: str
    name: str = ""
    azimuth: float | None = None
    other: str = ""
    other_azimuth: float | None = None


def real_examples() -> list[Example]:
    """The mixtures of real recordings that are installed with the library; two examples each."""
    examples: list[Example] = []
    for mixture, known in read_json(example_file("examples.json")).items():
        for target, other in zip(known["sources"], known["sources"][::-1], strict=True):
            paths = example_file(mixture), example_file(target["picture"])
            truths = [value for one in (target, other) for value in (one["class"], one["azimuth"])]
            examples.append(Example(*paths, *truths))
    return examples


def write_examples(folder: PathLike, count: int = 4, rooms: int = 4) -> list[Example]:
    """Writes mixtures of two sounds, each with pictures of both; returns two examples a mixture."""
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
        for target, other, picture in zip(sounds, sounds[::-1], pictures, strict=True):
            path = os.path.join(folder, f"{number}_{target[0]}.png")
            _write_picture(plan, picture, path)
            examples.append(Example(mix, path, *target, *other))
    return examples


def _picture_of(plan: ScenePlan, class_name: str, number: int) -> Picture:
    """A picture of a class, from the plan's split."""
    pictures = plan.catalog.select(classes=[class_name], split=plan.split).pictures
    return pictures[number % len(pictures)]


def _write_picture(plan: ScenePlan, picture: Picture, path: str) -> None:
    pixels = plan.catalog.load_image(picture, (128, 128))
    Image.fromarray(np.round(255 * np.array(pixels)).astype("uint8")).save(path)
