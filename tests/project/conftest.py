"""What the documentation's examples find: small files of the true formats, and cheap sizes.

The pages name the numbers of a real training. They stay as they are; what is counted in more than
`MANY` is cut to `FEW` where the library is called, rooms are short copies of a few, and networks
have the layer sizes `SMALL`.
"""

import dataclasses
import functools
import os
import pathlib
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import soundfile
from PIL import Image

import keras_avssan
from keras_avssan import AVSSAN, data, encoders, evaluation, simulation, training
from keras_avssan._internal import saved_files
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.data.media.example_file import EXAMPLES
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder, YAMNet
from keras_avssan.models.av_ssan import av_ssan
from keras_avssan.simulation import RIRBank, RoomRanges

MANY, FEW = 100, 4
MEASURED = pathlib.Path(__file__).parents[1] / "simulation/files/sofar_general_fir.sofa"
RATE = 16000
SMALL = {"dim": 8, "mlp_dim": 16, "num_heads": 2, "bridge_layers": 1}


@keras.saving.register_keras_serializable("tests")
class PicturesAndWords(ConvImageEncoder):
    """Image encoder that reads words too: letters, one after another."""

    def tokenize(self, texts):
        return np.array([[ord(letter) for letter in text.ljust(16)[:16]] for text in texts])

    def encode_text(self, tokens):
        letters = keras.ops.cast(tokens, "float32") / 100.0
        return letters[:, :8]  # as many as `tiny_model` embeds a picture in


def tiny_model(**options):
    """`AVSSAN` of a size that answers at once, for pictures, words and recordings."""
    options.setdefault("image_encoder", PicturesAndWords(8, (4, 8), (16, 16)))
    options.setdefault("audio_encoder", LogMelEncoder(8, (4,), num_mels=16))
    return AVSSAN(**{**SMALL, **options})


def _cut(count):
    return FEW if count > MANY else count


