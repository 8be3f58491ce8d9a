"""Error of treating the ears of a dummy head as free microphones, or as those of a rigid sphere.

    python benchmarks/dummy_head.py mit_kemar_normal_pinna.sofa

For each measured direction of a SimpleFreeFieldHRIR file within ±30° of the height of the ears: the
angle at which a steered response of the two ears is highest, at 16 kHz, all frequencies with phases
only and a weight of 1 / sqrt(f). The response is steered for free microphones as far apart as the
ears; for free microphones with the delays of a rigid sphere between the ears, which is the spacing
that a bank of such a file has; and for the sphere itself, with its delays by frequency. MAE, share
of angles within 5°, and largest error.
"""

import argparse
import warnings

import numpy as np
from rigid_sphere import FREQUENCIES, GRID, SPEED_OF_SOUND, steer

from keras_avssan.doa.rigid_sphere import pressure_on_sphere, spacing_of_head
from keras_avssan.simulation import RIRBank

_MOST_ELEVATION = 30.0  # degrees
_FRAME = 1024  # samples


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="a SOFA file of the convention SimpleFreeFieldHRIR")
    parser.add_argument("--spacing", type=float, help="distance of the ears in metres (the file's)")
    options = parser.parse_args()
    azimuths, cross, spacing = directions(options.file)
    spacing = options.spacing or spacing
    fitted = spacing_of_head(spacing)
    print(f"{len(azimuths)} directions, ears {100 * spacing:.1f} cm apart\n")
    print("| steered for | MAE | within 5° | largest error |\n|---|---|---|---|")
    for name, found in (
        (f"free microphones, {100 * spacing:.1f} cm", steer(cross, spacing)),
        (f"free microphones, {100 * fitted:.1f} cm", steer(cross, fitted)),
        ("rigid sphere", steer_sphere(cross, spacing)),
    ):
        error = np.abs(found - azimuths)
        print(
            f"| {name} | {error.mean():.1f}° | {100 * np.mean(error <= 5):.0f} % "
            f"| {error.max():.0f}° |"
        )


def directions(path):
    """Angles in degrees `(waves,)`, cross-spectra `(waves, F)` and the distance of the ears."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the delays, which are the question here
        bank = RIRBank.from_sofa(path, baffle="open")
    offsets = bank.sources[0] - bank.microphones[0].mean(axis=0)
    elevations = np.degrees(np.arcsin(offsets[:, 2] / np.linalg.norm(offsets, axis=-1)))
    used = np.abs(elevations) <= _MOST_ELEVATION
    spectra = np.fft.rfft(bank.rirs[0][used], _FRAME)[..., 1:]
    cross = spectra[:, 0] * spectra[:, 1].conj()
    return bank.azimuths[0][used], whitened(cross), bank.microphone_spacing


def whitened(cross):
    """Cross-spectra with phases alone, as loud as those of a source of power 1 / sqrt(f)."""
    return cross / np.maximum(np.abs(cross), 1e-12) / np.sqrt(FREQUENCIES)


def steer_sphere(cross, spacing):
    """Angles in degrees at which responses steered with a sphere's phases are highest."""
    size = 2 * np.pi * FREQUENCIES * spacing / 2 / SPEED_OF_SOUND
    along = np.cos(np.radians(GRID))[:, None] * np.array([1.0, -1.0])
    waves = pressure_on_sphere(size, along)
    steering = waves[:, 0] * waves[:, 1].conj()
    steering = steering / np.abs(steering)
    return GRID[np.argmax(np.real(cross @ steering.conj().T), axis=1)]


if __name__ == "__main__":
    main()
