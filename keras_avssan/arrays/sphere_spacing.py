"""Spacing of two free microphones with the delays of two on a rigid sphere."""

import functools

import numpy as np

from keras_avssan.doa.rigid_sphere import ANGLES, FREQUENCIES, free_spacing, pressure_on_sphere
from keras_avssan.doa.steering import SPEED_OF_SOUND

_TURNS = np.arange(0.0, 180.0, 30.0)  # of the directions about the axis of the pair, in degrees


@functools.lru_cache(maxsize=128)
def spacing_on_sphere(distance: float, radius: float) -> float:
    """Spacing in metres that fits two microphones `distance` metres apart on a sphere.

    The mean over directions around their axis, because these are not alike on a sphere.
    """
    size = 2 * np.pi * FREQUENCIES * radius / SPEED_OF_SOUND
    half = distance / 2 / radius
    lift = np.sqrt(max(0.0, 1 - half**2))  # of the middle of the pair above that of the sphere
    microphones = np.array([[half, 0, lift], [-half, 0, lift]])
    angles = np.radians(ANGLES)
    found = []
    for turn in np.radians(_TURNS):
        ring = np.stack([0 * angles + np.cos(turn), 0 * angles + np.sin(turn)], axis=-1)
        directions = np.column_stack([np.cos(angles), np.sin(angles)[:, None] * ring])
        found.append(free_spacing(pressure_on_sphere(size, directions @ microphones.T)))
    return float(np.mean(found))
