"""Room impulse responses of shoebox rooms by the image-source method."""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import Tensor
from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.simulation.absorption import eyring_decay_time
from keras_avssan.simulation.calibration import wall_absorption
from keras_avssan.simulation.diffuse_tail import diffuse_tail
from keras_avssan.simulation.image_source.directivity import diffuse_gain, omni_share
from keras_avssan.simulation.image_source.image_sum import Patterns, sum_images
from keras_avssan.simulation.image_source.room_batch import RoomBatch
from keras_avssan.simulation.torch_threads import one_thread
from keras_avssan.simulation.validation import (
    check_absorption,
    check_positive,
    check_reflection,
    check_room_size,
    known_values,
)


def simulate_rirs(
    room_size: Tensor,
    source: Tensor,
    microphones: Tensor,
    *,
    t60: Tensor | None = None,
    absorption: Tensor | None = None,
    reflection: Tensor | None = None,
    sampling_rate: int = 16000,
    duration: Tensor | None = None,
    length: int | None = None,
    max_order: int | None = None,
    image_duration: Tensor | None = None,
    image_attenuation: float | None = None,
    tail: bool = False,
    calibrate: bool = False,
    formula: str = "sabine",
    source_pattern: str = "omni",
    source_orientation: Tensor | None = None,
    microphone_pattern: str = "omni",
    microphone_orientation: Tensor | None = None,
    seed: ArrayLike = 0,
    speed_of_sound: float = SPEED_OF_SOUND,
) -> Tensor:
    """Simulates room impulse responses between sources and microphones in shoebox rooms.

    Every image of the source that arrives in time is added at its exact, fractional delay with the
    amplitude `product of reflection coefficients / (4 * pi * distance)`. Sample 0 is time 0: there
    is no lag. The images are added to an oversampled time grid with linear interpolation; each
    response is then low-passed and decimated once.

    The computation runs on the Keras backend and is differentiable with respect to `room_size`,
    `source`, `microphones`, `absorption`, `reflection` and the orientations. The values of
    `room_size`, `t60` and of the durations choose the images: they must be known, so they are
    constants in a function that is being traced (`jax.jit`, `tf.function`).

    Args:
        room_size: Lengths of the room in metres, shape `(3,)` or `(batch, 3)`; the room spans from
            the origin to these lengths.
        source: Positions of the sources in metres, shape `(3,)`, `(batch, 3)`, or
            `(batch, S, 3)` for S sources in each room.
        microphones: Positions of the M microphones in metres, shape `(M, 3)` or `(batch, M, 3)`.
        t60: Reverberation time in seconds, a number or shape `(batch,)`. Exactly one of `t60`,
            `absorption` and `reflection` is given.
        absorption: Share of the energy that a wall takes, in (0, 1]; a number, shape `(batch,)`, or
            `(batch, 6)` for the walls x = 0, x = Lx, y = 0, y = Ly, z = 0, z = Lz. `(1, 6)`
            serves all rooms.
        reflection: Reflection coefficients of amplitude, in (-1, 1), shapes as of `absorption`,
            which corresponds to `sqrt(1 - absorption)`. Negative ones change the sign.
        sampling_rate: Sampling rate in hertz.
        duration: Duration of the simulation in seconds, a number or shape `(batch,)`. By default
            the `t60` of each room, or the decay time by Eyring's formula.
        length: Number of samples of the responses; by default that of the longest duration.
            Responses of shorter durations have zeros at the end.
        max_order: Largest number of reflections of an image; `None` for no limit. It excludes
            `tail`.
        image_duration: Time in seconds until which images are simulated, a number or shape
            `(batch,)`; by default all of `duration`.
        image_attenuation: In place of `image_duration`, the decay in decibels until which images
            are simulated: 60 is the whole reverberation time.
        tail: Whether noise continues the images until `duration`, with the expected power of
            images, and the coherence of a diffuse field between microphones.
        calibrate: Whether the absorption is chosen such that the *measured* reverberation time is
            `t60`, in place of a `formula`; see `calibrated_absorption`.
        formula: Formula from `t60` to absorption, `"sabine"` or `"eyring"`.
        source_pattern: Directional pattern of the sources: `"omni"`, `"subcardioid"`,
            `"cardioid"`, `"hypercardioid"` or `"figure_eight"`.
        source_orientation: Direction in which the sources point, a vector of any length, shape
            `(3,)`, `(batch, 3)` or `(batch, S, 3)`.
        microphone_pattern: Directional pattern of the microphones.
        microphone_orientation: Direction in which they point, shape `(3,)`, `(M, 3)` or
            `(batch, M, 3)`.
        seed: Seed of the tail's noise, an integer of zero or more, or shape `(batch,)`. The noise
            of a source is a function of it and, with a single seed, of its place in the batch.
        speed_of_sound: Speed of sound in metres per second.

    Returns:
        float32 tensor of shape `(batch, M, length)`, or `(batch, S, M, length)` where `source` has
        an axis of sources.

    Raises:
        ValueError: If a shape does not fit, a value is not finite or out of range, a source or
            microphone is not inside its room, two microphones share a point, a source shares one
            with a microphone, a `t60` cannot be reached in its room, or the direct path takes
            longer than the images are simulated. The message names the index in the batch.

    Example:
        >>> rirs = simulate_rirs(
        ...     room_size=(6.0, 5.0, 3.0),
        ...     source=(2.0, 3.0, 1.5),
        ...     microphones=[(4.1, 2.0, 1.5), (3.9, 2.0, 1.5)],
        ...     t60=0.3,
        ... )
        >>> tuple(rirs.shape)
        (1, 2, 4800)

    Reference:
        J. B. Allen and D. A. Berkley, Image method for efficiently simulating small-room
        acoustics, JASA 65, 1979.
    """
    check_positive(sampling_rate, "sampling_rate")
    check_positive(speed_of_sound, "speed_of_sound")
    if max_order is not None:
        max_order = check_integer("max_order", max_order)
    if max_order is not None and tail:
        raise ValueError(
            "`tail` must be `False` with `max_order`, because it continues all images. "
            f"Received: max_order={max_order}, tail={tail}"
        )
    if length is not None:
        length = check_integer("length", length, least=1)
    size = check_room_size(known_values(room_size, "room_size"))
    reflection, decay_time = _walls(
        size, t60, absorption, reflection, formula, calibrate, tail, speed_of_sound
    )
    duration = _known_positive(decay_time if duration is None else duration, "duration")
    rooms, result_axes = RoomBatch.of(
        room_size,
        source,
        microphones,
        reflection,
        duration,
        _image_duration(image_duration, image_attenuation, duration, decay_time),
        source_orientation,
        microphone_orientation,
        seed,
    )
    samples = _num_samples(rooms.duration, sampling_rate)
    length = int(length or samples.max())
    samples = np.minimum(samples, length)
    image_samples = np.minimum(_num_samples(rooms.image_duration, sampling_rate), samples)
    samples_per_metre = sampling_rate / speed_of_sound
    _check_direct_path(rooms, image_samples / samples_per_metre)
    patterns = Patterns(
        _share(source_pattern, source_orientation, "source"),
        _share(microphone_pattern, microphone_orientation, "microphone"),
    )
    with one_thread():
        responses = sum_images(rooms, image_samples, length, samples_per_metre, max_order, patterns)
        if tail:
            noise = diffuse_tail(
                rooms.size,
                rooms.reflection,
                rooms.microphones,
                start=image_samples / sampling_rate,
                num_sources=rooms.sources.shape[1],
                length=length,
                sampling_rate=sampling_rate,
                seeds=rooms.seeds,
                speed_of_sound=speed_of_sound,
                gain=diffuse_gain(patterns.source) * diffuse_gain(patterns.microphone),
            )
            in_time = (np.arange(length) < samples[:, None, None, None]).astype("float32")
            responses = responses + noise * in_time
    return ops.reshape(responses, (*result_axes, *responses.shape[2:]))


