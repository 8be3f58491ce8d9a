"""Interpolation in time against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.layers import FrameAlignment

HOP_LENGTH, RATE, FRAMES, DURATION = 512, 16000, 63, 2.0
HOP = HOP_LENGTH / RATE
TIMES = HOP * np.arange(FRAMES)


@pytest.fixture
def sequence(rng):
    return rng.normal(size=(2, 4, 3)).astype("float32")


def align(layer, sequence, num_frames=FRAMES, duration=DURATION):
    spectrogram = np.zeros((1, num_frames, 1), "float32")
    audio = np.zeros((1, round(duration * RATE)), "float32")
    return ops.convert_to_numpy(layer(sequence, spectrogram, audio))


def interpolate(sequence, centres):
    """`np.interp` holds the first and the last value beyond the centres."""
    return np.stack(
        [[np.interp(TIMES, centres, column) for column in x.T] for x in sequence]
    ).transpose(0, 2, 1)


@pytest.mark.parametrize(("hop", "offset"), [(0.48, 0.24), (0.96, 0.48), (0.1, 0.0)])
def test_interpolates_between_centres(hop, offset, sequence):
    layer = FrameAlignment(HOP_LENGTH, RATE, hop, offset)
    expected = interpolate(sequence, offset + hop * np.arange(4))
    np.testing.assert_allclose(align(layer, sequence), expected, atol=1e-5)
    assert layer.compute_output_shape(sequence.shape, (1, FRAMES, 1)) == (2, FRAMES, 3)


def test_without_a_hop_embeddings_divide_the_recording(sequence):
    expected = interpolate(sequence, DURATION / 4 * (np.arange(4) + 0.5))
    np.testing.assert_allclose(
        align(FrameAlignment(HOP_LENGTH, RATE), sequence), expected, atol=1e-5
    )


def test_frames_of_the_same_rate_pass_unchanged(rng):
    sequence = rng.normal(size=(1, FRAMES, 3)).astype("float32")
    np.testing.assert_array_equal(align(FrameAlignment(HOP_LENGTH, RATE, HOP), sequence), sequence)


def test_frames_of_the_same_rate_pass_unchanged_for_a_minute(rng):
    frames = 1 + 60 * 16000 // 512
    sequence = rng.normal(size=(1, frames, 2)).astype("float32")
    aligned = align(FrameAlignment(HOP_LENGTH, RATE, HOP), sequence, frames, 60.0)
    np.testing.assert_array_equal(aligned, sequence)


def test_a_single_embedding_is_held(sequence):
    aligned = align(FrameAlignment(HOP_LENGTH, RATE, 0.96, 0.48), sequence[:, :1])
    np.testing.assert_array_equal(aligned, np.repeat(sequence[:, :1], FRAMES, axis=1))


def test_gradients_reach_every_embedding(gradient, sequence):
    layer = FrameAlignment(HOP_LENGTH, RATE)
    spectrogram = np.zeros((1, FRAMES, 1), "float32")
    audio = np.zeros((1, round(DURATION * RATE)), "float32")
    slope = gradient(lambda x: ops.sum(layer(x, spectrogram, audio)), 0 * sequence)
    np.testing.assert_allclose(slope.sum(axis=1), FRAMES, rtol=1e-5)
    assert slope.min() > 0


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch's exports alone")
def test_any_duration_of_an_exported_layer_without_a_rate():
    """The duration is no constant of the program."""
    torch = pytest.importorskip("torch")
    layer = FrameAlignment(512, 16000)

    class Network(torch.nn.Module):
        def forward(self, audio):
            return layer(audio[:, ::4000, None], audio[:, ::512, None], audio)

    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.export.export(
        Network(), (torch.ones(2, 16000),), dynamic_shapes=(free,), strict=False
    )
    audio = torch.as_tensor(np.random.default_rng(0).normal(size=(3, 21000)).astype("float32"))
    np.testing.assert_allclose(program.module()(audio), Network()(audio), atol=1e-6)
