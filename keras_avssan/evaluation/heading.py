"""The lines above a table of scores: on what it was measured."""

from collections.abc import Mapping
from typing import Any

from keras_avssan.evaluation.training_overlap import describe_overlap


def heading(settings: Mapping[str, Any]):
    """What was measured on which scenes, and whether they were in the training.

    Args:
        settings: Settings of an `Evaluation`.

    Returns:
        List of lines: the scenes; then, of a model that is trained, whether that was on some of
        them. Empty where nothing is known.
    """
    words = [_split(settings), *_counts(settings), *_quantities(settings)]
    scenes = ", ".join(filter(None, words))
    overlap = describe_overlap(settings.get("training_overlap"))
    return [line for line in (scenes, overlap) if line]


def told_spacing(microphone_spacing: Any):
    """Settings of an evaluation whose model was told a spacing in place of the scenes' own."""
    return {} if microphone_spacing is None else {"told_spacing_m": float(microphone_spacing)}


def _split(settings: Mapping[str, Any]):
    if "split" not in settings:
        return ""
    return "all splits" if settings["split"] is None else f"split {settings['split']}"


def _counts(settings: Mapping[str, Any]):
    names = ("scenes", "segments", "recordings", "rooms")
    counts = {name: settings[name] for name in names if name in settings}
    return [f"{n} {name.removesuffix('s') if n == 1 else name}" for name, n in counts.items()]


def _quantities(settings: Mapping[str, Any]):
    """Levels and lengths with their units."""
    words = []
    if "snr_db" in settings:
        level = settings["snr_db"]
        ends = level if isinstance(level, (list, tuple)) else [level]
        words.append(f"SNR {' to '.join(f'{end:g}' for end in ends)} dB")
    if "duration_s" in settings:
        words.append(f"{settings['duration_s']:g} s each")
    if settings.get("microphone_spacing_m"):
        words.append(f"microphones {100 * settings['microphone_spacing_m']:g} cm apart")
    if settings.get("told_spacing_m") not in (None, settings.get("microphone_spacing_m")):
        words.append(f"the model told {100 * settings['told_spacing_m']:g} cm")
    if settings.get("prompt"):
        words.append(f"prompt {settings['prompt']}")
    return words
