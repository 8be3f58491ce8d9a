"""YAMNet in training, in files and in a model, and its layers under the harnesses of Keras."""

import json

import keras
import numpy as np
import pytest
from keras import ops
from keras.src.testing import TestCase
from keras_hub.src.tests.test_case import TestCase as HubTestCase

from keras_avssan import AVSSAN
from keras_avssan.encoders import ConvImageEncoder, YAMNet
from keras_avssan.encoders.yamnet.yamnet_network import YAMNetNetwork
from keras_avssan.encoders.yamnet.yamnet_spectrogram import YAMNetLogMel, YAMNetSpectrogram
from keras_avssan.models.export.export import convolutional_front_ends

TINY = {"width_multiplier": 0.0625, "class_names": ["dog", "rain", "bell"]}
# Under JAX a step is compiled as a whole: op by op each operation is compiled on its own.
EAGERLY = keras.backend.backend() != "jax"


def run(function, *arguments, **options):
    outputs = function(*arguments, **options)
    return ops.convert_to_numpy(ops.cast(outputs, "float32"))


def noise(*shape):
    return (0.1 * np.random.default_rng(0).normal(size=shape)).astype("float32")


def make(stage=None, **arguments):
    return YAMNet(**{**TINY, "stage": stage, **arguments})


# --- precision ------------------------------------------------------------------------------


@pytest.mark.one_backend
@pytest.mark.parametrize("stage", [None, 6])
def test_front_end_stays_in_float32_under_mixed_precision(stage):
    audio = noise(1, 8000)
    low, high = make(stage, dtype="mixed_bfloat16"), make(stage)
    high.set_weights(low.get_weights())
    assert {layer.compute_dtype for layer in low.network.convolutions} == {"bfloat16"}
    magnitudes = low.spectrogram(audio)
    assert keras.backend.standardize_dtype(low.log_mel(magnitudes).dtype) == "float32"
    np.testing.assert_array_equal(run(low.spectrogram, audio), run(high.spectrogram, audio))
    assert keras.backend.standardize_dtype(low.scores(audio).dtype) == "float32"
    assert keras.backend.standardize_dtype(low(audio).dtype) == "bfloat16"
    expected = run(high, audio)
    assert 0 < np.abs(run(low, audio) - expected).max() < 0.1 * np.abs(expected).max()


# --- training -------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [None, 6])
@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.one_backend
def test_learns_only_if_trainable(stage, trainable):
    encoder = make(stage, trainable=trainable)
    inputs = keras.Input((8000,))
    pooled = keras.layers.GlobalAveragePooling1D()(encoder(inputs))
    task = keras.Model(inputs, keras.layers.Dense(1)(pooled))
    task.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=EAGERLY)
    before = encoder.get_weights()
    task.train_on_batch(noise(2, 8000), np.ones((2, 1), "float32"))
    changed = [not np.array_equal(a, b) for a, b in zip(before, encoder.get_weights(), strict=True)]
    unused = [id(w) for layer in encoder.network.layers_beyond(stage or 14) for w in layer.weights]
    unused += [id(weight) for weight in encoder.classifier.weights]
    for weight, moved in zip(encoder.weights, changed, strict=True):
        if not trainable or id(weight) in unused:
            assert not moved
    assert len(encoder.trainable_variables) == (trainable and 2 * (11 if stage else 27))
    assert np.mean(changed) > (0.3 if stage else 0.8) or not trainable


def test_a_frozen_network_ignores_training_mode():
    encoder, audio = make(), noise(1, 8000)
    np.testing.assert_array_equal(run(encoder, audio, training=True), run(encoder, audio))
    log_mel = encoder.log_mel(encoder.spectrogram(audio))
    np.testing.assert_allclose(
        run(encoder.embed_log_mel, log_mel, training=True), run(encoder, audio), atol=1e-5
    )


