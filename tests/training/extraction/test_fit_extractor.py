"""The extractor's training: its loss, what it trains on, what it changes, and resumption."""

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
from keras_avssan.layers import SourceCandidates, SpatialExtractor, StereoSTFT
from keras_avssan.training import NonFiniteLoss, fit_extractor
from keras_avssan.training.extraction.extractor_batches import ExtractorBatches
from keras_avssan.training.extraction.extractor_model import ExtractorModel

SETTINGS = {"steps": 4, "epochs": 2, "batch_size": 2, "loader": "grain", "verbose": 0}
SMALL = StereoSTFT(64, 512)


@pytest.fixture(scope="module")
def plan(tiny):
    return tiny.make_plan()


@pytest.fixture(autouse=True)
def eagerly(monkeypatch):
    """Op by op is quick for a few steps, but not where each operation is compiled on its own."""
    if keras.backend.backend() != "jax":
        compile_ = ExtractorModel.compile
        monkeypatch.setattr(
            ExtractorModel, "compile", lambda *a, **k: compile_(*a, **k, run_eagerly=True)
        )


def make_extractor():
    keras.utils.set_random_seed(3)
    return SpatialExtractor(3)


def train(plan, extractor=None, **options):
    extractor = extractor or make_extractor()
    history = fit_extractor(extractor, plan, **{**SETTINGS, "stft": SMALL, **options})
    return extractor.get_weights(), history


@pytest.mark.one_backend
def test_loss_and_gain_are_their_definitions(plan):
    """Each example and scene against NumPy."""
    extractor, batch = make_extractor(), 3
    extractor.build((None, None, 33, 4))
    ((inputs,), model) = ExtractorBatches((plan,), 1, batch)[0], ExtractorModel(extractor, SMALL, 3)
    found = {k: ops.convert_to_numpy(v) for k, v in model(inputs).items()}
    loss = float(ops.convert_to_numpy(model.compute_loss(y_pred=model(inputs))))
    audio, target = (inputs[name].astype("float64") for name in ("audio", "target"))
    level = 1 / np.sqrt(np.mean(audio**2, axis=(1, 2), keepdims=True))
    spectra = [
        ops.convert_to_numpy(SMALL(part.astype("float32"))).astype("float64")
        for part in (level * audio, level * target, level * (audio - target))
    ]
    power = [np.sum(x**2, axis=-1) / 2 for x in spectra]
    mixture, *sources = (p**0.25 for p in power)  # the square root of the amplitude
    sources.append(np.zeros_like(mixture))
    masks = ops.convert_to_numpy(
        extractor(
            spectra[0].astype("float32"),
            ops.convert_to_tensor(inputs["azimuths"]),
            rivals=ops.convert_to_tensor(inputs["rivals"]),
        )
    )
    examples = [(scene, source) for scene in range(batch) for source in (0, 1)] + [(0, 2)]
    expected = []
    for scene, source in examples:
        c, m = sources[source][scene], mixture[scene]
        error = np.sum((np.sqrt(masks[scene, source]) * m - c) ** 2)
        expected.append(error / (np.sum(c**2) + 0.2 * np.sum(m**2)))
    np.testing.assert_allclose(found["error"], expected, rtol=2e-3)
    assert loss == pytest.approx(np.mean(expected), rel=2e-3)
    kept = [np.sum(masks[:, 0] ** 2 * p, axis=(1, 2)) / np.sum(p, axis=(1, 2)) for p in power[1:]]
    np.testing.assert_allclose(found["gain"], 10 * np.log10(kept[0] / kept[1]), atol=0.01)


@pytest.mark.backend_agnostic
def test_directions(plan):
    inputs = [ExtractorBatches((plan,), 40, 8)[b][0] for b in range(25)]
    azimuths, weights = (np.concatenate([x[k] for x in inputs]) for k in ("azimuths", "weights"))
    assert azimuths.shape == (200, 3) and (weights == 1).all()
    true = np.array([[s.azimuth for s in plan[i].sources] for i in range(200)])
    error = azimuths[:, :2] - true
    assert 1.7 < error.std() < 2.3 and abs(error.mean()) < 0.3
    assert np.abs(azimuths[:, 2:] - true).min() >= 12
    assert azimuths.min() >= 0 and azimuths.max() <= 180


