"""Sound on a rigid sphere, and the spacing of free microphones with the same delays."""

import numpy as np
import scipy.special

from keras_avssan.doa.steering import SPEED_OF_SOUND, steering_phases

# Grid that a spacing is fitted on: frequencies, and angles from the axis of the pair.
FREQUENCIES = np.arange(20.0, 8000.0, 20.0)  # hertz
ANGLES = np.arange(0.0, 85.0, 5.0)  # degrees

_LARGEST_ORDER = 30


def pressure_on_sphere(size: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Pressure of plane waves on a rigid sphere, (*along.shape, F), relative to its middle.

    `size` (F,) is 2π · radius / wavelength, `along` the cosine of a point's angle from the source.
    """
    order = np.arange(_LARGEST_ORDER + 1)[:, None]
    # Derivative of the spherical Hankel function of outgoing waves, for the phase of exp(+iωt).
    outgoing = scipy.special.spherical_jn(order, size, derivative=True)
    outgoing = outgoing - 1j * scipy.special.spherical_yn(order, size, derivative=True)
    # The phase of a free wave at the middle of the sphere is zero.
    coefficients = 1j ** (order - 1) * (2 * order + 1) / outgoing / size**2
    return scipy.special.eval_legendre(order[:, 0], along[..., None]) @ coefficients


def free_spacing(waves: np.ndarray) -> float:
    """Spacing whose phases 2π f · spacing · cos θ / c are nearest to those of a pair, in metres.

    `waves` (angles, 2, F) are the responses of its microphones on the grid.
    """
    # Frequencies are close enough for the phase to be followed.
    phases = np.unwrap(np.angle(waves[:, 0] * waves[:, 1].conj()))
    per_metre = steering_phases(FREQUENCIES, np.cos(np.radians(ANGLES)) / SPEED_OF_SOUND).T
    return float(np.sum(phases * per_metre) / np.sum(per_metre**2))


def spacing_of_head(distance: float, speed_of_sound: float = SPEED_OF_SOUND) -> float:
    """Free spacing of two microphones on opposite sides of a sphere, `distance` metres apart."""
    size = 2 * np.pi * FREQUENCIES * (distance / 2) / speed_of_sound
    along = np.cos(np.radians(ANGLES))[:, None] * np.array([1.0, -1.0])
    return free_spacing(pressure_on_sphere(size, along)) * speed_of_sound / SPEED_OF_SOUND