@pytest.mark.parametrize("stage", [pytest.param(None, marks=pytest.mark.one_backend), 6])
def test_a_frozen_encoder_passes_no_gradient_but_to_log_mel(stage, gradient):
    audio = noise(1, 2000)
    for trainable in (False, True):
        encoder = make(stage, trainable=trainable)
        probe = lambda x, encoder=encoder: 1e6 * ops.sum(encoder(x)) + ops.sum(x)  # noqa: E731
        assert np.any(gradient(probe, audio) != 1.0) == trainable
    encoder = make(stage)
    magnitudes = encoder.spectrogram(audio)

    def masked(mask):
        return ops.sum(encoder.embed_log_mel(encoder.log_mel(mask * magnitudes)))

    slope = gradient(masked, np.ones(magnitudes.shape, "float32"))
    assert np.isfinite(slope).all() and np.abs(slope).max() > 0


@pytest.mark.parametrize("stage", [pytest.param(None, marks=pytest.mark.one_backend), 6])
def test_is_an_audio_encoder_of_av_ssan(stage):
    encoder = make(stage, gain=0.1)
    sizes = {"dim": 8, "bridge_layers": 1, "num_heads": 2, "mlp_dim": 16, "multi_band": False}
    pictures = ConvImageEncoder(8, (4, 8), (16, 16))
    model = AVSSAN(image_encoder=pictures, audio_encoder=encoder, **sizes, compile=False)
    model.compile(run_eagerly=EAGERLY)
    alignment = model.backbone.frame_alignment
    assert alignment.embedding_hop_seconds == (0.08 if stage else 0.48)
    assert alignment.embedding_offset_seconds == encoder.offset_seconds
    audio = noise(2, 8000, 2)
    images = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype("float32")
    labels = {"azimuth": np.array([40.0, 120.0], "float32"), "target": 0.5 * audio}
    before, frozen = model.get_weights(), encoder.get_weights()
    model.train_on_batch({"audio": audio, "images": images}, labels)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert np.sum(changed) > 0.8 * (len(before) - len(frozen))
    for old, new in zip(frozen, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# --- files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[None, 6])
def unlike(request):
    """An encoder without any default argument but the stage, with weights of its own."""
    encoder = make(
        request.param,
        average_bands=False,
        patch_hop_frames=24,
        gain=0.5,
        implementation="conv",
        trainable=True,
        name="audio",
    )
    rng = np.random.default_rng(5)
    encoder.set_weights([np.abs(rng.normal(size=w.shape)) for w in encoder.get_weights()])
    return encoder


def assert_same(restored, encoder):
    assert type(restored) is YAMNet
    assert restored.settings == encoder.settings
    assert (restored.name, restored.trainable) == (encoder.name, encoder.trainable)
    flags = [[weight.trainable for weight in one.weights] for one in (restored, encoder)]
    assert flags[0] == flags[1]
    audio = noise(1, 8000)
    assert run(encoder, audio).std() > 0
    np.testing.assert_array_equal(run(restored, audio), run(encoder, audio))
    np.testing.assert_array_equal(run(restored.scores, audio), run(encoder.scores, audio))


@pytest.mark.one_backend
def test_keras_file_round_trip(unlike, tmp_path):
    unlike.save(tmp_path / "encoder.keras")
    assert_same(keras.models.load_model(tmp_path / "encoder.keras"), unlike)


@pytest.mark.one_backend
def test_preset_round_trip(unlike, tmp_path):
    unlike.save_to_preset(str(tmp_path / "preset"))
    config = json.loads((tmp_path / "preset" / "config.json").read_text())
    assert config["config"]["class_names"] == TINY["class_names"]
    assert_same(YAMNet.from_preset(str(tmp_path / "preset")), unlike)


@pytest.mark.one_backend
def test_a_preset_can_be_opened_at_another_stage(tmp_path):
    encoder = make()
    encoder.save_to_preset(str(tmp_path / "preset"))
    dense = YAMNet.from_preset(str(tmp_path / "preset"), stage=6, gain=0.1)
    for old, new in zip(encoder.get_weights(), dense.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert dense.hop_seconds == 0.08 and dense.settings["gain"] == 0.1


@pytest.mark.backend_agnostic
def test_exports_convolve():
    encoder = make(6)
    with convolutional_front_ends(encoder):
        assert encoder.spectrogram.implementation == "conv"
        assert encoder.patch_spectrogram.implementation == "conv"
    assert encoder.spectrogram.implementation == "fft"


# --- harnesses ------------------------------------------------------------------------------

LAYERS = {
    "YAMNetSpectrogram": (YAMNetSpectrogram, {}, (2, 1040), (2, 5, 257)),
    "YAMNetLogMel": (YAMNetLogMel, {}, (2, 5, 257), (2, 5, 64)),
    "YAMNetNetwork": (YAMNetNetwork, {"width_multiplier": 0.0625}, (2, 32, 64), (2, 1, 2, 64)),
}


class TestLayers(TestCase):
    """Configuration, build, symbolic and eager calls."""


def _layer_test(name):
    form, arguments, shape, expected = LAYERS[name]

    def test(self):
        self.run_layer_test(
            form,
            init_kwargs=arguments,
            input_shape=shape,
            expected_output_shape=expected,
            run_training_check=False,
            # What is before the network computes in float32, whatever the policy.
            run_mixed_precision_check=name == "YAMNetNetwork",
        )

    return pytest.mark.one_backend(test)


for _name in LAYERS:
    setattr(TestLayers, f"test_{_name}", _layer_test(_name))


class TestBackbone(HubTestCase):
    """Serialisation, calls, compiled `predict` on arrays and datasets, the name."""

    @pytest.mark.one_backend
    def test_yamnet(self):
        for stage, shape in [(None, (2, 1, 64)), (6, (2, 7, 16))]:
            self.run_backbone_test(
                cls=YAMNet,
                init_kwargs={**TINY, "stage": stage},
                input_data=noise(2, 8000),
                expected_output_shape=shape,
                # The front end is float32 by contract, whatever the layers compute in.
                run_mixed_precision_check=False,
                run_quantization_check=False,
            )


# --- arguments ------------------------------------------------------------------------------


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stage": 0}, "`stage` must be an integer from 1 to 14. Received: stage=0"),
        ({"stage": 15}, "`stage`"),
        ({"patch_hop_frames": 0}, "`patch_hop_frames` must be an integer from 1 to 96"),
        ({"patch_hop_frames": 97}, "`patch_hop_frames`"),
        ({"class_names": []}, "`class_names` must be a list of different names"),
        ({"class_names": "dog"}, "`class_names`"),
        ({"class_names": ["dog", "dog"]}, "`class_names`"),
        ({"width_multiplier": 0.0}, "`width_multiplier` must be a positive number"),
        ({"width_multiplier": "a"}, "`width_multiplier` must be a positive number"),
        ({"gain": 0.0}, "`gain` must be a positive number"),
        ({"gain": None}, "`gain` must be a positive number"),
        ({"implementation": "dft"}, "`implementation` must be one of"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["least_frames", "step_frames"])
def test_numbers_of_frames_are_positive(name):
    with pytest.raises(ValueError, match=f"`{name}` must be an integer of at least 1"):
        YAMNetSpectrogram(**{name: 0})


@pytest.mark.backend_agnostic
def test_bad_calls_are_named():
    encoder = make()
    for function in (encoder, encoder.scores, encoder.classify):
        with pytest.raises(ValueError, match=r"`audio` must be mono.*\(1, 800, 2\)"):
            function(np.zeros((1, 800, 2), "float32"))
    for function in (encoder.scores, encoder.classify):
        for wrong in ("a.wav", None, [[0.0]]):
            with pytest.raises(TypeError, match="`audio` must be an array or tensor.*Received: au"):
                function(wrong)
    for function in (encoder.embed_log_mel, encoder.score_log_mel):
        with pytest.raises(
            TypeError, match="`log_mel` must be a tensor.*Received: log_mel='a.wav'"
        ):
            function("a.wav")
        with pytest.raises(ValueError, match=r"`log_mel` must have shape .*\(1, 96, 32\)"):
            function(np.zeros((1, 96, 32), "float32"))
    with pytest.raises(ValueError, match="`top` must be an integer of at least 1. Received: top=0"):
        encoder.classify(noise(1, 800), top=0)
    with pytest.raises(ValueError, match="`stage` must be an integer from 1 to 14"):
        encoder.network(np.zeros((1, 32, 64), "float32"), stage=20)
    with pytest.raises(TypeError, match="`YAMNet` takes no argument `filters`. .*: filters=3"):
        make(filters=3)
