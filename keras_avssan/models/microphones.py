"""Checks that a model's microphone spacing and sampling rate are those of its scenes."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_avssan.data.media.recordings import check_spacings

if TYPE_CHECKING:
    from keras_avssan.data.scenes.scene_plan import ScenePlan

# Spacings that differ by less are the same one, in metres.
SAME_SPACING = 1e-3
# Spacings that are as wide as both, a number of metres and of times the model's own, are likely in
# another unit.
_WIDE_METRES, _WIDE_TIMES = 1.0, 5.0


def own_spacing(model: Any) -> float | None:
    """The spacing in metres that a model was made for; `None` where it has none."""
    return getattr(getattr(model, "backbone", model), "microphone_spacing", None)


def takes_spacing(model: Any) -> bool:
    """Whether a model takes the spacing as an input; assumed of unknown models."""
    return getattr(getattr(model, "backbone", model), "takes_microphone_spacing", True)


def check_spacing(
    model: Any,
    microphone_spacing: float | ArrayLike | None,
    spelling: str = "microphone_spacing={:.4f}",
) -> None:
    """Refuses a spacing in metres that a model cannot take in place of its own; `None` passes.

    A far wider one leads to a `UserWarning`. `spelling` is how the message writes the argument, or
    an option of the command line.
    """
    if microphone_spacing is None:
        return
    spacings = check_spacings(microphone_spacing)
    own = own_spacing(model)
    if own is None:
        return
    if takes_spacing(model):
        _warn_of_width(float(spacings.max()), own)
        return
    other = spacings[np.abs(spacings - own) > SAME_SPACING]
    if other.size:
        raise ValueError(
            f"The spacing must be the {own} m of the training: the model's {_head(model)} cannot "
            f"take another one. Received: {spelling.format(other.flat[0])}"
        )


def _warn_of_width(widest: float, own: float) -> None:
    """Warns of a spacing that is likely in centimetres; once for a value, wherever it is given."""
    if widest >= max(_WIDE_METRES, _WIDE_TIMES * own):
        warnings.warn(
            f"The microphone spacing of {widest:g} m is {widest / own:.0f} times that of the "
            f"model's training, {own:g} m. Spacings are in metres: {widest:g} cm are "
            f"{widest / 100:g}.",
            stacklevel=1,
        )


def check_sampling_rate(model: Any, plan: "ScenePlan") -> None:
    """Refuses scenes at another sampling rate than the model's."""
    rate = getattr(getattr(model, "backbone", model), "sampling_rate", None)
    if rate is not None and rate != plan.sampling_rate:
        raise ValueError(
            f"`plan` must have the model's sampling rate, {rate} Hz. "
            f"Received: plan.sampling_rate={plan.sampling_rate}"
        )


def match_scenes(
    model: Any, plan: "ScenePlan", microphone_spacing: float | ArrayLike | None = None
) -> None:
    """Refuses scenes whose sampling rate or spacing differs from the model's.

    A `microphone_spacing` in metres that the model is given replaces that of the scenes.
    """
    check_sampling_rate(model, plan)
    if microphone_spacing is not None:
        check_spacing(model, microphone_spacing)
        return
    match_spacing(model, plan.microphone_spacing)


def match_spacing(
    model: Any, scenes: float | None, spelling: str = "microphone_spacing={}"
) -> None:
    """Refuses scenes of another spacing in metres than the model's; `None` or 0 passes.

    `spelling` is how the message writes the argument, or an option of the command line.
    """
    own = own_spacing(model)
    # Synthetic banks whose microphones are in one place have no spacing.
    if own is None or not scenes or abs(own - scenes) <= SAME_SPACING:
        return
    advice = (
        f"Pass `{spelling.format(scenes)}`, or make both for one spacing."
        if takes_spacing(model)
        else f"Its {_head(model)} cannot take another one: make both for one spacing."
    )
    raise ValueError(
        f"The scenes must have the model's microphone spacing, {own} m. {advice} "
        f"Received: scenes with microphones {scenes} m apart"
    )


def _head(model: Any) -> str:
    """The part that estimates the direction, for messages."""
    settings = getattr(getattr(model, "backbone", None), "settings", {})
    form = settings.get("doa_form")
    return f"head `doa_form={form!r}`" if form else "network"
