"""Layers that fold the examples of a recording into the batch axis, and unfold them."""

import keras
from keras import ops

from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings


class FoldExamples(FixedSettings, keras.layers.Layer):
    """Folds examples into the batch axis: (batch, t, ...) to (batch * t, ..., 1).

    Args:
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        examples: Tensor of shape (batch, t, ...).

    Returns:
        Tensor of shape (batch * t, ..., 1), with an axis of channels.
    """

    def call(self, examples: Tensor) -> Tensor:
        return ops.reshape(examples, (-1, *examples.shape[2:], 1))

    def compute_output_shape(self, examples_shape: Shape) -> Shape:
        return (None, *examples_shape[2:], 1)


class UnfoldExamples(FixedSettings, keras.layers.Layer):
    """Unfolds the embeddings of examples that `FoldExamples` folded.

    Args:
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        embeddings: Tensor of shape (batch * t, d).
        examples: The examples that were folded, shape (batch, t, ...).

    Returns:
        Tensor of shape (batch, t, d).
    """

    def call(self, embeddings: Tensor, examples: Tensor) -> Tensor:
        return ops.reshape(embeddings, (-1, ops.shape(examples)[1], embeddings.shape[-1]))

    def compute_output_shape(self, embeddings_shape: Shape, examples_shape: Shape) -> Shape:
        return (*examples_shape[:2], embeddings_shape[-1])
