"""The whole network: shapes for any duration, invariances, silence, precision."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSANBackbone
from keras_avssan.classical import SRPPHAT
from keras_avssan.encoders import ConvImageEncoder, ImageEncoder, LogMelEncoder
from keras_avssan.layers.stereo_stft import level_gain


def check_shapes(outputs, batch, frames):
    assert outputs["doa"].shape == (batch, 180)
    assert outputs["mask"].shape == (batch, frames, 513)
    assert outputs["masked_spectrogram"].shape == (batch, frames, 513, 4)
    assert outputs["band_attention_fine"].shape == (batch, 16)
    assert outputs["band_attention_mid"].shape == (batch, 4)
    assert outputs["band_attention_full"].shape == (batch, 1)
    assert outputs["band_weights"].shape == (batch, frames, 3)


def check_values(outputs):
    leaves = keras.tree.flatten(outputs)
    assert all(leaf.dtype == "float32" and np.isfinite(leaf).all() for leaf in leaves)
    np.testing.assert_allclose(outputs["doa"].sum(axis=1), 1.0, rtol=1e-4)
    np.testing.assert_allclose(outputs["band_weights"].sum(axis=2), 1.0, rtol=1e-4)
    for band in ("fine", "mid", "full"):
        np.testing.assert_allclose(outputs[f"band_attention_{band}"].sum(axis=1), 1.0, rtol=1e-4)
    assert 0 <= outputs["mask"].min() and outputs["mask"].max() <= 1


@pytest.mark.parametrize(
    ("seconds", "batch"),
    [
        (0.5, 2),
        *(pytest.param(*one, marks=pytest.mark.one_backend) for one in ((1.0, 2), (60.0, 1))),
    ],
)
def test_any_duration_with_the_same_weights(seconds, batch, model, make_inputs, run):
    samples = round(16000 * seconds)
    outputs = run(model, make_inputs(batch, samples))
    check_shapes(outputs, batch, 1 + samples // 512)
    check_values(outputs)


@pytest.mark.one_backend
def test_masked_spectrogram_is_the_mix_times_the_mask(model, inputs, run):
    outputs = run(model, inputs)
    audio = inputs["audio"]
    mix = ops.convert_to_numpy(model.backbone.stft(audio * ops.convert_to_numpy(level_gain(audio))))
    expected = mix * outputs["mask"][..., None]
    np.testing.assert_allclose(outputs["masked_spectrogram"], expected, atol=1e-5)


@pytest.mark.one_backend
def test_similarity_is_the_cosine_between_prompt_and_mix(model, inputs, run):
    outputs = run(model, inputs)
    audio = ops.convert_to_tensor(inputs["audio"])
    heard = ops.convert_to_numpy(model.backbone.embed_target(audio * level_gain(audio)))
    asked = outputs["prompt_semantics"]
    lengths = np.linalg.norm(asked, axis=1) * np.linalg.norm(heard, axis=1)
    expected = np.sum(asked * heard, axis=1) / lengths
    np.testing.assert_allclose(outputs["similarity"], expected, atol=1e-5)
    assert np.abs(outputs["similarity"]).max() <= 1


@pytest.mark.one_backend
def test_one_source_alone_is_where_srp_phat_finds_it(make_tiny, make_inputs, run, delayed_noise):
    """A mask that keeps everything and a head that corrects nothing: near the axis too."""
    model = make_tiny()
    mask_logits, head = model.backbone.refiner.mask_logits, model.backbone.doa_head
    for layer, bias in ((mask_logits, 20.0), (head.logits, 0.0)):
        kernel, old = layer.get_weights()
        layer.set_weights([np.zeros_like(kernel), np.full_like(old, bias)])
    inputs = {**make_inputs(6), "audio": delayed_noise([4.0, 12.0, 20.0, 90.0, 160.0, 170.0])}
    estimate = run(model, inputs)["doa"].argmax(axis=1)
    expected = SRPPHAT(frequency_range=(1.0, 8000.0)).predict_on_batch(inputs)["doa"].argmax(axis=1)
    np.testing.assert_allclose(estimate, expected, atol=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        pytest.param({"phase_transform": False}, marks=pytest.mark.one_backend),
        pytest.param({"doa_form": "spectrogram"}, marks=pytest.mark.one_backend),
    ],
)
def test_locate_is_what_the_network_makes_of_its_mask(arguments, make_tiny, inputs, run):
    model = make_tiny(**arguments)
    outputs = run(model, inputs)
    audio = ops.convert_to_tensor(inputs["audio"])
    mix = model.backbone.stft(audio * level_gain(audio))
    located = model.backbone.locate(mix, ops.convert_to_tensor(outputs["mask"]))
    np.testing.assert_allclose(ops.convert_to_numpy(located), outputs["doa"], atol=1e-5)


@pytest.mark.backend_agnostic
def test_networks_stored_before_the_phase_transform_keep_their_head(make_tiny):
    config = make_tiny().backbone.get_config()
    assert config.pop("phase_transform") is True
    assert config.pop("doa_padding") == "mirror"
    backbone = AVSSANBackbone.from_config(config)
    assert backbone.settings["phase_transform"] is False
    assert backbone.doa_head.padding == "zeros"


@pytest.mark.parametrize("gain", [0.01, 30.0])
def test_loudness_has_no_influence(gain, model, inputs, run):
    louder = {**inputs, "audio": gain * inputs["audio"]}
    np.testing.assert_allclose(
        run(model, louder)["doa"], run(model, inputs)["doa"], rtol=1e-3, atol=1e-6
    )


def test_scenes_of_a_batch_do_not_mix(model, inputs, run):
    together = run(model, inputs)
    for i in range(2):
        alone = run(model, {key: value[i : i + 1] for key, value in inputs.items()})
        np.testing.assert_allclose(alone["doa"][0], together["doa"][i], rtol=1e-3, atol=1e-6)


def test_embedded_pictures_give_what_the_pictures_give(model, inputs, run):
    embedded = model.embed_prompts(inputs["images"], batch_size=1)
    assert embedded.shape == (2, 8)
    assert embedded.dtype == "float32"
    from_embedding = run(model, {"audio": inputs["audio"], "prompt_embedding": embedded})
    from_pictures = run(model, inputs)
    for key in ("doa", "mask"):
        np.testing.assert_allclose(from_embedding[key], from_pictures[key], atol=1e-5)


def test_spacing_of_the_microphones_is_an_input(model, inputs, run):
    usual = run(model, inputs)["doa"]
    own = run(model, {**inputs, "microphone_spacing": np.full(2, 0.2, "float32")})["doa"]
    wider = run(model, {**inputs, "microphone_spacing": np.array([0.2, 0.3], "float32")})["doa"]
    np.testing.assert_allclose(own, usual, atol=1e-5)
    np.testing.assert_allclose(wider[0], usual[0], atol=1e-5)
    assert np.abs(wider[1] - usual[1]).max() > 1e-4


@pytest.mark.one_backend
def test_convolution_in_place_of_the_fft(make_tiny, model, inputs, run):
    other = make_tiny(stft_implementation="conv")
    other.set_weights(model.get_weights())
    np.testing.assert_allclose(run(other, inputs)["doa"], run(model, inputs)["doa"], atol=1e-4)


def test_silence_gives_finite_outputs(model, inputs, run):
    check_values(run(model, {**inputs, "audio": np.zeros_like(inputs["audio"])}))


@pytest.mark.parametrize(
    "configuration", ["base", pytest.param("paper", marks=pytest.mark.one_backend)]
)
def test_silence_gives_finite_gradients(configuration, make_tiny, batch, eagerly):
    """A step of plain gradient descent carries any NaN of a gradient into the weights."""
    inputs, labels = batch
    silent = {**inputs, "audio": np.zeros_like(inputs["audio"])}
    labels = {**labels, "target": np.zeros_like(labels["target"])}
    model = make_tiny(configuration=configuration)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=eagerly)
    before = model.get_weights()
    assert np.isfinite(model.train_on_batch(silent, labels)[0])
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "dtype", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.backend_agnostic)]
)
def test_mixed_precision_keeps_the_recording_in_float32(dtype, make_tiny, batch, run):
    inputs, labels = batch
    model = make_tiny(dtype=dtype)
    outputs = run(model, inputs)
    check_values(outputs)
    audio = inputs["audio"]
    mix = ops.convert_to_numpy(model.backbone.stft(audio * ops.convert_to_numpy(level_gain(audio))))
    expected = mix * outputs["mask"][..., None]
    np.testing.assert_allclose(outputs["masked_spectrogram"], expected, atol=1e-5)
    assert model.backbone.bridge.linear_projection.compute_dtype == dtype.split("_")[1]
    losses = [model.train_on_batch(inputs, labels)[0] for _ in range(2)]
    assert np.isfinite(losses).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert {str(weight.dtype) for weight in model.trainable_variables} == {"float32"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"audio": (1, 8000), "images": (1, 16, 16, 3)}, r"`audio`.*\(batch, samples, 2\)"),
        ({"audio": (1, 8000, 1), "images": (1, 16, 16, 3)}, r"`audio`.*\(batch, samples, 2\)"),
        ({"audio": (1, 8000, 3), "images": (1, 16, 16, 3)}, r"`audio`.*\(batch, samples, 2\)"),
        ({"audio": (1, 8000, 2)}, "`images` or `prompt_embedding`"),
        ({"audio": (1, 8000, 2), "images": (1, 16, 16)}, "`images`"),
        ({"audio": (1, 8000, 2), "images": (1, 16, 16, 4)}, "`images`"),
        ({"audio": (1, 8000, 2), "prompt_embedding": (1, 9)}, r"`prompt_embedding`.*\(batch, 8\)"),
        ({"audio": (1, 8000, 2), "prompt_embedding": (8,)}, "`prompt_embedding`"),
    ],
)
def test_inputs_of_a_wrong_shape_are_named(inputs, message, model):
    arrays = {key: np.ones(shape, "float32") for key, shape in inputs.items()}
    with pytest.raises(ValueError, match=message):
        model.backbone(arrays)


@pytest.mark.backend_agnostic
def test_pictures_need_an_image_encoder(make_tiny, inputs):
    model = make_tiny(image_encoder=None, prompt_dim=8)
    with pytest.raises(ValueError, match="no image encoder"):
        model.backbone(inputs)


@pytest.mark.backend_agnostic
def test_missing_and_unfit_parts_are_named():
    with pytest.raises(ValueError, match="`prompt_dim`"):
        AVSSANBackbone(None, LogMelEncoder(8, (4,)))
    with pytest.raises(ValueError, match="`audio_encoder`"):
        AVSSANBackbone(ConvImageEncoder(8, (4,), (16, 16)))
    feature_map = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match="`image_encoder`.*`keras_avssan.encoders.ImageEncoder`"):
        AVSSANBackbone(feature_map, LogMelEncoder(8, (4,)))
    pooled = keras.Sequential([keras.Input((16000,)), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="`audio_encoder`.*`keras_avssan.encoders.AudioEncoder`"):
        AVSSANBackbone(ConvImageEncoder(8, (4,), (16, 16)), pooled)


@pytest.mark.one_backend
def test_takes_any_image_model_in_the_slot(make_tiny, make_inputs, run):
    picture_model = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(5, 3, strides=4, name="conv")]
    )
    model = make_tiny(image_encoder=ImageEncoder(picture_model))
    assert model.backbone.prompt_dim == 5
    assert model.backbone.image_size == model.preprocessor.picture_size == (16, 16)
    first, second = (
        run(model, make_inputs()),
        run(model, {"audio": make_inputs()["audio"], "images": make_inputs(seed=1)["images"]}),
    )
    assert np.abs(first["mask"] - second["mask"]).max() > 1e-5
