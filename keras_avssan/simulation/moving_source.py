"""Rendering of moving sources."""

import math

import numpy as np
from keras import ops

from keras_avssan._internal.backend import compiled
from keras_avssan._internal.types import Tensor
from keras_avssan.simulation.trajectory import check_times
from keras_avssan.simulation.validation import check_positive, known_values

# Shorter blocks than this would spend more time on starting operations than on computing.
_MIN_BLOCK = 4096

# Weight of a position by how near the source is to it: 1 there, 0 at its neighbours.
_FADES = {
    "linear": lambda nearness: nearness,
    "cosine": lambda nearness: 0.5 - 0.5 * np.cos(np.pi * nearness),
}


def render_moving(
    signal: Tensor,
    rirs: Tensor,
    times: Tensor,
    sampling_rate: int = 16000,
    *,
    fade: str = "linear",
) -> Tensor:
    """Renders the sound of a moving source at the microphones.

    The movement is given as positions at known times, with the responses from each. The signal
    emitted at a time t is divided between the two positions around t by weights, and each part is
    convolved with the response of its own position: the weights apply to the dry signal, not to the
    received one, because emitted sound does not depend on the later movement. They sum to one;
    before the first and after the last time the nearest position has weight one. A source at rest
    gives the plain convolution.

    Each position is convolved with its own stretch of the signal only, by overlap-add with an FFT a
    block, so that many positions cost little more than one.

    How dense positions must be depends on the highest frequency of interest. Halfway between two
    positions whose sound paths differ by d metres, a tone of f hertz falls to
    `cos(pi * f * d / speed_of_sound)`: with d = 1 cm it loses 0.6 dB at 4 kHz and 2.6 dB at 8 kHz.
    Nothing is resampled: there is a Doppler shift only as far as the cross-fades follow the
    changing delay, which requires that d is below half a wavelength. Otherwise the fading adds
    tones beside the true one, and the shift is not reliable.

    The computation runs on the Keras backend and is differentiable with respect to `signal` and
    `rirs`. `times` must have known values.

    Args:
        signal: Dry signal of the source, shape `(samples,)` or `(batch, samples)`.
        rirs: Responses from each of S positions to M microphones, shape `(S, M, length)` or
            `(batch, S, M, length)`, such as those of `simulate_rirs`.
        times: When the source is at each position, in seconds from the first sample on,
            increasing, shape `(S,)`.
        sampling_rate: Sampling rate in hertz.
        fade: Weights between two positions, `"linear"` or `"cosine"` (smooth at the positions).

    Returns:
        float32 tensor of shape `(batch, samples, M)`, or `(samples, M)` where neither `signal` nor
        `rirs` has a batch axis. It is as long as `signal`: reverberation after its end is cut, so
        append silence to keep it.

    Raises:
        ValueError: If a shape does not fit, a value is not finite, the times do not increase, or
            `sampling_rate` or `fade` is out of range.

    Example:
        >>> pair = [(3.1, 2.0, 1.5), (2.9, 2.0, 1.5)]
        >>> path = arc_trajectory(pair, 1.0, (30.0, 60.0), duration=0.5, num_positions=20)
        >>> rirs = simulate_rirs((6.0, 5.0, 3.0), path.positions, pair, absorption=0.6)
        >>> noise = np.random.default_rng(0).standard_normal(8000)
        >>> tuple(render_moving(noise, rirs, path.times).shape)
        (8000, 2)
    """
    times = check_times(ops.convert_to_numpy(times) if ops.is_tensor(times) else times)
    check_positive(sampling_rate, "sampling_rate")
    if fade not in _FADES:
        raise ValueError(f"`fade` must be one of {list(_FADES)}. Received: fade={fade!r}")
    signal = ops.convert_to_tensor(signal, dtype="float32")
    rirs = ops.convert_to_tensor(rirs, dtype="float32")
    _check_shapes(tuple(signal.shape), tuple(rirs.shape), len(times))
    _check_finite(signal, "signal", batched=len(signal.shape) == 2)
    _check_finite(rirs, "rirs", batched=len(rirs.shape) == 4)

    single = len(signal.shape) == 1 and len(rirs.shape) == 3
    if len(signal.shape) == 1:
        signal = signal[None]
    if len(rirs.shape) == 3:
        rirs = rirs[None]
    samples = signal.shape[-1]
    # Where the source is at each sample, counted in positions.
    place = np.interp(np.arange(samples) / sampling_rate, times, np.arange(len(times)))
    audio = ops.swapaxes(_convolve_along(signal, rirs[..., :samples], place, fade), 1, 2)
    return audio[0] if single else audio


