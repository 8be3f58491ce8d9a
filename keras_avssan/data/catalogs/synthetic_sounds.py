"""Sounds of the synthetic classes, made in code."""

from collections.abc import Callable

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import ArrayLike

# Sounds begin this long before the first sample, so that a clip never starts in silence.
_LEAD_SECONDS = 0.4
_RMS = 0.1
_TABLE_SIZE = 4096


def synthesize_sound(
    class_name: str,
    rng: np.random.Generator,
    duration: float = 2.0,
    sampling_rate: int = 16000,
) -> np.ndarray:
    """Makes a sound of one of `SOUND_CLASSES`, float32 (samples,) with an RMS of 0.1.

    Every draw is another instance: pitch, rate, rhythm, timbre, tilt and background noise vary. No
    0.5 s are silent. `duration` is in seconds, `sampling_rate` in Hz, at least 16000.
    """
    lead = round(_LEAD_SECONDS * sampling_rate)
    length = lead + round(duration * sampling_rate)
    time = np.arange(length) / sampling_rate
    sound = _SOUNDS[class_name](rng, time, sampling_rate)
    sound = _add_recording(rng, sound / np.sqrt(np.mean(np.square(sound))), sampling_rate)[lead:]
    return (_RMS / np.sqrt(np.mean(np.square(sound))) * sound).astype("float32")


def _bell(rng: np.random.Generator, time: np.ndarray, rate: float) -> np.ndarray:
    """Strikes of a bell: inharmonic partials that decay at their own rates."""
    ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.55, 3.1, 4.2, 5.4])
    frequencies = rng.uniform(350, 1100) * ratios * rng.uniform(0.985, 1.015, len(ratios))
    decays = rng.uniform(0.25, 0.9) * ratios**-0.5 * rng.uniform(0.7, 1.3, len(ratios))
    weights = rng.uniform(0.3, 1.0, len(ratios)) * ratios ** -rng.uniform(0.2, 0.9)
    weights *= frequencies < 0.45 * rate
    ring_time = time[: round(1.2 * rate), None]
    partials = np.sin(2 * np.pi * frequencies * ring_time) * np.exp(-ring_time / decays)
    onsets = _onsets(rng, time, 0.22, 0.42, jitter=0.05)
    return _strike(rng, onsets, partials @ weights, time, rate)


def _bird(rng: np.random.Generator, time: np.ndarray, rate: float) -> np.ndarray:
    """Chirps: short tones that sweep up or down, with a trill."""
    onsets = _onsets(rng, time, 0.12, 0.32, jitter=0.3)
    event, elapsed = _clock(time, onsets)
    length = np.append(np.diff(onsets), 0.2) * rng.uniform(0.55, 0.85)
    position = elapsed / length[event]
    start = rng.uniform(2200, 4200) * rng.uniform(0.85, 1.15, len(onsets))
    sweep = rng.choice([-1, 1]) * rng.uniform(0.1, 0.45) * rng.uniform(0.4, 1.2, len(onsets))
    curve = position ** rng.uniform(0.6, 1.8)
    trill = 1 + rng.uniform(0, 0.12) * np.sin(2 * np.pi * rng.uniform(18, 45) * elapsed)
    frequency = start[event] * (1 + sweep[event] * curve) * trill
    envelope = np.sin(np.pi * position.clip(0, 1)) ** rng.uniform(0.5, 1.2)
    return envelope * _tone(rng, frequency.clip(1200, 6500), [1.0, rng.uniform(0, 0.2)], rate)


def _dog(rng: np.random.Generator, time: np.ndarray, rate: float) -> np.ndarray:
    """Barks: bursts of a falling harsh voice and noise, shaped by formants."""
    onsets = _onsets(rng, time, 0.24, 0.42, jitter=0.2)
    event, elapsed = _clock(time, onsets)
    length = rng.uniform(0.12, 0.22) * rng.uniform(0.85, 1.15, len(onsets))
    position = elapsed / length[event]
    pitch = rng.uniform(220, 620) * rng.uniform(0.9, 1.1, len(onsets))
    frequency = pitch[event] * (1.1 - rng.uniform(0.2, 0.5) * position.clip(0, 1.5))
    roughness = 1 + 0.04 * rng.standard_normal(len(time))
    voice = _tone(rng, frequency * roughness, 1 / np.arange(1, 13), rate)
    voice += rng.uniform(0.3, 0.9) * rng.standard_normal(len(time))
    attack = (position / 0.08).clip(0, 1)
    envelope = attack * np.exp(-3 * position.clip(0, None))
    formants = np.array([rng.uniform(500, 900), rng.uniform(1100, 1900), rng.uniform(2300, 3200)])
    return _shape(envelope * voice, rate, lambda f: _resonances(f, formants, widths=0.25))


