"""Error of treating microphones on a rigid sphere as free ones with some spacing.

First, the spacing of two free microphones that would have the phase difference that the level pairs
of STARSS23 have on their sphere, by frequency and direction. Then the error of a steered response
that assumes one spacing for all frequencies: plane waves from every 5° around the array, at
elevations of -20°, 0° and 20°, power falling as 1 / sqrt(f), no noise, no echoes, 16 kHz. The
figures of `docs/starss23.md` come from

    python benchmarks/rigid_sphere.py
"""

import numpy as np

from keras_avssan.data.starss23.microphone_pair import MicrophonePair

SPEED_OF_SOUND = 343.0  # metres per second
FREQUENCIES = np.arange(1, 513) * 16000 / 1024  # hertz
SHOWN = (200, 500, 1000, 2000, 4000, 7500)  # hertz
DIRECTIONS = (0, 30, 60)  # degrees from the axis
GRID = np.arange(1, 181)  # degrees
SPACINGS = (0.0688, 0.075, 0.08, 0.09, 0.10)  # metres


def main():
    pair = MicrophonePair()
    print(f"fitted: {100 * pair.spacing:.2f} cm, distance {100 * pair.distance:.2f} cm\n")
    print("| from the axis | " + " | ".join(f"{hertz} Hz" for hertz in SHOWN) + " |")
    print("|---" * (len(SHOWN) + 1) + "|")
    for direction in DIRECTIONS:
        spacings = np.interp(SHOWN, *equivalent_spacing(pair, direction))
        cells = [f"{100 * spacing:.1f} cm" for spacing in spacings]
        print(f"| {direction}° | " + " | ".join(cells) + " |")
    print("\n| spacing assumed | MAE | within 5° | largest error |\n|---|---|---|---|")
    waves = np.transpose([(azimuth, el) for el in (-20, 0, 20) for azimuth in range(45, 226, 5)])
    cross = cross_spectra(pair, *waves)
    truth = pair.angle(*waves)
    for spacing in (*SPACINGS, pair.spacing):
        error = np.abs(steer(cross, spacing) - truth)
        print(
            f"| {100 * spacing:.2f} cm | {error.mean():.1f}° | {100 * np.mean(error <= 5):.0f} % "
            f"| {error.max():.0f}° |"
        )


def equivalent_spacing(pair, direction):
    """Frequencies in hertz, and the spacing in metres at each."""
    # From low frequencies on in small steps, so that the phase can be followed.
    frequencies = np.arange(20.0, 8000.0, 20.0)
    first, second = pair.responses(pair.axis_azimuth + direction, 0.0, frequencies)
    lead = np.unwrap(np.angle(first * second.conj())) / (2 * np.pi * frequencies)
    return frequencies, lead * SPEED_OF_SOUND / np.cos(np.radians(direction))


def cross_spectra(pair, azimuth, elevation):
    """Cross-spectra of the pair, their magnitude that of the source: (waves, F)."""
    responses = pair.responses(azimuth, elevation, FREQUENCIES)
    cross = responses[:, 0] * responses[:, 1].conj()
    return cross / np.abs(cross) / np.sqrt(FREQUENCIES)


def steer(cross, spacing):
    """Angles in degrees at which the steered responses are highest: (waves,)."""
    delays = spacing * np.cos(np.radians(GRID)) / SPEED_OF_SOUND
    response = np.real(cross @ np.exp(-2j * np.pi * FREQUENCIES[:, None] * delays))
    return GRID[np.argmax(response, axis=1)]


if __name__ == "__main__":
    main()
