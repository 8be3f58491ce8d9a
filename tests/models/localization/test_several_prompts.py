"""Several prompts for one recording: the answers of single calls, from one run of the recording."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN, AVSSANBackbone, Prompt
from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.models import MLPAVC
from keras_avssan.models.localization import several_prompts


@pytest.fixture
def recording(make_inputs):
    return make_inputs(1)["audio"][0]


@pytest.fixture
def prompts(make_inputs):
    """Pictures, recordings of several lengths, an embedding, and a mean of two kinds."""
    rng = np.random.default_rng(3)
    first, second = (255 * make_inputs(2)["images"]).astype("uint8")
    short, long, again = (0.1 * rng.normal(size=size) for size in (4000, 11111, 4000))
    embedding = rng.normal(size=8)
    mean = Prompt(pictures=[first], recordings=[long])
    return [first, short, second, embedding, long, mean, again]


def posteriors(model, recording, prompt, **arguments):
    outputs, _ = model._answer(recording, prompt, None, None, arguments.get("spacing"))
    return outputs["doa"]


def check(model, recording, prompts, **arguments):
    """The posteriors of a call, which are those of single calls."""
    together = posteriors(model, recording, prompts, **arguments)
    alone = [posteriors(model, recording, prompt, **arguments)[0] for prompt in prompts]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(together - together[:1]).max() > 1e-4  # the prompts do not all say the same
    return together


def sharpen(model):
    """Scales the prompt's projection, so that prompts matter to a network without training."""
    projection = model.backbone.bridge.prompt_projection.kernel
    projection.assign(20.0 * ops.convert_to_tensor(projection))
    refiner = model.backbone.refiner.mask_logits.kernel
    refiner.assign(20.0 * ops.convert_to_tensor(refiner))
    return model


def test_answers_are_those_of_single_calls(make_tiny, recording, prompts):
    model = sharpen(make_tiny())
    found = check(model, recording, prompts)
    theta, confidence = model.localize(recording, prompts, return_confidence=True)
    np.testing.assert_array_equal(theta, found.argmax(axis=1) + 1)
    each = [model.localize(recording, prompt, return_confidence=True)[1][0] for prompt in prompts]
    assert confidence.shape == (7,)
    np.testing.assert_allclose(confidence, each, atol=1e-5)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    "arguments",
    [
        {"configuration": "paper"},
        {"magnitude": "both", "attention_gain": 2.0},
        {"residual": None, "phase_transform": False},
        {"doa_form": "cross_spectrum", "multi_band": False, "band_attention": False},
        {"interaction": False, "scale_relevance": True},
    ],
    ids=str,
)
def test_networks_of_other_settings(make_tiny, recording, prompts, arguments):
    check(sharpen(make_tiny(**arguments)), recording, prompts)


@pytest.mark.one_backend
def test_without_semantic_audio(make_tiny, recording, prompts):
    model = sharpen(make_tiny(semantic_audio=False))
    check(model, recording, [prompts[0], prompts[2], prompts[3]])
    with pytest.raises(ValueError, match="`prompt_audio` needs the audio encoder"):
        model.localize(recording, prompts[:2])


@pytest.mark.one_backend
def test_networks_with_candidates(make_candidates, recording, prompts):
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)))
    model.backbone.fusion.evidence_scale.assign(200.0)
    check(model, recording, prompts)
    presence = model.localize(recording, prompts, return_presence=True)[1]
    each = [model.localize(recording, prompt, return_presence=True)[1][0] for prompt in prompts]
    np.testing.assert_allclose(presence, each, atol=1e-5)
    assert np.ptp(presence) > 1e-3


@pytest.mark.one_backend
def test_spacings(make_candidates, make_tiny, recording, prompts):
    """One for the recording, or one for each prompt."""
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)))
    model.backbone.fusion.evidence_scale.assign(200.0)
    some = prompts[:3]
    found = check(model, recording, some, spacing=0.12)
    assert np.abs(found - posteriors(model, recording, some)).max() > 1e-3
    each = np.array([0.1, 0.2, 0.3])
    together = posteriors(model, recording, some, spacing=each)
    alone = [
        posteriors(model, recording, prompt, spacing=spacing)[0]
        for prompt, spacing in zip(some, each, strict=True)
    ]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    with pytest.raises(ValueError, match="one for each of the 3"):
        model.localize(recording, some, microphone_spacing=[0.1, 0.2])


