"""Alignment of prompts and sounds on kept embeddings."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.data import Catalog, Clip, Picture, ScenePlan, render_scene
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder, PictureTextEncoder, WordTable
from keras_avssan.evaluation import evaluate_retrieval
from keras_avssan.models import SELDNet
from keras_avssan.training import align_prompts, fit_scenes, sound_examples
from keras_avssan.training.alignment.contrast import Side

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
    return [np.array(ops.convert_to_numpy(one)) for one in model.backbone.variables]


def changed(model, before):
    """Layer and name of the variables that have changed."""
    pairs = zip(model.backbone.variables, values(model), before, strict=True)
    return {"/".join(one.path.split("/")[-2:]) for one, now, then in pairs if np.any(now != then)}


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


@pytest.mark.one_backend
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
    assert changed(model, before) == {
        f"{side}/{part}" for side in ("prompt", "audio") for part in ("kernel", "bias")
    }
    scores = evaluate_retrieval(model, unseen, progress=False, **embeddings)
    for kind in ("picture", "text", "recording"):
        assert scores[kind]["order"]["mean"] > 0.9
        assert result["retrieval"][kind]["order"] == scores[kind]["order"]["mean"]
        assert scores[kind]["recall_at_1"]["mean"] > 0.7


@pytest.mark.one_backend
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


@pytest.mark.one_backend
def test_words_of_their_own_projection_select_the_same_sounds():
    plan = make_plan()
    rng = np.random.default_rng(5)
    table = WordTable.from_vectors(CLASSES, rng.normal(size=(4, 24)), "random vectors")
    pictures = ConvImageEncoder(24, (16,), (16, 16))
    pictures.trainable = False
    encoder = PictureTextEncoder(pictures, table)
    model = make_model(image_encoder=encoder, scale_prompt=False)
    before = values(model)
    unseen = dataclasses.replace(plan, split="val")
    result = align_prompts(model, plan, steps=200, scenes=0, validation_plan=unseen, progress=False)
    assert {"text_projection/kernel", "text_projection/bias"} < changed(model, before)
    assert len(changed(model, before)) == 6
    assert result["retrieval"]["text"]["order"] > 0.9
    assert result["retrieval"]["picture"]["order"] > 0.7


@pytest.mark.backend_agnostic
def test_the_same_seed_gives_the_same_weights_whatever_they_were_before():
    plan, embeddings = make_plan(), vectors(make_plan())
    sounds = sound_examples(make_model(), plan, scenes=0, progress=False)
    models = [make_model(image_encoder=None, prompt_dim=24) for _ in range(3)]
    options = {"steps": 4, "sounds": sounds, "progress": False, **embeddings}
    first = align_prompts(models[0], plan, **options)
    align_prompts(models[1], plan, seed=7, **options)
    second = align_prompts(models[1], plan, **options)
    other = align_prompts(models[2], plan, seed=1, **options)
    assert first == second and first != other
    assert not changed(models[0], values(models[1]))
    assert [one["stage"] for one in models[1].training_record.trainings] == ["align_prompts"] * 2


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("sounds", "error", "message"),
    [
        (3, TypeError, "must be a tuple of embeddings and indices"),
        ("ab", TypeError, "must be a tuple of embeddings and indices"),
        ((np.ones((4, 32)),), TypeError, "must be a tuple of embeddings and indices"),
        ((np.ones((4, 32)), ["a", "b", "c", "d"]), TypeError, "arrays of numbers and of integers"),
        ((np.ones((4, 32)), np.arange(4.0)), TypeError, "arrays of numbers and of integers"),
        ((np.ones((4, 32)), None), TypeError, "arrays of numbers and of integers"),
        (([["a"]], [0]), TypeError, "arrays of numbers and of integers"),
        ((np.ones((4, 31)), np.arange(4)), ValueError, r"must be embeddings \(n, 32\)"),
        ((np.ones(32), np.arange(4)), ValueError, r"must be embeddings \(n, 32\)"),
        ((np.ones((4, 32)), [0, 1, 2, 2]), ValueError, "indices of all 4 classes"),
        ((np.full((4, 32), np.nan), np.arange(4)), ValueError, "sounds must be finite"),
    ],
)
def test_sounds_that_are_none_are_refused(sounds, error, message):
    model, plan = make_model(image_encoder=None, prompt_dim=24), make_plan()
    with pytest.raises(error, match=rf"{message}.* Received: "):
        align_prompts(model, plan, sounds=sounds, progress=False, **vectors(plan))


@pytest.mark.backend_agnostic
def test_an_interruption_leaves_the_model_as_it_was(monkeypatch):
    model, plan = make_model(image_encoder=None, prompt_dim=24), make_plan()
    before, calls = values(model), []

    def draw(side, labels, rng):
        calls.append(side)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return drawn(side, labels, rng)

    drawn = Side.draw
    monkeypatch.setattr(Side, "draw", draw)
    with pytest.raises(KeyboardInterrupt):
        align_prompts(model, plan, scenes=0, progress=False, **vectors(plan))
    assert len(calls) == 6 and model.training_record is None
    assert not changed(model, before)


@pytest.mark.backend_agnostic
def test_examples_are_recordings_and_targets_of_the_plan():
    model, plan = make_model(), make_plan()
    embeddings, classes = sound_examples(model, plan, scenes=5, progress=False)
    assert embeddings.shape == (16 + 5, 32)
    targets = [CLASSES.index(plan[k].sources[0].clip.class_name) for k in range(5)]
    assert classes.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + targets
    # A recording of 0.5 s is repeated to the shortest window of 1 s.
    samples = np.tile(plan.catalog.load_audio(plan.clips[3]), 2)
    samples = samples / np.sqrt(np.mean(samples**2))
    expected = ops.mean(model.backbone.audio_encoder(samples[None]), axis=1)[0]
    np.testing.assert_allclose(embeddings[3], ops.convert_to_numpy(expected), atol=1e-4)
    target = render_scene(plan, 2)["target"]
    expected = model.backbone.audio_encoder(
        ops.mean(model.backbone.level(target[None]), axis=-1), training=False
    )
    expected = ops.convert_to_numpy(ops.mean(expected, axis=1)[0])
    np.testing.assert_allclose(embeddings[18], expected, atol=1e-4)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SELDNet(), "must compare prompts with sounds"),
        (lambda: make_model(semantic_audio=False), "must compare prompts with sounds"),
        (lambda: make_model(frozen=False), "`model` must have a frozen `audio_encoder`"),
    ],
)
def test_a_model_without_both_sides_is_refused(make, message):
    model, plan = make(), make_plan()
    with pytest.raises(ValueError, match=message):
        align_prompts(model, plan, steps=1)
    with pytest.raises(ValueError, match=message):
        fit_scenes(model, plan, steps=2, epochs=1, align_steps=1)
    with pytest.raises(ValueError, match=message):
        evaluate_retrieval(model, plan)


@pytest.mark.backend_agnostic
def test_sounds_that_do_not_fit_are_refused():
    model, plan = make_model(image_encoder=None, prompt_dim=24), make_plan()
    for sounds, message in (
        ((np.ones((4, 3)), np.arange(4)), r"embeddings \(n, 32\)"),
        ((np.ones((3, 32)), np.arange(3)), r"differ by \[3\]"),
    ):
        with pytest.raises(ValueError, match=message):
            align_prompts(model, plan, sounds=sounds, progress=False, **vectors(plan))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["prompt_embeddings", "text_embeddings"])
@pytest.mark.parametrize("function", [align_prompts, evaluate_retrieval])
def test_embeddings_that_lack_one_are_refused(name, function):
    model, plan = make_model(image_encoder=None, prompt_dim=24), make_plan()
    for lacking in ({}, {"other": np.ones(24)}):
        given = {**vectors(plan), name: lacking}
        with pytest.raises(ValueError, match=rf"`{name}` must hold all .* len\({name}\)="):
            function(model, plan, progress=False, **given)


@pytest.mark.backend_agnostic
def test_what_is_no_plan_is_refused():
    model = make_model()
    for function in (align_prompts, sound_examples, evaluate_retrieval):
        with pytest.raises(TypeError, match="`plan` must be a ScenePlan. Received: plan=None"):
            function(model, None)
