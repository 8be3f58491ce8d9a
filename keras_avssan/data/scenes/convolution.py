"""Convolution of sounds with impulse responses, in blocks that fit the processor's caches."""

import math
from functools import lru_cache

import numpy as np
import scipy.fft

# More blocks than this never pay: each repeats the length of the response.
_MAX_BLOCKS = 64
# Transforms of float32 that SciPy computes side by side.
_LANES = 4
# Zeros at the end of responses are left out in steps of this fraction of their length: the sizes
# of transforms stay few, so that SciPy keeps the tables that it prepares for each.
_LENGTHS = 8


def convolve(dry: np.ndarray, rirs: np.ndarray) -> np.ndarray:
    """Returns `dry` (sources, samples) convolved with `rirs` (sources, microphones, length).

    The result, (sources, microphones, samples), is as long as `dry`. Blocks of `dry` overlap by the
    length of the responses ("overlap-save").
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
    convolved = scipy.fft.irfft(spectra, size, overwrite_x=True)[..., history:]
    wet = np.empty((*rirs.shape[:2], samples), "float32")
    for block in range(num_blocks):
        part = wet[..., block * hop : (block + 1) * hop]  # the last one may be shorter
        part[...] = convolved[:, :, block, : part.shape[-1]]
    return wet


def _without_zeros(rirs: np.ndarray) -> np.ndarray:
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

    def cost(plan: tuple[int, int]) -> float:
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