def _check_shapes(signal: tuple[int, ...], rirs: tuple[int, ...], positions: int) -> None:
    """Checks that the shapes of signal and responses fit each other and the number of times."""
    if len(signal) not in (1, 2) or 0 in signal:
        raise ValueError(
            "`signal` must have shape (samples,) or (batch, samples). "
            f"Received: signal of shape {signal}"
        )
    if len(rirs) not in (3, 4) or 0 in rirs:
        raise ValueError(
            "`rirs` must have shape (S, M, length) or (batch, S, M, length). "
            f"Received: rirs of shape {rirs}"
        )
    if rirs[-3] != positions:
        raise ValueError(
            f"`rirs` and `times` must have the same number of positions. Received: rirs of shape "
            f"{rirs}, times of length {positions}"
        )
    if len({*signal[:-1], *rirs[:-3]} - {1}) > 1:
        raise ValueError(
            "`signal` and `rirs` must have the same batch size. "
            f"Received: signal of shape {signal}, rirs of shape {rirs}"
        )


def _check_finite(values: Tensor, name: str, batched: bool) -> None:
    """Checks values where they are known, that is outside of a traced function."""
    known = known_values(values)
    if known is None:
        return
    bad = np.argwhere(~np.isfinite(known))
    if len(bad):
        row = f", index {bad[0][0]} of the batch" if batched else ""
        raise ValueError(
            f"`{name}` must be finite. Received: {name} with NaN or infinity at "
            f"{bad[0].tolist()}{row}"
        )


def _convolve_along(signal: Tensor, rirs: Tensor, place: np.ndarray, fade: str) -> Tensor:
    """Convolves each stretch of the signals with the responses of the source's position there.

    `place` `(samples,)` is the position at each sample, from 0 to S - 1.
    """
    samples, length = signal.shape[-1], rirs.shape[-1]
    # A block is at least as long as a response, so that it spills over into the next one alone.
    block = max(_MIN_BLOCK, 2 ** math.ceil(math.log2(length)))
    padding = -samples % block
    signal = ops.pad(signal, ((0, 0), (0, padding)))
    place = np.pad(place, (0, padding), mode="edge")
    heads, tails = [], []
    for start in range(0, samples, block):
        part = slice(start, start + block)
        first, last = math.floor(place[start]), math.ceil(place[start + block - 1])
        positions = np.arange(first, last + 1)[:, None]
        weights = _FADES[fade](np.maximum(0.0, 1.0 - abs(place[part] - positions)))
        convolved = _convolve_block(
            signal[:, part],
            rirs[:, first : last + 1],
            ops.convert_to_tensor(weights, dtype="float32"),
        )
        heads.append(convolved[..., :block])
        tails.append(convolved[..., block:])
    spilled = ops.concatenate([ops.zeros_like(tails[0]), *tails[:-1]], axis=-1)
    return (ops.concatenate(heads, axis=-1) + spilled)[..., :samples]


@compiled
def _convolve_block(signal: Tensor, rirs: Tensor, weights: Tensor) -> Tensor:
    """Convolves one block of the signals with the responses of its k positions, no longer than it.

    `weights` `(k, block)` are those of each position over time.
    """
    fft_length = 2 * weights.shape[-1]
    real, imaginary = (part[:, :, None] for part in ops.rfft(signal[:, None] * weights, fft_length))
    rir_real, rir_imaginary = ops.rfft(rirs, fft_length)
    spectrum = (
        ops.sum(real * rir_real - imaginary * rir_imaginary, axis=1),
        ops.sum(real * rir_imaginary + imaginary * rir_real, axis=1),
    )
    return ops.irfft(spectrum, fft_length)
