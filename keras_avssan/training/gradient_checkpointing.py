"""Gradient checkpointing: less memory for more computation."""

import contextlib
from typing import Any

import keras

from keras_avssan._internal.types import Tensor
from keras_avssan.layers.semantic_spatial_alignment import SemanticSpatialAlignment
from keras_avssan.layers.spatial_refiner import SpatialRefiner
from keras_avssan.training.patches import Overrides

# The layers that hold most of what the backward pass needs. They draw nothing at random and have
# no moving averages, so that to compute them twice is to compute the same.
_LAYERS = (SemanticSpatialAlignment, SpatialRefiner)


@contextlib.contextmanager
def recompute_activations(model: Any):
    """Trains with gradient checkpointing: for small cards, and for long recordings.

    The layers that hold the largest activations, the semantic-spatial alignments and the spatial
    refiner, keep only their inputs in the forward pass and are computed once more in the backward
    pass. Outputs and gradients are the same up to rounding, a step takes longer. It is a matter of
    the training alone: the model, what is saved of it, and its predictions stay as they are.

    Args:
        model: A `keras_avssan.models.Localizer`, or its backbone, with such layers.

    Yields:
        The model.

    Raises:
        ValueError: If no layer of the model holds activations that could be computed again.

    Example:
        >>> with recompute_activations(model):
        ...     model.fit(dataset)

    Reference:
        Chen et al., "Training deep nets with sublinear memory cost", 2016.
    """
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, _LAYERS)]
    if not layers:
        raise ValueError(
            f"`model` must have layers of {[layer.__name__ for layer in _LAYERS]}, whose "
            f"activations can be computed again. Received: {type(model).__name__}"
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


def _recomputed(layer: Any):
    """The layer's `call` under `keras.remat`.

    What is computed twice is the whole layer, not its `call` alone: the second time is outside of
    the scope in which Keras casts the weights to the layer's precision.
    """
    call = layer.call
    inside = []

    def once(*tensors: Tensor):
        inside.append(True)
        try:
            return layer(*tensors)
        finally:
            inside.pop()

    def recomputed(*tensors: Tensor):
        if inside:
            return call(*tensors)
        # A new function each time: JAX keeps what it traced of a function, with the weights that
        # were constants when the model was only looked at for shapes, and these have no gradient.
        return keras.remat(lambda *inputs: once(*inputs))(*tensors)

    return recomputed


def _forget_step(model: Any) -> None:
    """Makes a model compile its training step anew, with the layers as they are now."""
    if getattr(model, "train_function", None) is not None:
        model.train_function = None
