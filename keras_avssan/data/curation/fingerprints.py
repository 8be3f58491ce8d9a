"""Fingerprints of sounds and pictures that survive changes of their copies."""

import numpy as np
import scipy.fft
import soxr
from PIL import Image
from scipy.ndimage import maximum_filter

from keras_avssan._internal.atomic_files import sha256

# Sounds: peaks of a spectrogram (64 ms frames every 16 ms), and pairs of them.
SAMPLING_RATE = 16000  # in Hz, at which recordings are compared
_FRAME, _HOP = 1024, 256
_DYNAMIC_RANGE_DB = 60.0
# Frames and bins around a peak, of which it has the greatest value.
_NEIGHBOURS = (7, 15)
_PEAKS_PER_SECOND, _FEWEST_PEAKS = 30, 60
# Each peak is paired with a few that follow within 0.77 s and 1 kHz.
_PAIRS_PER_PEAK, _MAX_FRAMES, _MAX_BINS = 6, 48, 64
# Two bins count as one, since codecs move peaks a little.
_BINS_TOGETHER = 2

PICTURE_SIZE = 64
# Sides of the grids that a picture is reduced to.
_HASH_SIDE, _THUMBNAIL_SIDE = 8, 16


def content_digest(array: np.ndarray) -> str:
    """Computes the SHA-256 of the shape, dtype and values of decoded samples or pixels."""
    return sha256(f"{array.shape} {array.dtype}", array)


def sound_landmarks(samples: np.ndarray, sampling_rate: int = SAMPLING_RATE) -> np.ndarray:
    """Finds pairs of spectral peaks (Wang, ISMIR 2003), which survive gain, codecs, noise and cuts.

    Int64 (pairs, 2): both frequencies and the time between them in one number, and the frame of
    the first peak.
    """
    if sampling_rate != SAMPLING_RATE:
        samples = soxr.resample(samples, sampling_rate, SAMPLING_RATE)
    frames, bins = _spectral_peaks(samples)
    pairs = []
    for first in range(len(frames)):
        found = 0
        for second in range(first + 1, len(frames)):
            apart = frames[second] - frames[first]
            if apart > _MAX_FRAMES or found == _PAIRS_PER_PEAK:
                break
            if apart and abs(bins[second] - bins[first]) <= _MAX_BINS:
                low, high = bins[first] // _BINS_TOGETHER, bins[second] // _BINS_TOGETHER
                pairs.append(((low << 20) | (high << 8) | apart, frames[first]))
                found += 1
    return np.array(pairs, "int64").reshape(-1, 2)


def _spectral_peaks(samples: np.ndarray) -> tuple[list[int], list[int]]:
    """Frames and bins of the strongest local maxima of the spectrogram, in order of time."""
    padded = np.pad(np.asarray(samples, "float32"), _FRAME // 2)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    power = np.abs(scipy.fft.rfft(pieces * np.hanning(_FRAME).astype("float32"), axis=1)) ** 2
    floor = power.max(initial=0.0) * 10 ** (-_DYNAMIC_RANGE_DB / 10)
    peaks = (power == maximum_filter(power, _NEIGHBOURS)) & (power > floor)
    frames, bins = np.nonzero(peaks)
    number = max(_FEWEST_PEAKS, round(_PEAKS_PER_SECOND * len(samples) / SAMPLING_RATE))
    strongest = np.sort(np.argsort(-power[frames, bins], kind="stable")[:number])
    return frames[strongest].tolist(), bins[strongest].tolist()


def waveform_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Computes the greatest correlation of two recordings over all shifts between them, in [0, 1].

    It is over the part where they overlap, which is at least half of the shorter.
    """
    if len(first) < len(second):
        first, second = second, first
    size = scipy.fft.next_fast_len(len(first) + len(second), real=True)
    spectrum = scipy.fft.rfft(first, size) * np.conj(scipy.fft.rfft(second, size))
    products = scipy.fft.irfft(spectrum, size)
    # Shifts of the second against the first that leave it half inside.
    least, most = -(len(second) // 2), len(first) - (len(second) + 1) // 2
    shifts = np.arange(least, most + 1)
    energies = np.sqrt(_overlapping_energy(first, shifts, len(second)))
    energies *= np.sqrt(_overlapping_energy(second, -shifts, len(first)))
    # Where one of them is silent, there is nothing to compare.
    audible = energies > 1e-3 * np.sqrt(np.sum(first**2.0) * np.sum(second**2.0))
    similarities = np.abs(products[shifts]) / np.where(audible, energies, np.inf)
    return float(np.clip(similarities.max(initial=0.0), 0.0, 1.0))


def _overlapping_energy(samples: np.ndarray, shifts: np.ndarray, length: int) -> np.ndarray:
    """Energy of the samples under a window of this length, at each of its shifts."""
    total = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype="float64"))])
    begin = np.clip(shifts, 0, len(samples))
    return total[np.clip(shifts + length, 0, len(samples))] - total[begin]


def picture_hash(picture: np.ndarray) -> np.ndarray:
    """Computes signs of differences of neighbouring parts of a picture: 128 bits as uint8 (16,)."""
    grey = Image.fromarray((255 * picture).astype("uint8")).convert("L")
    rows, columns = (
        np.asarray(grey.resize(size, Image.Resampling.BOX), "int16")
        for size in ((_HASH_SIDE + 1, _HASH_SIDE), (_HASH_SIDE, _HASH_SIDE + 1))
    )
    bits = [np.diff(rows, axis=1).ravel() > 0, np.diff(columns, axis=0).ravel() > 0]
    return np.packbits(np.concatenate(bits))


def picture_thumbnail(picture: np.ndarray) -> np.ndarray:
    """Computes a picture of 16 x 16 pixels without its mean, float32 (768,) of length one.

    The product of two is their correlation.
    """
    size = (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
    small = Image.fromarray((255 * picture).astype("uint8")).resize(size, Image.Resampling.BOX)
    pixels = np.asarray(small, "float32").ravel()
    pixels -= pixels.mean()
    return pixels / max(float(np.linalg.norm(pixels)), 1e-6)
