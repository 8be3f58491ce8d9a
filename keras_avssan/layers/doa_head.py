"""Posterior over directions from the masked spectrogram, equation (11)."""

from collections.abc import Iterator
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_choice, check_positive_number, known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings, WriteOnce
from keras_avssan.doa.grid import GRID_DEGREES, NUM_DIRECTIONS
from keras_avssan.doa.steering import (
    direction_delays,
    phase_transform,
    steering_phases,
    steering_waves,
)
from keras_avssan.layers.stereo_stft import cross_spectrum

_FORMS = ("srp", "cross_spectrum", "spectrogram")
_PADDINGS = ("mirror", "zeros")
_REACH = 4  # directions on either side in the window of a convolution over the angle
# Initial factor between the steered response and the logits. With 10 the correction, which decides
# between sources, moved the peaks too.
_SHARPNESS = 30.0


@keras.saving.register_keras_serializable(package="keras_avssan")
class DoAHead(FixedSettings, keras.layers.Layer):
    """Predicts the posterior p̂(θ) from the masked two-channel spectrogram.

    p̂(θ) = softmax(MLP(features of X_m)), computed in float32 under every precision policy. The
    text of the paper has the MLP alone, its Figure 1 a feature extractor before it, which has
    three forms here:

    - `"spectrogram"`: no feature extractor, as published: the MLP on the masked spectrogram
      itself, frame by frame, averaged over time.
    - `"cross_spectrum"`: the cross-spectrum of both masked channels, its magnitude compressed,
      averaged over time, then the MLP. A phase difference is a product of the channels, which
      in the first form the MLP must learn separately for every bin.
    - `"srp"`: that cross-spectrum steered to the 180 directions with the known spacing of the
      microphones, band by band; a small convolutional network over the angle corrects the
      steered response of the full band. The spacing is an input, so a trained head can be used
      with another pair of microphones. With `bin_weights` each bin counts by its phase and its
      weight alone (phase transform): with weights of one the response is that of SRP-PHAT.

    Args:
        form: One of the three forms.
        hidden_dim: Width of the MLP's hidden layers, or four times the channels of the
            convolutions over the angle.
        num_layers: Number of hidden layers.
        exponent: Power to which the magnitude of the masked cross-spectrum is raised; 0.5 makes
            its weight proportional to the amplitude, so to the mask.
        num_bands: Number of equally wide frequency bands that are steered separately (`"srp"`).
        microphone_spacing: Distance between the microphones in metres (`"srp"`).
        sampling_rate: Sampling rate in hertz (`"srp"`).
        padding: Padding of the convolutions beyond the axis of the microphones (`"srp"`):
            `"mirror"`, the steered response itself, which is the same at -θ and θ, and at
            180° - θ and 180° + θ; or `"zeros"`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        masked_spectrogram: Shape (batch, T, F, 4) as re1, im1, re2, im2; the spectrogram of the
            mixture where `bin_weights` are given.
        microphone_spacing: Optional distances in metres, shape (batch,), in place of the
            layer's own; the other forms ignore it.
        bin_weights: Optional weights of the bins, such as the mask, shape (batch, T, F); for
            `"srp"` only. They replace the magnitudes raised to the power `exponent`.

    Returns:
        float32 posterior of shape (batch, 180); index k is the direction of k + 1 degrees.

    Raises:
        ValueError: If `form` or `padding` is unknown, the spacing is not positive, `num_bands`
            exceeds the number of bins, or `bin_weights` are given to a form other than `"srp"`.

    Example:
        >>> DoAHead()(keras.ops.ones((2, 9, 513, 4))).shape
        (2, 180)

    Reference:
        AV-SSAN, equation (11); DiBiase et al., "Robust localization in reverberant rooms", 2001,
        for the steered response.
    """

    microphone_spacing = WriteOnce()
    sampling_rate = WriteOnce()

    def __init__(
        self,
        form: str = "srp",
        hidden_dim: int = 256,
        num_layers: int = 2,
        exponent: float = 0.5,
        num_bands: int = 16,
        microphone_spacing: float = 0.2,
        sampling_rate: int = 16000,
        padding: str = "mirror",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        check_choice("form", form, _FORMS)
        check_choice("padding", padding, _PADDINGS)
        check_positive_number("microphone_spacing", microphone_spacing, "distance in metres")
        self.form = form
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.exponent = exponent
        self.num_bands = num_bands
        self.microphone_spacing = microphone_spacing
        self.sampling_rate = sampling_rate
        self.padding = padding

    def build(
        self,
        masked_spectrogram_shape: Shape,
        microphone_spacing_shape: Shape | None = None,
        bin_weights_shape: Shape | None = None,
    ) -> None:
        num_bins = known_size("masked_spectrogram_shape", masked_spectrogram_shape, 2, "bins")
        if self.form == "srp":
            self._build_srp(num_bins)
        else:
            self._build_mlp(num_bins * (4 if self.form == "spectrogram" else 2))
        self.built = True

    def _build_mlp(self, inputs: int) -> None:
        dtype = self.dtype_policy
        self.hidden = []
        for i in range(self.num_layers):
            layer = keras.layers.Dense(
                self.hidden_dim, activation="relu", dtype=dtype, name=f"hidden_{i}"
            )
            layer.build((None, inputs))
            self.hidden.append(layer)
            inputs = self.hidden_dim
        self.logits = keras.layers.Dense(NUM_DIRECTIONS, dtype=dtype, name="logits")
        self.logits.build((None, inputs))

    def _build_srp(self, num_bins: int) -> None:
        width = (num_bins - 1) // self.num_bands
        if width < 1:
            raise ValueError(
                f"`num_bands` must be at most {num_bins - 1}, for {num_bins} bins. "
                f"Received: num_bands={self.num_bands}"
            )
        # Bin 0 has no phase: the bands start at bin 1.
        self._bins = np.arange(1, 1 + width * self.num_bands)
        hertz = self._bins * self.sampling_rate / (2.0 * (num_bins - 1))
        phase = steering_phases(hertz, direction_delays())
        self._phase = phase.reshape(self.num_bands, width, NUM_DIRECTIONS).astype("float32")
        angle = np.deg2rad(GRID_DEGREES)
        self._position = np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype("float32")
        channels = self.hidden_dim // 4
        inputs = self.num_bands * 2 + 1 + self._position.shape[-1]
        self.hidden = []
        for i in range(self.num_layers):
            layer = self._convolution(channels, activation="relu", name=f"hidden_{i}")
            layer.build((None, NUM_DIRECTIONS, inputs))
            self.hidden.append(layer)
            inputs = channels
        # Zeros: before training, the correction leaves the response as it is.
        self.logits = self._convolution(1, kernel_initializer="zeros", name="logits")
        self.logits.build((None, NUM_DIRECTIONS, inputs))
        self.sharpness = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(_SHARPNESS), name="sharpness"
        )

    def _convolution(self, filters: int, **kwargs: Any) -> keras.layers.Layer:
        """A convolution over the directions; `_pad_directions` pads where it does not itself."""
        return keras.layers.Conv1D(
            filters,
            2 * _REACH + 1,
            padding="same" if self.padding == "zeros" else "valid",
            data_format="channels_last",
            dtype=self.dtype_policy,
            **kwargs,
        )

    def call(
        self,
        masked_spectrogram: Tensor,
        microphone_spacing: Tensor | None = None,
        bin_weights: Tensor | None = None,
    ) -> Tensor:
        if bin_weights is not None and self.form != "srp":
            raise ValueError(
                '`bin_weights` must be `None` unless `form` is "srp"; other forms take the masked '
                f"spectrogram. Received: form={self.form!r}"
            )
        if self.form == "srp":
            logits = self._steered_logits(masked_spectrogram, microphone_spacing, bin_weights)
        else:
            logits = self._mlp_logits(masked_spectrogram)
        return ops.softmax(logits, axis=-1)  # (11)

    def _mlp_logits(self, spectrogram: Tensor) -> Tensor:
        """The MLP of equation (11)."""
        if self.form == "spectrogram":
            _, frames, num_bins, parts = ops.shape(spectrogram)
            x = ops.reshape(spectrogram, (-1, frames, num_bins * parts))
        else:
            real, imaginary, weight = self._cross_spectrum(spectrogram)
            total = ops.mean(weight, axis=-1, keepdims=True) + 1e-6
            x = ops.concatenate([real / total, imaginary / total], axis=-1)
        for layer in self.hidden:
            x = layer(x)
        if self.form == "spectrogram":
            x = ops.mean(x, axis=1)
        return self.logits(x)

    def _cross_spectrum(self, spectrogram: Tensor) -> Iterator[Tensor]:
        """Compressed cross-spectrum, averaged over time, and its mean magnitude: (batch, F)."""
        real, imaginary = cross_spectrum(spectrogram)
        power = ops.square(real) + ops.square(imaginary) + 1e-12
        # Powers by the logarithm, whose gradient needs no further power.
        decades = ops.log(power)
        gain = ops.exp(0.5 * (self.exponent - 1.0) * decades)
        weight = ops.exp(0.5 * self.exponent * decades)
        return (ops.mean(part, axis=1) for part in (real * gain, imaginary * gain, weight))

    def _weighted_phases(self, spectrogram: Tensor, weight: Tensor) -> Iterator[Tensor]:
        """Weighted phase transform, averaged over time, and the mean weight: (batch, F)."""
        real, imaginary = phase_transform(*cross_spectrum(spectrogram))
        return (ops.mean(part, axis=1) for part in (real * weight, imaginary * weight, weight))

    def _steered_logits(
        self,
        spectrogram: Tensor,
        microphone_spacing: Tensor | None,
        bin_weights: Tensor | None,
    ) -> Tensor:
        """Steered response of the full band, sharpened, plus the learned correction."""
        if bin_weights is None:
            spectra = self._cross_spectrum(spectrogram)
        else:
            spectra = self._weighted_phases(spectrogram, ops.cast(bin_weights, "float32"))
        real, imaginary, weight = (self._to_bands(part) for part in spectra)
        response = self._steer(real, imaginary, microphone_spacing)
        weight = ops.sum(weight, axis=-1, keepdims=True) + 1e-6  # (batch, bands, 1)
        total = ops.sum(weight, axis=1, keepdims=True)
        full_band = ops.sum(response, axis=1) / total[..., 0]  # (batch, 180), within [-1, 1]
        coherence = response / weight  # each band by itself, within [-1, 1]
        share = response * (self.num_bands / total)  # each band by its contribution
        maps = ops.concatenate([coherence, share, full_band[:, None]], axis=1)
        maps = ops.transpose(maps, (0, 2, 1))
        position = ops.ones_like(maps[..., :1]) * ops.convert_to_tensor(self._position)
        x = ops.concatenate([maps, position], axis=-1)
        for layer in self.hidden:
            x = layer(self._pad_directions(x))
        return self.sharpness * full_band + self.logits(self._pad_directions(x))[..., 0]

    def _pad_directions(self, x: Tensor) -> Tensor:
        """The maps (batch, 180, channels), continued on both sides by their mirror images."""
        if self.padding == "zeros":
            return x
        # -3 … 0 degrees are as 3 … 1 and 1, the nearest to 0 on the grid; 181 … as 179 ….
        before = [ops.flip(x[:, : _REACH - 1], axis=1), x[:, :1]]
        after = ops.flip(x[:, NUM_DIRECTIONS - 1 - _REACH : NUM_DIRECTIONS - 1], axis=1)
        return ops.concatenate([*before, x, after], axis=1)

    def _to_bands(self, spectrum: Tensor) -> Tensor:
        """(batch, F) to (batch, bands, bins of a band)."""
        width = self._phase.shape[1]
        return ops.reshape(spectrum[:, 1 : 1 + self._bins.size], (-1, self.num_bands, width))

    def _steer(self, real: Tensor, imaginary: Tensor, microphone_spacing: Tensor | None) -> Tensor:
        """Steered response of each band: Re Σ_f G(f) exp(-j 2π f τ(θ)), (batch, bands, 180)."""
        cosine, sine = steering_waves(self._phase, self.microphone_spacing, microphone_spacing)
        equation = "bgf,gfk->bgk" if microphone_spacing is None else "bgf,bgfk->bgk"
        return ops.einsum(equation, real, cosine) + ops.einsum(equation, imaginary, sine)

    def compute_output_shape(
        self,
        masked_spectrogram_shape: Shape,
        microphone_spacing_shape: Shape | None = None,
        bin_weights_shape: Shape | None = None,
    ) -> Shape:
        return (masked_spectrogram_shape[0], NUM_DIRECTIONS)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "form": self.form,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "exponent": self.exponent,
            "num_bands": self.num_bands,
            "microphone_spacing": self.microphone_spacing,
            "sampling_rate": self.sampling_rate,
            "padding": self.padding,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        # Heads stored before `padding` was an argument were padded with zeros.
        return cls(**{"padding": "zeros", **config})
