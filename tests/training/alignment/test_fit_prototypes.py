"""Prototypes of the classes of a plan."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.encoders import ConvImageEncoder, PictureTextEncoder, WordTable
from keras_avssan.layers import ClassPrototypes
from keras_avssan.training import align_prompts, fit_prototypes


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def projected(model, embeddings):
    bridge = model.backbone.bridge
    embeddings = ops.convert_to_tensor(np.asarray(embeddings, "float32"))
    return unit(ops.convert_to_numpy(bridge.project_prompt(embeddings)))


@pytest.fixture
def network(make_candidates):
    keras.utils.set_random_seed(3)
    return make_candidates(image_encoder=None, prompt_dim=6, num_prototypes=4)


@pytest.mark.one_backend
def test_means_of_pictures(network, delayed_plan, embeddings, make_candidates):
    fit_prototypes(network, delayed_plan, prompt_embeddings=embeddings, progress=False)
    found = ops.convert_to_numpy(network.backbone.prototypes.prototypes)
    for row, name in enumerate(delayed_plan.classes):
        ids = [one.id for one in delayed_plan.pictures if one.class_name == name]
        rows = projected(network, np.stack([embeddings[one] for one in ids]))
        np.testing.assert_allclose(found[row], unit(rows.mean(axis=0)), atol=1e-5)
    (record,) = network.training_record.trainings
    assert record["stage"] == "fit_prototypes"


@pytest.mark.one_backend
def test_names_where_a_model_reads_words(delayed_plan, make_candidates, tmp_path):
    rng = np.random.default_rng(0)
    names = list(delayed_plan.classes)
    table = WordTable.from_vectors(names, rng.normal(size=(4, 5)), "random vectors")
    pictures = PictureTextEncoder(ConvImageEncoder(8, (4,), (16, 16)), table)
    pictures.trainable = False
    model = make_candidates(image_encoder=pictures, num_prototypes=4)
    model.backbone.audio_encoder.trainable = False
    align_prompts(model, delayed_plan, steps=2, scenes=0, progress=False)
    fit_prototypes(model, delayed_plan, progress=False)
    words = model.backbone.image_encoder.embed_text(names)
    found = ops.convert_to_numpy(model.backbone.prototypes.prototypes)
    np.testing.assert_allclose(found, projected(model, words), atol=1e-5)

    # The evidence is that of the moved prompt.
    audio = rng.normal(size=(2, 16000, 2)).astype("float32")
    scene = {"audio": audio, "images": rng.uniform(size=(2, 16, 16, 3)).astype("float32")}
    outputs = model.predict_on_batch(scene)
    mixture = model.backbone.level(ops.convert_to_tensor(audio))
    _, masks, *_ = model.backbone.candidates(model.backbone.stft(mixture))
    semantics = ops.convert_to_tensor(outputs["prompt_semantics"])
    moved, plain = (
        ops.convert_to_numpy(model.backbone.evidence(mixture, masks, one))
        for one in (model.backbone.prototypes(semantics), semantics)
    )
    np.testing.assert_allclose(outputs["candidate_evidence"], moved, atol=1e-4)
    assert np.abs(moved - plain).max() > 1e-3
    model.save_to_preset(str(tmp_path / "preset"))
    stored = AVSSAN.from_preset(str(tmp_path / "preset"))
    assert isinstance(stored.backbone.prototypes, ClassPrototypes)
    np.testing.assert_allclose(stored.predict_on_batch(scene)["doa"], outputs["doa"], atol=1e-6)


@pytest.mark.backend_agnostic
def test_bad_arguments(network, delayed_plan, make_candidates, make_small_model):
    with pytest.raises(ValueError, match="`model` must be an AVSSAN with `num_prototypes`"):
        fit_prototypes(make_small_model(prompt_dim=6), delayed_plan)
    with pytest.raises(TypeError, match="`plan` must be a ScenePlan. Received: plan=3"):
        fit_prototypes(network, 3)
    other = make_candidates(image_encoder=None, prompt_dim=6, num_prototypes=3)
    with pytest.raises(ValueError, match=r"`plan` must have the 3 classes.*len\(plan.classes\)=4"):
        fit_prototypes(other, delayed_plan)
    assert not np.asarray(other.backbone.prototypes.get_weights()).any()
    with pytest.raises(ValueError, match="`num_prototypes` must be 0 where `num_candidates` is 0"):
        make_small_model(prompt_dim=6, num_prototypes=3)