@pytest.mark.backend_agnostic
def test_rivals(plan):
    """Of a target the interferer, of silence one of the sources; and directions of nothing."""
    inputs = [ExtractorBatches((plan,), 40, 8)[b][0] for b in range(25)]
    azimuths, rivals = (np.concatenate([x[k] for x in inputs]) for k in ("azimuths", "rivals"))
    true = np.array([[s.azimuth for s in plan[i].sources] for i in range(200)])
    known, spurious = rivals[..., 0], rivals[..., 1]
    for example, other in ((0, 1), (1, 0)):
        error = (known[:, example] - true[:, other])[known[:, example] >= 0]
        assert 2.0 < error.std() < 3.0
    nearest = np.abs(known[:, 2:] - true).min(axis=1)[known[:, 2] >= 0]
    assert nearest.max() < 12
    assert 0.7 < np.mean(known >= 0) < 0.8 and 0.35 < np.mean(spurious >= 0) < 0.5
    assert np.abs(spurious - azimuths)[spurious >= 0].min() > 10


@pytest.mark.backend_agnostic
def test_the_target_alone_where_there_are_several_interferers(plan):
    class Several:
        """A plan whose scenes have two interferers."""

        num_interferers, num_samples = 2, plan.num_samples

        def __getitem__(self, index):
            scene = plan[index]
            return dataclasses.replace(scene, sources=(*scene.sources, scene.sources[1]))

        def __getattr__(self, name):
            return getattr(plan, name)

    (alone,) = ExtractorBatches((Several(),), 1, 2)[0]
    assert alone["azimuths"].shape == (2, 2)
    (mixed,) = ExtractorBatches((Several(), plan), 2, 2)[0]
    assert mixed["weights"].tolist() == [[1, 0, 1]] * 2
    (other,) = ExtractorBatches((Several(), plan), 2, 2)[1]
    assert other["weights"].tolist() == [[1, 1, 1]] * 2


@pytest.mark.backend_agnostic
def test_plans_take_turns(plan):
    other = dataclasses.replace(plan, seed=5)
    batches = ExtractorBatches((plan, other), 6, 2)
    for step, (source, first) in enumerate([(plan, 0), (other, 0), (plan, 2), (other, 2)]):
        scenes = [source[first], source[first + 1]]
        expected = render_scenes(source, scenes, interferer_alone=False)
        np.testing.assert_array_equal(batches[step][0]["audio"], expected["audio"])
    later = dataclasses.replace(batches, start=3)
    assert len(later) == 3
    for name, array in later[0][0].items():
        np.testing.assert_array_equal(array, batches[3][0][name])


@pytest.mark.one_backend
def test_ctrl_c_without_checkpoints_keeps_the_weights_reached(plan, at, interruptible):
    extractor, reached = make_extractor(), []

    def press(_):
        reached.extend(extractor.get_weights())
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(plan, extractor, callbacks=[at(3, press)])
    for found, expected in zip(extractor.get_weights(), reached, strict=True):
        np.testing.assert_array_equal(found, expected)
    fresh = make_extractor()
    fresh.build((None, None, 33, 4))
    pairs = zip(fresh.get_weights(), reached, strict=True)
    assert any(not np.array_equal(first, now) for first, now in pairs)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("stft", [3, "a", StereoSTFT, True])
def test_what_is_no_spectrogram_is_refused(stft, plan):
    with pytest.raises(TypeError, match="`stft` must be a `StereoSTFT`. Received: stft="):
        train(plan, stft=stft)


@pytest.mark.one_backend
def test_a_stopped_training_resumes_with_the_same_numbers(plan, at, tmp_path, interruptible):
    plans = [plan, dataclasses.replace(plan, seed=5)]
    weights, whole = train(plans)
    assert set(whole.history) == {"loss", "gain"} and np.isfinite(whole.history["gain"]).all()
    folder = tmp_path / "checkpoints"
    press = at(3, lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="after step 3 of 4"):
        train(plans, checkpoints=folder, callbacks=[press])
    for _ in range(2):  # the second time it is finished already
        resumed, history = train(plans, checkpoints=folder)
        assert history.history == whole.history
        for one, other in zip(resumed, weights, strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="another configuration: `learning_rate` is 0.002 there"):
        train(plans, checkpoints=folder, learning_rate=0.1)
    with pytest.raises(ValueError, match="another configuration: `plan_1.seed` is 5 there"):
        train([plan, plan], checkpoints=folder)


