"""From the masked spectrogram to the posterior over directions, equation (11)."""

import keras
import numpy as np
from keras import ops

from keras_avssan.doa.grid import GRID_DEGREES, NUM_DIRECTIONS
from keras_avssan.layers.stereo_stft import cross_spectrum
from keras_avssan.write_once import WriteOnce

SPEED_OF_SOUND = 343.0  # metres a second, in air at 20 °C
_FORMS = ("srp", "cross_spectrum", "spectrogram")


@keras.saving.register_keras_serializable(package="keras_avssan")
class DoAHead(keras.layers.Layer):
    """Predicts the posterior p̂(θ) from the masked two-channel spectrogram.

    Computed in float32 under every precision policy. The feature extractor before the MLP has
    three forms:

    - `"spectrogram"`: the MLP on the masked spectrogram itself, frame by frame, averaged over
      time. As printed.
    - `"cross_spectrum"`: the cross-spectrum of both masked channels, its magnitude compressed,
      averaged over time, then the MLP.
    - `"srp"`: that cross-spectrum steered to the 180 directions with the known spacing of the
      microphones, band by band; a small convolutional network over the angle corrects the
      steered response of the full band.

    Args:
        form: One of the three forms.
        hidden_dim: Width of the MLP's hidden layers, or four times the channels of the
            convolutions over the angle.
        num_layers: Number of hidden layers.
        exponent: Power to which the magnitude of the masked cross-spectrum is raised; 0.5 makes
            its weight proportional to the amplitude, so to the mask.
        num_bands: Number of equally wide frequency bands that are steered one by one (`"srp"`).
        microphone_spacing: Distance between the microphones in metres (`"srp"`).
        sampling_rate: Sampling rate in hertz (`"srp"`).
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        masked_spectrogram: Shape (batch, T, F, 4) as re1, im1, re2, im2.
        microphone_spacing: Optional distances in metres, shape (batch,), in place of the
            layer's own; only `"srp"` takes it.

    Returns:
        float32 posterior of shape (batch, 180); index k is the direction of k + 1 degrees.

    Raises:
        ValueError: If `form` is unknown or the spacing is not positive.

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
        form="srp",
        hidden_dim=256,
        num_layers=2,
        exponent=0.5,
        num_bands=16,
        microphone_spacing=0.2,
        sampling_rate=16000,
        **kwargs,
    ):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if form not in _FORMS:
            raise ValueError(f"`form` must be one of {_FORMS}. Received: form={form!r}")
        if not microphone_spacing > 0:
            raise ValueError(
                "`microphone_spacing` must be a positive distance in metres. "
                f"Received: microphone_spacing={microphone_spacing}"
            )
        self.form = form
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.exponent = exponent
        self.num_bands = num_bands
        self.microphone_spacing = microphone_spacing
        self.sampling_rate = sampling_rate

    def build(self, masked_spectrogram_shape, microphone_spacing_shape=None):
        num_bins = masked_spectrogram_shape[2]
        if self.form == "srp":
            self._build_srp(num_bins)
        else:
            inputs = num_bins * (4 if self.form == "spectrogram" else 2)
            self._build_mlp(inputs)
        self.built = True

    def _build_mlp(self, inputs):
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

    def _build_srp(self, num_bins):
        dtype = self.dtype_policy
        width = (num_bins - 1) // self.num_bands
        if width < 1:
            raise ValueError(
                f"`num_bands` must not exceed {num_bins - 1} for {num_bins} bins. "
                f"Received: num_bands={self.num_bands}"
            )
        # Bin 0 has no phase: the bands start at bin 1.
        self._bins = np.arange(1, 1 + width * self.num_bands)
        hertz = self._bins * self.sampling_rate / (2.0 * (num_bins - 1))
        delay = np.cos(np.deg2rad(GRID_DEGREES)) / SPEED_OF_SOUND  # seconds a metre of spacing
        phase = 2 * np.pi * hertz[:, None] * delay[None, :]
        self._phase = phase.reshape(self.num_bands, width, NUM_DIRECTIONS).astype("float32")
        angle = np.deg2rad(GRID_DEGREES)
        self._position = np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype("float32")
        channels = self.hidden_dim // 4
        inputs = self.num_bands * 2 + 1 + self._position.shape[-1]
        self.hidden = []
        for i in range(self.num_layers):
            layer = _convolution(channels, activation="relu", dtype=dtype, name=f"hidden_{i}")
            layer.build((None, NUM_DIRECTIONS, inputs))
            self.hidden.append(layer)
            inputs = channels
        self.logits = _convolution(1, dtype=dtype, name="logits")
        self.logits.build((None, NUM_DIRECTIONS, inputs))
        self.sharpness = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(10.0), name="sharpness"
        )

    def call(self, masked_spectrogram, microphone_spacing=None):
        if self.form == "srp":
            logits = self._steered_logits(masked_spectrogram, microphone_spacing)
        else:
            logits = self._mlp_logits(masked_spectrogram)
        return ops.softmax(logits, axis=-1)

    def _mlp_logits(self, spectrogram):
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

    def _cross_spectrum(self, spectrogram):
        """Compressed cross-spectrum, averaged over time, and its mean magnitude: (batch, F)."""
        real, imaginary = cross_spectrum(spectrogram)
        power = ops.square(real) + ops.square(imaginary) + 1e-12
        # Powers by the logarithm, whose gradient needs no further power.
        decades = ops.log(power)
        gain = ops.exp(0.5 * (self.exponent - 1.0) * decades)
        weight = ops.exp(0.5 * self.exponent * decades)
        return (ops.mean(part, axis=1) for part in (real * gain, imaginary * gain, weight))

    def _steered_logits(self, spectrogram, microphone_spacing):
        real, imaginary, weight = (
            self._to_bands(part) for part in self._cross_spectrum(spectrogram)
        )
        response = self._steer(real, imaginary, microphone_spacing)
        weight = ops.sum(weight, axis=-1, keepdims=True) + 1e-6  # (batch, bands, 1)
        total = ops.sum(weight, axis=1, keepdims=True)
        full_band = ops.sum(response, axis=1) / total[..., 0]  # (batch, 180), within [-1, 1]
        coherence = response / weight  # each band by itself, within [-1, 1]
        share = response * (self.num_bands / total)  # each band by what it contributes
        maps = ops.concatenate([coherence, share, full_band[:, None]], axis=1)
        maps = ops.transpose(maps, (0, 2, 1))
        position = ops.ones_like(maps[..., :1]) * ops.convert_to_tensor(self._position)
        x = ops.concatenate([maps, position], axis=-1)
        for layer in self.hidden:
            x = layer(x)
        return self.sharpness * full_band + self.logits(x)[..., 0]

    def _to_bands(self, spectrum):
        width = self._phase.shape[1]
        return ops.reshape(spectrum[:, 1 : 1 + self._bins.size], (-1, self.num_bands, width))

    def _steer(self, real, imaginary, microphone_spacing):
        """Steered response of each band: Re Σ_f G(f) exp(-j 2π f τ(θ)), (batch, bands, 180)."""
        if microphone_spacing is None:
            phase = self.microphone_spacing * self._phase
            cosine, sine = (ops.convert_to_tensor(part) for part in (np.cos(phase), np.sin(phase)))
            equation = "bgf,gfk->bgk"
        else:
            spacing = ops.reshape(ops.cast(microphone_spacing, "float32"), (-1, 1, 1, 1))
            phase = spacing * ops.convert_to_tensor(self._phase)
            cosine, sine = ops.cos(phase), ops.sin(phase)
            equation = "bgf,bgfk->bgk"
        return ops.einsum(equation, real, cosine) + ops.einsum(equation, imaginary, sine)

    def compute_output_shape(self, masked_spectrogram_shape, microphone_spacing_shape=None):
        return (masked_spectrogram_shape[0], NUM_DIRECTIONS)

    def get_config(self):
        return {
            **super().get_config(),
            "form": self.form,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "exponent": self.exponent,
            "num_bands": self.num_bands,
            "microphone_spacing": self.microphone_spacing,
            "sampling_rate": self.sampling_rate,
        }


def _convolution(filters, **kwargs):
    """A convolution over the directions, 9 degrees wide."""
    return keras.layers.Conv1D(filters, 9, padding="same", data_format="channels_last", **kwargs)
