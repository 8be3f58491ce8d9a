"""Brings embeddings of another rate to the frames of the spectrogram."""

import keras
from keras import ops

from keras_avssan.write_once import FixedSettings


@keras.saving.register_keras_serializable(package="keras_avssan")
class FrameAlignment(FixedSettings, keras.layers.Layer):
    """Interpolates a sequence of embeddings linearly to the centre times of the frames.

    Args:
        hop_seconds: Distance between spectrogram frames in seconds; frame t is centred on
            `t * hop_seconds`.
        embedding_hop_seconds: Distance between embeddings in seconds. `None` means that the
            embeddings divide the recording into equal parts.
        embedding_offset_seconds: Centre of the first embedding in seconds; not used where
            `embedding_hop_seconds` is `None`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        sequence: Embeddings, shape (batch, t, D).
        num_frames: Number of frames T.
        duration: Duration of the recording in seconds.

    Returns:
        Tensor of shape (batch, T, D). Before the first and after the last embedding's centre the
        nearest embedding is held.

    Example:
        >>> layer = FrameAlignment(0.032, 0.96, 0.48)
        >>> layer(keras.ops.ones((2, 10, 64)), num_frames=313, duration=10.0).shape
        (2, 313, 64)
    """

    def __init__(
        self,
        hop_seconds,
        embedding_hop_seconds=None,
        embedding_offset_seconds=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hop_seconds = hop_seconds
        self.embedding_hop_seconds = embedding_hop_seconds
        self.embedding_offset_seconds = embedding_offset_seconds
        self.built = True  # no weights: a whole model need not be run to build it

    def call(self, sequence, num_frames, duration):
        if self._at_frames(sequence.shape[1], num_frames):
            return sequence
        count = ops.shape(sequence)[1]
        # A data type, and no number made of `count`: it is a symbol where a graph is exported.
        index = ops.arange(count, dtype="float32")
        hop, offset = self.embedding_hop_seconds, self.embedding_offset_seconds
        if hop is None:
            hop = ops.cast(duration, "float32") / ops.cast(count, "float32")
            offset = 0.5 * hop
        times = self.hop_seconds * ops.arange(num_frames, dtype="float32")
        position = ops.minimum(ops.maximum((times - offset) / hop, 0.0), index[-1])
        weights = ops.relu(1.0 - ops.abs(position[:, None] - index[None, :]))
        return ops.einsum("ts,bsd->btd", ops.cast(weights, sequence.dtype), sequence)

    def _at_frames(self, count, num_frames):
        """Whether embedding t is that of frame t, so that nothing is to be interpolated."""
        same_times = self.embedding_hop_seconds == self.hop_seconds
        same_times = same_times and self.embedding_offset_seconds == 0
        known = isinstance(count, int) and isinstance(num_frames, int)
        return same_times and known and count == num_frames

    def compute_output_shape(self, sequence_shape, num_frames=None, duration=None):
        return (sequence_shape[0], num_frames, sequence_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "hop_seconds": self.hop_seconds,
            "embedding_hop_seconds": self.embedding_hop_seconds,
            "embedding_offset_seconds": self.embedding_offset_seconds,
        }
