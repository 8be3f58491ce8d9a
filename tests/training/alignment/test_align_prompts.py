"""Alignment of prompts and sounds on kept embeddings."""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.data import Catalog, Clip, Picture, ScenePlan
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder
from keras_avssan.evaluation import evaluate_retrieval
from keras_avssan.training import align_prompts, fit_scenes

CLASSES = ("bell", "crow", "drum", "fan")
RATE = 16000


class Tones(Catalog):
    """Classes of tones, and of pictures of one colour: what a colour sounds like is learnable."""

    def __init__(self):
        splits = ["train"] * 4 + ["val"] * 3
        self.number = {}
        clips, pictures = [], []
        for row, name in enumerate(CLASSES):
            for k, split in enumerate(splits):
                one = f"{name}{k}"
                self.number[one] = (row, k)
                clips.append(Clip(name, one, f"{one} sound", split, RATE // 2))
                pictures.append(Picture(name, one, f"{one} picture", split))
        super().__init__(clips, pictures)

    def read_clip(self, clip):
        row, k = self.number[clip.id]
        time = np.arange(RATE // 2) / RATE
        noise = 0.1 * np.random.default_rng([row, k]).normal(size=RATE // 2)
        return (np.sin(2 * np.pi * 400 * 2**row * (1 + 0.02 * k) * time) + noise).astype("float32")

    def read_picture(self, picture, size):
        row, k = self.number[picture.id]
        image = 0.2 * np.random.default_rng([row, k, 1]).uniform(size=(*size, 3))
        image[..., row % 3] += 0.7 if row < 3 else 0.0
        return image.astype("float32")


@dataclasses.dataclass(frozen=True, eq=False)
class Bank:
    """Pure delays: what scenes need of an `RIRBank`."""

    rirs: np.ndarray
    azimuths: np.ndarray
    t60: np.ndarray
    sampling_rate: int = RATE

    def __len__(self):
        return len(self.rirs)


def make_plan(split="train", **arguments):
    rirs = np.zeros((2, 2, 2, 40), "float32")
    rirs[:, 0, 0, 10] = rirs[:, 0, 1, 14] = rirs[:, 1, 0, 14] = rirs[:, 1, 1, 10] = 1.0
    azimuths = np.tile(np.array([50.0, 130.0], "float32"), (2, 1))
    bank = Bank(rirs, azimuths, np.full(2, 0.3, "float32"))
    return ScenePlan(Tones(), bank, split=split, duration=0.5, **arguments)


def make_model(frozen=True, **arguments):
    keras.utils.set_random_seed(3)
    images, audio = ConvImageEncoder(8, (4, 8), (16, 16)), LogMelEncoder(32, (8,))
    images.trainable = audio.trainable = not frozen
    parts = {"image_encoder": images, "audio_encoder": audio, "dim": 16, "bridge_layers": 1}
    return AVSSAN(**{**parts, "num_heads": 2, "mlp_dim": 16, **arguments})


def values(model):
    return {one.path: ops.convert_to_numpy(one) for one in model.backbone.variables}


def vectors(plan, width=24):
    """Embeddings of pictures and class names, near to their classes' own."""
    rng = np.random.default_rng(0)
    centres = dict(zip(CLASSES, rng.normal(size=(len(CLASSES), width)), strict=True))
    pictures = {
        one.id: centres[one.class_name] + 0.3 * rng.normal(size=width)
        for one in plan.catalog.pictures
    }
    texts = {name: centre + 0.3 * rng.normal(size=width) for name, centre in centres.items()}
    return {"prompt_embeddings": pictures, "text_embeddings": texts}


def test_aligned_prompts_retrieve_unseen_sounds():
    plan = make_plan()
    unseen = dataclasses.replace(plan, split="val")
    model = make_model(image_encoder=None, prompt_dim=24)
    before, embeddings = values(model), vectors(plan)
    result = align_prompts(
        model, plan, steps=150, scenes=8, validation_plan=unseen, progress=False, **embeddings
    )
    assert len(result["loss"]) == 150
    assert np.mean(result["loss"][-20:]) < 0.8 * np.mean(result["loss"][:5])
    changed = {path for path, value in values(model).items() if np.any(value != before[path])}
    assert {path.split("/", 1)[-1] for path in changed} == {
        f"{side}/{part}" for side in ("prompt", "audio") for part in ("kernel", "bias")
    }
    scores = evaluate_retrieval(model, unseen, progress=False, **embeddings)
    for kind in ("picture", "text", "recording"):
        assert scores[kind]["order"]["mean"] > 0.9
        assert result["retrieval"][kind]["order"] == scores[kind]["order"]["mean"]
        assert scores[kind]["recall_at_1"]["mean"] > 0.7


def test_fit_scenes_aligns_first():
    model, plan = make_model(), make_plan()
    fit_scenes(
        model, plan, steps=2, epochs=1, batch_size=2, align_steps=3, learning_rate=1e-9, verbose=0
    )
    aligned = make_model()
    align_prompts(aligned, plan, steps=3, progress=False)
    for name in ("prompt_projection", "audio_projection"):
        for one, other in zip(
            getattr(model.backbone.bridge, name).get_weights(),
            getattr(aligned.backbone.bridge, name).get_weights(),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, atol=1e-5)
