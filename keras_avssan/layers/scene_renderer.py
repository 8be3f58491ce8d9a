"""Rendering of dry sounds and impulse responses to the mixture at two microphones."""

from typing import Any

import keras
import scipy.fft
from keras import ops

from keras_avssan._internal.checks import check_positive_number, transpose_hint
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings

# Keeps the gains finite where a source does not reach the microphones within the scene.
_SILENCE = 1e-20


@keras.saving.register_keras_serializable(package="keras_avssan")
class SceneRenderer(FixedSettings, keras.layers.Layer):
    """Renders scenes of a target and one or more interferers on the training device.

    Every source is convolved with its impulse responses and cut to the length of the scene; each
    interferer is scaled to the SNR, which is taken over both microphones, and the sum to the
    level of the mixture. Computed in float32 under every precision policy.

    Args:
        mix_rms: Root mean square of every mixture, over time and microphones.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        dry_audio: Target and interferers as recorded, shape (batch, sources, samples).
        rirs: Their impulse responses, shape (batch, sources, 2, length).
        snr: Level of the target above every single interferer in decibels, shape (batch,).

    Returns:
        Tuple of float32 tensors, each of shape (batch, samples, 2): the mixture, and the target
        alone as both microphones record it in that mixture.

    Raises:
        ValueError: If `mix_rms` is not positive, or inputs have a wrong shape. The numbers of
            samples must be known when a step is compiled; the size of the batch need not.

    Example:
        >>> dry_audio = keras.random.normal((1, 2, 16000))
        >>> rirs = keras.random.normal((1, 2, 2, 4000))
        >>> audio, target = SceneRenderer()(dry_audio, rirs, keras.ops.zeros((1,)))
        >>> audio.shape, target.shape
        ((1, 16000, 2), (1, 16000, 2))

    Reference:
        `keras_avssan.data.render_scenes` renders the same in NumPy.
    """

    def __init__(self, mix_rms: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        check_positive_number("mix_rms", mix_rms)
        self.mix_rms = float(mix_rms)
        self.built = True  # no weights: a whole model need not be run to build it

    def build(self, dry_audio_shape: Shape, rirs_shape: Shape, snr_shape: Shape) -> None:
        self.built = True

    def call(self, dry_audio: Tensor, rirs: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
        self._check(dry_audio, rirs)
        wet = self._convolve(ops.cast(dry_audio, "float32"), ops.cast(rirs, "float32"))
        wet = wet * self._gains(wet, ops.cast(snr, "float32"))[:, :, None, None]
        wet = ops.transpose(wet, (0, 1, 3, 2))  # (batch, sources, samples, microphones)
        return ops.sum(wet, axis=1), wet[:, 0]

    def _check(self, dry_audio: Tensor, rirs: Tensor) -> None:
        dry_shape, rir_shape = tuple(dry_audio.shape), tuple(rirs.shape)
        hint = transpose_hint(dry_shape[:0:-1], "samples")
        if hint:
            raise ValueError(
                f"`dry_audio` must have shape (batch, sources, samples).{hint} "
                f"Received: dry_audio.shape={dry_shape}"
            )
        if len(dry_shape) != 3 or (dry_shape[1] or 0) < 2 or dry_shape[2] is None:
            raise ValueError(
                "`dry_audio` must have shape (batch, sources, samples), a target and at least one "
                f"interferer. Received: dry_audio.shape={dry_shape}"
            )
        sources = dry_shape[1]
        if len(rir_shape) != 4 or rir_shape[1:3] != (sources, 2) or rir_shape[3] is None:
            raise ValueError(
                f"`rirs` must have shape (batch, {sources}, 2, length), sources then microphones. "
                f"Received: rirs.shape={rir_shape}"
            )

    def _convolve(self, dry: Tensor, rirs: Tensor) -> Tensor:
        """Linear convolution: (B, S, N), (B, S, 2, L) → (B, S, 2, N)."""
        samples = dry.shape[-1]
        rirs = rirs[..., :samples]
        size = scipy.fft.next_fast_len(samples + rirs.shape[-1] - 1, real=True)
        dry_real, dry_imag = (part[:, :, None] for part in ops.rfft(dry, size))
        rir_real, rir_imag = ops.rfft(rirs, size)
        real = dry_real * rir_real - dry_imag * rir_imag
        imag = dry_real * rir_imag + dry_imag * rir_real
        return ops.irfft((real, imag), size)[..., :samples]

    def _gains(self, wet: Tensor, snr: Tensor) -> Tensor:
        """Gains of target and interferers, (B, S): first the SNR, then the level."""
        sources = [wet[:, i] for i in range(wet.shape[1])]
        powers = [_mean_product(source, source) + _SILENCE for source in sources]
        scale = 10 ** (-snr / 20)
        gains = [ops.ones_like(scale)]
        gains += [ops.sqrt(powers[0] / power) * scale for power in powers[1:]]
        mix_power = powers[0]
        for i in range(1, len(sources)):
            for j in range(i):
                product = _mean_product(sources[j], sources[i])
                mix_power = mix_power + 2 * gains[j] * gains[i] * product
            mix_power = mix_power + ops.square(gains[i]) * powers[i]
        level = self.mix_rms * ops.rsqrt(mix_power)
        return ops.stack([level * gain for gain in gains], axis=1)

    def compute_output_shape(
        self,
        dry_audio_shape: Shape,
        rirs_shape: Shape | None = None,
        snr_shape: Shape | None = None,
    ) -> tuple[Shape, Shape]:
        batch, _, samples = dry_audio_shape
        return (batch, samples, 2), (batch, samples, 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mix_rms": self.mix_rms}


def _mean_product(first: Tensor, second: Tensor) -> Tensor:
    """Mean of the product of two signals (B, microphones, samples), over both last axes."""
    return ops.mean(first * second, axis=(1, 2))
