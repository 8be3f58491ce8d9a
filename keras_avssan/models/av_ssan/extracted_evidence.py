"""How well the sounds that masks extract from a mixture agree with a prompt."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.frame_alignment import interpolation_weights
from keras_avssan.layers.semantic_bridge import SemanticBridge
from keras_avssan.layers.sizes import size_as_float

# What an audio encoder must have for its magnitudes to be masked, see `YAMNet`.
STEPS = ("spectrogram", "log_mel", "embed_log_mel")
# Of the mixture's mean power, added to that of a time: where it is nearly silent, little counts.
_FLOOR = 0.05


class ExtractedEvidence(FixedSettings, keras.layers.Layer):
    """Masks the magnitudes that an audio encoder starts from, embeds, and compares with the prompt.

    Call arguments are audio (batch, samples, 2), masks (batch, K, T, F) and prompt semantics
    (batch, D); the result is the cosine of each candidate, (batch, K). The more of the mixture's
    power a mask keeps at an embedding's time, the more the embedding counts.
    """

    def __init__(
        self,
        audio_encoder: Any,
        bridge: SemanticBridge,
        frames_per_second: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        # Parts of the network, which tracks their weights: behind a function, Keras does not here.
        self._parts: Callable[[], tuple[Any, SemanticBridge]] = lambda: (audio_encoder, bridge)
        self.frames_per_second = frames_per_second

    def build(self, *shapes: Shape) -> None:
        self.built = True

    def call(self, audio: Tensor, masks: Tensor, semantics: Tensor) -> Tensor:
        return ops.sum(self.project(audio, masks) * unit_length(semantics)[:, None], axis=-1)

    def project(self, audio: Tensor, masks: Tensor) -> Tensor:
        """Unit vectors of the extracted sounds in the space of prompts, (batch, K, D)."""
        embeddings, kept = self.embed(audio, masks)
        _, bridge = self._parts()
        sounds = ops.cast(bridge.audio_projection(embeddings), "float32")
        weights = self._whole(audio, embeddings) * kept[..., None]
        weights = weights / ops.sum(weights, axis=2, keepdims=True)
        return unit_length(ops.sum(weights * sounds, axis=2))

    def average(self, audio: Tensor, masks: Tensor) -> Tensor:
        """Mean embedding of the audio encoder for each mask, (batch, K, d_A)."""
        embeddings = ops.cast(self.embed(audio, masks)[0], "float32")
        whole = self._whole(audio, embeddings)
        return ops.sum(whole * embeddings, axis=2) / ops.sum(whole)

    def embed(self, audio: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings for each mask, (batch, K, t, d_A), and the power it keeps, (batch, K, t)."""
        encoder, _ = self._parts()
        magnitudes, masked = self._mask(audio, masks)
        batch, count = ops.shape(masks)[:2]
        embeddings = encoder.embed_log_mel(self._log_mel(masked))
        steps, width = ops.shape(embeddings)[1], embeddings.shape[2]
        kept = self._share(ops.sum(ops.square(masked), axis=-1), magnitudes, steps)
        return ops.reshape(embeddings, (batch, count, steps, width)), kept

    def score(self, audio: Tensor, masks: Tensor) -> Tensor:
        """Mean scores of the audio encoder's classes for each mask, (batch, K, classes)."""
        encoder, _ = self._parts()
        magnitudes, masked = self._mask(audio, masks)
        batch, count = ops.shape(masks)[:2]
        scores = encoder.score_log_mel(self._log_mel(masked))
        steps, classes = ops.shape(scores)[1], scores.shape[2]
        scores = ops.reshape(scores, (batch, count, steps, classes))
        if encoder.settings["stage"] is not None:  # the times of the scores are not the embeddings'
            return ops.mean(scores, axis=2)
        kept = self._share(ops.sum(ops.square(masked), axis=-1), magnitudes, steps)
        weights = self._whole(audio, scores) * kept[..., None]
        return ops.sum(weights * scores, axis=2) / ops.sum(weights, axis=2)

    def _mask(self, audio: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Magnitudes of the mixture (batch, s, f), and under each mask (batch, K, s, f)."""
        magnitudes = self._parts()[0].spectrogram(ops.mean(audio, axis=-1))
        _, _, frames, bins = ops.shape(masks)
        length, height = ops.shape(magnitudes)[1], magnitudes.shape[2]
        in_time = self._interpolation(length, frames)
        aligned = ops.einsum("st,bktf->bksf", in_time, masks[..., :: (bins - 1) // (height - 1)])
        return magnitudes, magnitudes[:, None] * aligned

    def _log_mel(self, masked: Tensor) -> Tensor:
        """Log-mel bands of masked magnitudes, one mask after another, (batch * K, s, bands)."""
        batch, count, length, _ = ops.shape(masked)
        return self._parts()[0].log_mel(
            ops.reshape(masked, (batch * count, length, masked.shape[3]))
        )

    def _share(self, power: Tensor, magnitudes: Tensor, steps: Tensor) -> Tensor:
        """Power (batch, K, s) over that of the mixture, by embedding: (batch, K, t)."""
        encoder, _ = self._parts()
        spectrogram = encoder.spectrogram
        frames = ops.arange(ops.shape(power)[-1], dtype="float32") * spectrogram.hop_seconds
        starts = ops.arange(steps, dtype="float32") * encoder.hop_seconds
        after = frames[:, None] - starts[None, :] + 0.5 * spectrogram.hop_seconds
        within = ops.logical_and(after > 0, after < 2 * encoder.offset_seconds)
        seen = ops.cast(within, "float32")  # (s, t)
        whole = ops.matmul(ops.sum(ops.square(magnitudes), axis=-1), seen)[:, None]
        floor = _FLOOR * ops.mean(whole, axis=-1, keepdims=True) + 1e-9
        return ops.matmul(power, seen) / (whole + floor) + 1e-6

    def _interpolation(self, length: Tensor, frames: Tensor) -> Tensor:
        """Weights of the masks' frames at those of the encoder, (length, frames)."""
        spectrogram = self._parts()[0].spectrogram
        index = ops.arange(length, dtype="float32")
        times = spectrogram.offset_seconds + spectrogram.hop_seconds * index
        return interpolation_weights(times * self.frames_per_second, frames)

    def _whole(self, audio: Tensor, embeddings: Tensor) -> Tensor:
        """One for the embeddings that end within the recording, and for the first: (t, 1)."""
        encoder, _ = self._parts()
        seconds = size_as_float(ops.shape(audio)[1]) / encoder.sampling_rate
        index = ops.arange(ops.shape(embeddings)[2], dtype="float32")
        end = encoder.hop_seconds * index + 2 * encoder.offset_seconds
        within = ops.logical_or(end <= seconds, index < 0.5)
        return ops.cast(within, "float32")[:, None]

    def compute_output_spec(
        self, audio: Tensor, masks: Tensor, semantics: Tensor
    ) -> keras.KerasTensor:
        return keras.KerasTensor((audio.shape[0], masks.shape[1]), "float32")
