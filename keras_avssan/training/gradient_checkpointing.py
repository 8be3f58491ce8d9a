"""Gradient checkpointing: less memory for more computation."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_avssan._internal.types import Tensor
from keras_avssan.layers.semantic_spatial_alignment import SemanticSpatialAlignment
from keras_avssan.layers.spatial_refiner import SpatialRefiner
from keras_avssan.training.patches import Overrides

# The layers that hold most of the activations for the backward pass. They draw no random numbers
# (a refiner with `band_dropout` does, and is left out) and have no moving averages, so that a
# second computation gives the same results.
_LAYERS = (SemanticSpatialAlignment, SpatialRefiner)


@contextlib.contextmanager
def recompute_activations(model: keras.Model) -> Iterator[keras.Model]:
    """Trains with gradient checkpointing, for GPUs of little memory and for long recordings.

    The layers with the largest activations, the semantic-spatial alignments and the spatial
    refiner, keep only their inputs in the forward pass and are computed again in the backward
    pass. Outputs and gradients are the same up to rounding; a step takes longer. Only training
    changes: the model, its saved files and its predictions do not.

    Args:
        model: A `keras_avssan.models.Localizer`, or its backbone, with such layers.

    Yields:
        The model.

    Raises:
        ValueError: If the model has no such layers.

    Example:
        >>> with recompute_activations(model):
        ...     model.fit(dataset)

    Reference:
        Chen et al., "Training deep nets with sublinear memory cost", 2016.
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, _LAYERS) and not getattr(layer, "band_dropout", 0.0)
    ]
    if not layers:
        raise ValueError(
            f"`model` must have layers of {[layer.__name__ for layer in _LAYERS]}, whose "
            f"activations can be computed again. Received: model={model!r}"
        )
    overrides = Overrides()
    for layer in layers:
        overrides.set(layer, "call", _recomputed(layer))
    _forget_step(model)
    try:
        yield model
    finally:
        overrides.undo()
        _forget_step(model)


def _recomputed(layer: keras.Layer) -> Callable[..., Tensor]:
    """Returns the layer's `call` under `keras.remat`.

    The whole layer is recomputed: `call` alone would be outside the scope that casts its weights.
    """
    call = layer.call
    inside: list[bool] = []

    def once(*tensors: Tensor, **options: Any) -> Tensor:
        inside.append(True)
        try:
            return layer(*tensors, **options)
        finally:
            inside.pop()

    def recomputed(*tensors: Tensor, **options: Any) -> Tensor:
        if inside:
            return call(*tensors, **options)
        # A new function each time: JAX caches the trace of a function, with weights that were
        # constants when only the shapes of the model were computed, and these have no gradient.
        return keras.remat(lambda *inputs: once(*inputs, **options))(*tensors)

    return recomputed


def _forget_step(model: keras.Model) -> None:
    """Makes a model compile its training step again, with the layers as they are now."""
    if getattr(model, "train_function", None) is not None:
        model.train_function = None
