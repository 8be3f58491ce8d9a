"""Positions of the microphones of known arrays, in metres: x to the front, y left, z up."""

import numpy as np
from numpy.typing import ArrayLike

# STARSS23's MIC format, on a rigid sphere: directions (azimuth counter-clockwise, elevation) of
# the capsules in degrees, and the radius in metres.
TETRAHEDRON = {
    "M1": (45.0, 35.0),
    "M2": (-45.0, -35.0),
    "M3": (135.0, -35.0),
    "M4": (-135.0, 35.0),
}
TETRAHEDRON_RADIUS = 0.042


def unit_vector(azimuth: ArrayLike, elevation: ArrayLike) -> np.ndarray:
    """Returns directions in degrees as vectors (*shape, 3): x to the front, y left, z up."""
    azimuth, elevation = np.radians(azimuth), np.radians(elevation)
    level = np.cos(elevation)
    across = np.stack([level * np.cos(azimuth), level * np.sin(azimuth)])
    up = np.broadcast_to(np.sin(elevation), across.shape[1:])
    return np.stack([*across, up], axis=-1)


def circle(count: int, radius: float, first: float = 0.0) -> np.ndarray:
    """Microphones on a level circle, counter-clockwise from the azimuth of the first in degrees."""
    return radius * unit_vector(first + 360.0 / count * np.arange(count), 0.0)


# Positions and baffle by name. Radii of the ReSpeaker boards: those of the manufacturer's examples.
GEOMETRIES: dict[str, tuple[np.ndarray, str]] = {
    "starss23": (
        TETRAHEDRON_RADIUS * unit_vector(*np.transpose(list(TETRAHEDRON.values()))),
        "rigid",
    ),
    "respeaker_4": (circle(4, 0.08127 / 2), "open"),
    "respeaker_usb_4": (circle(4, 0.0457 / np.sqrt(2), 45.0), "open"),
    "respeaker_6": (circle(6, 0.0463), "open"),
}
