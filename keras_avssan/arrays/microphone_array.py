"""`MicrophoneArray`: where the microphones of a recording are, and what its pairs measure."""

import dataclasses
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_choice, check_number
from keras_avssan._internal.one_line import count, one_line, span
from keras_avssan._internal.types import PathLike
from keras_avssan.arrays.geometries import GEOMETRIES
from keras_avssan.arrays.position_files import read_positions

BAFFLES = ("open", "rigid")
_CLOSEST = 1e-3  # metres; microphones that are closer are in one place
_SAME_RADIUS = 1e-3  # metres
_WIDEST = 10.0  # metres; arrays that are wider are likely in another unit
_LEAST_RANK = 0.05  # of a singular value relative to the largest, for an axis to count as another


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MicrophoneArray:
    """Describes an array of microphones by their positions.

    Azimuths are counter-clockwise from the x axis, from 0° to 360°; elevations are above the plane
    of x and y, from -90° to 90°. Channel k of a recording is microphone k. An array is small
    compared to the distance of the sources: sound arrives as plane waves.

    Args:
        positions: Positions of M microphones in metres, shape (M, 3), or (M, 2) for a level array.
        name: Name of the array.
        baffle: `"open"` for microphones in free air; `"rigid"` for microphones on a rigid sphere
            around the origin, which makes delays longer.

    Raises:
        ValueError: If `positions` has another shape, fewer than two microphones, a value that is
            not finite, two microphones in one place, or more than 10 m apart; if `baffle` is
            unknown, or `"rigid"` and the microphones are not on a sphere around the origin.

    Example:
        >>> square = MicrophoneArray([(0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1)])
        >>> square.pairs(max_spacing=0.2).tolist()
        [[0, 1], [0, 3], [1, 2], [2, 3]]
        >>> MicrophoneArray.from_preset("respeaker_6")
        <MicrophoneArray: respeaker_6, 6 microphones, 0.0463–0.0926 m apart>
    """

    positions: np.ndarray
    name: str | None = None
    baffle: str = "open"

    def __post_init__(self) -> None:
        """Checks the values and freezes the array."""
        positions = _checked(self.positions)
        check_choice("baffle", self.baffle, BAFFLES)
        radii = np.linalg.norm(positions, axis=-1)
        if self.baffle == "rigid" and (np.ptp(radii) > _SAME_RADIUS or radii[0] < _CLOSEST):
            raise ValueError(
                "`positions` must be on one sphere around the origin with `baffle='rigid'`. "
                f"Received: microphones {span(radii, ' m')} from the origin"
            )
        positions.flags.writeable = False
        object.__setattr__(self, "positions", positions)

    def __len__(self) -> int:
        return len(self.positions)

    def __eq__(self, other: object) -> bool:
        """Whether positions and baffle are the same; names do not count."""
        if not isinstance(other, MicrophoneArray):
            return NotImplemented
        return self.baffle == other.baffle and np.array_equal(self.positions, other.positions)

    def __hash__(self) -> int:
        return hash((self.positions.tobytes(), self.baffle))

    def __repr__(self) -> str:
        apart = span(self.distances(self.pairs()), " m")
        sphere = "on a rigid sphere" if self.baffle == "rigid" else ""
        return one_line(self, self.name, count(len(self), "microphone"), f"{apart} apart", sphere)

    @classmethod
    def presets(cls) -> tuple[str, ...]:
        """Returns the names of the arrays that `from_preset` knows.

        Example:
            >>> MicrophoneArray.presets()
            ('starss23', 'respeaker_4', 'respeaker_usb_4', 'respeaker_6')
        """
        return tuple(GEOMETRIES)

    @classmethod
    def from_preset(cls, preset: str) -> Self:
        """Returns a known array.

        Args:
            preset: `"starss23"`, the four channels of STARSS23's MIC format; `"respeaker_4"`,
                `"respeaker_usb_4"` and `"respeaker_6"`, circles as on ReSpeaker's boards (4-Mic
                Array, USB 4-Mic Array, 6-Mic Circular Array), their microphones counter-clockwise,
                the first at 0°, of the USB array at 45°. `rotated` turns them to a board's own
                orientation, `channels` of `localize` orders and chooses its channels.

        Raises:
            ValueError: If there is no such preset.

        Example:
            >>> len(MicrophoneArray.from_preset("starss23"))
            4
        """
        if not isinstance(preset, str) or preset not in GEOMETRIES:
            raise ValueError(
                f"`preset` must be one of {', '.join(GEOMETRIES)}. Received: preset={preset!r}"
            )
        positions, baffle = GEOMETRIES[preset]
        return cls(positions, preset, baffle)

    @classmethod
    def from_file(cls, path: PathLike) -> Self:
        r"""Reads an array from a file.

        Args:
            path: CSV file, a row for each microphone with x, y and optionally z in metres, with or
                without a heading; or a JSON file of a list of such rows, or of an object with
                `positions` and optionally `name` and `baffle`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds something else; the message names it.

        Example:
            >>> from pathlib import Path
            >>> _ = Path("array.csv").write_text("x,y\n0.1,0\n-0.1,0\n0,0.1\n")
            >>> MicrophoneArray.from_file("array.csv")
            <MicrophoneArray: array, 3 microphones, 0.141–0.2 m apart>
        """
        found = read_positions(path)
        try:
            return cls(found.positions, found.name, found.baffle)
        except ValueError as error:
            raise ValueError(f"'{path}' holds no array. {error}") from error

    def rotated(self, azimuth: float) -> Self:
        """Returns the array turned counter-clockwise about the z axis, by degrees.

        Args:
            azimuth: Angle in degrees.

        Raises:
            ValueError: If `azimuth` is not a number from -360 to 360.

        Example:
            >>> array = MicrophoneArray([(0.1, 0.0), (-0.1, 0.0)]).rotated(90)
            >>> array.positions[0].round(6).tolist()
            [0.0, 0.1, 0.0]
        """
        angle = np.radians(check_number("azimuth", azimuth, -360.0, 360.0))
        turn = [[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
        return dataclasses.replace(self, positions=self.positions @ np.array(turn))

    def pairs(self, min_spacing: float = 0.0, max_spacing: float = np.inf) -> np.ndarray:
        """Chooses pairs of microphones by their spacing, see `spacings`.

        Args:
            min_spacing: Least spacing in metres.
            max_spacing: Greatest spacing in metres.

        Returns:
            int64 array of shape (P, 2): numbers of the first and the second microphone, from 0,
            the first the lower one.

        Example:
            >>> MicrophoneArray.from_preset("starss23").pairs().shape
            (6, 2)
        """
        first, second = np.triu_indices(len(self), k=1)
        pairs = np.stack([first, second], axis=1)
        spacings = self.spacings(pairs)
        # Rounded, so that the limits that a user reads in a message count as inside.
        return pairs[(spacings >= min_spacing - 1e-6) & (spacings <= max_spacing + 1e-6)]

    def distances(self, pairs: ArrayLike) -> np.ndarray:
        """Returns the distances between the microphones of pairs, (P,), in metres."""
        first, second = self.positions[np.asarray(pairs, int).T]
        return np.linalg.norm(first - second, axis=-1)

    def spacings(self, pairs: ArrayLike) -> np.ndarray:
        """Returns the spacings of pairs in free air with the same delays, (P,), in metres.

        The distances for an open array. On a rigid sphere the spacing is fitted to the phase
        differences between 20 Hz and 8 kHz of waves from all around, in least squares.

        Args:
            pairs: Numbers of microphones, shape (P, 2).
        """
        distances = self.distances(pairs)
        if self.baffle == "open":
            return distances
        from keras_avssan.arrays.sphere_spacing import spacing_on_sphere  # imports Keras

        radius = float(np.linalg.norm(self.positions[0]))
        return np.array([spacing_on_sphere(round(one, 9), radius) for one in distances.tolist()])

    def axes(self, pairs: ArrayLike) -> np.ndarray:
        """Returns the unit vectors from the second to the first microphone of pairs, (P, 3)."""
        first, second = self.positions[np.asarray(pairs, int).T]
        across = first - second
        return across / np.linalg.norm(across, axis=-1, keepdims=True)

    def angles(self, pairs: ArrayLike, directions: ArrayLike) -> np.ndarray:
        """Computes the angles under which pairs see directions.

        Args:
            pairs: Numbers of microphones, shape (P, 2).
            directions: Unit vectors towards the sources, shape (K, 3).

        Returns:
            float64 array of shape (P, K), in degrees: 0 beside the first microphone of a pair, 90
            broadside, 180 beside the second one.

        Example:
            >>> array = MicrophoneArray([(0.1, 0.0), (-0.1, 0.0)])
            >>> array.angles([(0, 1)], [(0.0, 1.0, 0.0)]).round(3).tolist()
            [[90.0]]
        """
        cosines = self.axes(pairs) @ np.asarray(directions, "float64").T
        return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))

    def responses(self, directions: ArrayLike, frequencies: ArrayLike) -> np.ndarray:
        """Computes the responses of the microphones to plane waves, relative to the origin.

        Args:
            directions: Unit vectors towards the sources, shape (K, 3).
            frequencies: Frequencies in hertz, above 0, shape (F,).

        Returns:
            complex128 array of shape (K, M, F); an earlier arrival has a more positive phase.

        Reference:
            Rafaely, Spherical Array Processing, 2015, for the rigid sphere.
        """
        from keras_avssan.doa.steering import SPEED_OF_SOUND  # imports Keras

        along = np.asarray(directions, "float64") @ self.positions.T
        wave_numbers = 2 * np.pi * np.asarray(frequencies, "float64") / SPEED_OF_SOUND
        if self.baffle == "open":
            return np.exp(1j * wave_numbers * along[..., None])
        from keras_avssan.doa.rigid_sphere import pressure_on_sphere

        radius = float(np.linalg.norm(self.positions[0]))
        return pressure_on_sphere(wave_numbers * radius, along / radius)

    def placed(self, centre: ArrayLike) -> np.ndarray:
        """Returns the positions of the microphones in a room, with the origin at `centre`.

        Args:
            centre: Position of the array's origin in the room in metres, shape (3,).

        Returns:
            float64 array of shape (M, 3), as `keras_avssan.simulation.simulate_rirs` takes it.

        Raises:
            ValueError: If `centre` has another shape or is not finite.

        Example:
            >>> MicrophoneArray([(0.1, 0.0), (-0.1, 0.0)]).placed((2.0, 1.5, 1.2)).tolist()
            [[2.1, 1.5, 1.2], [1.9, 1.5, 1.2]]
        """
        try:
            place = np.asarray(centre, "float64")
        except (TypeError, ValueError):  # words, or lists of unequal lengths
            place = np.zeros(0)
        if place.shape != (3,) or not np.isfinite(place).all():
            raise ValueError(
                "`centre` must be a position of three finite coordinates in metres. "
                f"Received: centre={centre!r}"
            )
        return place + self.positions


