"""Batches of segments, and training on them."""

import contextlib
import json

import keras
import numpy as np
import pytest

from keras_avssan.data import STARSS23, PictureFolders, SegmentBatches, SegmentPrompts
from keras_avssan.evaluation import evaluate_segments
from keras_avssan.models import GCCMLP
from keras_avssan.training import NonFiniteLoss, fit_segments

BELLS = {"bell": ["church_bell", "bicycle_bell"], "telephone": "phone"}
AZIMUTHS = (-135, -20, 45, 80, 120)


@pytest.fixture
def make_prompts(writer, sound, render, pictures):
    """Five segments with a bell, the last one with a knock, and one with a telephone."""

    def make(**options):
        sounds = [sound("bell", 10 * k, 10 * k + 10, a) for k, a in enumerate(AZIMUTHS)]
        sounds += [sound("knock", 40, 47, -100), sound("telephone", 50, 60, 0)]
        writer.recording(sounds=sounds, audio=render(sounds, 6.0))
        dataset = STARSS23(writer.root, duration=1.0, **{"baffle": "open", **options})
        return SegmentPrompts(dataset, PictureFolders(pictures), BELLS)

    return make


@pytest.fixture
def prompts(make_prompts):
    return make_prompts()


@pytest.fixture
def embeddings(prompts):
    rng = np.random.default_rng(0)
    return {picture.id: rng.normal(size=5) for picture in prompts.pictures}


@pytest.fixture(scope="session")
def small_model(make_small_model):
    """`small_model()` makes a model of the pair's spacing and prompts of five numbers."""
    return lambda: make_small_model(prompt_dim=5, microphone_spacing=0.0688)


@pytest.mark.backend_agnostic
def test_each_round_has_all_segments_in_another_order(prompts):
    batches = SegmentBatches(prompts, num_segments=20, batch_size=3)
    drawn = [batches.draw(number) for number in range(18)]
    rounds = [[segment.id for segment, _ in drawn[k : k + 6]] for k in (0, 6, 12)]
    assert all(set(one) == {segment.id for segment in prompts.segments} for one in rounds)
    assert len({tuple(one) for one in rounds}) == 3
    shown = {}
    for segment, picture in drawn:
        assert picture.class_name in prompts.class_map[segment.class_name]
        shown.setdefault(segment.id, set()).add(picture.id)
    assert any(len(pictures) > 1 for pictures in shown.values())


@pytest.mark.backend_agnostic
def test_batches_are_the_drawn_segments(prompts, embeddings):
    batches = SegmentBatches(
        prompts,
        num_segments=8,
        batch_size=3,
        start=4,
        prompt="embedding",
        prompt_embeddings=embeddings,
        microphone_spacing=0.05,
    )
    found = list(batches)
    assert [len(labels["azimuth"]) for _, labels in found] == [3, 3, 2]
    numbers = iter(range(4, 12))
    for inputs, labels in found:
        assert {name: array.dtype for name, array in {**inputs, **labels}.items()} == dict.fromkeys(
            (*inputs, *labels), np.dtype("float32")
        )
        for row in range(len(labels["azimuth"])):
            segment, picture = batches.draw(next(numbers))
            np.testing.assert_array_equal(inputs["audio"][row], prompts.dataset.load_audio(segment))
            np.testing.assert_allclose(inputs["prompt_embedding"][row], embeddings[picture.id])
            assert inputs["microphone_spacing"][row] == np.float32(0.05)
            assert labels["azimuth"][row] == np.float32(segment.azimuth)
            assert np.isnan(labels["interferer_azimuth"][row]) == (not segment.interferers)
    for part, arrays in zip(batches.shapes, found[0], strict=True):
        assert {name: shape[1:] for name, shape in part.items()} == {
            name: array.shape[1:] for name, array in arrays.items()
        }


@pytest.mark.backend_agnostic
def test_pictures_as_such(prompts):
    batches = SegmentBatches(prompts, num_segments=4, batch_size=4, image_size=(12, 16))
    (inputs, _), (shapes, _) = batches[0], batches.shapes
    assert inputs["images"].shape == (4, 12, 16, 3) and shapes["images"] == (None, 12, 16, 3)
    assert 0 <= inputs["images"].min() < inputs["images"].max() <= 1
    picture = prompts.catalog.load_image(batches.draw(2)[1], (12, 16))
    np.testing.assert_array_equal(inputs["images"][2], picture)
    assert "<SegmentBatches: 1 batch of 4 segments, 6 segments a round, prompt: image>" == repr(
        batches
    )


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_segments": 0}, "`num_segments`.*Received"),
        ({"batch_size": 0}, "`batch_size`.*Received"),
        ({"start": -1}, "`start`.*Received"),
        ({"prompt": "text"}, "`prompt` must be one of.*text"),
        ({"image_size": 0}, "`size` must be an int or"),
        ({"microphone_spacing": -0.1}, "`microphone_spacing`"),
        ({"prompt": "embedding"}, "`prompt_embeddings` must have every picture"),
        ({"prompt": "embedding", "prompt_embeddings": "short"}, "one shape.*dimensions"),
        ({"prompt": "embedding", "prompt_embeddings": "nan"}, "must be finite"),
    ],
)
def test_wrong_arguments(prompts, embeddings, options, message):
    first = next(iter(embeddings))
    broken = {
        "short": {**embeddings, first: np.zeros(4)},
        "nan": {**embeddings, first: np.full(5, np.nan)},
    }
    if options.get("prompt_embeddings") in broken:
        options = {**options, "prompt_embeddings": broken[options["prompt_embeddings"]]}
    with pytest.raises(ValueError, match=message):
        SegmentBatches(prompts, **{"num_segments": 4, **options})


