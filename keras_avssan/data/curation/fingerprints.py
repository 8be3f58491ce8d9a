"""Fingerprints of sounds and pictures: what stays the same when they are copied with changes."""

import hashlib

import numpy as np
import scipy.fft
import soxr
from PIL import Image
from scipy.ndimage import maximum_filter

# Sounds: peaks of a spectrogram (64 ms frames every 16 ms), and pairs of them.
SAMPLING_RATE = 16000  # in Hz, at which recordings are compared
_FRAME, _HOP = 1024, 256
_DYNAMIC_RANGE_DB = 60.0
# A peak is the greatest value of so many frames and bins around it.
_NEIGHBOURS = (7, 15)
_PEAKS_PER_SECOND, _FEWEST_PEAKS = 30, 60
# Each peak is paired with a few that follow within 0.77 s and 1 kHz.
_PAIRS_PER_PEAK, _MAX_FRAMES, _MAX_BINS = 6, 48, 64
# Two bins count as one, for codecs move peaks a little.
_BINS_TOGETHER = 2

PICTURE_SIZE = 64
# Sides of the grids that a picture is reduced to.
_HASH_SIDE, _THUMBNAIL_SIDE = 8, 16


def content_digest(array: np.ndarray) -> str:
    """SHA-256 of the shape and the values of decoded samples or pixels.

    Args:
        array: Array of any shape and type.

    Returns:
        Str, the same for equal arrays, whatever files they were decoded from.

    Example:
        >>> content_digest(np.zeros(3)) == content_digest(np.zeros((3, 1)))
        False
    """
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def sound_landmarks(samples: np.ndarray, sampling_rate: int = SAMPLING_RATE) -> np.ndarray:
    """Pairs of spectral peaks, which survive gain, codecs, resampling, noise and cuts.

    Args:
        samples: Float array of shape `(samples,)`.
        sampling_rate: Their rate in Hz.

    Returns:
        Int64 array of shape `(pairs, 2)`: what the pair is (both frequencies and the time between
        them, in one number), and the frame of its first peak.

    Reference:
        Wang, "An industrial-strength audio search algorithm", ISMIR 2003.

    Example:
        >>> sound = np.random.default_rng(0).standard_normal(16000)
        >>> len(sound_landmarks(sound)) > 50
        True
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


def _spectral_peaks(samples: np.ndarray):
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
    """Greatest correlation of two recordings over all shifts between them.

    Args:
        first: Float array of shape `(samples,)`.
        second: Float array of shape `(samples,)` at the same sampling rate.

    Returns:
        Float in [0, 1], over the part where they overlap, which is at least half of the shorter.

    Example:
        >>> sound = np.random.default_rng(0).standard_normal(16000)
        >>> round(waveform_similarity(sound, -0.1 * sound[1600:]), 3)
        1.0
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
    heard = energies > 1e-3 * np.sqrt(np.sum(first**2.0) * np.sum(second**2.0))
    similarities = np.abs(products[shifts]) / np.where(heard, energies, np.inf)
    return float(np.clip(similarities.max(initial=0.0), 0.0, 1.0))


def _overlapping_energy(samples: np.ndarray, shifts, length: int):
    """Energy of the samples under a window of this length, at each of its shifts."""
    total = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype="float64"))])
    begin = np.clip(shifts, 0, len(samples))
    return total[np.clip(shifts + length, 0, len(samples))] - total[begin]


def picture_hash(picture: np.ndarray) -> np.ndarray:
    """Signs of the differences of neighbouring parts of a picture, along rows and columns.

    Args:
        picture: Float array of shape `(height, width, 3)` in [0, 1].

    Returns:
        Uint8 array of shape `(16,)`: 128 bits.

    Example:
        >>> ramp = np.linspace(0, 1, 64, dtype="float32")[None, :, None] * np.ones((64, 1, 3))
        >>> int(np.unpackbits(picture_hash(ramp)).sum())
        64
    """
    grey = Image.fromarray((255 * picture).astype("uint8")).convert("L")
    rows, columns = (
        np.asarray(grey.resize(size, Image.Resampling.BOX), "int16")
        for size in ((_HASH_SIDE + 1, _HASH_SIDE), (_HASH_SIDE, _HASH_SIDE + 1))
    )
    bits = [np.diff(rows, axis=1).ravel() > 0, np.diff(columns, axis=0).ravel() > 0]
    return np.packbits(np.concatenate(bits))


def picture_thumbnail(picture: np.ndarray) -> np.ndarray:
    """A picture of 16 x 16 pixels without its mean, of length one.

    Args:
        picture: Float array of shape `(height, width, 3)` in [0, 1].

    Returns:
        Float32 array of shape `(768,)`; the product of two is their correlation.

    Example:
        >>> picture = np.random.default_rng(0).random((64, 64, 3))
        >>> thumbnail = picture_thumbnail(picture)
        >>> round(float(thumbnail @ thumbnail), 3)
        1.0
    """
    size = (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
    small = Image.fromarray((255 * picture).astype("uint8")).resize(size, Image.Resampling.BOX)
    pixels = np.asarray(small, "float32").ravel()
    pixels -= pixels.mean()
    return pixels / max(float(np.linalg.norm(pixels)), 1e-6)