def _walls(
    size: np.ndarray,
    t60: Tensor | None,
    absorption: Tensor | None,
    reflection: Tensor | None,
    formula: str,
    calibrate: bool,
    tail: bool,
    speed_of_sound: float,
) -> tuple[Any, np.ndarray | None]:
    """Coefficients `(batch or 1, 6)` and decay time, `None` where the values are not known."""
    given = {"t60": t60, "absorption": absorption, "reflection": reflection}
    if sum(value is not None for value in given.values()) != 1:
        raise ValueError(
            "Exactly one of `t60`, `absorption` and `reflection` must be given. Received: "
            + ", ".join(f"{name}={value}" for name, value in given.items())
        )
    decay_time = None
    if t60 is not None:
        decay_time = check_positive(known_values(t60, "t60"), "t60")
        absorption = wall_absorption(size, decay_time, formula, calibrate, speed_of_sound, tail)
    elif calibrate:
        raise ValueError("`calibrate` needs `t60`. Received: calibrate=True, t60=None")
    if absorption is not None:
        known = known_values(absorption)
        if known is not None:
            check_absorption(known)
        absorption = ops.convert_to_tensor(absorption, "float32")
        # The gradient of the root is infinite at zero.
        leaves = absorption < 1
        root = ops.sqrt(ops.where(leaves, 1 - absorption, 1.0))
        walls = _six_walls(ops.where(leaves, root, 0.0), "absorption")
    else:
        known = known_values(reflection)
        if known is not None:
            known = 1 - check_reflection(known) ** 2
        walls = _six_walls(reflection, "reflection")
    if decay_time is None and known is not None:
        decay_time = eyring_decay_time(size, known, speed_of_sound)
    return walls, decay_time


