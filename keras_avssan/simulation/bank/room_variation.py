"""What rooms vary in beyond their shape: microphones, sources, and absorption by frequency."""

import dataclasses
import zlib

import numpy as np
from scipy import signal

from keras_avssan.simulation.room_variation_checks import band_factors
from keras_avssan.simulation.rooms import Room, RoomRanges

# Centres of the octave bands, in hertz.
BANDS = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
# Walls that absorb more leave no reverberation to speak of.
_MOST_ABSORPTION = 0.99


@dataclasses.dataclass(frozen=True, eq=False)
class RoomVariation:
    """What was drawn for one room; `None` for what does not vary."""

    microphone_gains: np.ndarray | None = None  # (2,) in dB
    microphone_phases: np.ndarray | None = None  # (2,) in degrees
    microphone_offsets: np.ndarray | None = None  # (2, 3) in metres
    source_orientations: np.ndarray | None = None  # (S, 3), unit vectors
    band_factors: np.ndarray | None = None  # (7,), of the absorption

    @classmethod
    def draw(cls, seed: int, index: int, room: Room, ranges: RoomRanges) -> "RoomVariation":
        """Draws what the ranges vary; each is a function of seed, index and its range alone."""

        def drawn(purpose: str, most: float, shape: tuple[int, ...]) -> np.ndarray | None:
            if not most:
                return None
            return _generator(seed, index, purpose).uniform(-most, most, shape)

        return cls(
            drawn("gain", ranges.gain_error, (2,)),
            drawn("phase", ranges.phase_error, (2,)),
            drawn("position", ranges.position_error, (2, 3)),
            _orientations(seed, index, room, ranges),
            _band_factors(seed, index, ranges),
        )

    def arrays(self, absorption: float) -> dict[str, np.ndarray]:
        """What varies, by its names in `RIRBank`."""
        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del arrays["band_factors"]
        arrays["band_absorption"] = self.band_absorption(absorption)
        return {name: array for name, array in arrays.items() if array is not None}

    def band_absorption(self, absorption: float) -> np.ndarray | None:
        """Absorption of the walls in each octave band, at most 0.99."""
        if self.band_factors is None:
            return None
        return np.minimum(absorption * self.band_factors, _MOST_ABSORPTION)

    def at_microphones(self, responses: np.ndarray) -> np.ndarray:
        """Responses `(..., 2, length)` with the errors of the microphones' gains and phases."""
        if self.microphone_phases is not None:
            length = responses.shape[-1]
            # Padded, so that the filter's response, which has no end, does not wrap around.
            quadrature = signal.hilbert(responses, 2 * length)[..., :length]
            turned = quadrature * np.exp(1j * np.radians(self.microphone_phases))[:, None]
            responses = turned.real
        if self.microphone_gains is not None:
            responses = responses * 10 ** (self.microphone_gains / 20)[:, None]
        return responses.astype("float32")


def join_bands(responses: np.ndarray, sampling_rate: float) -> np.ndarray:
    """One response `(..., length)` from one for each octave band, `(7, ..., length)`.

    The bands' filters have no phase and sum to one: what all bands share, as the direct path, is
    kept. Between two centres each fades into the next over the logarithm of frequency.
    """
    length = responses.shape[-1]
    frequencies = np.fft.rfftfreq(2 * length, 1 / sampling_rate)
    place = np.log2(np.maximum(frequencies, BANDS[0]) / BANDS[0])
    distance = np.abs(np.minimum(place, len(BANDS) - 1) - np.arange(len(BANDS))[:, None])
    weights = np.cos(np.pi / 2 * np.minimum(distance, 1)) ** 2
    joined = sum(
        weight * np.fft.rfft(band.astype("float64"), 2 * length)
        for weight, band in zip(weights, responses, strict=True)
    )
    return np.fft.irfft(joined, 2 * length)[..., :length].astype("float32")


def _generator(seed: int, index: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, index, zlib.crc32(purpose.encode())])


def _orientations(seed: int, index: int, room: Room, ranges: RoomRanges) -> np.ndarray | None:
    """Directions in which the sources point: at the pair, turned about the vertical axis."""
    if ranges.source_pattern == "omni":
        return None
    rng = _generator(seed, index, "orientation")
    turns = np.radians(rng.uniform(-1, 1, len(room.sources)) * ranges.source_turn)
    x, y, z = (room.microphones.mean(axis=0) - room.sources).T
    turned = (x * np.cos(turns) - y * np.sin(turns), x * np.sin(turns) + y * np.cos(turns), z)
    directions = np.stack(turned, axis=-1)
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def _band_factors(seed: int, index: int, ranges: RoomRanges) -> np.ndarray | None:
    """Factors of the absorption in each band, even over their logarithm."""
    low, high = np.log(band_factors(ranges)).T
    if not low.any() and not high.any():
        return None
    return np.exp(low + (high - low) * _generator(seed, index, "bands").random(len(BANDS)))