def _drum(rng: np.random.Generator, time: np.ndarray, rate: float) -> np.ndarray:
    """Drum strokes: a tone that falls in pitch, and the rattle of a skin."""
    stroke = time[: round(0.35 * rate)]
    pitch = rng.uniform(70, 220)
    fall = 1 + rng.uniform(0.3, 1.5) * np.exp(-stroke / 0.03)
    body = np.sin(2 * np.pi * pitch * np.cumsum(fall) / rate)
    body *= np.exp(-stroke / rng.uniform(0.06, 0.15))
    low = rng.uniform(300, 1500)
    rattle = _noise(rng, len(stroke), rate, low, rng.uniform(2.5, 6) * low)
    rattle *= np.exp(-stroke / rng.uniform(0.02, 0.09))
    onsets = _onsets(rng, time, 0.14, 0.34, jitter=0.02)
    return _strike(rng, onsets, body + rng.uniform(0.15, 0.7) * rattle, time, rate)


def _engine(rng: np.random.Generator, time: np.ndarray, rate: float) -> np.ndarray:
    """A motor: many harmonics of a low note, beating with the strokes of its cylinders."""
    revving = 1 + rng.uniform(0.02, 0.25) * np.sin(
        2 * np.pi * (rng.uniform(0.2, 1.2) * time + rng.random())
    )
    frequency = rng.uniform(45, 130) * revving
    harmonics = np.arange(1, 36)
    weights = rng.uniform(0.2, 1.0, len(harmonics)) * harmonics ** -rng.uniform(0.4, 1.0)
    strokes = np.cumsum(frequency) / rate / rng.choice([2, 3, 4])
    beat = 1 + rng.uniform(0.3, 0.8) * np.sin(2 * np.pi * strokes)
    hiss = _noise(rng, len(time), rate, 200, rng.uniform(1500, 4000))
    return beat * (_tone(rng, frequency, weights, rate) + rng.uniform(0.1, 0.4) * hiss)


def _flute(rng: np.random.Generator, time: np.ndarray, rate: float) -> np.ndarray:
    """A melody of steady notes with vibrato and breath."""
    onsets = _onsets(rng, time, 0.16, 0.42, jitter=0.25)
    event, elapsed = _clock(time, onsets)
    scale = np.array([0, 2, 4, 7, 9, 12])
    notes = rng.uniform(450, 950) * 2 ** (rng.choice(scale, len(onsets)) / 12)
    vibrato = 1 + rng.uniform(0.002, 0.012) * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * time)
    length = np.append(np.diff(onsets), 0.3)[event]
    envelope = (elapsed / 0.03).clip(0, 1) * ((length - elapsed) / 0.04).clip(0, 1)
    weights = [1.0, rng.uniform(0.1, 0.6), rng.uniform(0.05, 0.3), rng.uniform(0, 0.1)]
    breath = _noise(rng, len(time), rate, 800, 5000)
    tone = _tone(rng, notes[event] * vibrato, weights, rate)
    return envelope * (tone + rng.uniform(0.02, 0.12) * breath)


def _rain(rng: np.random.Generator, time: np.ndarray, rate: float) -> np.ndarray:
    """Drops: dense short grains of noise over a hiss."""
    grain_time = time[: round(0.02 * rate)]
    grain = np.exp(-grain_time / rng.uniform(0.0008, 0.004))
    grain *= np.cos(2 * np.pi * rng.uniform(1200, 5000) * grain_time)
    drops = rng.random(len(time)) < rng.uniform(60, 700) / rate
    drops = drops * rng.exponential(1.0, len(time)) * rng.choice([-1, 1], len(time))
    patter = scipy.signal.fftconvolve(drops, grain)[: len(time)]
    hiss = _noise(rng, len(time), rate, rng.uniform(400, 1200), rng.uniform(5000, 7500))
    return patter / patter.std() + rng.uniform(0.2, 0.9) * hiss


