"""The convolutions of YAMNet, fully convolutional over log-mel bands of any length."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_positive_number
from keras_avssan._internal.frozen_layers import KeepsFrozenLayers, freeze_parts
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings

# Filters and stride of each stage: a convolution, then 13 depthwise-separable ones.
STAGES = (
    *((32, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
NUM_STAGES = len(STAGES)
_EPSILON = 1e-4


@keras.saving.register_keras_serializable(package="keras_avssan")
class YAMNetNetwork(KeepsFrozenLayers, FixedSettings, keras.layers.Layer):
    """Computes the feature maps of YAMNet, a MobileNet of 14 stages.

    Stage 1 is a 3 x 3 convolution, the others are depthwise-separable: a 3 x 3 convolution in each
    channel, then a 1 x 1 convolution. Batch normalisation without scale and a rectifier follow
    every convolution. Stages 1, 3, 5, 7 and 13 halve both axes, with the padding of TensorFlow;
    any number of frames is accepted. `YAMNet` holds one of these.

    Args:
        width_multiplier: Factor on the number of filters of every stage.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        log_mel: Log-mel bands, shape (batch, frames, 64), see `YAMNetLogMel`.
        stage: Stage whose features are returned, from 1 to 14.
        training: Whether batch normalisation runs in training mode.

    Returns:
        Features of the stage, shape (batch, frames / s, 64 / s, filters), where s is its stride.

    Raises:
        ValueError: If `width_multiplier` is not positive, or `stage` is out of its range.

    Example:
        >>> YAMNetNetwork(0.25)(keras.ops.ones((1, 96, 64))).shape
        (1, 3, 2, 256)
        >>> YAMNetNetwork(0.25)(keras.ops.ones((1, 96, 64)), stage=4).shape
        (1, 24, 16, 32)

    Reference:
        Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
        Applications, 2017. Plakal and Ellis, YAMNet, https://github.com/tensorflow/models, 2019.
    """

    def __init__(self, width_multiplier: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive_number("width_multiplier", width_multiplier)
        self.width_multiplier = width_multiplier
        self.filters = [max(1, round(width_multiplier * filters)) for filters, _ in STAGES]
        self.convolutions: list[keras.Layer] = []
        self.norms: list[keras.Layer] = []
        for i, (filters, (_, stride)) in enumerate(zip(self.filters, STAGES, strict=True), start=1):
            if i == 1:
                self._add("conv_1", keras.layers.Conv2D, filters, 3, strides=stride)
            else:
                self._add(f"depthwise_{i}", keras.layers.DepthwiseConv2D, 3, strides=stride)
                self._add(f"pointwise_{i}", keras.layers.Conv2D, filters, 1)

    def _add(self, name: str, form: type[keras.Layer], *sizes: int, strides: int = 1) -> None:
        """Adds a convolution without bias and the normalisation after it."""
        convolution = form(
            *sizes,
            strides=strides,
            padding="same",
            use_bias=False,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name=name,
        )
        norm = keras.layers.BatchNormalization(
            scale=False, epsilon=_EPSILON, dtype=self.dtype_policy, name=f"norm_{name}"
        )
        self.convolutions.append(convolution)
        self.norms.append(norm)

    def layers_beyond(self, stage: int) -> list[keras.Layer]:
        """Lists the layers that the features of a stage do not depend on.

        Args:
            stage: The stage, from 1 to 14.

        Returns:
            Convolutions and normalisations of the later stages.
        """
        count = _num_convolutions(stage)
        return [*self.convolutions[count:], *self.norms[count:]]

    def build(self, log_mel_shape: Shape) -> None:
        shape: Any = (*log_mel_shape, 1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
            norm.build(shape)
        freeze_parts(self)
        self.built = True

    def call(
        self, log_mel: Tensor, stage: int = NUM_STAGES, training: bool | None = None
    ) -> Tensor:
        check_stage(stage)
        x = log_mel[..., None]
        count = _num_convolutions(stage)
        for convolution, norm in zip(self.convolutions[:count], self.norms[:count], strict=True):
            x = ops.relu(norm(convolution(x), training=training))
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width_multiplier": self.width_multiplier}


def check_stage(stage: int) -> None:
    """Raises a ValueError for a stage that is none of the 14."""
    if isinstance(stage, bool) or not (isinstance(stage, int) and 1 <= stage <= NUM_STAGES):
        raise ValueError(
            f"`stage` must be an integer from 1 to {NUM_STAGES}. Received: stage={stage!r}"
        )


def stride_of(stage: int) -> int:
    """Distance between the features of a stage, in frames and in mel bands."""
    stride = 1
    for _, factor in STAGES[:stage]:
        stride *= factor
    return stride


def _num_convolutions(stage: int) -> int:
    """Number of convolutions up to a stage: the first has one, the others two."""
    return 2 * stage - 1
