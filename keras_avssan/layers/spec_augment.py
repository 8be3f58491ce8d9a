"""Masks over frequency and time that hide a part of what a network is trained on."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings


@keras.saving.register_keras_serializable(package="keras_avssan")
class SpecAugment(FixedSettings, keras.layers.Layer):
    """Hides a band of frequencies and a span of time, other ones for each spectrogram.

    Width and place are drawn anew in each step; what is hidden becomes zero, which is the mean
    where the spectrogram was normalised. Outside of training nothing is hidden.

    Args:
        frequency: Greatest width of the band in bins; 0 hides none.
        time: Greatest length of the span in frames; 0 hides none.
        seed: Seed of the masks; Keras draws one if not given.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        spectrogram: Shape (batch, frames, bins).
        training: Whether to hide anything.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If a width is no integer of at least 0.

    Example:
        >>> hidden = SpecAugment(frequency=12, time=8)(keras.ops.ones((2, 32, 64)), training=True)
        >>> hidden.shape
        (2, 32, 64)

    Reference:
        Park et al., "SpecAugment: A simple data augmentation method for automatic speech
        recognition", Interspeech 2019; one mask of each kind, without warping.
    """

    def __init__(
        self, frequency: int = 12, time: int = 8, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for name, width in (("frequency", frequency), ("time", time)):
            if not isinstance(width, int) or isinstance(width, bool) or width < 0:
                raise ValueError(
                    f"`{name}` must be an integer of at least 0. Received: {name}={width!r}"
                )
        self.frequency = frequency
        self.time = time
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, spectrogram: Tensor, training: bool | None = None) -> Any:
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

    def _kept(self, batch: Any, length: int, greatest):
        """Which places are not hidden, (batch, length)."""
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

    def compute_output_shape(self, input_shape: Shape) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "frequency": self.frequency,
            "time": self.time,
            "seed": self.seed,
        }
