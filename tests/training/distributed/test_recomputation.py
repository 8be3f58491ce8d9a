"""Gradient checkpointing and accumulation: the same gradients, in less memory."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.doa import JointLoss
from keras_avssan.training.gradient_checkpointing import recompute_activations

TINY = {"prompt_dim": 8, "dim": 8, "bridge_layers": 1, "num_heads": 2, "mlp_dim": 16}
BACKEND = keras.backend.backend()
# JAX compiles whole steps: minutes, where others use the machine too.
pytestmark = [pytest.mark.timeout(1800), pytest.mark.one_backend]


class Loudness(keras.layers.Layer):
    """An audio encoder without batch statistics: what frames weigh, in a few powers."""

    hop_seconds = 512 / 16000

    def call(self, audio):
        frames = ops.reshape(
            audio[:, : audio.shape[1] // 512 * 512], (-1, audio.shape[1] // 512, 512)
        )
        power = ops.mean(ops.square(frames), axis=-1, keepdims=True)
        return ops.concatenate([power, ops.sqrt(power + 1e-6)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], None, 2)


def make_model(optimizer=None, dtype=None):
    keras.utils.set_random_seed(1)
    model = AVSSAN(audio_encoder=Loudness(), dtype=dtype, compile=False, **TINY)
    # Each scene by itself: the contrast of the alignment would need the whole batch.
    loss = JointLoss(reconstruction_weight=5.0, alignment_weight=0.0)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.1), loss=loss, metrics=[])
    return model


def make_batch(scenes, seed=0):
    rng = np.random.default_rng(seed)
    audio = (0.1 * rng.normal(size=(scenes, 8192, 2))).astype("float32")
    inputs = {"audio": audio, "prompt_embedding": rng.normal(size=(scenes, 8)).astype("float32")}
    azimuth = rng.uniform(1, 180, scenes).astype("float32")
    return inputs, {"azimuth": azimuth, "target": 0.5 * audio}


def weights(model):
    return [ops.convert_to_numpy(weight) for weight in model.trainable_variables]


def difference(first, second):
    return max(np.abs(a - b).max() for a, b in zip(first, second, strict=True))


def moved(model, before):
    """How far one step moved the weights of the layers that are computed again."""
    layers = [*model.backbone.alignments, model.backbone.refiner]
    paths = {weight.path for layer in layers for weight in layer.trainable_variables}
    return np.concatenate(
        [
            (after - start).ravel()
            for variable, after, start in zip(
                model.trainable_variables, weights(model), before, strict=True
            )
            if variable.path in paths
        ]
    )


@pytest.mark.parametrize(("dtype", "limit"), [("float32", 1e-3), ("mixed_bfloat16", 0.1)])
def test_recomputed_activations_give_the_same_weights(dtype, limit):
    batch = make_batch(2)
    plain, recomputed = make_model(dtype=dtype), make_model(dtype=dtype)
    before = weights(plain)
    plain.train_on_batch(*batch)
    with recompute_activations(recomputed):
        recomputed.train_on_batch(*batch)
    if dtype == "float32":
        assert difference(weights(plain), weights(recomputed)) < 1e-5
    # These weights move little: their changes must agree, too.
    steps = moved(plain, before), moved(recomputed, before)
    assert np.linalg.norm(steps[0]) > 1e-4
    assert np.linalg.norm(steps[0] - steps[1]) < limit * np.linalg.norm(steps[0])


def test_recomputed_layers_run_again_in_the_backward_pass_and_only_within_the_block(monkeypatch):
    model = make_model()
    layer, runs = model.backbone.alignments[0], []
    attend = layer._attend
    monkeypatch.setattr(layer, "_attend", lambda *x: runs.append(1) or attend(*x))
    with recompute_activations(model):
        model.train_on_batch(*make_batch(2))
    within, runs[:] = len(runs), []
    model.train_on_batch(*make_batch(2))
    # A compiled step that is traced twice counts its runs twice.
    assert within > len(runs) or BACKEND == "jax"
    assert len(runs) > 0
    assert "call" not in vars(layer)


def test_nothing_of_it_is_saved(tmp_path):
    model = make_model()
    config = model.get_config()
    with recompute_activations(model):
        assert model.get_config() == config
        inputs, _ = make_batch(2)
        inside = ops.convert_to_numpy(model(inputs)["doa"])
    np.testing.assert_allclose(inside, ops.convert_to_numpy(model(inputs)["doa"]), atol=1e-6)


def test_a_model_without_such_layers_is_refused():
    with pytest.raises(ValueError, match="must have layers of"):
        with recompute_activations(keras.Sequential([keras.layers.Dense(1)])):
            pass


def test_accumulated_batches_equal_one_large_batch():
    inputs, labels = make_batch(6)
    whole = make_model(keras.optimizers.SGD(0.1))
    whole.train_on_batch(inputs, labels)
    parts = make_model(keras.optimizers.SGD(0.1, gradient_accumulation_steps=3))
    before = weights(parts)
    for first in (0, 2, 4):
        assert difference(before, weights(parts)) == 0
        scenes = slice(first, first + 2)
        parts.train_on_batch(
            {name: value[scenes] for name, value in inputs.items()},
            {name: value[scenes] for name, value in labels.items()},
        )
    assert difference(before, weights(parts)) > 1e-3
    assert difference(weights(whole), weights(parts)) < 1e-5


def test_a_schedule_counts_batches_while_gradients_accumulate():
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([3], [0.5, 0.25])
    optimizer = keras.optimizers.SGD(rates, gradient_accumulation_steps=2)
    weight = keras.Variable([0.0])
    optimizer.build([weight])
    seen = []
    for _ in range(6):
        seen.append(float(ops.convert_to_numpy(optimizer.learning_rate)))
        optimizer.apply([ops.ones((1,))], [weight])
    assert seen == [0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert int(ops.convert_to_numpy(optimizer.iterations)) == 3