def _six_walls(value: Tensor, name: str) -> Tensor:
    value = ops.convert_to_tensor(value, "float32")
    if len(value.shape) == 2 and value.shape[1] == 6:
        return value
    if len(value.shape) > 1:
        raise ValueError(
            f"`{name}` must be a number or have shape (batch,) or (batch, 6). "
            f"Received: {name} of shape {tuple(value.shape)}"
        )
    return ops.repeat(ops.reshape(value, (-1, 1)), 6, axis=1)


def _known_positive(value: Tensor | None, name: str) -> np.ndarray:
    if value is None:
        raise ValueError(f"`{name}` must be given if the walls are traced. Received: {name}=None")
    return check_positive(known_values(value, name), name)


def _image_duration(
    image_duration: Tensor | None,
    attenuation: float | None,
    duration: np.ndarray,
    decay_time: np.ndarray | None,
) -> np.ndarray:
    if image_duration is not None and attenuation is not None:
        raise ValueError(
            "At most one of `image_duration` and `image_attenuation` may be given. Received: "
            f"image_duration={image_duration}, image_attenuation={attenuation}"
        )
    if image_duration is not None:
        return np.minimum(_known_positive(image_duration, "image_duration"), duration)
    if attenuation is None:
        return duration
    check_positive(attenuation, "image_attenuation")
    return np.minimum(_known_positive(decay_time, "t60") * attenuation / 60, duration)


def _num_samples(duration: np.ndarray, sampling_rate: int) -> np.ndarray:
    return np.ceil(np.round(duration * sampling_rate, 6)).astype(int)


def _check_direct_path(rooms: RoomBatch, reach: np.ndarray) -> None:
    sources, microphones = known_values(rooms.sources), known_values(rooms.microphones)
    if sources is None or microphones is None:
        return
    distance = np.linalg.norm(sources[:, :, None] - microphones[:, None], axis=-1).max(axis=(1, 2))
    late = np.flatnonzero(distance >= reach)
    if len(late):
        row = late[0]
        raise ValueError(
            "`duration`, `image_duration` and `length` must be long enough for the direct path. "
            f"Received: {reach[row]:.2f} m of travel at a distance of {distance[row]:.2f} m, "
            f"in room {row} of the batch"
        )


def _share(pattern: str, orientation: Tensor | None, side: str) -> float:
    share = omni_share(pattern, f"{side}_pattern")
    if share != 1 and orientation is None:
        raise ValueError(
            f"`{side}_orientation` must be given for {side}_pattern={pattern!r}. "
            f"Received: {side}_orientation=None"
        )
    return share
