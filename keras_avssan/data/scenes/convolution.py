"""Convolution of sounds with impulse responses, fast on a processor with caches."""

import math
from functools import lru_cache

import numpy as np
import scipy.fft

from keras_avssan._internal.types import Tensor

# More blocks than this never pay: each repeats the length of the response.
_MAX_BLOCKS = 64
# Transforms of float32 that SciPy computes side by side.
_LANES = 4
# Zeros at the end of responses are left out by so many parts of their length: few sizes of
# transforms are met, so that what SciPy prepares for each of them is kept.
_LENGTHS = 8


def convolve(dry: np.ndarray, rirs: np.ndarray) -> np.ndarray:
    """Convolve sources with their impulse responses, cut to the length of the sources.

    The sources are cut into blocks that overlap by the length of the responses ("overlap-save"):
    each transform is short enough for the processor's cache, and the responses are transformed at
    the length of a block only.

    Args:
        dry: Float32 array of shape `(sources, samples)`.
        rirs: Float32 array of shape `(sources, microphones, length)`.

    Returns:
        Float32 array of shape `(sources, microphones, samples)`.

    Example:
        >>> convolve(np.ones((2, 800), "float32"), np.ones((2, 2, 100), "float32")).shape
        (2, 2, 800)
    """
    samples = dry.shape[-1]
    rirs = _without_zeros(rirs)
    num_blocks, size = _blocks(samples, rirs.shape[-1], *rirs.shape[:2])
    hop = -(-samples // num_blocks)
    history = size - hop  # samples before its own that a block begins with
    padded = np.zeros((len(dry), history + num_blocks * hop), "float32")
    padded[:, history : history + samples] = dry
    blocks = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[:, ::hop]
    spectra = scipy.fft.rfft(rirs, size)[:, :, None] * scipy.fft.rfft(blocks)[:, None]
    heard = scipy.fft.irfft(spectra, size, overwrite_x=True)[..., history:]
    wet = np.empty((*rirs.shape[:2], samples), "float32")
    for block in range(num_blocks):
        part = wet[..., block * hop : (block + 1) * hop]  # the last one may be shorter
        part[...] = heard[:, :, block, : part.shape[-1]]
    return wet


def _without_zeros(rirs: Tensor):
    """Responses without most of the zeros at their end."""
    length = rirs.shape[-1]
    step = -(-length // _LENGTHS)
    for end in range(step, length, step):
        if not rirs[..., end:].any():
            return rirs[..., :end]
    return rirs


@lru_cache(maxsize=64)
def _blocks(samples: int, length: int, sources: int, microphones: int) -> tuple[int, int]:
    """Number of blocks and size of their transforms that cost the least."""

    def cost(plan):
        num_blocks, size = plan
        responses = sources * microphones
        counts = (sources * num_blocks, responses, responses * num_blocks)
        return sum(map(_transforms, counts)) * size * math.log2(size)

    plans = []
    for num_blocks in range(1, min(_MAX_BLOCKS, samples) + 1):
        needed = -(-samples // num_blocks) + length - 1
        plans.append((num_blocks, scipy.fft.next_fast_len(needed, real=True)))
    return min(plans, key=cost)


def _transforms(count: int) -> int:
    """Cost of a number of transforms: those that fill all lanes cost one together."""
    together, rest = divmod(count, _LANES)
    return together + rest
