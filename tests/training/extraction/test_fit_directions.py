"""The training of the search for sources: its loss, what it trains on, what it changes."""

import dataclasses
import os
import signal

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.encoders import ConvImageEncoder, YAMNet
from keras_avssan.layers import SourceCandidates, SourceDirections, StereoSTFT
from keras_avssan.training import NonFiniteLoss, fit_directions
from keras_avssan.training.extraction.direction_batches import DirectionBatches
from keras_avssan.training.extraction.directions_model import DirectionsModel

SETTINGS = {"steps": 4, "epochs": 2, "batch_size": 2, "loader": "grain", "verbose": 0}
SMALL = StereoSTFT(64, 512)
GRID = np.arange(1, 181)


@pytest.fixture(scope="module")
def plan(tiny):
    return tiny.make_plan()


@pytest.fixture(autouse=True)
def eagerly(monkeypatch):
    """Op by op is quick for a few steps, but not where each operation is compiled on its own."""
    if keras.backend.backend() != "jax":
        compile_ = DirectionsModel.compile
        monkeypatch.setattr(
            DirectionsModel, "compile", lambda *a, **k: compile_(*a, **k, run_eagerly=True)
        )


def make_layer():
    keras.utils.set_random_seed(3)
    return SourceDirections(3)


def train(plan, layer=None, **options):
    layer = layer or make_layer()
    history = fit_directions(layer, plan, **{**SETTINGS, "stft": SMALL, **options})
    return layer.get_weights(), history


@pytest.mark.one_backend
def test_loss_is_its_definition(plan):
    layer = make_layer()
    layer.build((None, None, 33, 4))
    (inputs,), model = DirectionBatches((plan,), 1, 3)[0], DirectionsModel(layer, SMALL)
    outputs = model(inputs)
    loss = float(ops.convert_to_numpy(model.compute_loss(y_pred=outputs)))
    audio = inputs["audio"]
    level = 1 / np.sqrt(np.mean(audio**2, axis=(1, 2), keepdims=True))
    logits = ops.convert_to_numpy(layer(SMALL(level * audio))).astype("float64")
    distance = np.abs(GRID - inputs["azimuths"][..., None]).min(axis=1)
    wanted, p = np.exp(-0.5 * (distance / 2.5) ** 2), 1 / (1 + np.exp(-logits))
    expected = -np.sum(wanted * np.log(p) + (1 - wanted) * np.log(1 - p), axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["error"]), expected, rtol=1e-3)
    assert loss == pytest.approx(expected.mean(), rel=1e-3)


@pytest.mark.parametrize(
    ("azimuths", "found"),
    [
        ([40.0, 100.0], 1.0),
        ([44.0, 106.0], 0.5),
        ([46.0, 90.0], 0.0),
        ([100.0, -1.0], 1.0),  # one source, which is the greatest peak
        ([40.0, -1.0], 0.0),
        ([40.0, 130.0], 0.5),  # only two peaks count
    ],
)
def test_found_counts_as_many_peaks_as_sources(azimuths, found, monkeypatch):
    """Peaks at 100 degrees, with a shoulder beside it, at 40, and at 130."""
    logits = np.full((1, 180), -8.0, "float32")
    for azimuth, logit in {100: 3.0, 105: 2.9, 40: 1.0, 130: 0.0}.items():
        logits[0, azimuth - 1] = logit
    layer = make_layer()
    monkeypatch.setattr(SourceDirections, "call", lambda *args: ops.convert_to_tensor(logits))
    inputs = {
        "audio": np.ones((1, 2048, 2), "float32"),
        "azimuths": np.array([azimuths], "float32"),
    }
    share = DirectionsModel(layer, SMALL)(inputs)["found"]
    assert ops.convert_to_numpy(share).tolist() == [found]


@pytest.mark.backend_agnostic
def test_batches_hold_the_scenes_and_all_their_azimuths(plan):
    other = dataclasses.replace(plan, seed=5)
    batches = DirectionBatches((plan, other), 6, 2, microphone_spacing=0.1)
    for step, (source, first) in enumerate([(plan, 0), (other, 0), (plan, 2), (other, 2)]):
        scenes = [source[first], source[first + 1]]
        (inputs,) = batches[step]
        expected = render_scenes(source, scenes, interferer_alone=False)
        np.testing.assert_array_equal(inputs["audio"], expected["audio"])
        azimuths = [[s.azimuth for s in scene.sources] for scene in scenes]
        np.testing.assert_allclose(inputs["azimuths"], azimuths)
        assert inputs["microphone_spacing"].tolist() == pytest.approx([0.1, 0.1])
        assert set(batches.shapes[0]) == set(inputs)
    later = dataclasses.replace(batches, start=3)
    assert len(later) == 3
    np.testing.assert_array_equal(later[0][0]["audio"], batches[3][0]["audio"])


