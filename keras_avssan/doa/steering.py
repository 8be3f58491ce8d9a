"""Delays and phases of the directions of the grid at a pair of microphones, and steering by them.

Sound from the angle θ reaches microphone 1 earlier than microphone 2 by τ(θ) = d cos θ / c, d being
the distance between them; in the cross-spectrum it has the phase φ(f, θ) = 2π f τ(θ).
"""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_avssan.doa.grid import GRID_DEGREES

SPEED_OF_SOUND = 343.0  # metres a second, in air at 20 °C
SILENCE = 1e-20  # squared magnitude of a cross-spectrum, 100 dB below a recording of unit power


def direction_delays(microphone_spacing: float = 1.0) -> np.ndarray:
    """Computes by how many seconds channel 0 leads for each direction of the grid.

    Args:
        microphone_spacing: Distance between the microphones in metres; with the default the delays
            are seconds a metre of spacing.

    Returns:
        float32 array of shape (180,).

    Example:
        >>> direction_delays(0.343)[[59, 89, 119]].round(6).tolist()
        [0.0005000000237487257, 0.0, -0.0005000000237487257]
    """
    return microphone_spacing * np.cos(np.deg2rad(GRID_DEGREES)) / SPEED_OF_SOUND


def steering_phases(frequencies: ArrayLike, delays: ArrayLike) -> np.ndarray:
    """Computes the phases 2π f τ that delays have at frequencies.

    Args:
        frequencies: Shape (F,), in hertz, or in cycles a sample where delays are in samples.
        delays: Shape (K,), in seconds or in samples.

    Returns:
        float64 array of shape (F, K), in radians.

    Example:
        >>> steering_phases(np.array([0.0, 0.25]), np.array([-1.0, 2.0])).round(3).tolist()
        [[-0.0, 0.0], [-1.571, 3.142]]
    """
    frequencies, delays = np.asarray(frequencies, "float64"), np.asarray(delays)
    return 2 * np.pi * frequencies[:, None] * delays[None, :]


def phase_transform(real: Any, imaginary: Any, silence: float = SILENCE) -> tuple[Any, Any]:
    """Gives every bin of a cross-spectrum the magnitude one; silent bins stay near zero.

    Args:
        real: Real part, any shape.
        imaginary: Imaginary part, same shape.
        silence: Squared magnitude far below which a bin is silent.

    Returns:
        Tuple of real and imaginary part.

    Example:
        >>> real, imaginary = phase_transform(ops.array([3.0]), ops.array([4.0]))  # 0.6, 0.8
    """
    gain = ops.rsqrt(ops.square(real) + ops.square(imaginary) + silence)
    return real * gain, imaginary * gain


def steered_response(real: Any, imaginary: Any, phase: Any) -> Any:
    """Computes the mean over the bins of Re G(f) exp(-jφ(f, θ)).

    Args:
        real: Real part of the cross-spectrum, shape (batch, F).
        imaginary: Imaginary part, same shape.
        phase: Phases that the directions have, shape (batch, F, 180), or (1, F, 180) for all.

    Returns:
        Tensor of shape (batch, 180).

    Example:
        >>> phase = steering_phases(np.linspace(0, 8000, 9), direction_delays(0.05))
        >>> spectrum = ops.cos(phase[:, 41]), ops.sin(phase[:, 41])  # a sound from 42 degrees
        >>> response = steered_response(*(part[None] for part in spectrum), phase[None])
        >>> int(ops.argmax(response[0])) + 1
        42
    """
    response = real[..., None] * ops.cos(phase) + imaginary[..., None] * ops.sin(phase)
    return ops.mean(response, axis=1)
