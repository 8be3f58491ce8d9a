"""Scenes to try, made by the library itself."""

import os

import numpy as np
import soundfile
from PIL import Image

from keras_avssan.app.demo_model import demo_plan
from keras_avssan.data import render_scene

_FIRST = 10**6  # no scene of a training
_SEPARATION = 50.0  # degrees


def write_examples(folder, count=4, rooms=4):
    """Writes mixes of two sounds, and for each a picture of one of them.

    Args:
        folder: Path of a folder that exists.
        count: Number of scenes.
        rooms: Number of rooms that they lie in.

    Returns:
        List of tuples: path of the mix, path of the picture.
    """
    plan = demo_plan("test", rooms, seed=1)
    paths: list[tuple[str, str]] = []
    index = _FIRST
    while len(paths) < count:
        scene = plan[index]
        index += 1
        if abs(scene.azimuth - scene.interferer_azimuth) < _SEPARATION:
            continue
        names = f"{scene.target.class_name}_and_{scene.interferer.class_name}.wav"
        mix = os.path.join(folder, f"{len(paths) + 1}_{names}")
        picture = os.path.join(folder, f"{len(paths) + 1}_{scene.target.class_name}.png")
        soundfile.write(mix, render_scene(plan, scene)["audio"], plan.sampling_rate)
        pixels = plan.catalog.load_image(scene.picture, (128, 128))
        Image.fromarray(np.round(255 * np.array(pixels)).astype("uint8")).save(picture)
        paths.append((mix, picture))
    return paths
