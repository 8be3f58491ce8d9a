"""A model around a layer that finds the directions of sources, with its loss."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.layers.extraction.source_candidates import apart_from, grid, strongest
from keras_avssan.layers.extraction.source_directions import TRAINED_WIDTH, SourceDirections
from keras_avssan.layers.stereo_stft import StereoSTFT, level_gain

_NEAR = 5.0  # degrees within which a source counts as found


class DirectionsModel(keras.Model):
    """Trains a `SourceDirections` on batches of `DirectionBatches`.

    Reports the loss, and `found`, the share of the sources within 5 degrees of as many directions
    as there are sources.
    """

    def __init__(self, directions: SourceDirections, stft: StereoSTFT) -> None:
        super().__init__(name="directions_training", dtype="float32")
        self.directions = directions
        self.stft = stft
        self.found = keras.metrics.Mean(name="found")

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """Cross-entropy of every scene, and the share of its sources that are found."""
        audio = inputs["audio"]
        spectrogram = self.stft(audio * level_gain(audio))
        logits = self.directions(spectrogram, inputs.get("microphone_spacing"))
        azimuths = inputs["azimuths"]
        wanted = _nearness(azimuths)
        error = ops.maximum(logits, 0.0) - logits * wanted + ops.log1p(ops.exp(-ops.abs(logits)))
        return {"error": ops.sum(error, axis=-1), "found": _found(logits, azimuths)}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Mean over the scenes."""
        self.found.update_state(y_pred["found"])
        return ops.mean(y_pred["error"])


def _nearness(azimuths: Tensor) -> Tensor:
    """How near every direction is to a source, from 0 to 1, (batch, 180); -1 is no source."""
    azimuths = azimuths[..., None]
    near = ops.exp(-0.5 * ops.square((grid() - azimuths) / TRAINED_WIDTH))
    return ops.max(ops.where(azimuths < 0, 0.0, near), axis=1)


def _found(logits: Tensor, azimuths: Tensor) -> Tensor:
    """Share of the sources of a scene that are found, (batch,)."""
    there = ops.cast(azimuths >= 0, "float32")
    count = ops.sum(there, axis=-1, keepdims=True)
    near = ops.zeros_like(azimuths)
    found: list[Tensor] = []
    for rank in range(azimuths.shape[1]):
        found.append(1.0 + ops.cast(strongest(apart_from(found, logits)), "float32"))
        counts = ops.cast(rank < count, "float32")
        distance = ops.abs(azimuths - found[-1][:, None])
        near = ops.maximum(near, counts * ops.cast(distance <= _NEAR, "float32"))
    return ops.sum(near * there, axis=-1) / count[:, 0]
