"""The heading of a table of scores: the scenes and their overlap with the training."""

from collections.abc import Mapping
from typing import Any

from keras_avssan.evaluation.training_overlap import describe_overlap


def heading(settings: Mapping[str, Any]) -> list[str]:
    """Lists the lines above a table: the scenes, and whether they were in the training if known."""
    words = [_split(settings), *_counts(settings), *_quantities(settings)]
    scenes = ", ".join(filter(None, words))
    overlap = describe_overlap(settings.get("training_overlap"))
    return [line for line in (scenes, overlap) if line]


def given_spacing(microphone_spacing: float | None) -> dict[str, float]:
    """Settings of an evaluation whose model was given a spacing in place of the scenes' own."""
    return {} if microphone_spacing is None else {"model_spacing_m": float(microphone_spacing)}


def _split(settings: Mapping[str, Any]) -> str:
    if "split" not in settings:
        return ""
    return "all splits" if settings["split"] is None else f"split {settings['split']}"


def _counts(settings: Mapping[str, Any]) -> list[str]:
    names = ("scenes", "segments", "recordings", "rooms")
    counts = {name: settings[name] for name in names if name in settings}
    return [f"{n} {name.removesuffix('s') if n == 1 else name}" for name, n in counts.items()]


def _quantities(settings: Mapping[str, Any]) -> list[str]:
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
    if settings.get("model_spacing_m") not in (None, settings.get("microphone_spacing_m")):
        words.append(f"spacing given to the model {100 * settings['model_spacing_m']:g} cm")
    if settings.get("prompt"):
        words.append(f"prompt {settings['prompt']}")
    return words
