"""Interpolation of embeddings to the frames of the spectrogram."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.sizes import size_as_float


@keras.saving.register_keras_serializable(package="keras_avssan")
class FrameAlignment(FixedSettings, keras.layers.Layer):
    """Interpolates a sequence of embeddings linearly to the centre times of the frames.

    In the paper the semantic cue of equation (1) has t time steps, one for each embedding of the
    audio, and the attention of equation (5) T frames; how one becomes the other is not said.

    Args:
        hop_length: Hop of the spectrogram in samples; frame t is centred on sample
            `t * hop_length`.
        sampling_rate: Sampling rate in hertz.
        embedding_hop_seconds: Distance between embeddings in seconds. `None` means that the
            embeddings divide the recording into equal parts.
        embedding_offset_seconds: Centre of the first embedding in seconds; not used where
            `embedding_hop_seconds` is `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        sequence: Embeddings, shape (batch, t, D).
        spectrogram: Spectrogram that gives the number of frames, shape (batch, T, ...).
        audio: Recording that gives the duration, shape (batch, samples, ...).

    Returns:
        Tensor of shape (batch, T, D). Before the first and after the last embedding's centre the
        nearest embedding is held.

    Example:
        >>> audio = keras.ops.ones((2, 160000, 2))
        >>> layer = FrameAlignment(512, 16000, 0.96, 0.48)
        >>> layer(keras.ops.ones((2, 10, 64)), StereoSTFT()(audio), audio).shape
        (2, 313, 64)
    """

    def __init__(
        self,
        hop_length: int,
        sampling_rate: int,
        embedding_hop_seconds: float | None = None,
        embedding_offset_seconds: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hop_length = hop_length
        self.sampling_rate = sampling_rate
        self.embedding_hop_seconds = embedding_hop_seconds
        self.embedding_offset_seconds = embedding_offset_seconds
        self.built = True  # no weights: a whole model need not be run to build it

    def build(self, sequence_shape: Shape, spectrogram_shape: Shape, audio_shape: Shape) -> None:
        self.built = True

    @property
    def hop_seconds(self) -> float:
        """Distance between spectrogram frames in seconds."""
        return self.hop_length / self.sampling_rate

    def call(self, sequence: Tensor, spectrogram: Tensor, audio: Tensor) -> Tensor:
        num_frames = ops.shape(spectrogram)[1]
        if self._at_frames(sequence.shape[1], num_frames):
            return sequence
        count = ops.shape(sequence)[1]
        hop, offset = self.embedding_hop_seconds, self.embedding_offset_seconds
        if hop is None:
            hop = size_as_float(ops.shape(audio)[1]) / (self.sampling_rate * size_as_float(count))
            offset = 0.5 * hop
        times = self.hop_seconds * ops.arange(num_frames, dtype="float32")
        weights = interpolation_weights((times - offset) / hop, count)
        return ops.einsum("ts,bsd->btd", ops.cast(weights, sequence.dtype), sequence)

    def _at_frames(self, count: int | None, num_frames: Tensor) -> bool:
        """Whether embedding t is that of frame t, so that interpolation is not needed."""
        same_times = self.embedding_hop_seconds == self.hop_seconds
        same_times = same_times and self.embedding_offset_seconds == 0
        known = isinstance(count, int) and isinstance(num_frames, int)
        return same_times and known and count == num_frames

    def compute_output_shape(
        self, sequence_shape: Shape, spectrogram_shape: Shape, audio_shape: Shape | None = None
    ) -> Shape:
        return (sequence_shape[0], spectrogram_shape[1], sequence_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hop_length": self.hop_length,
            "sampling_rate": self.sampling_rate,
            "embedding_hop_seconds": self.embedding_hop_seconds,
            "embedding_offset_seconds": self.embedding_offset_seconds,
        }


def interpolation_weights(positions: Tensor, count: Tensor) -> Tensor:
    """Weights of the items 0 to `count - 1` at positions between them, (positions, count).

    Before the first and after the last item that item is held.
    """
    # `arange` of `count` itself: it is symbolic where a graph is exported.
    index = ops.arange(count, dtype="float32")
    positions = ops.minimum(ops.maximum(positions, 0.0), index[-1])
    return ops.relu(1.0 - ops.abs(positions[:, None] - index[None, :]))