@pytest.mark.backend_agnostic
def test_plans_of_fewer_sources_are_filled_up(plan):
    class Several:
        """A plan whose scenes have two interferers."""

        num_interferers, num_samples = 2, plan.num_samples

        def __getitem__(self, index):
            scene = plan[index]
            return dataclasses.replace(scene, sources=(*scene.sources, scene.sources[1]))

        def __getattr__(self, name):
            return getattr(plan, name)

    batches = DirectionBatches((Several(), plan), 2, 2)
    assert batches.shapes[0]["azimuths"] == (None, 3)
    assert (batches[0][0]["azimuths"] >= 0).all()
    assert (batches[1][0]["azimuths"][:, 2] == -1).all()


@pytest.mark.one_backend
def test_a_stopped_training_resumes_with_the_same_numbers(plan, at, tmp_path, interruptible):
    weights, whole = train(plan)
    assert set(whole.history) == {"loss", "found"}
    folder = tmp_path / "checkpoints"
    press = at(3, lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="after step 3 of 4"):
        train(plan, checkpoints=folder, callbacks=[press])
    resumed, history = train(plan, checkpoints=folder)
    assert history.history == whole.history
    for one, other in zip(resumed, weights, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="another configuration: `learning_rate` is 0.002 there"):
        train(plan, checkpoints=folder, learning_rate=0.1)
    with pytest.raises(ValueError, match="another configuration: `directions.filters` is 3 there"):
        train(plan, SourceDirections(2), checkpoints=folder)


@pytest.mark.one_backend
def test_only_this_layer_of_a_model_changes(plan):
    model = AVSSAN(
        image_encoder=ConvImageEncoder(8, (4,), (16, 16)),
        audio_encoder=YAMNet(0.0625, stage=6),
        **{"dim": 8, "mlp_dim": 16, "num_heads": 2, "bridge_layers": 1},
        **{"num_candidates": 2, "extractor_filters": 3, "candidate_search": "learned"},
    )
    inside = {id(weight) for weight in model.backbone.candidates.directions.weights}
    before = [np.array(ops.convert_to_numpy(v)) for v in model.variables]
    fit_directions(model, plan, **SETTINGS, command="train")
    for value, variable in zip(before, model.variables, strict=True):
        changed = not np.array_equal(value, ops.convert_to_numpy(variable))
        assert changed == (id(variable) in inside), variable.path
    (note,) = model.training_record.trainings
    assert note["part"] == "directions" and note["steps"] == 4 and note["command"] == "train"


@pytest.mark.one_backend
def test_it_learns(plan):
    """The loss of single steps falls below that of the first."""
    losses = train(plan, steps=30, epochs=30, learning_rate=0.01)[1].history["loss"]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


@pytest.mark.one_backend
def test_a_loss_that_is_not_finite_names_its_scenes(plan):
    layer = make_layer()
    layer.build((None, None, 33, 4))
    layer.to_logit.bias.assign([np.nan])
    with pytest.raises(NonFiniteLoss, match="step 1: scenes 0 to 1 of the plan"):
        train(plan, layer)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (StereoSTFT(), "`model_or_layer` must be a SourceDirections"),
        (SourceCandidates(1, 2), "`model_or_layer` must be a SourceDirections"),
        (SourceDirections(2, trainable=False), "can be trained"),
        (SourceDirections(2, sampling_rate=8000), "sampling rate, 8000"),
    ],
)
def test_what_cannot_be_trained_is_refused(layer, message, plan):
    with pytest.raises(ValueError, match=message):
        train(plan, layer)


@pytest.mark.backend_agnostic
def test_another_spectrogram_than_the_layer_was_built_for_is_refused(plan):
    layer = make_layer()
    layer.build((None, None, 513, 4))
    with pytest.raises(ValueError, match=r"must have the 513 bins.*Received: stft.num_bins=33"):
        train(plan, layer)
