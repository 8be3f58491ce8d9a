"""Rendering of scenes: crop, convolve, scale, mix."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from keras_avssan.data.catalogs.catalog import Clip
from keras_avssan.data.scenes.aligned_arrays import empty_aligned, stack_aligned
from keras_avssan.data.scenes.convolution import convolve
from keras_avssan.data.scenes.scene import Scene
from keras_avssan.data.scenes.scene_plan import ScenePlan

# Root mean square of every mixture, over both channels.
MIX_RMS = 0.1
# A crop this far (-60 dB) below the mean power of its clip is silent.
_SILENCE = 1e-6
# The end of a crop may reach the microphones after the scene: the sound travels 10 m meanwhile.
_TRAVEL_SECONDS = 0.03


def render_scene(plan: ScenePlan, scene: Scene | int) -> dict[str, Any]:
    """Renders one scene.

    Args:
        plan: `ScenePlan` that the scene belongs to.
        scene: `Scene`, or its index in the plan.

    Returns:
        Dict with `audio`, `target`, `interferer`: float32 `(samples, 2)`, where `audio` is the sum
        of the other two and has an RMS of 0.1, and `interferer` holds all interferers together;
        where the plan has sensor noise, it is added to `audio`; `azimuth`, `interferer_azimuth`:
        degrees, float32, of several interferers the one at the least angle from the target;
        `picture`: the `Picture` that prompts for the target.

    Raises:
        ValueError: A clip is silent from beginning to end, or a source does not reach the
            microphones within the scene.

    Example:
        ```python
        rendered = render_scene(plan, 0)
        soundfile.write("mix.wav", rendered["audio"], plan.sampling_rate)
        ```
    """
    scene = scene if isinstance(scene, Scene) else plan[scene]
    rendered = {name: values[0] for name, values in render_scenes(plan, [scene]).items()}
    return {**rendered, "picture": scene.picture}


def render_scenes(
    plan: ScenePlan, scenes: Sequence[Scene], *, interferer_alone: bool = True
) -> dict[str, np.ndarray]:
    """Renders several scenes; each is the same as from `render_scene`, in less time.

    Args:
        plan: `ScenePlan` that the scenes belong to.
        scenes: Sequence of `Scene`.
        interferer_alone: Whether `interferer` is returned too.

    Returns:
        Dict of float32 arrays: `audio`, `target`, `interferer` of shape `(scenes, samples, 2)`,
        `azimuth` and `interferer_azimuth` of shape `(scenes,)`, in degrees.

    Raises:
        ValueError: A clip is silent from beginning to end, or a source does not reach the
            microphones within the scene.

    Example:
        ```python
        rendered = render_scenes(plan, [plan[i] for i in range(8)])
        rendered["audio"].shape  # (8, samples, 2)
        ```
    """
    shape = (len(scenes), plan.num_samples, 2)
    names = ("audio", "target", "interferer") if interferer_alone else ("audio", "target")
    rendered = {name: empty_aligned(shape) for name in names}
    for row, scene in enumerate(scenes):
        target, *interferers = _render_sources(plan, scene)
        interferer = reduce(np.add, interferers)
        # One microphone at a time: NumPy is slow where the last axis is a short one.
        for microphone in range(2):
            sources = target[microphone], interferer[microphone]
            np.add(*sources, out=rendered["audio"][row, :, microphone])
            for name, source in zip(names[1:], sources, strict=False):
                rendered[name][row, :, microphone] = source
        if scene.sensor_noise is not None:
            rendered["audio"][row] += _sensor_noise(plan, scene, scene.sensor_noise)
    return {**rendered, **_azimuths(scenes)}


def load_dry_scenes(plan: ScenePlan, scenes: Sequence[Scene]) -> dict[str, np.ndarray]:
    """Load what `keras_avssan.layers.SceneRenderer` renders several scenes from.

    Args:
        plan: `ScenePlan`.
        scenes: Sequence of its `Scene`s.

    Returns:
        Dict of float32 arrays: `dry_audio` `(scenes, sources, samples)`, target and interferers as
        recorded; `rirs` `(scenes, sources, 2, length)`, their impulse responses at both
        microphones; `snr` `(scenes,)` in dB; `azimuth` and `interferer_azimuth` `(scenes,)` in
        degrees, as `render_scene` returns them.

    Raises:
        ValueError: A clip is silent from beginning to end, or an impulse response is within the
            scene; or the plan has sensor noise.

    Example:
        ```python
        dry = load_dry_scenes(plan, [plan[i] for i in range(8)])
        audio, target = SceneRenderer()(dry["dry_audio"], dry["rirs"], dry["snr"])
        ```
    """
    check_device_rendering(plan)
    sources = {
        "dry_audio": stack_aligned([_dry_sources(plan, scene) for scene in scenes]),
        "rirs": stack_aligned([_impulse_responses(plan, scene) for scene in scenes]),
        "snr": np.array([scene.snr for scene in scenes], "float32"),
    }
    for rirs in sources["rirs"]:
        _check_reach(rirs.any(axis=(1, 2)))
    return {**sources, **_azimuths(scenes)}


def check_device_rendering(plan: ScenePlan) -> None:
    """Refuses a plan with sensor noise, which the device does not render."""
    if plan.sensor_noise is not None:
        raise ValueError(
            '`sensor_noise` must be None where `render="device"`; only `render="host"` adds it. '
            f"Received: sensor_noise={plan.sensor_noise!r}"
        )


def _azimuths(scenes: Sequence[Scene]) -> dict[str, np.ndarray]:
    return {
        "azimuth": np.array([scene.azimuth for scene in scenes], "float32"),
        "interferer_azimuth": np.array([s.nearest_interferer_azimuth for s in scenes], "float32"),
    }


def _dry_sources(plan: ScenePlan, scene: Scene) -> np.ndarray:
    """Crops of target and interferers, augmented where the plan says so, `(sources, samples)`."""
    sources = scene.sources
    dry = np.empty((len(sources), plan.num_samples), "float32")
    for row, source in enumerate(sources):
        change = source.augmentation
        if change is None:
            dry[row] = crop_clip(plan, source.clip, source.offset)
        else:
            length = change.num_samples(plan.num_samples)
            crop = crop_clip(plan, source.clip, source.offset, length)
            dry[row] = change.apply(crop, plan.num_samples, plan.sampling_rate)
    return dry


def _impulse_responses(plan: ScenePlan, scene: Scene) -> np.ndarray:
    """Responses of all sources, `(sources, 2, length)`, at most as long as the scene."""
    slots = [source.slot for source in scene.sources]
    rirs = plan.bank.rirs[scene.room, slots][..., : plan.num_samples]
    return rirs[:, ::-1] if scene.swapped else rirs


def _sensor_noise(plan: ScenePlan, scene: Scene, level: float) -> np.ndarray:
    """White noise `level` dB below the mixture at both microphones, `(samples, 2)`."""
    rng = plan.generator(scene.index, "noise samples")
    noise = rng.standard_normal((plan.num_samples, 2), "float32")
    return noise * np.float32(MIX_RMS * 10 ** (-level / 20))


def _render_sources(plan: ScenePlan, scene: Scene) -> np.ndarray:
    """Target and interferers at the microphones, scaled: `(sources, 2, samples)`."""
    wet = convolve(_dry_sources(plan, scene), _impulse_responses(plan, scene))
    wet *= _gains(wet, scene.snr)[:, None, None]
    return wet


def crop_clip(plan: ScenePlan, clip: Clip, offset: int, length: int | None = None) -> np.ndarray:
    """Returns the `length` samples of a clip that a scene plays; by default as many as it lasts.

    A crop 60 dB below the clip's mean power is replaced by the loudest part of the clip.
    """
    samples = plan.catalog.load_audio(clip)
    power = _power(samples)
    if power == 0:
        raise ValueError(
            f"A clip must not be silent from beginning to end. Received: clip.id={clip.id!r}"
        )
    length = plan.num_samples if length is None else length
    crop = _window(samples, offset, length)
    audible = max(1, length - round(_TRAVEL_SECONDS * plan.sampling_rate))
    if _power(crop[:audible]) <= _SILENCE * power:
        crop = _window(samples, _loudest_offset(samples, audible), length)
    return crop


def _window(samples: np.ndarray, offset: int, length: int) -> np.ndarray:
    """`length` samples from `offset`; a clip that is too short is repeated."""
    if len(samples) >= length:
        offset = min(offset, len(samples) - length)
        return samples[offset : offset + length]
    return np.take(samples, np.arange(offset, offset + length), mode="wrap")


def _loudest_offset(samples: np.ndarray, length: int) -> int:
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype="float64"))])
    if len(samples) <= length:
        return int(np.argmax(np.abs(samples)))
    return int(np.argmax(energy[length:] - energy[:-length]))


def _check_reach(sources: Any) -> None:
    """Raises a ValueError if a source, target first, is silent, so that its value is 0."""
    silent = [source for source, level in enumerate(sources) if not level]
    if silent:
        raise ValueError(
            "A source does not reach the microphones within the scene. "
            f"Received: silence from source(s) {silent}, the target is 0"
        )


def _power(samples: np.ndarray) -> float:
    return np.dot(samples, samples) / len(samples)


def _gains(wet: np.ndarray, snr: float) -> np.ndarray:
    """Gains of target and interferers: first the SNR, then the level of the mixture."""
    sources = wet.reshape(len(wet), -1)
    powers = [float(np.dot(source, source)) for source in sources]
    _check_reach(powers)
    gains = [1.0, *(np.sqrt(powers[0] / power / 10 ** (snr / 10)) for power in powers[1:])]
    mix = 0.0
    for column, gain in enumerate(gains):
        for row in range(column):
            mix += 2 * gains[row] * gain * float(np.dot(sources[row], sources[column]))
        mix += gain**2 * powers[column]
    level = MIX_RMS * np.sqrt(sources.shape[1] / mix)
    return np.array([level * gain for gain in gains], "float32")
