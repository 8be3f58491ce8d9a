"""The two configurations: as published, and with this library's decisions."""

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN, AVSSANBackbone
from keras_avssan.models.av_ssan.av_ssan_presets import CONFIGURATIONS, make_loss


# Compiling a step takes long; tests/parity compares steps under every backend.
@pytest.mark.one_backend
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_trains_a_step_with_its_own_loss(configuration, make_tiny, batch, run):
    inputs, labels = batch
    model = make_tiny(configuration=configuration)
    gain = 1 / np.sqrt(np.mean(inputs["audio"] ** 2, axis=(1, 2), keepdims=True))
    target = (gain * labels["target"]).astype("float32")
    truth = {
        "azimuth": labels["azimuth"],
        "spectrogram": model.backbone.stft(target),
        "semantics": model.backbone.embed_target(target, training=True),
    }
    expected = float(make_loss(configuration)(truth, prediction(model, inputs)))
    assert model.train_on_batch(inputs, labels)[0] == pytest.approx(expected, rel=1e-3)
    np.testing.assert_allclose(run(model, inputs)["doa"].sum(axis=1), 1.0, rtol=1e-4)


def prediction(model, inputs):
    outputs = model(inputs, training=True)
    return {key: outputs[key] for key in ("doa", "masked_spectrogram", "prompt_semantics")}


@pytest.mark.backend_agnostic
def test_arguments_win_over_the_configuration(make_tiny):
    model = make_tiny(configuration="paper", doa_form="cross_spectrum")
    assert model.backbone.doa_head.form == "cross_spectrum"


@pytest.mark.backend_agnostic
def test_default_model_brings_its_own_encoders():
    model = AVSSAN(compile=False)
    assert type(model.backbone.image_encoder).__name__ == "ConvImageEncoder"
    assert type(model.backbone.audio_encoder).__name__ == "LogMelEncoder"
    assert model.preprocessor.picture_size == model.backbone.image_size
    assert not model.compiled


@pytest.mark.backend_agnostic
def test_compile_takes_other_parts(make_tiny):
    model = make_tiny()
    model.compile(keras.optimizers.SGD(0.5), loss=make_loss("paper"), metrics=[])
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert model.loss.get_config()["doa"] == "mse"


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("missing", ["image_encoder", "audio_encoder"])
def test_paper_does_not_make_up_its_pretrained_encoders(missing, make_tiny):
    with pytest.raises(ValueError, match=rf"`{missing}` must be given.*Received: {missing}=None"):
        make_tiny(configuration="paper", **{missing: None})


@pytest.mark.backend_agnostic
def test_paper_takes_embeddings_and_ablations_without_encoders(make_tiny):
    asked = make_tiny(configuration="paper", image_encoder=None, prompt_dim=6)
    assert asked.backbone.image_encoder is None and asked.backbone.prompt_dim == 6
    make_tiny(configuration="paper", image_encoder=None, visual_prompt=False)
    make_tiny(configuration="paper", semantic_audio=False)


@pytest.mark.backend_agnostic
def test_an_unknown_configuration_is_refused():
    with pytest.raises(ValueError, match="`configuration`.*'large'"):
        AVSSAN(configuration="large")


@pytest.mark.backend_agnostic
def test_backbone_and_arguments_for_one_exclude_each_other(model):
    with pytest.raises(TypeError, match="`backbone`.*Received: dim=16"):
        AVSSAN(backbone=model.backbone, dim=16)


@pytest.mark.backend_agnostic
def test_an_unknown_argument_is_refused():
    with pytest.raises((TypeError, ValueError), match="depth"):
        AVSSANBackbone(prompt_dim=4, semantic_audio=False, depth=3)


@pytest.mark.one_backend
@pytest.mark.parametrize("magnitude", ["cues", "mask", "both"])
def test_magnitudes_stand_where_they_are_asked_for(magnitude, make_tiny, make_inputs, run):
    model = make_tiny(magnitude=magnitude, scale_relevance=True)
    backbone = model.backbone
    assert backbone.spatial_features.magnitude is (magnitude in ("cues", "both"))
    assert backbone.refiner.magnitude is (magnitude in ("mask", "both"))
    assert all(alignment.scale_relevance for alignment in backbone.alignments)
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    inputs = make_inputs()
    np.testing.assert_allclose(run(again, inputs)["doa"], run(model, inputs)["doa"], atol=1e-5)


@pytest.mark.backend_agnostic
def test_a_config_without_these_arguments_is_that_of_a_network_without_them(make_tiny):
    config = make_tiny().backbone.get_config()
    del config["magnitude"], config["scale_relevance"]
    backbone = AVSSANBackbone.from_config(config)
    assert backbone.settings["magnitude"] is None
    assert backbone.settings["scale_relevance"] is False


@pytest.mark.backend_agnostic
def test_an_unknown_place_of_magnitudes_is_refused(make_tiny):
    with pytest.raises(ValueError, match="`magnitude` must be one of.*magnitude='head'"):
        make_tiny(magnitude="head")
