"""Delays and phases of the grid's directions at a pair of microphones, and steering by them.

Sound from the angle θ reaches microphone 1 earlier than microphone 2 by τ(θ) = d cos θ / c, d being
the distance between them; in the cross-spectrum it has the phase φ(f, θ) = 2π f τ(θ).
"""

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_avssan._internal.types import Tensor
from keras_avssan.doa.grid import GRID_DEGREES

SPEED_OF_SOUND = 343.0  # metres per second, in air at 20 °C
SILENCE = 1e-20  # squared magnitude of a cross-spectrum, 100 dB below a recording of unit power


def direction_delays(microphone_spacing: float = 1.0) -> np.ndarray:
    """Delays τ(θ) of channel 1 behind channel 0, float32 (180,), in seconds.

    By default for microphones one metre apart: seconds per metre of spacing.
    """
    return microphone_spacing * np.cos(np.deg2rad(GRID_DEGREES)) / SPEED_OF_SOUND


def steering_phases(frequencies: ArrayLike, delays: ArrayLike) -> np.ndarray:
    """Phases 2π f τ of delays at frequencies, float64 (F, K), in radians.

    In hertz and seconds, or in cycles per sample and samples.
    """
    frequencies, delays = np.asarray(frequencies, "float64"), np.asarray(delays)
    return 2 * np.pi * frequencies[:, None] * delays[None, :]


def steering_waves(
    phase: np.ndarray, microphone_spacing: float, spacings: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of phases, which are given for microphones one metre apart.

    In the shape of `phase`; with `spacings`, shape (batch,), the batch comes before it.
    """
    if spacings is None:
        phase = microphone_spacing * phase
        return ops.convert_to_tensor(np.cos(phase)), ops.convert_to_tensor(np.sin(phase))
    spacings = ops.reshape(ops.cast(spacings, "float32"), (-1, *([1] * phase.ndim)))
    phases = spacings * ops.convert_to_tensor(phase)
    return ops.cos(phases), ops.sin(phases)


def phase_transform(
    real: Tensor, imaginary: Tensor, silence: float = SILENCE
) -> tuple[Tensor, Tensor]:
    """Brings every bin of a cross-spectrum to the magnitude one; silent bins stay near zero.

    A bin is silent if its squared magnitude is far below `silence`.
    """
    gain = ops.rsqrt(ops.square(real) + ops.square(imaginary) + silence)
    return real * gain, imaginary * gain


def steered_response(real: Tensor, imaginary: Tensor, phase: Tensor) -> Tensor:
    """Mean over the bins of Re G(f) exp(-jφ(f, θ)), (batch, 180).

    The cross-spectrum G has shape (batch, F), `phase` (batch, F, 180) or (1, F, 180) for all.
    """
    response = real[..., None] * ops.cos(phase) + imaginary[..., None] * ops.sin(phase)
    return ops.mean(response, axis=1)
