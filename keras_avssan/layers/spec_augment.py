"""Random masks over frequency and time on training spectrograms."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings


@keras.saving.register_keras_serializable(package="keras_avssan")
class SpecAugment(FixedSettings, keras.layers.Layer):
    """Masks a band of frequencies and a span of time, drawn for each spectrogram.

    Width and place are drawn again in each step; masked values become zero, which is the mean of
    a normalised spectrogram. Outside of training nothing is masked.

    Args:
        frequency: Greatest width of the band in bins; 0 masks no frequencies.
        time: Greatest length of the span in frames; 0 masks no frames.
        seed: Seed of the masks; Keras draws one if not given.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        spectrogram: Shape (batch, frames, bins).
        training: Whether masks are applied.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If `frequency` or `time` is not an integer of at least 0.

    Example:
        >>> masked = SpecAugment(frequency=12, time=8)(keras.ops.ones((2, 32, 64)), training=True)
        >>> masked.shape
        (2, 32, 64)

    Reference:
        Park et al., "SpecAugment: A simple data augmentation method for automatic speech
        recognition", Interspeech 2019; one mask of each kind, without warping.
    """

    def __init__(
        self, frequency: int = 12, time: int = 8, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.frequency = check_integer("frequency", frequency)
        self.time = check_integer("time", time)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, spectrogram: Tensor, training: bool | None = None) -> Tensor:
        if not training:
            return spectrogram
        batch, frames, bins = ops.shape(spectrogram)
        if self.time:
            kept = self._kept(batch, frames, self.time)[:, :, None]
            spectrogram = spectrogram * ops.cast(kept, spectrogram.dtype)
        if self.frequency:
            kept = self._kept(batch, bins, self.frequency)[:, None, :]
            spectrogram = spectrogram * ops.cast(kept, spectrogram.dtype)
        return spectrogram

    def _kept(self, batch: Tensor, length: Tensor, greatest: int) -> Tensor:
        """Which places are not masked, (batch, length)."""
        places = ops.cast(ops.arange(length), "float32")[None]
        length = ops.cast(length, "float32")
        width, place = (
            keras.random.uniform((batch, 1), dtype="float32", seed=self.seed_generator)
            for _ in range(2)
        )
        # All widths from 0 to the greatest, and all places at which they fit, are equally likely.
        width = ops.minimum(ops.floor(width * (greatest + 1)), length)
        start = ops.floor(place * (length - width + 1))
        return ops.logical_or(places < start, places >= start + width)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "frequency": self.frequency,
            "time": self.time,
            "seed": self.seed,
        }