@pytest.mark.backend_agnostic
def test_batches_beyond_the_last_are_refused(prompts):
    batches = SegmentBatches(prompts, num_segments=8, batch_size=4)
    for index in (2, -1):
        with pytest.raises(IndexError, match=f"from 0 to 1. Received: index={index}"):
            batches[index]


class Stop(Exception):
    pass


def stop_after(batch, logs=None):
    if batch == 5:
        raise Stop


def test_training_on_segments(prompts, embeddings, small_model, tmp_path):
    """It learns these segments; interrupted and resumed, it ends with the same weights."""
    batches = SegmentBatches(prompts, 6, 6, prompt="embedding", prompt_embeddings=embeddings)
    options = {
        "steps": 12,
        "batch_size": 6,
        "learning_rate": 0.03,
        "prompt_embeddings": embeddings,
        "verbose": 0,
    }
    model = small_model()
    weights = model.get_weights()
    model.compile()
    before = model.evaluate(*batches[0], verbose=0, return_dict=True)["loss"]
    history = fit_segments(model, prompts, **options)
    assert len(history.history["loss"]) == 4
    after = model.evaluate(*batches[0], verbose=0, return_dict=True)["loss"]
    assert after < 0.97 * before
    options["checkpoints"] = tmp_path / "run"
    stopping = keras.callbacks.LambdaCallback(on_train_batch_end=stop_after)
    for callbacks in ([stopping], []):
        resumed = small_model()
        resumed.set_weights(weights)
        with pytest.raises(Stop) if callbacks else contextlib.nullcontext():
            fit_segments(
                resumed, prompts, epochs=1, checkpoint_every=2, callbacks=callbacks, **options
            )
    for one, other in zip(model.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(
        ValueError, match="holds a training of another configuration: `steps` is 12"
    ):
        fit_segments(small_model(), prompts, **{**options, "steps": 14})


@pytest.mark.one_backend
def test_the_record_has_the_pictures(prompts, embeddings, small_model):
    model = small_model()
    options = {"prompt_embeddings": embeddings, "verbose": 0}
    fit_segments(model, prompts, steps=2, batch_size=2, command="mine", **options)
    (note,) = model.training_record.trainings
    assert (note["steps"], note["command"], note["segments"]["segments"]) == (2, "mine", 6)
    assert model.training_record.complete
    with pytest.raises(ValueError, match="NO TEST SCORES: 9 of 9 pictures"):
        evaluate_segments(
            model, prompts, prompt_embeddings=embeddings, on_overlap="error", progress=False
        )
    blind = GCCMLP(hidden_dim=8, microphone_spacing=0.0688)
    fit_segments(blind, prompts, steps=2, batch_size=2, verbose=0)
    assert not blind.training_record.pictures


@pytest.mark.one_backend
def test_a_trained_image_encoder_gets_pictures(make_model, prompts):
    model = make_model(microphone_spacing=0.0688)
    (encoder,) = (model.backbone.image_encoder,)
    before = [np.array(weight) for weight in encoder.get_weights()]
    fit_segments(model, prompts, steps=2, batch_size=2, verbose=0)
    changed = zip(before, encoder.get_weights(), strict=True)
    assert any(np.abs(one - other).max() > 0 for one, other in changed)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1}, "`steps`"),
        ({"steps": 2, "epochs": 3}, "`epochs` must be from 1 to `steps`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"loader": "torch"}, "`loader` must be one of"),
        ({"checkpoint_every": 0}, "`checkpoint_every`"),
        ({"prompt_embeddings": {}}, "`prompt_embeddings` must hold all 9 pictures"),
        ({"learning_rate": -1.0}, "`learning_rate`"),
    ],
)
def test_wrong_arguments_of_the_training(prompts, embeddings, small_model, options, message):
    options = {"steps": 2, "prompt_embeddings": embeddings, **options}
    with pytest.raises(ValueError, match=message):
        fit_segments(small_model(), prompts, **options)


@pytest.mark.backend_agnostic
def test_segments_that_do_not_fit_the_model(make_prompts, small_model):
    with pytest.raises(ValueError, match="must have the model's microphone spacing, 0.0688"):
        fit_segments(small_model(), make_prompts(baffle="rigid"), steps=2)
    with pytest.raises(ValueError, match="sampling rate, 16000 Hz. Received: sampling_rate=8000"):
        fit_segments(small_model(), make_prompts(sampling_rate=8000), steps=2)
    with pytest.raises(TypeError, match="`prompts` must be a `SegmentPrompts`"):
        fit_segments(small_model(), make_prompts().dataset, steps=2)


@pytest.mark.one_backend
def test_a_loss_that_is_not_finite_names_its_segments(prompts, embeddings, small_model, tmp_path):
    broken = small_model()
    broken.set_weights([np.full_like(weight, np.nan) for weight in broken.get_weights()])
    options = {"prompt_embeddings": embeddings, "verbose": 0}
    with pytest.raises(NonFiniteLoss, match="at step 1: scenes 0 to 2 .* split None"):
        fit_segments(
            broken, prompts, steps=2, batch_size=3, checkpoints=tmp_path / "run", **options
        )
    described = json.loads((tmp_path / "run" / "failed_batch.json").read_text())
    names = {segment.recording for segment in prompts.segments}
    assert {scene["scene"]["recording"] for scene in described["scenes"]} <= names
