"""Interference of images that arrive along walls, in the expected power."""

import numpy as np
from scipy import special

# Band over which the power is averaged, in hertz, as in a measurement of a reverberation time.
BAND = (100.0, 8000.0)

# Nodes of the quadrature over the logarithm of frequency.
_FREQUENCIES = 8

# Modes that are summed one by one; the sum of higher ones is an integral.
_MODES = 3

# Distances at which the weights are computed; between them they are interpolated.
_DISTANCES = 48


# The expected sum of the images' energies counts each image by itself. Between two parallel walls
# a distance L apart, images that arrive from directions along these walls differ so little in
# their paths that they add up in phase. In the room's modes the wave numbers across are n pi / L
# with n = 0, 1, 2, ..., and the energies are an integral over n in place of the sum. At the
# frequency f and after the distance d, an image model whose walls leave exp(-gamma) of the
# amplitude has in mode n, by the method of stationary phase, the energy
#
# g_n = |erfcx((gamma + i n pi) / (2 sqrt(-i a))) + erfcx((gamma - i n pi) / (2 sqrt(-i a)))|^2 /
# 4
#
# with a = pi f L^2 / (c d), and directions along the walls have, beside 1 for the mean over all
# directions, the weight c / (2 f L) sum_n g_n - L / (2 gamma d). For rigid walls this is c / (4 f
# L), the surface term in the number of modes of a room (H. Kuttruff, Room Acoustics, section
# 3.2). Late in the decay it no longer depends on the frequency, and exceeds the energy that it is
# added to by far: the more, the closer the walls.
def grazing_weights(
    size: np.ndarray, reflected: float, distances: np.ndarray, speed_of_sound: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights `(3, n)` of the directions along walls, and along axes, at `distances` in metres.

    They are means over `BAND`, beside 1 for all directions; `reflected` is a share of energy.
    """
    coarse = np.linspace(distances[0], distances[-1], _DISTANCES)
    frequencies, shares = _frequencies()
    across = np.stack(
        [
            _weights(side, -np.log(reflected) / 2, coarse[:, None], frequencies, speed_of_sound)
            for side in size
        ]
    )
    # An axis lies along the walls across both other axes. In the plane that the first of them
    # leaves, the second one's weight counts against a quarter of a circle.
    along = 2 / np.pi * across[[1, 2, 0]] * across[[2, 0, 1]]
    walls, axes = (
        np.stack([np.interp(distances, coarse, row @ shares) for row in weights])
        for weights in (across, along)
    )
    return walls, axes


def _frequencies() -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of the quadrature and the share of the band that each stands for."""
    nodes, weights = np.polynomial.legendre.leggauss(_FREQUENCIES)
    low, high = np.log(BAND)
    frequencies = np.exp(low + (high - low) * (nodes + 1) / 2)
    shares = weights * frequencies
    return frequencies, shares / shares.sum()


def _weights(
    side: float, loss: float, distances: np.ndarray, frequencies: np.ndarray, speed_of_sound: float
) -> np.ndarray:
    """Weight of the directions along two walls; `loss` is the gamma of `grazing_weights`."""
    phase = np.pi * frequencies * side**2 / (speed_of_sound * distances)
    modes = sum(_mode_energy(number, phase, loss) for number in range(_MODES))
    # The rest as an integral, by the trapezoidal rule's first term and the decay along rays.
    modes += _mode_energy(_MODES, phase, loss) / 2
    decay = np.pi * loss / phase
    modes += np.exp(-decay * _MODES) / decay
    return side / distances * (np.pi / (2 * phase) * modes - 1 / (2 * loss))


def _mode_energy(number: int, phase: np.ndarray, loss: float) -> np.ndarray:
    scale = 2 * np.sqrt(-1j * phase)
    both = sum(_erfcx((loss + sign * number * np.pi * 1j) / scale) for sign in (1, -1))
    return np.abs(both) ** 2 / 4


def _erfcx(value: np.ndarray) -> np.ndarray:
    """Scaled complementary error function of a complex argument."""
    return special.wofz(1j * value)
