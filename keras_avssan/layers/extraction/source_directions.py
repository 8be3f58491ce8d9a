"""Where the sources of a mixture are, whatever they are: a network on steered responses."""

import itertools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_integer, check_positive_number, check_shape
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings, WriteOnce
from keras_avssan.doa.grid import NUM_DIRECTIONS
from keras_avssan.doa.steering import (
    direction_delays,
    phase_transform,
    steering_phases,
    steering_waves,
)
from keras_avssan.layers.extraction.spatial_extractor import check_bins
from keras_avssan.layers.stereo_stft import cross_spectrum

# Upper edges of the frequency bands in hertz; the last band takes the rest.
_EDGES = (300.0, 600.0, 1000.0, 1600.0, 2500.0, 3700.0, 5300.0)
_BANDS = len(_EDGES) + 1
_DILATIONS = (1, 2, 4, 8)  # over directions, after the average over time
_RARE = -3.0  # initial logit: few directions have a source
TRAINED_WIDTH = 2.5  # degrees, standard deviation of the targets around an azimuth


@keras.saving.register_keras_serializable(package="keras_avssan")
class SourceDirections(FixedSettings, keras.layers.Layer):
    """Finds the directions of all sources of a mixture at once.

    Its inputs are the steered responses (SRP-PHAT) of every frame in eight frequency bands, and the
    level of the bands. In a frame often only one source is loud, and the ambiguity of a phase
    difference differs from band to band: convolutions over time and direction can tell a source
    from a side lobe. Mean and maximum over time, and convolutions over direction, lead to a logit
    a direction. The network knows no classes. Computed in float32 under every precision policy.

    Args:
        filters: Channels of the convolutions.
        microphone_spacing: Distance between the microphones in metres.
        sampling_rate: Sampling rate in hertz.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        spectrogram: Spectrogram of a mixture of unit power, shape (batch, T, F, 4), see
            `StereoSTFT`.
        microphone_spacing: Optional distances in metres, shape (batch,).

    Returns:
        float32 logits, shape (batch, 180): of the probability that there is a source at the
        direction.

    Raises:
        ValueError: If `filters` is not a positive integer, a distance or rate is not positive,
            the number of bins is unknown or below nine, or an input has another shape.

    Example:
        >>> SourceDirections()(keras.ops.ones((1, 32, 513, 4))).shape
        (1, 180)

    Reference:
        Beyond the paper. Blandin et al., "Multi-source TDOA estimation in reverberant audio using
        angular spectra and clustering", Signal Processing, 2012, for pooling over time.
    """

    microphone_spacing = WriteOnce()
    sampling_rate = WriteOnce()

    def __init__(
        self,
        filters: int = 24,
        microphone_spacing: float = 0.2,
        sampling_rate: int = 16000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.filters = check_integer("filters", filters, 1)
        check_positive_number("microphone_spacing", microphone_spacing, "distance in metres")
        check_positive_number("sampling_rate", sampling_rate, "rate in hertz")
        self.microphone_spacing = microphone_spacing
        self.sampling_rate = sampling_rate

    def build(
        self, spectrogram_shape: Shape, microphone_spacing_shape: Shape | None = None
    ) -> None:
        bins = check_bins(spectrogram_shape)
        hertz = np.arange(bins) * self.sampling_rate / (2.0 * (bins - 1))
        self._phase = steering_phases(hertz, direction_delays()).astype("float32")  # (F, 180)
        edges = [0, *np.searchsorted(hertz, _EDGES).tolist(), bins]
        # Of every band the first bin, and the one after its last.
        self._ranges = [(a, max(a + 1, b)) for a, b in itertools.pairwise(edges)]
        pixels, wide = (None, None, NUM_DIRECTIONS), 2 * self.filters
        self.level = keras.layers.Dense(self.filters, dtype="float32", name="level")
        self.level.build((None, None, _BANDS))
        self.position = self.add_weight((NUM_DIRECTIONS, self.filters), "zeros", name="position")
        self.encoder = self._convolution((3, 7), strides=(2, 1), name="encoder")
        self.encoder.build((*pixels, _BANDS))
        self.refine = self._convolution((3, 5), name="refine")
        self.refine.build((*pixels, self.filters))
        self.norm = keras.layers.LayerNormalization(dtype="float32", name="norm")
        self.norm.build((None, NUM_DIRECTIONS, wide))
        self.blocks = []
        for i, dilation in enumerate(_DILATIONS):
            block = keras.layers.Conv1D(
                wide,
                7,
                padding="same",
                dilation_rate=dilation,
                data_format="channels_last",
                dtype="float32",
                name=f"block_{i}",
            )
            block.build((None, NUM_DIRECTIONS, wide))
            self.blocks.append(block)
        self.to_logit = keras.layers.Dense(
            1,
            bias_initializer=keras.initializers.Constant(_RARE),
            dtype="float32",
            name="to_logit",
        )
        self.to_logit.build((None, NUM_DIRECTIONS, wide))
        self.built = True

    def _convolution(self, size: tuple[int, int], **kwargs: Any) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            self.filters,
            size,
            padding="same",
            data_format="channels_last",
            dtype="float32",
            **kwargs,
        )

    def call(self, spectrogram: Tensor, microphone_spacing: Tensor | None = None) -> Tensor:
        shape = (None, None, len(self._phase), 4)
        check_shape("spectrogram", spectrogram.shape, "batch, T, F, 4", shape)
        if microphone_spacing is not None:
            batch = spectrogram.shape[:1]
            check_shape("microphone_spacing", microphone_spacing.shape, "batch", batch)
        responses, levels = self._maps(spectrogram, microphone_spacing)
        x = self.encoder(responses)
        levels = self.level(levels)[:, ::2, None]
        x = ops.relu(x + levels + ops.convert_to_tensor(self.position))
        x = x + ops.relu(self.refine(x))
        x = self.norm(ops.concatenate([ops.mean(x, axis=1), ops.max(x, axis=1)], axis=-1))
        for block in self.blocks:
            x = x + ops.relu(block(x))
        return self.to_logit(x)[..., 0]

    def _maps(self, spectrogram: Tensor, spacing: Tensor | None) -> tuple[Tensor, Tensor]:
        """Steered responses (batch, T, 180, bands) and levels of the bands (batch, T, bands)."""
        real, imaginary = phase_transform(*cross_spectrum(spectrogram), 1e-18)
        cosine, sine = steering_waves(self._phase, self.microphone_spacing, spacing)
        power = 0.5 * ops.sum(ops.square(spectrogram), axis=-1)
        responses, levels = [], []
        for low, high in self._ranges:
            band = ops.matmul(real[..., low:high], cosine[..., low:high, :])
            band = band + ops.matmul(imaginary[..., low:high], sine[..., low:high, :])
            responses.append(band / (high - low))
            levels.append(0.25 * (ops.log(ops.mean(power[..., low:high], axis=-1) + 1e-5) + 4.0))
        return ops.stack(responses, axis=-1), ops.stack(levels, axis=-1)

    def compute_output_shape(
        self, spectrogram_shape: Shape, microphone_spacing_shape: Shape | None = None
    ) -> Shape:
        return spectrogram_shape[0], NUM_DIRECTIONS

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "microphone_spacing": self.microphone_spacing,
            "sampling_rate": self.sampling_rate,
        }
