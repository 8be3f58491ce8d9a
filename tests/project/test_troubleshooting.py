"""The messages that the page on troubleshooting quotes are provoked, and come as quoted."""

import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import soundfile

from keras_avssan import AVSSAN
from keras_avssan.data import ClassFolders, ScenePlan, make_dataset
from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.simulation import RIRBank, RoomRanges
from keras_avssan.training import data_parallel, fit_scenes

pytestmark = pytest.mark.backend_agnostic

PAGE = (pathlib.Path(__file__).parents[2] / "docs/troubleshooting.md").read_text()
QUOTED = re.findall(r"```text\n(.*?)\n```", PAGE, re.DOTALL)


def plain_encoder():
    return ConvImageEncoder(8, (4, 8), (16, 16))


# Python finds no TensorFlow, as where it is not installed.
HIDE = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *args: None if name == "tensorflow" else find(name, *args)
"""


def start_keras(backend, before=""):
    """Raises what Python says last when Keras is imported."""
    result = subprocess.run(
        [sys.executable, "-c", before + "import keras"],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    raise ValueError(result.stderr.splitlines()[-1].split(": ", 1)[1])


def ask(case, prompt, audio="mix.wav", **kwargs):
    case.plain.localize(audio, prompt, **kwargs)


NOISE = np.random.default_rng(0).normal(size=(8000, 1))


def ask_about_a_copied_channel(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        ask(case, "dog.jpg", np.hstack([NOISE, NOISE]))


def ask_about_four_channels(case):
    soundfile.write("array.wav", np.tile(0.1 * NOISE, 4), 16000)
    ask(case, "dog.jpg", "array.wav")


def load_with_another_encoder(case):
    case.plain.save_to_preset("saved")
    AVSSAN.from_preset("saved", image_encoder=plain_encoder())


def folder_without_classes(case):
    pathlib.Path("empty").mkdir()
    ClassFolders("empty")


def folder_with_one_picture(case):
    pathlib.Path("sounds").rename("one")
    for path in sorted(pathlib.Path("one/dog").glob("*.png"))[1:]:
        path.unlink()
    ClassFolders("one")


def train_at_an_absurd_rate(case):
    fit_scenes(
        case.plain, case.plan, steps=2, batch_size=2, epochs=1, learning_rate=1e30, verbose=0
    )


def train_for_another_pair(case):
    bank = RIRBank.build(2, ranges=RoomRanges(t60=(0.2, 0.25), spacing=0.08), max_duration=0.02)
    fit_scenes(case.plain, dataclasses.replace(case.plan, bank=bank), steps=2, epochs=1)


def train_on_with_more_steps(case):
    settings = {"batch_size": 2, "epochs": 1, "verbose": 0, "checkpoints": "ck"}
    for steps in (4, 6):
        fit_scenes(case.make_model(), case.plan, steps=steps, **settings)


def without_an_encoder(case):
    case.make_model(image_encoder=None, prompt_dim=8).localize("mix.wav", "dog.jpg")


def on_named_devices(case):
    with data_parallel(["gpu:0"]):
        pass


# By the beginning of the message.
CASES = {
    "audio file 'bark.wav'": lambda case: ask(case, "dog.jpg", "bark.wav"),
    "`audio` must last": lambda case: ask(
        case, "dog.jpg", np.ones((1000, 2), "float32"), sampling_rate=16000
    ),
    "`audio` must not be silent": lambda case: ask(case, "dog.jpg", np.zeros((8000, 2))),
    "`audio` must hold": lambda case: ask(case, "dog.jpg", np.hstack([NOISE, 0 * NOISE])),
    "`audio`: both channels": ask_about_a_copied_channel,
    "audio file 'array.wav'": ask_about_four_channels,
    "image file": lambda case: ask(case, "dgo.jpg"),
    "Words as": lambda case: ask(case, "a barking dog"),
    "`prompt` must be an embedding": without_an_encoder,
    "Prompt embeddings must": lambda case: ask(case, np.ones(9, "float32")),
    "The scenes must have": train_for_another_pair,
    "`preset` must be": lambda case: AVSSAN.from_preset("my_model"),
    "No weights are published": lambda case: AVSSAN.from_preset("avssan_paper"),
    "`image_encoder` must": load_with_another_encoder,
    "`root` must hold": folder_without_classes,
    "`classes` must have": folder_with_one_picture,
    "`split` must be one of": lambda case: ScenePlan(
        case.catalog, case.two_rooms, split="validation"
    ),
    "`rooms` must be": lambda case: ScenePlan(case.catalog, case.two_rooms, rooms=(0, 350)),
    "`loader` must": lambda case: make_dataset(case.plan, num_scenes=8, loader="numpy"),
    "The loss is nan": train_at_an_absurd_rate,
    "'ck' holds": train_on_with_more_steps,
    "No module named 'tensorflow'": lambda case: start_keras("tensorflow", HIDE),
    "Unable to import backend": lambda case: start_keras("pytorch"),
}
OF_PYTORCH = {
    "`devices` must be `None`": on_named_devices,
    "The backend 'torch' does not": lambda case: case.plain.export("out", format="tf_saved_model"),
}


@pytest.fixture
def case(stand_ins, small_model):
    stand_ins.make_model = lambda **options: small_model(
        **{"image_encoder": plain_encoder(), **options}
    )
    stand_ins.plain = stand_ins.make_model()
    stand_ins.two_rooms = RIRBank.build(2)
    return stand_ins


def test_every_quotation_is_provoked():
    beginnings = [*CASES, *OF_PYTORCH]
    assert len(beginnings) == len(QUOTED)
    assert all(sum(quoted.startswith(one) for quoted in QUOTED) == 1 for one in beginnings)


@pytest.mark.parametrize("beginning", [*CASES, *OF_PYTORCH])
def test_a_message_is_as_quoted(beginning, case):
    if beginning in OF_PYTORCH and keras.backend.backend() != "torch":
        pytest.skip("a message under PyTorch")
    [quoted] = [quoted for quoted in QUOTED if quoted.startswith(beginning)]
    with pytest.raises(Exception) as raised:
        {**CASES, **OF_PYTORCH}[beginning](case)
    assert quoted in " ".join(str(raised.value).split())
