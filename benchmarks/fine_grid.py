"""Compares ways from the fine time grid to samples: accuracy and time.

For each number of bins in a sample: the worst error of single images at any fraction of a sample
up to 7 kHz of 8, relative to the image, and the time for the low-pass of two responses as a matrix
product (what the library does), as one Fourier transform, and as a convolution. Then, on PyTorch,
the time of two additions per image, of real numbers, and of one, of a complex number whose parts
are the two bins. The figures of `docs/design-decisions.md` come from

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/fine_grid.py
"""

import argparse
import time

import keras
import numpy as np
from keras import ops

from keras_avssan.simulation import oversampling as fine_grid

HIGHEST = 7000 / 8000  # of the Nyquist frequency
SAMPLES = 9216  # of a response: 0.58 s at 16 kHz


def main():
    options = _options()
    print("| Bins a sample | Worst error | Matrix product | Fourier transform | Convolution |")
    print("|---|---|---|---|---|")
    for oversampling in options.oversampling:
        fine_grid.OVERSAMPLING = oversampling
        fine_grid._low_pass.cache_clear()
        grid = np.random.default_rng(0).standard_normal((2, SAMPLES * oversampling))
        grid = ops.convert_to_tensor(grid, "float32")
        ways = (fine_grid.decimate, _by_transform, _by_convolution)
        times = [_milliseconds(way, grid, options.runs) for way in ways]
        cells = [f"{oversampling}", f"{worst_error():.0f} dB", *(f"{t:.1f} ms" for t in times)]
        print("| " + " | ".join(cells) + " |", flush=True)
    if keras.config.backend() == "torch":
        real, one = time_additions(options.runs)
        print(f"\n2^18 images: {real:.1f} ms by real additions, {one:.1f} ms by complex ones")


def time_additions(runs, images=2**18):
    """Milliseconds of two real additions per image, and of a complex one."""
    import torch

    bins = 2 * SAMPLES * fine_grid.OVERSAMPLING
    rng = np.random.default_rng(0)
    index = torch.tensor(np.sort(rng.integers(0, bins - 1, images)), dtype=torch.int32)
    values = torch.tensor(rng.random((2, images)), dtype=torch.float32)
    both = torch.cat([index, index + 1])
    real, complex_ = torch.zeros(bins), torch.zeros(bins, dtype=torch.complex64)
    pairs = torch.complex(*values)
    return (
        _milliseconds(lambda grid: grid.index_add_(0, both, values.reshape(-1)), real, runs),
        _milliseconds(lambda grid: grid.index_add_(0, index, pairs), complex_, runs),
    )


def worst_error(num_positions=64):
    """Largest error of an image's spectrum, in decibels of the image."""
    oversampling, middle = fine_grid.OVERSAMPLING, 2 * fine_grid.FRAME
    positions = middle * oversampling + np.linspace(0, 4, num_positions, endpoint=False)
    lower = positions.astype(int)
    grid = np.zeros((num_positions, 2 * middle * oversampling), "float32")
    rows = np.arange(num_positions)
    grid[rows, lower] = 1 - (positions - lower)
    grid[rows, lower + 1] = positions - lower
    samples = ops.convert_to_numpy(fine_grid.decimate(ops.convert_to_tensor(grid)))
    frequency = np.pi * np.linspace(0.01, HIGHEST, 400)
    found = samples @ np.exp(-1j * np.outer(np.arange(2 * middle), frequency))
    exact = np.exp(-1j * np.outer(positions / oversampling, frequency))
    return 20 * np.log10(abs(found - exact).max())


def _by_transform(grid):
    bins = SAMPLES // 2 + 1
    real, imaginary = (part[:, :bins] for part in ops.rfft(grid))
    return ops.irfft((real, imaginary))


def _by_convolution(grid):
    taps = 2 * fine_grid.FRAME * fine_grid.OVERSAMPLING
    kernel = ops.ones((taps, 1, 1), "float32")
    return ops.conv(grid[..., None], kernel, fine_grid.OVERSAMPLING, "same", "channels_last")


def _milliseconds(function, grid, runs):
    times = []
    for _ in range(runs + 2):
        started = time.perf_counter()
        ops.convert_to_numpy(function(grid))
        times.append(time.perf_counter() - started)
    return 1000 * np.median(times[2:])


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--oversampling", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--runs", type=int, default=9)
    return parser.parse_args()


if __name__ == "__main__":
    print(f"backend {keras.config.backend()}\n")
    main()