def _checked(positions: ArrayLike) -> np.ndarray:
    """Positions as float64 (M, 3); refuses other shapes, and microphones in one place."""
    try:
        array = np.array(positions, dtype="float64")
    except (TypeError, ValueError):
        array = np.zeros(())
    if array.ndim != 2 or len(array) < 2 or array.shape[1] not in (2, 3):
        found = f"shape {array.shape}" if array.ndim else repr(positions)
        raise ValueError(
            "`positions` must have shape (M, 3) or (M, 2), metres, with two microphones or more. "
            f"Received: positions of {found}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"`positions` must be finite. Received: positions={array.tolist()}")
    if array.shape[1] == 2:
        array = np.pad(array, [(0, 0), (0, 1)])
    with np.errstate(over="ignore"):
        apart = np.linalg.norm(array[:, None] - array, axis=-1)
    if apart.max() > _WIDEST:
        raise ValueError(
            f"`positions` must be of microphones at most {_WIDEST:g} m apart; they are in metres, "
            f"not in centimetres or millimetres. Received: microphones {apart.max():.4g} m apart"
        )
    first, second = np.triu_indices(len(array), k=1)
    near = np.flatnonzero(apart[first, second] < _CLOSEST)
    if near.size:
        one, other = first[near[0]], second[near[0]]
        raise ValueError(
            "`positions` must be of microphones in different places, at least 1 mm apart. "
            f"Received: microphones {one} and {other} both at {array[one].tolist()}"
        )
    return array


def num_dimensions(axes: np.ndarray) -> int:
    """Number of dimensions, 1 to 3, that vectors (P, 3) span."""
    values = np.linalg.svd(axes, compute_uv=False)
    return int(np.sum(values > _LEAST_RANK * values[0]))
