"""Networks that extract sounds at candidate directions."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN, AVSSANBackbone
from keras_avssan.encoders import LogMelEncoder, YAMNet

CANDIDATES = {"num_candidates": 2, "extractor_filters": 3, "multi_band": False}
NAMES = {
    *("mixture_doa", "candidate_azimuths", "candidate_evidence", "candidate_weights", "presence"),
}


@pytest.fixture(scope="module")
def make(make_tiny):
    """Makes a tiny model with candidates."""

    def make(**arguments):
        encoder = YAMNet(0.0625, stage=6)
        return make_tiny(**{"audio_encoder": encoder, **CANDIDATES, **arguments})

    return make


@pytest.fixture(scope="module")
def candidates_model(make):
    keras.utils.set_random_seed(0)
    return make()


def run(model, inputs):
    return {name: np.asarray(one) for name, one in model.predict_on_batch(inputs).items()}


def scenes(delayed_noise, make_inputs, batch=2, samples=8000):
    inputs = make_inputs(batch, samples)
    inputs["audio"] = delayed_noise(np.linspace(40, 120, batch), samples)
    return inputs


@pytest.mark.one_backend
def test_outputs(candidates_model, delayed_noise, make_inputs):
    inputs = scenes(delayed_noise, make_inputs)
    outputs = run(candidates_model, inputs)
    assert NAMES < set(outputs)
    np.testing.assert_allclose(outputs["doa"].sum(axis=1), 1.0, atol=1e-4)
    np.testing.assert_allclose(outputs["candidate_weights"].sum(axis=1), 1.0, atol=1e-5)
    assert np.abs(outputs["candidate_azimuths"][:, 0] - [40, 120]).max() <= 1
    assert (np.abs(outputs["candidate_evidence"]) <= 1 + 1e-5).all()
    assert ((outputs["presence"] > 0) & (outputs["presence"] < 1)).all()
    louder = run(candidates_model, {**inputs, "audio": 5 * inputs["audio"]})
    for name in NAMES:
        np.testing.assert_allclose(louder[name], outputs[name], atol=1e-3, err_msg=name)


@pytest.mark.one_backend
def test_without_candidates_the_posterior_is_that_of_the_mixture(
    candidates_model, make, delayed_noise, make_inputs
):
    """What the candidates are added to has the same numbers without them."""
    plain = make(num_candidates=0)
    backbone = candidates_model.backbone
    added = {id(weight) for weight in backbone.candidates.weights + backbone.fusion.weights}
    kept = [weight for weight in candidates_model.weights if id(weight) not in added]
    plain.set_weights([ops.convert_to_numpy(weight) for weight in kept])
    inputs = scenes(delayed_noise, make_inputs)
    outputs, others = run(candidates_model, inputs), run(plain, inputs)
    assert not NAMES & set(others)
    np.testing.assert_allclose(others["doa"], outputs["mixture_doa"], atol=1e-5)
    np.testing.assert_allclose(others["mask"], outputs["mask"], atol=1e-5)


@pytest.mark.one_backend
@pytest.mark.parametrize("samples", [8000, 23456])
def test_any_duration_and_other_scenes_decide_nothing(
    samples, candidates_model, delayed_noise, make_inputs
):
    inputs = scenes(delayed_noise, make_inputs, 2, samples)
    outputs = run(candidates_model, inputs)
    alone = run(candidates_model, {name: array[:1] for name, array in inputs.items()})
    for name in (*NAMES, "doa"):
        assert np.isfinite(outputs[name]).all()
        np.testing.assert_allclose(alone[name], outputs[name][:1], atol=1e-4, err_msg=name)


@pytest.mark.one_backend
def test_spacing_at_call_time(candidates_model, delayed_noise, make_inputs):
    inputs = scenes(delayed_noise, make_inputs)
    own = np.full(2, 0.2, "float32")
    outputs = run(candidates_model, inputs)
    same = run(candidates_model, {**inputs, "microphone_spacing": own})
    np.testing.assert_allclose(same["doa"], outputs["doa"], atol=1e-4)
    wider = run(candidates_model, {**inputs, "microphone_spacing": 2 * own})
    # The same delay at twice the distance: half the cosine.
    cosine = 0.5 * np.cos(np.deg2rad([40, 120]))
    expected = np.rad2deg(np.arccos(cosine))
    assert np.abs(wider["candidate_azimuths"][:, 0] - expected).max() <= 1


@pytest.mark.one_backend
@pytest.mark.filterwarnings("error:Gradients do not exist")
@pytest.mark.parametrize("scene", ["noise", "silence"])
def test_a_step_of_training_is_finite_and_trains_all_parts(scene, make, make_batch):
    model = make()
    inputs, labels = make_batch()
    if scene == "silence":
        inputs["audio"], labels["target"] = 0 * inputs["audio"], 0 * labels["target"]
    before = [np.array(weight) for weight in model.get_weights()]
    assert np.isfinite(model.train_on_batch(inputs, labels)[0] if scene == "noise" else 0.0)
    if scene == "silence":
        model.train_on_batch(inputs, labels)
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    if scene == "silence":
        return
    moved = {
        weight.path.split("/")[-2]
        for weight, one, other in zip(model.weights, before, after, strict=True)
        if not np.array_equal(one, other)
    }
    assert {"fusion", "encoder", "to_mask", "candidates"} <= moved
    # The presence is in no loss: `fit_fusion` fits it.
    fusion, still = model.backbone.fusion, ["presence_scale", "presence_bias"]
    assert [weight.name for weight in fusion.non_trainable_weights] == still
    assert [weight.name for weight in fusion.weights][-2:] == still  # in files as before


@pytest.mark.one_backend
@pytest.mark.parametrize("form", ["preset", "keras"])
def test_stored_models(form, candidates_model, delayed_noise, make_inputs, tmp_path):
    inputs = scenes(delayed_noise, make_inputs)
    expected = run(candidates_model, inputs)
    if form == "preset":
        candidates_model.save_to_preset(str(tmp_path / "preset"))
        loaded = AVSSAN.from_preset(str(tmp_path / "preset"))
    else:
        candidates_model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
    outputs = run(loaded, inputs)
    for name in expected:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-6, err_msg=name)


@pytest.mark.backend_agnostic
def test_configurations_of_before_have_no_candidates(make):
    config = make(num_candidates=0, audio_encoder=LogMelEncoder(8, (4,))).backbone.get_config()
    for name in ("num_candidates", "extractor_filters"):
        config.pop(name)
    backbone = AVSSANBackbone.from_config(config)
    assert backbone.settings["num_candidates"] == 0 and not hasattr(backbone, "candidates")


@pytest.mark.backend_agnostic
def test_settings_reach_the_layer_and_those_of_before_are_the_first_values(make):
    new = {"candidate_masks": "shared", "candidate_posteriors": "equal"}
    backbone = make(**new).backbone
    config = backbone.get_config()
    for name, value in new.items():
        assert config.pop(name) == getattr(backbone.candidates, name.partition("_")[2]) == value
    former = AVSSANBackbone.from_config(config).candidates
    assert (former.search, former.masks, former.posteriors) == ("steered", "separate", "steered")


@pytest.mark.one_backend
def test_mixed_precision(make, delayed_noise, make_inputs):
    model = make(dtype="mixed_bfloat16")
    outputs = run(model, scenes(delayed_noise, make_inputs))
    for name in (*NAMES, "doa"):
        assert outputs[name].dtype == "float32" and np.isfinite(outputs[name]).all()
    assert np.abs(outputs["candidate_azimuths"][:, 0] - [40, 120]).max() <= 1


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"visual_prompt": False}, "`num_candidates` must be 0 where `visual_prompt` is off"),
        ({"semantic_audio": False}, "`num_candidates` must be 0 where `semantic_audio` is off"),
        (
            {"audio_encoder": LogMelEncoder(8, (4,))},
            r"magnitudes that a mask can be applied to.*lacks",
        ),
        ({"num_candidates": 9}, "`num_candidates` must be an integer from 1 to 8"),
        ({"num_candidates": -1}, "of at least 0. Received: num_candidates=-1"),
        ({"num_candidates": None}, "`num_candidates` must be an integer"),
        ({"num_candidates": False}, "`num_candidates` must be an integer"),
        ({"num_candidates": 1.5}, "`num_candidates` must be an integer"),
        ({"extractor_filters": 0}, "`extractor_filters` must be an integer"),
        ({"candidate_masks": "halved"}, "`candidate_masks` must be one of.*='halved'"),
        ({"candidate_posteriors": None}, "`candidate_posteriors` must be one of.*=None"),
        ({"num_candidates": 0, "candidate_search": "found"}, "`candidate_search` must be one of"),
        ({"num_candidates": 0, "candidate_masks": "halved"}, "`candidate_masks` must be one of"),
        ({"num_candidates": 0, "candidate_posteriors": 1}, "`candidate_posteriors` must be one"),
        ({"num_candidates": 0, "extractor_filters": 0}, "`extractor_filters` must be an integer"),
    ],
)
def test_wrong_settings_are_refused(arguments, message, make):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["audio_encoder", "image_encoder"])
def test_encoders_are_layers(name):
    with pytest.raises(TypeError, match=f"`{name}` must be a Keras layer .*='yamnet'"):
        AVSSANBackbone(**{"prompt_dim": 4, "audio_encoder": LogMelEncoder(8, (4,)), name: "yamnet"})


@pytest.mark.one_backend
def test_embeddings_count_by_the_power_that_a_mask_keeps():
    """Recomputed with loops over the frames that each embedding covers."""
    rng = np.random.default_rng(0)
    encoder = YAMNet(0.0625)
    audio = rng.normal(size=(1, 32000, 2)).astype("float32")
    audio[:, 16000:24000] *= 0.1
    model = AVSSAN(image_encoder=None, prompt_dim=6, audio_encoder=encoder, dim=8, num_candidates=2)
    evidence, bridge = model.backbone.evidence, model.backbone.bridge
    bridge.audio_projection.kernel.assign(
        1e9 * rng.normal(size=bridge.audio_projection.kernel.shape)
    )
    masks = rng.uniform(size=(1, 2, 63, 513)).astype("float32")
    masks[:, 1, 20:] *= 0.05
    semantics = rng.normal(size=(1, bridge.dim)).astype("float32")
    found = keras.ops.convert_to_numpy(evidence(audio, masks, semantics))[0]

    magnitudes = keras.ops.convert_to_numpy(encoder.spectrogram(audio.mean(axis=-1)))[0]
    positions = (0.0125 + 0.01 * np.arange(len(magnitudes))) * 16000 / 512
    embeddings = keras.ops.convert_to_numpy(evidence.embed(audio, masks)[0])[0]
    for row in range(2):
        mask = np.stack(
            [np.interp(positions, np.arange(63), masks[0, row, :, 2 * f]) for f in range(257)], 1
        )
        power, whole = (np.square(m).sum(axis=1) for m in (magnitudes * mask, magnitudes))
        parts = [slice(48 * i, 48 * i + 97) for i in range(embeddings.shape[1])]
        wholes = np.array([whole[part].sum() for part in parts])
        weights = np.array([power[part].sum() for part in parts]) / (wholes + 0.05 * wholes.mean())
        weights[3:] = 0  # these do not end within two seconds
        sound = keras.ops.convert_to_numpy(bridge.audio_projection(embeddings[row]))
        sound = (weights[:, None] * sound).sum(axis=0)
        cosine = sound @ semantics[0] / np.linalg.norm(sound) / np.linalg.norm(semantics)
        np.testing.assert_allclose(found[row], cosine, atol=2e-4)
