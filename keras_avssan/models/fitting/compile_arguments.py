"""Checks of the losses and metrics of `compile`, before the first step."""

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import keras

from keras_avssan.doa.losses import AlignmentLoss, DoALoss, ReconstructionLoss

# Losses on one output, which can be given without its name.
_OUTPUTS = {
    DoALoss: "doa",
    ReconstructionLoss: "masked_spectrogram",
    AlignmentLoss: "prompt_semantics",
}


def named_losses(
    loss: Any, weights: Any, outputs: Sequence[str]
) -> tuple[Any, dict[str, float] | None]:
    """Loss and weights of `compile`, checked: losses on one output become a dict by output.

    `outputs` are the names of the outputs that are compared with a truth.
    """
    for kind, output in _OUTPUTS.items():
        if isinstance(loss, kind):
            loss = {output: loss}
    if isinstance(loss, dict):
        _check_outputs("loss", loss, outputs)
        loss = {name: one for name, one in loss.items() if one is not None}
        for name, one in loss.items():
            if name == "doa" and _is_built_in(one):
                _refuse_loss({name: one}, outputs)
            keras.losses.get(one)  # refuses a name that is unknown
    elif loss is not None and (_is_built_in(loss) or not isinstance(loss, keras.losses.Loss)):
        _refuse_loss(loss, outputs)
    return loss, _named_weights(loss, weights)


def _named_weights(loss: Any, weights: Any) -> dict[str, float] | None:
    if weights is None:
        return None
    if not isinstance(loss, dict):
        raise ValueError(
            "`loss_weights` need a dict from output to loss; losses on dicts, such as "
            f"`JointLoss`, have weights of their own. Received: loss_weights={weights!r}"
        )
    if not isinstance(weights, dict) or not set(weights) <= set(loss):
        raise ValueError(
            f"`loss_weights` must be a dict with keys of {sorted(loss)}, as the losses have. "
            f"Received: loss_weights={weights!r}"
        )
    return {name: float(weights.get(name, 1.0)) for name in loss}


def _refuse_loss(loss: Any, outputs: Sequence[str]) -> NoReturn:
    raise ValueError(
        "`loss` must be 'auto', a `keras.losses.Loss` on dicts such as `JointLoss()`, a loss of "
        "`keras_avssan.doa` such as `DoALoss()` or `DoALoss('mse')`, or a dict from output to "
        f"loss with keys of {list(outputs)}, such as {{'doa': DoALoss()}}. The truth of `doa` is "
        "an azimuth in degrees, which Keras's own losses cannot compare with a posterior. "
        f"Received: loss={loss!r}"
    )


def check_metrics(name: str, metrics: Any, outputs: Sequence[str]) -> None:
    """Refuses metrics, the argument `name`, that cannot be computed or would be meaningless.

    Metrics are a list for `doa`, or a dict by name of the `outputs` that have a truth.
    """
    if metrics is None:
        return
    if not isinstance(metrics, dict | list | tuple):
        _refuse_metrics(name, metrics, outputs)
    by_output = metrics if isinstance(metrics, dict) else {"doa": metrics}
    _check_outputs(name, by_output, outputs)
    for output, some in by_output.items():
        if some is None:
            continue
        for metric in some if isinstance(some, list | tuple) else [some]:
            if isinstance(metric, list | tuple | dict):
                _refuse_metrics(name, metrics, outputs)
            if output == "doa" and _is_built_in(metric):
                _refuse_metrics(name, metrics, outputs)
            keras.metrics.get(metric)  # refuses a name that is unknown


def _refuse_metrics(name: str, metrics: Any, outputs: Sequence[str]) -> NoReturn:
    raise ValueError(
        f"`{name}` must be 'auto', a list of metrics of `keras_avssan.doa` such as "
        "[AngularMAE()], or of your own, or a dict from output to metrics with keys of "
        f"{list(outputs)}. The truth of `doa` are the azimuths of target and interferer in "
        "degrees, (batch, 2), which Keras's own metrics cannot compare with a posterior. "
        f"Received: {name}={metrics!r}"
    )


def metrics_by_output(metrics: Any, weighted_metrics: Any) -> tuple[Any, Any]:
    """Both arguments in one form, as Keras needs them: dicts by output where either is one."""
    both = (metrics, weighted_metrics)
    if not any(isinstance(some, dict) for some in both):
        return both
    first, second = (
        {"doa": list(some)} if isinstance(some, list | tuple) else some for some in both
    )
    return first, second


def _check_outputs(argument: str, given: Iterable[Any], outputs: Sequence[str]) -> None:
    unknown = sorted(set(map(str, given)) - set(outputs))
    if unknown:
        raise ValueError(
            f"`{argument}` must be for outputs that are compared with a truth, which are "
            f"{list(outputs)}. Received: {argument} with keys {unknown}"
        )


def _is_built_in(part: Any) -> bool:
    """Whether a loss or metric is a name or a part of Keras, not the user's own."""
    if isinstance(part, keras.metrics.MeanMetricWrapper):
        part = part._fn
    module = getattr(part, "__module__", None) or ""
    return isinstance(part, str) or module.split(".")[0] == "keras"
