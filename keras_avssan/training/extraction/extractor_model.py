"""A model around an extractor, whose loss needs neither classes nor prompts."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.layers.extraction.spatial_extractor import SpatialExtractor
from keras_avssan.layers.stereo_stft import StereoSTFT, level_gain

_MIXTURE_SHARE = 0.2  # of the mixture in the divisor of an example's loss
_LEAST = 1e-9  # of power or amplitude, over a whole spectrogram


class ExtractorModel(keras.Model):
    """Trains an extractor on batches of `ExtractorBatches`, and reports loss and `gain` in dB.

    The silent direction counts in the first third of a batch's scenes, at least in one.
    """

    def __init__(self, extractor: SpatialExtractor, stft: StereoSTFT, batch_size: int) -> None:
        super().__init__(name="extractor_training", dtype="float32")
        self.extractor = extractor
        self.stft = stft
        self.num_silent = max(1, round(batch_size / 3))
        self.gain = keras.metrics.Mean(name="gain")

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """Loss of every example, its weight, and the gain of every scene."""
        mixture, target, other = scene_spectrograms(self.stft, inputs["audio"], inputs["target"])
        azimuths, spacing = inputs["azimuths"], inputs.get("microphone_spacing")
        count, some = azimuths.shape[1] - 1, self.num_silent
        rivals = inputs["rivals"]
        maps = self._maps(mixture, azimuths[:, :count], spacing, rivals[:, :count])
        few = None if spacing is None else spacing[:some]
        silent = self._maps(mixture[:some], azimuths[:some, count:], few, rivals[:some, count:])
        root_masks = self.extractor._root_mask(ops.concatenate([maps, silent], axis=0))
        powers = power(target), power(other)
        whole = _compressed(power(mixture))
        sources = _merge(ops.stack([_compressed(part) for part in powers[:count]], axis=1))
        sources = ops.concatenate([sources, ops.zeros_like(whole[:some])], axis=0)
        wholes = ops.concatenate([ops.repeat(whole, count, axis=0), whole[:some]], axis=0)
        weights = inputs["weights"]
        rows = count * ops.shape(mixture)[0]
        of_targets = ops.power(root_masks[:rows:count], 4.0)  # on power
        return {
            "error": _relative_error(root_masks, wholes, sources),
            "weight": ops.concatenate(
                [ops.reshape(weights[:, :count], (-1,)), weights[:some, count]], axis=0
            ),
            "gain": decibels(*powers, of_targets) - decibels(*powers),
        }

    def _maps(
        self, spectrogram: Tensor, azimuths: Tensor, spacing: Tensor | None, rivals: Tensor
    ) -> Tensor:
        """Inputs of the extractor's network, one row an example."""
        return _merge(self.extractor._maps(spectrogram, azimuths, spacing, rivals))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Mean over the examples."""
        self.gain.update_state(y_pred["gain"])
        weight = y_pred["weight"]
        return ops.sum(weight * y_pred["error"]) / ops.sum(weight)


def scene_spectrograms(
    stft: StereoSTFT, audio: Tensor, target: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Spectrograms of a mixture of unit power, of its target, and of all else in it."""
    level = level_gain(audio)
    mixture, source = stft(audio * level), stft(target * level)
    return mixture, source, mixture - source


def power(spectrogram: Tensor) -> Tensor:
    """Power of every bin, the mean of both microphones, (batch, T, F)."""
    return 0.5 * ops.sum(ops.square(spectrogram), axis=-1)


def decibels(target: Tensor, other: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Level of a target above all else in dB, from powers (batch, T, F) that a mask weighs."""
    parts = [ops.sum(weight * part, axis=(1, 2)) + _LEAST for part in (target, other)]
    return 10.0 * (ops.log10(parts[0]) - ops.log10(parts[1]))


def _compressed(power_of_bins: Tensor) -> Tensor:
    """The square root of the amplitude of every bin."""
    return ops.sqrt(ops.sqrt(power_of_bins))


def _relative_error(root_masks: Tensor, mixtures: Tensor, sources: Tensor) -> Tensor:
    """Loss of every example; of silence too, it is finite."""
    error, source, mixture = (
        ops.sum(ops.square(part), axis=(1, 2))
        for part in (root_masks * mixtures - sources, sources, mixtures)
    )
    return error / (source + _MIXTURE_SHARE * mixture + _LEAST)


def _merge(examples: Tensor) -> Tensor:
    """Examples of scenes, (batch, K, …), one after another: (batch * K, …)."""
    return ops.reshape(examples, (-1, *ops.shape(examples)[2:]))
