"""Pairs of microphones of a tetrahedral array, and the angles that they measure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_choice
from keras_avssan.arrays.geometries import TETRAHEDRON, TETRAHEDRON_RADIUS, unit_vector

# The other pairs of the tetrahedron are tilted: they do not measure the azimuth alone.
LEVEL_PAIRS = (("M1", "M4"), ("M2", "M3"))
BAFFLES = ("rigid", "open")


@dataclass(frozen=True)
class MicrophonePair:
    """A level pair of the four microphones of STARSS23's MIC format.

    The first microphone is channel 0. The angle of the pair is 0° beside it, 90° broadside and
    180° beside the second one, as everywhere in this library. `M1-M4` looks along an azimuth of
    45° (front left), `M2-M3` along −45° (front right).

    Args:
        name: `"M1-M4"` or `"M2-M3"`.
        baffle: `"rigid"`, the sphere that the published recordings were made on, or `"open"`,
            microphones in free air as a simulation may have them.

    Raises:
        ValueError: `name` or `baffle` has another value.

    Example:
        >>> pair = MicrophonePair("M1-M4")
        >>> pair.channels
        (0, 3)
        >>> round(float(pair.angle(azimuth=75.0, elevation=0.0)), 3)
        30.0
    """

    name: str = "M1-M4"
    baffle: str = "rigid"

    def __post_init__(self) -> None:
        names = ["-".join(pair) for pair in LEVEL_PAIRS]
        if self.name not in names:
            raise ValueError(
                f"`pair` must be one of {names}, the level pairs. Received: pair={self.name!r}"
            )
        check_choice("baffle", self.baffle, BAFFLES)

    @property
    def channels(self) -> tuple[int, int]:
        """The two channels of the MIC format; the first leads at 0°."""
        first, second = (list(TETRAHEDRON).index(name) for name in self.name.split("-"))
        return first, second

    @property
    def positions(self) -> np.ndarray:
        """Positions of the microphones in metres, (2, 3): x to the front, y left, z up."""
        directions = [TETRAHEDRON[name] for name in self.name.split("-")]
        return TETRAHEDRON_RADIUS * unit_vector(*np.transpose(directions))

    @property
    def distance(self) -> float:
        """Distance between the microphones in metres: 0.0688."""
        return float(np.linalg.norm(self.positions[0] - self.positions[1]))

    @property
    def axis_azimuth(self) -> float:
        """Azimuth in degrees of the axis from the second microphone to the first."""
        x, y, _ = self.positions[0] - self.positions[1]
        return float(np.degrees(np.arctan2(y, x)))

    @property
    def spacing(self) -> float:
        """Spacing in metres of two microphones in free air with the same delays.

        On a rigid sphere sound takes longer to the far side, by a factor of 1.5 at low frequencies
        and 1.1 at high ones; this spacing fits the phase differences below 8 kHz in least squares.
        """
        return self.distance if self.baffle == "open" else _spacing_on_sphere(self)

    def angle(self, azimuth: ArrayLike, elevation: ArrayLike) -> np.ndarray:
        """Computes the angle at the pair in degrees: arccos(cos elevation · cos(azimuth − axis)).

        It is from 0, beside the first microphone, to 180. `azimuth` is counter-clockwise.
        """
        axis = unit_vector(self.axis_azimuth, 0.0)
        return np.degrees(np.arccos(np.clip(unit_vector(azimuth, elevation) @ axis, -1.0, 1.0)))

    def responses(
        self, azimuth: ArrayLike, elevation: ArrayLike, frequencies: np.ndarray
    ) -> np.ndarray:
        """Computes responses (*shape, 2, F) to plane waves, relative to the middle of the array.

        Angles are in degrees, of any shape; frequencies (F,) in Hz, above 0. A later arrival has a
        more negative phase. The rigid sphere: Rafaely, Spherical Array Processing, 2015.
        """
        from keras_avssan.doa.steering import SPEED_OF_SOUND  # which imports Keras

        along = unit_vector(azimuth, elevation) @ self.positions.T / TETRAHEDRON_RADIUS
        size = 2 * np.pi * np.asarray(frequencies, "float64") * TETRAHEDRON_RADIUS / SPEED_OF_SOUND
        if self.baffle == "open":
            return np.exp(1j * size * along[..., None])
        from keras_avssan.doa.rigid_sphere import pressure_on_sphere

        return pressure_on_sphere(size, along)


def _spacing_on_sphere(pair: MicrophonePair) -> float:
    """Spacing whose phases 2π f · spacing · cos θ / c are nearest to those on the sphere."""
    from keras_avssan.doa.rigid_sphere import ANGLES, FREQUENCIES, free_spacing  # imports Keras

    azimuths = pair.axis_azimuth + ANGLES
    return free_spacing(pair.responses(azimuths, np.zeros_like(ANGLES), FREQUENCIES))
