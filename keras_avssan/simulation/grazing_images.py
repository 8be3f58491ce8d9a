"""What images that arrive along a wall add to the expected power, by being in phase."""

import numpy as np
from scipy import special

# Frequencies over which the power is averaged, in hertz: what a reverberation time is measured on.
BAND = (100.0, 8000.0)

# Nodes of the quadrature over the logarithm of frequency.
_FREQUENCIES = 8

# Modes that are summed one by one. From there on their sum is an integral.
_MODES = 3

# Distances at which the weights are computed; between them they are interpolated.
_DISTANCES = 48


def grazing_weights(
    size: np.ndarray, reflected: float, distances: np.ndarray, speed_of_sound: float
) -> tuple[np.ndarray, np.ndarray]:
    r"""Weights of the directions along walls and along edges, beside one for all directions.

    The expected sum of the images' energies counts each image by itself. Between two parallel walls
    a distance L apart, images that arrive from directions along these walls differ so little in
    their paths that they add up in phase. In the room's modes this is plain: the wave numbers
    across are \(n \pi / L\) with n = 0, 1, 2, …, and the energies are an integral over n in place
    of the sum. At the frequency f and after the distance d, an image model whose walls leave
    \(e^{-\gamma}\) of the amplitude has in mode n, by the method of stationary phase, the energy

    \[g_n = \tfrac14 \Big| \operatorname{erfcx} \frac{\gamma + i n \pi}{2 \sqrt{-i a}}
    + \operatorname{erfcx} \frac{\gamma - i n \pi}{2 \sqrt{-i a}} \Big|^2,
    \qquad a = \frac{\pi f L^2}{c\,d},\]

    and directions along the walls have, beside 1 for the mean over all directions, the weight

    \[\frac{c}{2 f L} \sum_n g_n - \frac{L}{2 \gamma d}.\]

    For rigid walls this is c / (4 f L), the surface term in the number of modes of a room. Late in
    the decay it no longer depends on the frequency, and exceeds by far what it adds to: the more,
    the closer the walls.

    Args:
        size: lengths of the room in metres, shape `(3,)`.
        reflected: share of the energy that the walls leave, in (0, 1).
        distances: travelled, in metres, increasing, shape `(n,)`.
        speed_of_sound: in metres a second.

    Returns:
        Tuple of two float64 arrays of shape `(3, n)`, means over the frequencies of `BAND`: weights
        of the directions along the walls across each axis, and of the direction of each axis, along
        four walls at a time.

    Reference:
        H. Kuttruff, Room Acoustics, section 3.2, for the number of modes.
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
