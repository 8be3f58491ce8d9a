"""Diffuse reverberation that continues image-source responses."""

import numpy as np
from keras import ops

from keras_avssan._internal.backend import compiled
from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import Tensor
from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.simulation.expected_decay import check_shapes, expected_power
from keras_avssan.simulation.oversampling import low_pass_gain
from keras_avssan.simulation.validation import check_positive

# Samples of the blocks in which noise is made; neighbours overlap by half.
_BLOCK = 1024

# Between points that far apart the logarithm of the power is interpolated.
_ENVELOPE_STEP = 0.01  # seconds

# Share of each microphone's noise that is its own. Without it, the coherence matrix of microphones
# that lie close to each other, seen from the wavelength, could not be factored.
_OWN_NOISE = 1e-4

# Keeps the logarithm of the power finite after walls that absorb everything.
_TINY_POWER = 1e-30


# The spectrum of the noise is that of the images' low-pass, white up to its edge, so that level and
# slope continue where the images stop, without a fade. A response is the sum of the images that
# arrive before sample ceil(start * sampling_rate) and of the tail. The tail is independent between
# sources; between microphones at a distance d its coherence is sin(x) / x with x = 2 pi f d / c
# (E. A. P. Habets, I. Cohen and S. Gannot, JASA 124, 2008).
# The noise of source s is a function of its room's seed, of s and of the number of microphones: the
# rest of the batch, the number of sources and the length do not change it. It is drawn on the host;
# all else is differentiable with respect to room_size (batch, 3), the amplitude coefficients
# reflection (batch, 6), microphones (batch, M, 3) and gain, which broadcasts to (batch, S, M).
# `start` is in seconds, a number or (batch,); `seeds` are integers of zero or more, (batch,).
def diffuse_tail(
    room_size: Tensor,
    reflection: Tensor,
    microphones: Tensor,
    start: Tensor,
    *,
    num_sources: int,
    length: int,
    sampling_rate: float,
    seeds: Tensor,
    speed_of_sound: float = SPEED_OF_SOUND,
    gain: float | Tensor = 1.0,
) -> Tensor:
    r"""Gaussian noise that continues image-source responses from a time on.

    Its power is `expected_power`, and its spectrum that of the images' low-pass, white up to its
    edge, so that level and slope continue where the images stop: no fade is needed. A response is
    the sum of the images that arrive before sample `ceil(start * sampling_rate)` and of this. The
    tail is independent between sources. Between microphones at a distance d it is coherent as an
    isotropic field is, \(\sin(x) / x\) with \(x = 2 \pi f d / c\).

    The noise of source s is a function of its room's seed, of s and of the number of microphones:
    what else is in the batch, how many sources there are and how long the response is do not
    change it. It is drawn on the host; all else runs on the Keras backend and is differentiable
    with respect to `room_size`, `reflection`, `microphones` and `gain`.

    Args:
        room_size: lengths of the rooms in metres, shape `(batch, 3)`.
        reflection: reflection coefficients of amplitude of the walls x = 0, x = Lx, y = 0, y = Ly,
            z = 0, z = Lz, shape `(batch, 6)`.
        microphones: positions in metres, shape `(batch, M, 3)`.
        start: when the tail begins, in seconds, a number or shape `(batch,)`.
        num_sources: number of sources S.
        length: number of samples, from time 0 on.
        sampling_rate: in samples per second.
        seeds: integers of zero or more, shape `(batch,)`.
        speed_of_sound: in metres per second.
        gain: gain of amplitude that source and microphone have in a diffuse field, of a shape that
            broadcasts to `(batch, S, M)`; 1 where both are omnidirectional.

    Returns:
        float32 tensor of shape `(batch, S, M, length)`, zero before the start.

    Raises:
        ValueError: If a shape does not fit or a value is out of range.

    Example:
    >>> tail = diffuse_tail(
    ...     [(6.0, 5.0, 3.0)],
    ...     [[0.9] * 6],
    ...     [[(4.1, 2.0, 1.5), (3.9, 2.0, 1.5)]],
    ...     start=0.05,
    ...     num_sources=1,
    ...     length=4000,
    ...     sampling_rate=16000,
    ...     seeds=[0],
    ... )
    >>> tuple(tail.shape)
    (1, 1, 2, 4000)

    Reference:
        E. A. P. Habets, I. Cohen and S. Gannot, Generating nonstationary multisensor signals under
        a spatial coherence constraint, JASA 124, 2008.
    """
    room_size, reflection, microphones, gain = (
        ops.convert_to_tensor(value, "float32")
        for value in (room_size, reflection, microphones, gain)
    )
    sampling_rate = float(check_positive(sampling_rate, "sampling_rate"))
    speed_of_sound = float(check_positive(speed_of_sound, "speed_of_sound"))
    check_shapes(room_size=(room_size, ("batch", 3)))
    check_shapes(
        reflection=(reflection, (room_size.shape[0], 6)),
        microphones=(microphones, (room_size.shape[0], "M", 3)),
    )
    batch, channels = microphones.shape[:2]
    num_sources = check_integer("num_sources", num_sources, least=1)
    length = check_integer("length", length, least=1)
    first = _first_samples(start, batch, sampling_rate)
    seeds = _check_seeds(seeds, batch)
    gain = _broadcast_gain(gain, (batch, num_sources, channels))

    noise = np.stack([_noise(seed, num_sources, channels, length) for seed in seeds])
    step = max(1, round(_ENVELOPE_STEP * sampling_rate))
    knots = np.arange(-(-length // step) + 1) * step / sampling_rate
    power = expected_power(room_size, reflection, knots, speed_of_sound) / sampling_rate
    return _tail(
        noise,
        microphones,
        power,
        (np.arange(length) >= first[:, None]).astype("float32"),
        gain,
        np.fft.rfftfreq(_BLOCK, 1 / sampling_rate).astype("float32") / speed_of_sound,
        np.arange(step, dtype="float32") / step,
    )


@compiled
def _tail(
    noise: Tensor,
    microphones: Tensor,
    power: Tensor,
    is_tail: Tensor,
    gain: Tensor,
    wave_numbers: Tensor,
    between: Tensor,
) -> Tensor:
    """The tail from noise `(batch, S, blocks, 2, M, bins)` and powers `(batch, knots)`."""
    field = _overlap_add(_mix(noise, _mixing_matrix(microphones, wave_numbers)))
    envelope = _envelope(power, ops.convert_to_tensor(between))
    envelope = envelope[:, : is_tail.shape[-1]] * ops.convert_to_tensor(is_tail)
    return field[..., : is_tail.shape[-1]] * envelope[:, None, None] * gain[..., None]


def _mixing_matrix(microphones: Tensor, wave_numbers: Tensor) -> Tensor:
    """Lower triangular factors `(batch, bins, M, M)` of the coherence matrices, low-passed.

    They make independent noise coherent.
    """
    channels = microphones.shape[1]
    same = ops.eye(channels)
    offsets = microphones[:, :, None] - microphones[:, None]
    # A micrometre keeps the gradient of the root finite on the diagonal.
    distances = ops.sqrt(ops.sum(ops.square(offsets), axis=-1) + 1e-12)
    phases = 2 * np.pi * ops.convert_to_tensor(wave_numbers)[:, None, None] * distances[:, None]
    is_small = phases < 1e-3
    safe = ops.where(is_small, 1.0, phases)
    coherence = ops.where(is_small, 1.0, ops.sin(safe) / safe)
    factor = ops.cholesky((1 - _OWN_NOISE) * coherence + _OWN_NOISE * same)
    # As in the images, energy that the low-pass leaves above the Nyquist frequency is aliased.
    frequency = np.linspace(0, 1, _BLOCK // 2 + 1)
    edge = np.hypot(low_pass_gain(frequency), low_pass_gain(2 - frequency))
    return factor * ops.convert_to_tensor(edge[:, None, None], "float32")


def _mix(noise: Tensor, mixing: Tensor) -> Tensor:
    """Makes independent spectra coherent between the microphones."""
    return ops.einsum("bfmn,bskpnf->bskpmf", mixing, ops.convert_to_tensor(noise))


def _overlap_add(spectra: Tensor) -> Tensor:
    """Stationary noise of power one from spectra `(batch, S, blocks, 2, M, bins)` of blocks."""
    hop = _BLOCK // 2
    # The squares of two windows that overlap sum to one: the blocks are independent, so powers add.
    window = np.sin(np.pi * (np.arange(_BLOCK) + 0.5) / _BLOCK) * np.sqrt(_BLOCK / 2)
    blocks = ops.irfft((spectra[:, :, :, 0], spectra[:, :, :, 1])) * ops.convert_to_tensor(
        window, "float32"
    )
    signal = blocks[:, :, 1:, :, :hop] + blocks[:, :, :-1, :, hop:]
    signal = ops.transpose(signal, (0, 1, 3, 2, 4))
    return ops.reshape(signal, (*signal.shape[:3], -1))


def _envelope(power: Tensor, between: Tensor) -> Tensor:
    """Root mean square of each sample, shape `(batch, (knots - 1) * step)`."""
    level = ops.log(power + _TINY_POWER) / 2
    levels = level[:, :-1, None] * (1 - between) + level[:, 1:, None] * between
    return ops.exp(ops.reshape(levels, (levels.shape[0], -1)))


def _noise(seed: int, num_sources: int, channels: int, length: int) -> np.ndarray:
    """Spectra of independent white noise, shape `(S, blocks, 2, M, bins)`."""
    num_blocks = -(-length // (_BLOCK // 2)) + 1
    shape = (num_blocks, 2, channels, _BLOCK // 2 + 1)
    return np.stack(
        [
            np.random.default_rng([seed, source]).standard_normal(shape, dtype="float32")
            for source in range(num_sources)
        ]
    )


def _first_samples(start: Tensor, batch: int, sampling_rate: float) -> np.ndarray:
    """Number of the first sample of each tail, shape `(batch,)`."""
    start = np.asarray(ops.convert_to_numpy(start) if ops.is_tensor(start) else start, "float64")
    if start.shape not in ((), (batch,)) or not np.all(np.isfinite(start) & (start >= 0)):
        raise ValueError(
            f"`start` must be one time or {batch}, in seconds, zero or more. "
            f"Received: start={start.tolist()}"
        )
    first = np.ceil(np.round(start * sampling_rate, 6)).astype(int)
    return np.broadcast_to(first, (batch,))


def _broadcast_gain(gain: Tensor, shape: tuple[int, ...]) -> Tensor:
    try:
        fits = np.broadcast_shapes(tuple(gain.shape), shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"`gain` must broadcast to (batch, S, M) = {shape}. "
            f"Received: gain of shape {tuple(gain.shape)}"
        )
    return ops.broadcast_to(gain, shape)


def _check_seeds(seeds: Tensor, batch: int) -> np.ndarray:
    seeds = np.asarray(seeds)
    if seeds.shape != (batch,) or not np.issubdtype(seeds.dtype, np.integer):
        raise ValueError(
            f"`seeds` must hold {batch} integers, one a room. Received: seeds={seeds.tolist()}"
        )
    if np.any(seeds < 0):
        index = int(np.argmax(seeds < 0))
        raise ValueError(f"`seeds` must be zero or more. Received: seeds[{index}]={seeds[index]}")
    return seeds