def _cutting(function, name, batch="batch_size"):
    """`function`, whose argument `name` is cut, and its batches with it."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        if name not in kwargs:
            args = [_cut(arg) if isinstance(arg, int) else arg for arg in args]
        elif kwargs.get(name, 0) > MANY:
            kwargs[name] = _cut(kwargs[name])
            kwargs[batch] = min(kwargs.get(batch, FEW), FEW)
        return function(*args, **kwargs)

    return call


def _build_few(build, rooms=2):
    """`RIRBank.build` of short responses, in which `rooms` rooms are repeated."""

    def call(cls, num_rooms, seed=0, **kwargs):
        kwargs.setdefault("max_duration", 0.05)
        kwargs["progress"] = False
        kwargs["ranges"] = dataclasses.replace(
            kwargs.get("ranges") or RoomRanges(), t60=(0.2, 0.25)
        )
        bank = build(cls, min(num_rooms, rooms), seed, **kwargs)
        return repeat_rooms(bank, num_rooms)

    return classmethod(call)


def repeat_rooms(bank, num_rooms):
    """The rooms of a bank again and again, as often as it takes."""
    chosen = np.arange(num_rooms) % len(bank)
    arrays = {
        field.name: getattr(bank, field.name)[chosen]
        for field in dataclasses.fields(bank)
        if isinstance(getattr(bank, field.name), np.ndarray)
    }
    return dataclasses.replace(bank, **arrays)


@pytest.fixture
def cheap(monkeypatch):
    """Cuts what the library is asked for, see above; eager steps, where that is quick."""
    monkeypatch.setattr(RIRBank, "build", _build_few(RIRBank.build.__func__))
    for package, name, count in (
        (data, "make_dataset", "num_scenes"),
        (evaluation, "separation_examples", "num_scenes"),
        (evaluation, "class_band_attention", "num_scenes"),
        (evaluation, "evaluate_localizer", "num_scenes"),
        (evaluation, "evaluate_presence", "num_scenes"),
        (evaluation, "evaluate_extractor", "num_scenes"),
        (training, "fit_directions", "steps"),
        (training, "fit_extractor", "steps"),
        (training, "fit_scenes", "steps"),
        (simulation, "build_bank", "num_rooms"),
    ):
        monkeypatch.setattr(package, name, _cutting(getattr(package, name), count))
    if keras.backend.backend() != "jax":
        compile_model = keras.Model.compile
        monkeypatch.setattr(
            keras.Model,
            "compile",
            lambda self, *args, **kwargs: compile_model(
                self, *args, **{**kwargs, "run_eagerly": True}
            ),
        )
    make_backbone = av_ssan._make_backbone
    monkeypatch.setattr(
        av_ssan,
        "_make_backbone",
        lambda configuration, image_encoder, audio_encoder, kwargs: make_backbone(
            configuration,
            image_encoder,
            audio_encoder or LogMelEncoder(8, (4,), num_mels=16),
            {**SMALL, **kwargs},
        ),
    )
    # Weights that others have published are not downloaded.
    network = keras.applications.MobileNetV3Small
    monkeypatch.setattr(
        keras.applications,
        "MobileNetV3Small",
        lambda *args, weights=None, **kwargs: network(*args, weights=None, **kwargs),
    )


def write_files(root):
    """The files that the examples name, below `root`."""
    rng = np.random.default_rng(0)
    catalog = SyntheticClasses(["bird", "bell"], instances_per_class=5)
    root = pathlib.Path(root)
    (root / "keras_avssan").mkdir()
    (root / "keras_avssan/examples").symlink_to(EXAMPLES)  # as in a clone
    soundfile.write(root / "mix.wav", 0.1 * rng.standard_normal((RATE // 2, 2)), RATE)
    (root / "hall.sofa").symlink_to(MEASURED)
    for name in ("bark", "another_bark"):
        soundfile.write(root / f"{name}.wav", 0.1 * rng.standard_normal(RATE // 2), RATE)
    for name in ("dog", "puppy", "bell"):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), "uint8")).save(root / f"{name}.jpg")
    for folder in ("sounds", "my_sounds"):
        for class_name, shown in (("dog", "bird"), ("bell", "bell")):
            (root / folder / class_name).mkdir(parents=True)
            clips = [clip for clip in catalog.clips if clip.class_name == shown]
            pictures = [one for one in catalog.pictures if one.class_name == shown]
            for index, (clip, picture) in enumerate(zip(clips, pictures, strict=False)):
                path = root / folder / class_name / f"{index}"
                soundfile.write(f"{path}.wav", catalog.load_audio(clip), RATE)
                pixels = np.uint8(255 * catalog.load_image(picture, 32))
                Image.fromarray(pixels).save(f"{path}.png")


@pytest.fixture(scope="session")
def packaged_folder(tmp_path_factory):
    """A folder of packaged models with a tiny one that answers all prompts, in place of ours."""
    root = tmp_path_factory.mktemp("packaged")
    encoder = YAMNet(width_multiplier=0.1)
    model = tiny_model(num_candidates=2, extractor_filters=4, audio_encoder=encoder)
    model.save_to_preset(root / saved_files.DEFAULT_MODEL)
    return root


@pytest.fixture
def packaged(packaged_folder, monkeypatch):
    """Examples that name our packaged model find the one of `packaged_folder`."""
    monkeypatch.setattr(saved_files, "PACKAGED", packaged_folder)


@pytest.fixture(scope="session")
def example_files():
    """`write_files`."""
    return write_files


@pytest.fixture(scope="session")
def example_bank():
    """Four rooms."""
    return _build_few(RIRBank.build.__func__).__get__(None, RIRBank)(4)


@pytest.fixture(scope="session")
def example_folder(example_bank, tmp_path_factory):
    """A folder with the files of `write_files`, and a bank of as many rooms as examples count."""
    folder = tmp_path_factory.mktemp("examples")
    write_files(folder)
    content = saved_bank(repeat_rooms(short(example_bank), 10_000), folder)
    (folder / "rooms").write_bytes(content)
    return folder


@pytest.fixture
def stand_ins(tmp_path, monkeypatch, cheap, packaged, example_bank, example_folder):
    """A folder with the files, to work in, and what examples call by a name of its own."""
    monkeypatch.chdir(tmp_path)
    # The bank is large, and only read.
    ignored = shutil.ignore_patterns("rooms")
    shutil.copytree(example_folder, tmp_path, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    os.link(example_folder / "rooms", tmp_path / "rooms")
    catalog = SyntheticClasses(["bird", "bell", "rain"], instances_per_class=6)
    plan = ScenePlan(catalog, example_bank, split="train", duration=0.5)
    return SimpleNamespace(
        tmp_path=tmp_path,
        bank=example_bank,
        catalog=catalog,
        plan=plan,
        model=tiny_model(),
        embedding=np.ones(8, "float32"),
        picture=np.ones((16, 16, 3), "float32"),
    )


def short(bank):
    """The first milliseconds of every response."""
    return dataclasses.replace(bank, rirs=bank.rirs[..., :400])


def saved_bank(bank, folder):
    """What `save` writes of a bank."""
    path = folder / "bank.npz"
    bank.save(path)
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.fixture(scope="session")
def small_model():
    """`tiny_model`."""
    return tiny_model


@pytest.fixture
def known():
    """Every public name of the library, for examples that import nothing."""
    names: dict = {"np": np, "keras": keras, "pathlib": pathlib}
    for package in (encoders, simulation, data, evaluation, training, keras_avssan):
        names.update({name: getattr(package, name) for name in package.__all__})
    return names
