"""Pictures embedded once and kept beside the data."""

import keras
import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.data import ClassFolders, ScenePlan, make_dataset
from keras_avssan.encoders import ConvImageEncoder, ImageEncoder
from keras_avssan.models.baselines import GCCMLP
from keras_avssan.models.prompt_embeddings import (
    EmbeddingStore,
    embed_pictures,
    embed_plan,
    encoder_fingerprint,
)


@pytest.fixture
def plan(bank, tmp_path):
    """Scenes of two classes in folders, with three pictures each."""
    rng = np.random.default_rng(0)
    for name in ("dog", "bell"):
        (tmp_path / name).mkdir()
        for i in range(3):
            soundfile.write(tmp_path / name / f"s{i}.wav", 0.1 * rng.normal(size=9600), 16000)
            pixels = rng.integers(0, 255, size=(16, 16, 3)).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / name / f"p{i}.png")
    return ScenePlan(ClassFolders(tmp_path), bank, split=None, duration=0.5)


@pytest.fixture
def model(make_tiny):
    keras.utils.set_random_seed(4)
    model = make_tiny()
    model.backbone.image_encoder.trainable = False
    return model


@pytest.fixture
def counted(model, monkeypatch):
    """Number of pictures that go through the encoder."""
    counts = []
    embed = model.embed_prompts

    def embed_prompts(images, batch_size=32):
        counts.append(len(images))
        return embed(images, batch_size)

    monkeypatch.setattr(model, "embed_prompts", embed_prompts)
    return counts


def assert_same(first, second):
    assert list(first) == list(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_a_picture_is_embedded_once(model, plan, counted):
    first = embed_pictures(model, plan, progress=False)
    assert sum(counted) == len(plan.pictures) == 6
    assert_same(embed_pictures(model, plan, progress=False), first)
    assert sum(counted) == 6
    folder = plan.catalog.root / ".embeddings"
    assert [path.suffix for path in folder.iterdir()] == [".npz"]
    assert plan.catalog.classes == ClassFolders(plan.catalog.root).classes


@pytest.mark.one_backend
def test_a_changed_picture_is_embedded_anew(model, plan, counted):
    before = embed_pictures(model, plan, progress=False)
    changed = plan.pictures[2].id
    Image.fromarray(np.full((16, 16, 3), 200, "uint8")).save(plan.catalog.root / changed)
    plan = ScenePlan(ClassFolders(plan.catalog.root), plan.bank, split=None, duration=0.5)
    after = embed_pictures(model, plan, progress=False)
    assert counted == [6, 1]
    assert [name for name in before if not np.array_equal(before[name], after[name])] == [changed]


@pytest.mark.one_backend
def test_another_encoder_has_entries_of_its_own(model, plan, counted):
    before = embed_pictures(model, plan, progress=False)
    encoder = model.backbone.image_encoder
    encoder.set_weights([weight + 0.1 for weight in encoder.get_weights()])
    after = embed_pictures(model, plan, progress=False)
    assert counted == [6, 6]
    assert all(not np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.one_backend
def test_an_encoder_that_learns_is_never_kept(model, plan, counted):
    model.backbone.image_encoder.trainable = True
    for _ in range(2):
        embed_pictures(model, plan, progress=False)
    assert counted == [6, 6]
    assert not (plan.catalog.root / ".embeddings").exists()


@pytest.mark.one_backend
def test_a_damaged_store_is_made_anew(model, plan, counted):
    before = embed_pictures(model, plan, progress=False)
    [path] = (plan.catalog.root / ".embeddings").iterdir()
    path.write_bytes(path.read_bytes()[:200])
    assert_same(embed_pictures(model, plan, progress=False), before)
    assert counted == [6, 6]


@pytest.mark.backend_agnostic
def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    store = EmbeddingStore(tmp_path, 64 * "a")
    monkeypatch.setattr(np, "savez", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.add({"a": np.ones(2)}, {"a": "1"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.one_backend
def test_losses_from_the_store_are_those_through_the_encoder(model, plan):
    vectors = embed_pictures(model, plan, progress=False)
    through = make_dataset(plan, 4, 4, loader="grain", image_size=(16, 16))[0]
    stored = make_dataset(
        plan, 4, 4, loader="grain", prompt="embedding", prompt_embeddings=vectors
    )[0]
    losses = [model.test_on_batch(*batch, return_dict=True)["loss"] for batch in (through, stored)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


@pytest.mark.one_backend
def test_a_fingerprint_tells_encoders_apart():
    def encoder(filters=4, mean=0.5):
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(filters, 3)])
        wrapped = ImageEncoder(network, mean=mean)
        wrapped.build((None, 8, 8, 3))
        return wrapped

    first = encoder_fingerprint(encoder())
    assert len(first) == 64
    assert encoder_fingerprint(encoder()) == first
    assert encoder_fingerprint(encoder(mean=0.4)) != first
    assert encoder_fingerprint(encoder(filters=5)) != first
    small = ConvImageEncoder(8, (4,), (16, 16))
    small.build((None, 16, 16, 3))
    again = ConvImageEncoder.from_config(small.get_config())
    again.build((None, 16, 16, 3))
    assert encoder_fingerprint(again) != encoder_fingerprint(small)
    again.set_weights(small.get_weights())
    assert encoder_fingerprint(again) == encoder_fingerprint(small)


@pytest.mark.backend_agnostic
def test_a_model_without_an_image_encoder_is_refused(plan, make_tiny):
    with pytest.raises(ValueError, match="`model` must have an image encoder"):
        embed_pictures(make_tiny(image_encoder=None, prompt_dim=8), plan, progress=False)


@pytest.mark.one_backend
def test_a_plan_is_embedded_as_its_kinds_of_prompts_need(model, plan, counted):
    pictures, texts = embed_plan(model, plan, progress=False)
    assert_same(pictures, embed_pictures(model, plan, progress=False))
    assert texts is None
    constant, _ = embed_plan(model, plan, ("constant",), pictures=pictures, progress=False)
    assert_same(constant, dict.fromkeys(pictures, np.mean(list(pictures.values()), axis=0)))
    names = {name: np.ones(8) for name in plan.classes}
    before = sum(counted)
    assert embed_plan(model, plan, ("text",), texts=names) == ({}, names)
    assert sum(counted) == before
    with pytest.raises(ValueError, match="text side"):
        embed_plan(model, plan, ("text",))


@pytest.mark.backend_agnostic
def test_given_embeddings_must_hold_every_picture(model, plan):
    given = {picture.id: np.ones(8) for picture in plan.pictures[1:]}
    with pytest.raises(ValueError, match=f"lacks '{plan.pictures[0].id}'.*=5"):
        embed_plan(model, plan, pictures=given)


@pytest.mark.backend_agnostic
def test_models_without_prompts_get_placeholders(plan):
    given = {picture.id: np.ones(8) for picture in plan.pictures}
    pictures, texts = embed_plan(GCCMLP(hidden_dim=4), plan, ("text", "picture"), pictures=given)
    assert texts is None
    assert_same(pictures, {picture.id: np.zeros(1, "float32") for picture in plan.pictures})