@pytest.mark.one_backend
def test_only_the_extractor_of_a_model_changes(plan):
    model = AVSSAN(
        image_encoder=ConvImageEncoder(8, (4,), (16, 16)),
        audio_encoder=YAMNet(0.0625, stage=6),
        **{"dim": 8, "mlp_dim": 16, "num_heads": 2, "bridge_layers": 1},
        **{"num_candidates": 2, "extractor_filters": 3},
    )
    extractor = model.backbone.candidates.extractor
    before = [np.array(ops.convert_to_numpy(v)) for v in model.variables]
    compiled = model.optimizer
    fit_extractor(model, plan, **SETTINGS, command="train")
    assert model.optimizer is compiled
    inside = {id(weight) for weight in extractor.weights}
    for value, variable in zip(before, model.variables, strict=True):
        changed = not np.array_equal(value, ops.convert_to_numpy(variable))
        assert changed == (id(variable) in inside), variable.path
    (note,) = model.training_record.trainings
    assert note["part"] == "extractor" and note["steps"] == 4 and note["command"] == "train"
    assert model.training_record.clips and model.training_record.rooms
    assert not model.training_record.pictures


@pytest.mark.one_backend
def test_it_learns(plan):
    """The loss of single steps falls below that of the first."""
    losses = train(plan, steps=30, epochs=30, learning_rate=0.01)[1].history["loss"]
    assert np.mean(losses[-5:]) < 0.8 * losses[0]


@pytest.mark.one_backend
def test_spacing_at_call_time(plan):
    weights, _ = train(plan)
    same, _ = train(plan, microphone_spacing=0.2)
    other, _ = train(plan, microphone_spacing=0.1)
    np.testing.assert_allclose(same[0], weights[0], atol=1e-5)
    assert np.abs(other[0] - weights[0]).max() > 1e-5


@pytest.mark.one_backend
@pytest.mark.tensorflow
def test_the_loader_of_tensorflow_gives_the_same(plan):
    weights, _ = train(plan)
    other, _ = train(plan, loader="tf")
    for one, two in zip(weights, other, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.one_backend
def test_silent_scenes_have_a_finite_loss():
    extractor = make_extractor()
    extractor.build((None, None, 33, 4))
    model = ExtractorModel(extractor, SMALL, 2)
    silence = np.zeros((2, 2048, 2), "float32")
    inputs = {
        "audio": silence,
        "target": silence,
        "azimuths": np.full((2, 3), 90, "float32"),
        "weights": np.ones((2, 3), "float32"),
        "rivals": np.full((2, 3, 2), 30, "float32"),
    }
    model.compile("sgd")
    assert np.isfinite(model.train_on_batch(inputs)).all()
    assert all(np.isfinite(weight).all() for weight in extractor.get_weights())


@pytest.mark.one_backend
def test_a_loss_that_is_not_finite_names_its_scenes(plan):
    extractor = make_extractor()
    extractor.build((None, None, 33, 4))
    extractor.to_mask.bias.assign([np.nan])
    with pytest.raises(NonFiniteLoss, match="step 1: scenes 0 to 1 of the plan.*A lower learning"):
        train([plan, plan], extractor)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"plan": []}, TypeError, r"`plan` must be a ScenePlan or a non-empty list"),
        ({"plan": ["a"]}, TypeError, r"Received: plan=\['a'\]"),
        (
            {"extractor": StereoSTFT()},
            ValueError,
            "`model_or_extractor` must be a SpatialExtractor",
        ),
        ({"extractor": SpatialExtractor(2, trainable=False)}, ValueError, "can be trained"),
        ({"extractor": SpatialExtractor(2, sampling_rate=8000)}, ValueError, "sampling rate, 8000"),
        ({"epochs": 5}, ValueError, "`epochs` must be from 1 to `steps`"),
        ({"epochs": 0}, ValueError, "`epochs` must be an integer of at least 1"),
        ({"epochs": 1.5}, ValueError, r"`epochs` must be an integer.*Received: epochs=1\.5"),
        (
            {"steps": "a"},
            ValueError,
            "`steps` must be an integer of at least 2.*Received: steps='a'",
        ),
        ({"learning_rate": "a"}, ValueError, "`learning_rate` must be a positive number"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer"),
        ({"checkpoint_every": 0}, ValueError, "`checkpoint_every` must be an integer"),
        ({"loader": "other"}, ValueError, "`loader` must be one of"),
    ],
)
def test_wrong_arguments_are_refused(changes, error, message, plan):
    changes = {"plan": plan, "extractor": SourceCandidates(1, 2), **changes}
    with pytest.raises(error, match=message):
        train(**changes)


@pytest.mark.backend_agnostic
def test_another_spectrogram_than_the_extractor_was_built_for_is_refused(plan):
    extractor = make_extractor()
    extractor.build((None, None, 513, 4))
    with pytest.raises(ValueError, match=r"must have the 513 bins.*Received: stft.num_bins=33"):
        train(plan, extractor)
