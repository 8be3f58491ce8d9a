"""VGGish, an audio network with one embedding for each 0.96 s."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_choice, check_integer
from keras_avssan._internal.frozen_layers import KeepsFrozenModel
from keras_avssan._internal.functional_storage import StoredByAttribute
from keras_avssan._internal.start_up.hub import keras_hub
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.examples import FoldExamples, UnfoldExamples
from keras_avssan.encoders.presets import LoadsBackbonePresets
from keras_avssan.encoders.vggish.vggish_postprocessor import VGGishPostprocessor
from keras_avssan.encoders.vggish.vggish_spectrogram import (
    HOP_LENGTH,
    NUM_FRAMES,
    NUM_MELS,
    SAMPLING_RATE,
    VGGishSpectrogram,
)

_ACTIVATIONS = (None, "relu")
_DEPTHS = (1, 1, 2, 2)  # convolutions before each pooling
_HOP_SECONDS = NUM_FRAMES * HOP_LENGTH / SAMPLING_RATE


@keras.saving.register_keras_serializable(package="keras_avssan")
class VGGish(
    LoadsBackbonePresets,
    StoredByAttribute,
    KeepsFrozenModel,
    FixedSettings,
    keras_hub.models.Backbone,
):
    """Encodes audio by the VGGish network, one embedding for each 0.96 s.

    Log-mel examples of 96 frames, see `VGGishSpectrogram`, pass six 3 x 3 convolutions with four
    poolings and three dense layers. Recordings may have any length; their last example is padded
    with zeros. Weights come from a published checkpoint, see
    `keras_avssan.encoders.converters`, or from a preset; without them they are random.

    Args:
        filters: Number of filters of the convolutions, one for each of the four groups.
        hidden_dim: Width of the first two dense layers.
        embedding_dim: Dimension of an embedding.
        activation: Activation of the embeddings: `None` as in the current published network, to
            which its PCA parameters belong; `"relu"` as in its first version and in torchvggish.
        postprocess: Whether embeddings are whitened, see `VGGishPostprocessor`.
        eight_bit: Whether whitened embeddings are quantised to integers from 0 to 255.
        drop_remainder: Whether a last example that the recording does not fill is left out, as by
            the published code.
        gain: Factor on the audio. `AVSSAN` scales recordings to a root mean square of one, while
            the published weights were trained on audio within ±1: a gain of 0.1 compensates.
        implementation: `"fft"` or `"conv"`, see `VGGishSpectrogram`.
        trainable: Whether the network is trained with the task. While frozen it has no gradient.
        dtype: Data type or precision policy. The spectrogram and the whitening stay in float32.
        **kwargs: Arguments of `keras_hub.models.Backbone`.

    Call arguments:
        audio: Mono audio at 16 kHz, shape (batch, samples).
        training: Not used: the network computes the same in training and after.

    Returns:
        Embeddings, shape (batch, t, embedding_dim); embedding i is centred on 0.48 + 0.96 i
        seconds. See `VGGishSpectrogram` for t.

    Raises:
        ValueError: If an argument is out of its range, or `audio` is not of rank 2.

    Example:
        >>> VGGish(filters=(8, 8, 16, 16), hidden_dim=32)(keras.ops.ones((1, 48000))).shape
        (1, 4, 128)

    Reference:
        Hershey et al., CNN Architectures for Large-Scale Audio Classification, ICASSP 2017.
        AV-SSAN, "SBF Net": F_A comes from a frozen VGGish.
    """

    also_fixed = ("settings", "sampling_rate", "hop_seconds", "offset_seconds")

    def __init__(
        self,
        filters: Sequence[int] = (64, 128, 256, 512),
        hidden_dim: int = 4096,
        embedding_dim: int = 128,
        activation: str | None = None,
        postprocess: bool = False,
        eight_bit: bool = False,
        drop_remainder: bool = False,
        gain: float = 1.0,
        implementation: str = "fft",
        trainable: bool = False,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        _check_arguments(filters, activation, postprocess, eight_bit)
        hidden_dim = check_integer("hidden_dim", hidden_dim, least=1)
        embedding_dim = check_integer("embedding_dim", embedding_dim, least=1)
        self.settings: dict[str, Any] = {
            "filters": list(filters),
            "hidden_dim": hidden_dim,
            "embedding_dim": embedding_dim,
            "activation": activation,
            "postprocess": postprocess,
            "eight_bit": eight_bit,
            "drop_remainder": drop_remainder,
            "gain": gain,
            "implementation": implementation,
        }
        self.sampling_rate = SAMPLING_RATE
        self.hop_seconds = _HOP_SECONDS
        self.offset_seconds = 0.5 * _HOP_SECONDS
        self.spectrogram = VGGishSpectrogram(
            drop_remainder, gain, implementation, name="spectrogram"
        )
        policy = keras.dtype_policies.get(dtype)
        flat_dim = self._make_stages(filters, policy)
        self._make_dense_layers(flat_dim, hidden_dim, embedding_dim, activation, policy)
        self.postprocessor = None
        if postprocess:
            self.postprocessor = VGGishPostprocessor(eight_bit, name="postprocessor")
            self.postprocessor.build((None, None, embedding_dim))
        audio = keras.Input((None,), name="audio")
        super().__init__(audio, self._connect(audio), base={"dtype": dtype}, **kwargs)
        self.trainable = trainable

    def _make_stages(self, filters: Sequence[int], policy: keras.DTypePolicy) -> int:
        """Makes convolutions and poolings; returns the number of features of their output."""
        shape: Any = (None, NUM_FRAMES, NUM_MELS, 1)
        self.stages: list[keras.Layer] = []
        for i, (width, depth) in enumerate(zip(filters, _DEPTHS, strict=True), start=1):
            names = [f"conv{i}"] if depth == 1 else [f"conv{i}_{j + 1}" for j in range(depth)]
            stages: list[keras.Layer] = [_convolution(width, policy, name) for name in names]
            stages.append(
                keras.layers.MaxPooling2D(
                    2, data_format="channels_last", dtype=policy, name=f"pool{i}"
                )
            )
            for stage in stages:
                stage.build(shape)
                shape = stage.compute_output_shape(shape)
            self.stages.extend(stages)
        return int(shape[1] * shape[2] * shape[3])

    def _make_dense_layers(
        self,
        flat_dim: int,
        hidden_dim: int,
        embedding_dim: int,
        activation: str | None,
        policy: keras.DTypePolicy,
    ) -> None:
        self.dense_layers = [
            keras.layers.Dense(hidden_dim, activation="relu", dtype=policy, name="fc1_1"),
            keras.layers.Dense(hidden_dim, activation="relu", dtype=policy, name="fc1_2"),
            keras.layers.Dense(embedding_dim, activation=activation, dtype=policy, name="fc2"),
        ]
        for layer, dim in zip(self.dense_layers, (flat_dim, hidden_dim, hidden_dim), strict=True):
            layer.build((None, dim))

    @property
    def convolutions(self) -> list[keras.Layer]:
        """The six convolutions, in order."""
        return [stage for stage in self.stages if isinstance(stage, keras.layers.Conv2D)]

    def _connect(self, audio: Tensor) -> Tensor:
        examples = self.spectrogram(audio)
        x = FoldExamples(dtype="float32", name="fold")(examples)
        for stage in self.stages:
            x = stage(x)
        # Time, then mel bands, then filters: the order that published weights expect.
        x = ops.reshape(x, (-1, self.dense_layers[0].kernel.shape[0]))
        for layer in self.dense_layers:
            x = layer(x)
        x = UnfoldExamples(dtype=x.dtype, name="unfold")(x, examples)
        return x if self.postprocessor is None else self.postprocessor(x)

    def call(
        self, audio: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        if len(audio.shape) != 2:
            raise ValueError(
                "`audio` must be mono, of shape (batch, samples). "
                f"Received: audio.shape={tuple(audio.shape)}"
            )
        x = super().call(audio, training=training)
        return x if self.trainable else ops.stop_gradient(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, examples, _, _ = self.spectrogram.compute_output_shape(input_shape)
        return (batch, examples, self.settings["embedding_dim"])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


def _convolution(filters: int, dtype: keras.DTypePolicy, name: str) -> keras.Layer:
    return keras.layers.Conv2D(
        filters,
        3,
        padding="same",
        activation="relu",
        data_format="channels_last",
        dtype=dtype,
        name=name,
    )


def _check_arguments(
    filters: Sequence[int],
    activation: str | None,
    postprocess: bool,
    eight_bit: bool,
) -> None:
    if len(filters) != len(_DEPTHS) or not all(_is_positive(width) for width in filters):
        raise ValueError(
            f"`filters` must be {len(_DEPTHS)} positive integers. Received: filters={filters!r}"
        )
    check_choice("activation", activation, _ACTIVATIONS)
    if eight_bit and not postprocess:
        raise ValueError(
            "`eight_bit` is a form of whitened embeddings: it needs `postprocess=True`. "
            f"Received: eight_bit={eight_bit}, postprocess={postprocess}"
        )


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and value > 0
