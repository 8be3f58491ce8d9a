"""What `compile` takes as losses and metrics, checked before the first step."""

from typing import Any

import keras

from keras_avssan._internal.types import Tensor
from keras_avssan.doa.losses import AlignmentLoss, DoALoss, ReconstructionLoss

# Losses on one output, which can be given without its name.
_OUTPUTS = {
    DoALoss: "doa",
    ReconstructionLoss: "masked_spectrogram",
    AlignmentLoss: "prompt_semantics",
}


def named_losses(loss, weights: Any, outputs: Tensor):
    """Loss and weights of `compile` as a localiser computes them.

    Args:
        loss: A loss on dicts, a loss on one output, a dict from output to loss, or `None`.
        weights: Weights of the losses, as `loss_weights` of `keras.Model.compile`, or `None`.
        outputs: Names of the outputs that are compared with a truth.

    Returns:
        Tuple of the loss, a loss on dicts or a dict from output to loss, and the weights, a dict
        with the same keys or `None`.

    Raises:
        ValueError: If they are something else.
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


def _named_weights(loss, weights: Any):
    if weights is None:
        return None
    if not isinstance(loss, dict):
        raise ValueError(
            "`loss_weights` go with a dict from output to loss; losses on dicts, such as "
            f"`JointLoss`, have weights of their own. Received: loss_weights={weights!r}"
        )
    if not isinstance(weights, dict) or not set(weights) <= set(loss):
        raise ValueError(
            f"`loss_weights` must be a dict with keys of {sorted(loss)}, as the losses have. "
            f"Received: loss_weights={weights!r}"
        )
    return {name: float(weights.get(name, 1.0)) for name in loss}


def _refuse_loss(loss, outputs: Tensor):
    raise ValueError(
        "`loss` must be 'auto', a `keras.losses.Loss` on dicts such as `JointLoss()`, a loss of "
        "`keras_avssan.doa` such as `DoALoss()` or `DoALoss('mse')`, or a dict from output to "
        f"loss with keys of {list(outputs)}, such as {{'doa': DoALoss()}}. The truth of `doa` is "
        "an azimuth in degrees, which Keras's own losses cannot compare with a posterior. "
        f"Received: loss={loss!r}"
    )


def check_metrics(name: str, metrics: Any, outputs: Tensor) -> None:
    """Refuses metrics that cannot be computed, or whose numbers would mean nothing.

    Args:
        name: Name of the argument.
        metrics: List of metrics of `doa`, a dict from output to metrics, or `None`.
        outputs: Names of the outputs that are compared with a truth.

    Raises:
        ValueError: If they are something else.
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


def _refuse_metrics(name: str, metrics: Any, outputs: Tensor):
    raise ValueError(
        f"`{name}` must be 'auto', a list of metrics of `keras_avssan.doa` such as "
        "[AngularMAE()], or of your own, or a dict from output to metrics with keys of "
        f"{list(outputs)}. The truth of `doa` are the azimuths of target and interferer in "
        "degrees, (batch, 2), which Keras's own metrics cannot compare with a posterior. "
        f"Received: {name}={metrics!r}"
    )


def metrics_by_output(metrics: Any, weighted_metrics):
    """Metrics as Keras tells them apart: where one argument is a dict, both are.

    Args:
        metrics: List, dict from output to metrics, or `None`.
        weighted_metrics: Likewise.

    Returns:
        Tuple of both.
    """
    both = (metrics, weighted_metrics)
    if not any(isinstance(some, dict) for some in both):
        return both
    return tuple({"doa": list(some)} if isinstance(some, list | tuple) else some for some in both)


def _check_outputs(argument: str, given, outputs: Tensor):
    unknown = sorted(set(map(str, given)) - set(outputs))
    if unknown:
        raise ValueError(
            f"`{argument}` must be for outputs that are compared with a truth, which are "
            f"{list(outputs)}. Received: keys {unknown}"
        )


def _is_built_in(part):
    """Whether it is a name or a part of Keras, and no function or class of the user's own."""
    if isinstance(part, keras.metrics.MeanMetricWrapper):
        part = part._fn
    module = getattr(part, "__module__", None) or ""
    return isinstance(part, str) or module.split(".")[0] == "keras"
