"""Equation (1), and the Transformer block it is made of, against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.layers import SemanticBridge
from keras_avssan.layers.transformer_block import TransformerBlock

DIM, STEPS = 8, 5
SETTINGS = {"dim": DIM, "num_layers": 1, "num_heads": 2, "mlp_dim": 12}


@pytest.fixture
def inputs(rng):
    """Two prompts of 6 and two sequences of 7 features."""
    prompt, audio = rng.normal(size=(2, 6)), rng.normal(size=(2, STEPS, 7))
    return prompt.astype("float32"), audio.astype("float32")


def make_bridge(randomize, **switches):
    bridge = SemanticBridge(**{**SETTINGS, **switches})
    bridge.build((None, 6), (None, None, 7))
    return randomize(bridge)


def numpy_block(block, x, twin):
    x = x + twin.attention(block.attention, twin.layer_norm(block.attention_norm, x))
    hidden = twin.gelu(twin.dense(block.hidden, twin.layer_norm(block.mlp_norm, x)))
    return x + twin.dense(block.projection, hidden)


def test_transformer_block(twin, randomize, rng):
    x = rng.normal(size=(2, STEPS, DIM)).astype("float32")
    block = TransformerBlock(num_heads=2, mlp_dim=12)
    block.build(x.shape)
    randomize(block)
    expected = [numpy_block(block, sequence, twin) for sequence in x]
    np.testing.assert_allclose(ops.convert_to_numpy(block(x)), expected, atol=1e-4)


@pytest.mark.parametrize("interaction", [False, True])
def test_equation_1(interaction, inputs, twin, randomize):
    bridge = make_bridge(randomize, interaction=interaction)
    expected = []
    for prompt, audio in zip(*inputs, strict=True):
        parts = [
            np.tile(twin.dense(bridge.prompt_projection, prompt), (STEPS, 1)),
            twin.dense(bridge.audio_projection, audio),
        ]
        if interaction:
            parts.append(parts[0] * parts[1])
        x = twin.dense(bridge.linear_projection, np.concatenate(parts, axis=-1))
        for block in bridge.blocks:
            x = numpy_block(block, x, twin)
        expected.append(twin.layer_norm(bridge.norm, x))
    output = ops.convert_to_numpy(bridge(*inputs))
    assert output.shape == bridge.compute_output_shape((2, 6), (2, STEPS, 7)) == (2, STEPS, DIM)
    np.testing.assert_allclose(output, expected, atol=1e-4)


@pytest.mark.parametrize("switch", ["use_prompt", "use_audio"])
@pytest.mark.parametrize("interaction", [False, True])
def test_a_switched_off_input_has_no_influence(switch, interaction, inputs, randomize):
    bridge = make_bridge(randomize, interaction=interaction, **{switch: False})
    prompt, audio = inputs
    ignored = [-3 * prompt, audio] if switch == "use_prompt" else [prompt, -3 * audio]
    used = [prompt, -3 * audio] if switch == "use_prompt" else [-3 * prompt, audio]
    output = ops.convert_to_numpy(bridge(prompt, audio))
    np.testing.assert_array_equal(ops.convert_to_numpy(bridge(*ignored)), output)
    assert not np.allclose(ops.convert_to_numpy(bridge(*used)), output, atol=1e-3)


def test_scaled_prompts_count_the_same_however_small_they_are(inputs, randomize):
    prompt, audio = inputs

    def outputs(**arguments):
        bridge = make_bridge(randomize, interaction=True, **arguments)
        return [ops.convert_to_numpy(bridge(scale * prompt, audio)) for scale in (0.01, 1.0)]

    np.testing.assert_allclose(*outputs(scale_prompt=True), atol=1e-3)
    assert not np.allclose(*outputs(scale_prompt=False), atol=1e-2)


def test_a_scaled_prompt_has_a_root_mean_square_of_one(inputs, randomize, twin):
    bridge = make_bridge(randomize, scale_prompt=True)
    prompt, _ = inputs
    scaled = prompt / np.sqrt(np.mean(np.square(prompt), axis=-1, keepdims=True))
    expected = twin.dense(bridge.prompt_projection, scaled)
    projected = ops.convert_to_numpy(bridge.project_prompt(ops.convert_to_tensor(prompt)))
    np.testing.assert_allclose(projected, expected, atol=1e-5)
    silent = ops.convert_to_numpy(bridge.project_prompt(ops.zeros_like(prompt)))
    assert np.isfinite(silent).all()


@pytest.mark.parametrize("interaction", [False, True])
def test_projected_prompts_share_one_recording(interaction, inputs, randomize):
    bridge = make_bridge(randomize, interaction=interaction, return_similarity=True)
    prompts, audio = np.concatenate([inputs[0], -inputs[0]]), inputs[1][:1]
    expected = bridge(prompts, np.repeat(audio, 4, axis=0))
    projected = bridge.project_prompt(ops.convert_to_tensor(prompts))
    for found, one in zip(bridge(projected, audio, shared=True), expected, strict=True):
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (found, one)), atol=1e-5)


def test_dropout_acts_only_in_training(inputs, randomize):
    bridge = make_bridge(randomize, dropout=0.5)
    quiet = ops.convert_to_numpy(bridge(*inputs, training=False))
    np.testing.assert_array_equal(ops.convert_to_numpy(bridge(*inputs)), quiet)
    assert not np.allclose(ops.convert_to_numpy(bridge(*inputs, training=True)), quiet)


def test_zeros_have_finite_gradients(gradient, randomize):
    bridge = make_bridge(randomize)
    prompt = np.zeros((1, 6), "float32")
    slope = gradient(lambda x: ops.sum(bridge(prompt, x)), np.zeros((1, STEPS, 7), "float32"))
    assert np.isfinite(slope).all()


@pytest.mark.backend_agnostic
def test_something_must_be_bridged():
    with pytest.raises(ValueError, match="use_prompt=False, use_audio=False"):
        SemanticBridge(use_prompt=False, use_audio=False)
    with pytest.raises(
        ValueError, match="return_similarity=True, use_prompt=True, use_audio=False"
    ):
        SemanticBridge(use_audio=False, return_similarity=True)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("num_heads", "expected"),
    [(3, "a divisor of the 8 features"), (0, "an integer of at least 1"), (2.5, "an integer")],
)
def test_heads_must_divide_the_dimension(num_heads, expected):
    message = f"`num_heads` must be {expected}.* Received: num_heads={num_heads}"
    with pytest.raises(ValueError, match=message):
        TransformerBlock(num_heads=num_heads).build((None, None, 8))


def test_a_recording_may_be_the_prompt(inputs, randomize, twin, rng):
    prompt, audio = inputs
    reference = rng.normal(size=(2, 3, 7)).astype("float32")
    bridge = make_bridge(randomize)
    recording = np.mean(twin.dense(bridge.audio_projection, reference), axis=1)
    seen = twin.dense(bridge.prompt_projection, prompt)
    weight = np.array([0.25, 1.0], "float32")
    for arguments, expected in [
        ((prompt,), seen),
        ((prompt, reference), recording),
        ((prompt, reference, weight), weight[:, None] * recording + (1 - weight[:, None]) * seen),
    ]:
        projected = ops.convert_to_numpy(bridge.project_prompt(*arguments))
        np.testing.assert_allclose(projected, expected, atol=1e-5)
    outputs = [
        ops.convert_to_numpy(bridge(prompt, audio, reference, w)) for w in (weight, 0 * weight)
    ]
    np.testing.assert_allclose(outputs[1], ops.convert_to_numpy(bridge(prompt, audio)), atol=1e-5)
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3