def _siren(rng: np.random.Generator, time: np.ndarray, rate: float) -> np.ndarray:
    """A siren: a tone with harmonics that glides, or jumps, between two pitches."""
    cycle = rng.uniform(0.5, 3.5) * time + rng.random()
    wave = np.sin(2 * np.pi * cycle) * rng.uniform(1.0, 4.0)
    low = rng.uniform(450, 900)
    frequency = low * (1 + rng.uniform(0.3, 1.0) * (0.5 + 0.5 * np.tanh(wave)))
    weights = rng.uniform(0.3, 1.0, 4) / np.arange(1, 5)
    return _tone(rng, frequency, weights, rate)


def _onsets(
    rng: np.random.Generator, time: np.ndarray, shortest: float, longest: float, jitter: float
) -> np.ndarray:
    """Times of events, at a pace of their own, from before the start to the end."""
    pace = rng.uniform(shortest, longest)
    steps = pace * rng.uniform(1 - jitter, 1, int(time[-1] / (pace * (1 - jitter))) + 2)
    onsets = np.cumsum(steps) - steps[0]
    return onsets[onsets < time[-1]]


def _clock(time: np.ndarray, onsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each sample the number of the current event, and the time since its onset."""
    event = np.searchsorted(onsets, time, side="right") - 1
    return event, time - onsets[event]


def _strike(
    rng: np.random.Generator,
    onsets: np.ndarray,
    sound: np.ndarray,
    time: np.ndarray,
    rate: float,
) -> np.ndarray:
    """Lets a sound ring out at each onset, at different strengths."""
    train = np.zeros(len(time))
    train[(onsets * rate).astype(int)] = rng.uniform(0.5, 1.0, len(onsets))
    return scipy.signal.fftconvolve(train, sound)[: len(time)]


def _tone(
    rng: np.random.Generator, frequency: np.ndarray, weights: ArrayLike, rate: float
) -> np.ndarray:
    """Harmonics (below Nyquist) of a changing frequency, from a table of one period."""
    spectrum = np.zeros(_TABLE_SIZE // 2 + 1, complex)
    allowed = int(0.48 * rate / frequency.max())
    weights = np.asarray(weights)[: max(1, allowed)]
    spectrum[1 : len(weights) + 1] = weights * np.exp(2j * np.pi * rng.random(len(weights)))
    table = np.fft.irfft(spectrum)
    phase = np.cumsum(frequency) / rate % 1.0
    return table[(phase * _TABLE_SIZE).astype(int)] / table.std()


def _noise(
    rng: np.random.Generator, length: int, rate: float, low: float, high: float
) -> np.ndarray:
    """Noise between two frequencies with soft edges, of unit variance."""
    noise = _shape(
        rng.standard_normal(length),
        rate,
        lambda f: 1 / np.sqrt((1 + (low / f.clip(1)) ** 4) * (1 + (f / high) ** 4)),
    )
    return noise / noise.std()


def _shape(
    sound: np.ndarray, rate: float, response: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Multiplies a sound's spectrum by a real function of frequency in Hz."""
    size = scipy.fft.next_fast_len(len(sound), real=True)
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    return scipy.fft.irfft(scipy.fft.rfft(sound, size) * response(frequencies), size)[: len(sound)]


def _resonances(frequencies: np.ndarray, centres: np.ndarray, widths: float) -> np.ndarray:
    offset = (frequencies[:, None] - centres) / (widths * centres)
    return (1 / (1 + offset**2)).sum(axis=1) + 0.02


def _add_recording(rng: np.random.Generator, sound: np.ndarray, rate: float) -> np.ndarray:
    """Adds the effects of a recording: a spectral tilt and background noise."""
    tilt = rng.uniform(-0.35, 0.35)
    sound = _shape(sound, rate, lambda f: (f.clip(50) / 1000) ** tilt)
    noise = 10 ** (rng.uniform(-50, -32) / 20) * sound.std()
    return sound + noise * rng.standard_normal(len(sound))


_SOUNDS = {
    "bell": _bell,
    "bird": _bird,
    "dog": _dog,
    "drum": _drum,
    "engine": _engine,
    "flute": _flute,
    "rain": _rain,
    "siren": _siren,
}
SOUND_CLASSES = tuple(_SOUNDS)
