"""Search for copies among many sounds or pictures by their fingerprints."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from keras_avssan.data.curation.fingerprints import (
    PICTURE_SIZE,
    content_digest,
    picture_hash,
    picture_thumbnail,
    sound_landmarks,
    waveform_similarity,
)

# Landmarks, and their share of the sound with fewer of them, that must agree to compare sounds.
_FEWEST_LANDMARKS, _SHARE_OF_LANDMARKS = 4, 0.04
# Least correlation of the waveforms of copies.
_WAVEFORM_SIMILARITY = 0.6
# Equal landmarks that each is compared with, at most; frequent ones carry little information.
_MAX_ALIKE = 50
# Most differing bits of 128, and least correlation, of copied pictures.
_MAX_BITS, _PICTURE_SIMILARITY = 12, 0.9
# Pictures compared at a time.
_PICTURES = 256
# Number of ones in each byte.
_NUM_BITS = np.unpackbits(np.arange(256, dtype="uint8")[:, None], axis=1).sum(1, dtype="uint8")


class Fingerprint(NamedTuple):
    """Digest of decoded content, features (landmarks of a sound, hash of a picture), thumbnail."""

    digest: str
    features: np.ndarray
    thumbnail: np.ndarray = np.empty(0, "float32")


class Copy(NamedTuple):
    """Two items, by their places, that are identical or near-duplicates, and their correlation."""

    first: int
    second: int
    reason: str
    similarity: float


def fingerprint_sound(samples: np.ndarray, sampling_rate: int) -> Fingerprint:
    """Computes the fingerprint of a recording (samples,) at a rate in Hz."""
    return Fingerprint(content_digest(samples), sound_landmarks(samples, sampling_rate))


def fingerprint_picture(picture: np.ndarray) -> Fingerprint:
    """Computes the fingerprint of a picture (PICTURE_SIZE, PICTURE_SIZE, 3) in [0, 1]."""
    assert picture.shape[:2] == (PICTURE_SIZE, PICTURE_SIZE)
    return Fingerprint(content_digest(picture), picture_hash(picture), picture_thumbnail(picture))


def find_copied_sounds(
    fingerprints: Sequence[Fingerprint],
    load: Callable[[int], np.ndarray],
    groups: Sequence[Any] | None = None,
) -> list[Copy]:
    """Finds pairs of recordings of which one is a copy of the other, only across `groups` if given.

    Landmarks choose the pairs to compare, the correlation of the waveforms decides. `load` returns
    the samples at a place, all at one rate. Changes of speed or pitch are not found.
    """
    numbers = _as_numbers(groups, len(fingerprints))
    identical = _identical(fingerprints, numbers)
    known = {copy[:2] for copy in identical}
    near = []
    for first, second in _pairs_with_landmarks([one.features for one in fingerprints], numbers):
        if (first, second) not in known:
            similarity = waveform_similarity(load(first), load(second))
            if similarity >= _WAVEFORM_SIMILARITY:
                near.append(Copy(first, second, "near-duplicate", similarity))
    return sorted(identical + near)


def find_copied_pictures(
    fingerprints: Sequence[Fingerprint], groups: Sequence[Any] | None = None
) -> list[Copy]:
    """Finds pairs of pictures of which one is a copy of the other, only across `groups` if given.

    Another format, size, compression or light, or a narrow cut, is found; mirroring is not.
    """
    if not fingerprints:
        return []
    numbers = _as_numbers(groups, len(fingerprints))
    identical = _identical(fingerprints, numbers)
    known = {copy[:2] for copy in identical}
    hashes = np.stack([one.features for one in fingerprints])
    near = []
    for start in range(0, len(hashes), _PICTURES):
        bits = _NUM_BITS[hashes[start : start + _PICTURES, None] ^ hashes].sum(axis=-1)
        for row, second in np.argwhere(bits <= _MAX_BITS).tolist():
            first = start + row
            if first >= second or numbers[first] == numbers[second] or (first, second) in known:
                continue
            similarity = float(fingerprints[first].thumbnail @ fingerprints[second].thumbnail)
            if similarity >= _PICTURE_SIMILARITY:
                near.append(Copy(first, second, "near-duplicate", min(similarity, 1.0)))
    return sorted(identical + near)


def _as_numbers(groups: Sequence[Any] | None, length: int) -> np.ndarray:
    """A number for each group; without groups, each item is one of its own."""
    if groups is None:
        return np.arange(length)
    return np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]


def _identical(fingerprints: Sequence[Fingerprint], groups: np.ndarray) -> list[Copy]:
    places = defaultdict(list)
    for place, fingerprint in enumerate(fingerprints):
        places[fingerprint.digest].append(place)
    return [
        Copy(first, second, "identical", 1.0)
        for same in places.values()
        for first, second in combinations(same, 2)
        if groups[first] != groups[second]
    ]


def _pairs_with_landmarks(landmarks: list[np.ndarray], groups: np.ndarray) -> list[tuple[int, int]]:
    """Pairs that have enough landmarks in common, all shifted by the same time."""
    counts = np.array([len(one) for one in landmarks])
    if not counts.sum():
        return []
    owners = np.repeat(np.arange(len(landmarks)), counts)
    hashes, frames = np.concatenate(landmarks).T
    order = np.lexsort((owners, hashes))
    hashes, frames, owners = hashes[order], frames[order], owners[order]
    num_shifts = 2 * int(frames.max()) + 3
    votes = []
    for step in range(1, min(_MAX_ALIKE, len(hashes) - 1) + 1):
        here = np.flatnonzero(hashes[step:] == hashes[:-step])
        here = here[groups[owners[here]] != groups[owners[here + step]]]
        pairs = owners[here] * len(landmarks) + owners[here + step]
        shifts = frames[here + step] - frames[here] + num_shifts // 2
        votes.append(pairs * num_shifts + shifts)
    ballots, numbers = np.unique(np.concatenate(votes), return_counts=True)
    if not len(ballots):
        return []
    # A shift between two frames is split over both.
    follows = np.flatnonzero(np.diff(ballots) == 1)
    together = numbers.copy()
    together[follows] += numbers[follows + 1]
    pairs, starts = np.unique(ballots // num_shifts, return_index=True)
    most = np.maximum.reduceat(together, starts)
    first, second = np.divmod(pairs, len(landmarks))
    shares = most / np.minimum(counts[first], counts[second])
    enough = (most >= _FEWEST_LANDMARKS) & (shares >= _SHARE_OF_LANDMARKS)
    return list(zip(first[enough].tolist(), second[enough].tolist(), strict=True))