@pytest.mark.one_backend
def test_the_recording_runs_once(make_tiny, make_candidates, recording, prompts, monkeypatch):
    for model in (
        make_tiny(),
        make_candidates(image_encoder=ConvImageEncoder(8, (4, 8), (16, 16))),
    ):
        model.compile(run_eagerly=True)
        seen = []
        for part in ("stft", "spatial_features", "audio_encoder", "candidates"):
            layer = getattr(model.backbone, part, None)
            if layer is not None:
                call = layer.call

                def count(x, *more, call=call, part=part, seen=seen, **named):
                    seen.append((part, *x.shape[:2]))
                    return call(x, *more, **named)

                monkeypatch.setattr(layer, "call", count)
        model.localize(recording, prompts)
        of_the_mixture = [one for one in seen if one[0] != "audio_encoder" or one[2] == 8000]
        assert {batch for _, batch, _ in of_the_mixture} == {1}
        assert len(of_the_mixture) == len({part for part, *_ in of_the_mixture})
        # The recordings that are prompts: those of one length together.
        as_prompts = sorted(one[1:] for one in seen if one not in of_the_mixture)
        assert as_prompts == [(1, 11111), (1, 11111), (2, 4000)]


@pytest.mark.one_backend
def test_more_prompts_than_a_run_takes(make_tiny, recording):
    model = sharpen(make_tiny())
    embeddings = np.random.default_rng(0).normal(size=(35, 8)).astype("float32")
    check(model, recording, embeddings)
    named = {"prompt_embedding": embeddings}
    np.testing.assert_allclose(
        posteriors(model, recording, named), posteriors(model, recording, embeddings), atol=1e-6
    )


@pytest.mark.one_backend
def test_later_weights_and_settings_count(make_tiny, recording, prompts):
    """What runs several prompts has no copy of the weights, and is compiled as the model is."""
    model = sharpen(make_tiny())
    weights, layers = len(model.weights), [layer.name for layer in model.layers]
    before = check(model, recording, prompts[:3])
    for weight in model.backbone.doa_head.weights:
        weight.assign(1.5 * ops.convert_to_tensor(weight) + 0.1)
    assert np.abs(check(model, recording, prompts[:3]) - before).max() > 1e-3
    model.backbone.image_encoder.trainable = False
    check(model, recording, prompts[:3])
    model.compile(run_eagerly=not model.run_eagerly)
    check(model, recording, prompts[:3])
    parts = model.__dict__["_network_parts"].values()
    assert {part.run_eagerly for _, part in parts} == {model.run_eagerly}
    assert len(model.weights) == weights and [layer.name for layer in model.layers] == layers


@pytest.mark.one_backend
def test_training_and_storage_go_on(make_tiny, make_batch, recording, prompts, tmp_path):
    model = sharpen(make_tiny())
    check(model, recording, prompts[:2])
    inputs, labels = make_batch()
    assert np.isfinite(model.train_on_batch(inputs, labels)[0])
    after = check(model, recording, prompts[:2])
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "preset")
    for stored in (
        keras.models.load_model(tmp_path / "model.keras"),
        AVSSAN.from_preset(str(tmp_path / "preset")),
    ):
        np.testing.assert_allclose(posteriors(stored, recording, prompts[:2]), after, atol=1e-5)


@pytest.mark.one_backend
def test_mixed_precision(make_tiny, recording, prompts):
    model = make_tiny(dtype="mixed_bfloat16")
    together = posteriors(model, recording, prompts)
    alone = [posteriors(model, recording, prompt)[0] for prompt in prompts]
    assert together.dtype == "float32"
    np.testing.assert_allclose(together, alone, atol=2e-3)


class OfTheirOwn(AVSSANBackbone):
    def connect(self, inputs):
        outputs = super().connect(inputs)
        return {**outputs, "doa": 0.5 * outputs["doa"] + 0.5 / 180}


@pytest.mark.one_backend
def test_a_network_of_a_users_own_runs_as_it_is(make_tiny, recording, prompts):
    parts = make_tiny().backbone
    backbone = OfTheirOwn(
        image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)),
        audio_encoder=parts.audio_encoder,
        **{"dim": 8, "bridge_layers": 1, "num_heads": 2, "mlp_dim": 16},
    )
    model = sharpen(AVSSAN(backbone))
    assert not several_prompts.shares_recordings(model)
    check(model, recording, [prompts[0], prompts[2]])


@pytest.mark.one_backend
def test_baselines_take_several_prompts_too(recording):
    model = MLPAVC(prompt_dim=6)
    embeddings = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    together = posteriors(model, recording, embeddings)
    alone = [posteriors(model, recording, embedding)[0] for embedding in embeddings]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.one_backend
def test_a_posterior_that_is_not_finite_is_named(make_tiny, recording, prompts):
    model = make_tiny()
    model.backbone.bridge.prompt_projection.bias.assign(np.full(8, np.nan))
    with pytest.raises(ValueError, match=r"NaN or infinity for `prompt\[0\]`"):
        model.localize(recording, prompts[:2])
