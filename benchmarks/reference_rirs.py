"""Reference responses in float64 NumPy: every image as a long windowed sinc at its exact delay.

It shares no code with the library. `tests/simulation/test_accuracy.py` verifies its accuracy and
compares the library with it; `benchmarks/rooms.py accuracy` compares the library and others.
"""

import numpy as np

TAPS = 512  # of a windowed sinc, in samples
LEAD = TAPS // 2  # samples of a reference response before time 0
_FADE = 256  # samples
_CHUNK = 2**12  # images whose taps are computed together


def images(size, source, microphone, reflection, radius, max_order=np.inf):
    """Image sources within a radius of the microphone.

    Args:
        size: lengths of the room in metres, shape `(3,)`.
        source: position in metres, shape `(3,)`.
        microphone: position in metres, shape `(3,)`.
        reflection: coefficients of the walls x = 0, x = Lx, y = 0, y = Ly, z = 0, z = Lz: shape
            `(6,)`, or one number for all.
        radius: in metres.
        max_order: only images of up to so many reflections.

    Returns:
        Distances in metres and amplitudes of the n images, both of shape `(n,)`.
    """
    walls = np.broadcast_to(reflection, 6).reshape(3, 2)
    axes = [
        _images_along(*axis, radius) for axis in zip(size, source, microphone, walls, strict=True)
    ]
    square, order, gain = (
        combine.outer(combine.outer(x, y), z)
        for combine, x, y, z in zip((np.add, np.add, np.multiply), *axes, strict=True)
    )
    kept = (square < radius**2) & (order <= max_order)
    distance = np.sqrt(square[kept])
    return distance, gain[kept] / (4 * np.pi * distance)


def _images_along(side, source, microphone, walls, radius):
    """Squared offset, number of reflections and gain of the images along one axis."""
    reach = np.ceil(radius / (2 * side)) + 1
    period = np.arange(-reach, reach + 1)
    offset = np.concatenate([2 * period * side + source, 2 * period * side - source]) - microphone
    low = np.concatenate([abs(period), abs(period - 1)])
    high = np.concatenate([abs(period), abs(period)])
    return offset**2, low + high, walls[0] ** low * walls[1] ** high


def windowed_sincs(delays, amplitudes, length, taps=TAPS):
    """Sum of sincs under Hann windows.

    Args:
        delays: in samples, shape `(n,)`.
        amplitudes: shape `(n,)`.
        length: number of samples from time 0 on.
        taps: length of each windowed sinc in samples, even.

    Returns:
        Array of shape `(length + LEAD,)` that starts `LEAD` samples before time 0: ringing
        there is part of the response.
    """
    offsets = np.arange(1 - taps // 2, taps // 2 + 1)
    signs = np.where(offsets % 2, 1.0, -1.0)
    response = np.zeros(length + LEAD + taps)
    for start in range(0, len(delays), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        first = np.floor(delays[chunk]).astype(int)
        # The fraction is kept off zero, where the sinc below would be 0 / 0.
        fraction = np.maximum(delays[chunk] - first, 1e-9)[:, None]
        time = offsets - fraction
        # sin(pi * time) is the same at all taps except for its sign.
        sinc = signs * np.sin(np.pi * fraction) / (np.pi * time)
        window = 0.5 + 0.5 * np.cos(2 * np.pi / taps * time)
        index = first[:, None] + offsets + LEAD
        weights = amplitudes[chunk, None] * sinc * window
        response += np.bincount(index.ravel(), weights.ravel(), minlength=len(response))
    return response[: length + LEAD]


def reference_response(
    size, source, microphone, reflection, length, sampling_rate=16000, speed=343.0, **kwargs
):
    """Response of all images that arrive within `length` samples, shape `(length + LEAD,)`."""
    radius = length / sampling_rate * speed
    distances, amplitudes = images(size, source, microphone, reflection, radius, **kwargs)
    return windowed_sincs(distances / speed * sampling_rate, amplitudes, length)


def with_lead(responses):
    """Puts the silence before responses from time 0 that those of this module begin with."""
    responses = np.asarray(responses, dtype="float64")
    return np.pad(responses, [(0, 0)] * (responses.ndim - 1) + [(LEAD, 0)])


def spectra(responses, sampling_rate=16000, lowest=0.0, highest=7000.0):
    """Spectra of responses between two frequencies in hertz, and the frequencies.

    That is, the responses after an ideal band-pass. They fade out at their end, so that
    truncation does not leak frequencies above the band into it.
    """
    fade = np.ones(responses.shape[-1])
    fade[-_FADE:] = 0.5 + 0.5 * np.cos(np.pi * np.arange(_FADE) / _FADE)
    length = 2 * len(fade)
    frequencies = np.fft.rfftfreq(length, 1 / sampling_rate)
    kept = (frequencies >= lowest) & (frequencies <= highest)
    return np.fft.rfft(responses * fade, length)[..., kept], frequencies[kept]


def relative_error(found, expected):
    """Norm of the difference relative to that of the expected, in decibels, 0 to 7 kHz."""
    found, expected = spectra(found)[0], spectra(expected)[0]
    return 20 * np.log10(np.linalg.norm(found - expected) / np.linalg.norm(expected))
