"""Microphone spacing and sampling rate, compared wherever a model meets scenes or recordings."""

from typing import Any

import numpy as np

from keras_avssan.data.media.recordings import check_spacings

# Spacings that differ by less are the same one, in metres.
SAME_SPACING = 1e-3


def own_spacing(model: Any):
    """The spacing in metres that a model was made for; `None` where it has none."""
    return getattr(getattr(model, "backbone", model), "microphone_spacing", None)


def takes_spacing(model: Any):
    """Whether a model takes the spacing as an input; what is not known is taken to."""
    return getattr(getattr(model, "backbone", model), "takes_microphone_spacing", True)


def check_spacing(model: Any, microphone_spacing: Any, spelling: str = "microphone_spacing={:.4f}"):
    """Checks a spacing that a model is told in place of its own.

    Args:
        model: A `Localizer`, or anything else that localises, such as a classical method.
        microphone_spacing: Distance in metres, or an array of them; `None` passes.
        spelling: How the message writes the argument, or an option that stands for it.

    Raises:
        ValueError: If it is no positive number of at most 5 m, or the model cannot be told and has
            another one.
    """
    if microphone_spacing is None:
        return
    spacings = check_spacings(microphone_spacing)
    own = own_spacing(model)
    if own is None or takes_spacing(model):
        return
    other = spacings[np.abs(spacings - own) > SAME_SPACING]
    if other.size:
        raise ValueError(
            f"The model's {_head(model)} cannot be told a spacing, and was trained for {own} m. "
            f"Received: {spelling.format(other.flat[0])}"
        )


def check_sampling_rate(model: Any, plan):
    """Refuses scenes at another sampling rate than the model's; the message names both."""
    rate = getattr(getattr(model, "backbone", model), "sampling_rate", None)
    if rate is not None and rate != plan.sampling_rate:
        raise ValueError(
            f"`plan` must be at the model's {rate} Hz. Received: a plan at {plan.sampling_rate} Hz"
        )


def match_scenes(model: Any, plan, microphone_spacing: Any = None) -> None:
    """Checks that a model and scenes have the same sampling rate and spacing.

    Args:
        model: A `Localizer`, or anything else that localises.
        plan: `keras_avssan.data.ScenePlan`.
        microphone_spacing: Distance in metres that the model is told, whatever that of the scenes;
            `None` where it is told nothing.

    Raises:
        ValueError: If they differ; the message names both values.
    """
    check_sampling_rate(model, plan)
    if microphone_spacing is not None:
        check_spacing(model, microphone_spacing)
        return
    match_spacing(model, plan.microphone_spacing)


def match_spacing(model: Any, scenes, spelling: str = "microphone_spacing={}"):
    """Checks that a model that is told no spacing was made for that of scenes.

    Args:
        model: A `Localizer`, or anything else that localises.
        scenes: Spacing of the scenes in metres; `None` or 0 passes.
        spelling: How the message writes the argument that tells a spacing, or an option for it.

    Raises:
        ValueError: If they differ; the message names both values.
    """
    own = own_spacing(model)
    # Banks whose microphones are in one place were made up, and have no spacing.
    if own is None or not scenes or abs(own - scenes) <= SAME_SPACING:
        return
    advice = (
        f"Tell the model with `{spelling.format(scenes)}`, or make both for one spacing."
        if takes_spacing(model)
        else f"Its {_head(model)} cannot be told another one: make both for one spacing."
    )
    raise ValueError(
        f"The model was made for microphones {own} m apart, but those of the scenes are {scenes} m "
        f"apart. {advice}"
    )


def _head(model: Any):
    """What reads the direction, for messages."""
    settings = getattr(getattr(model, "backbone", None), "settings", {})
    form = settings.get("doa_form")
    return f"head `doa_form={form!r}`" if form else "network"
