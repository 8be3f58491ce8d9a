"""Pretrained convolutional network for the classification of sound effects."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_positive_number
from keras_avssan._internal.frozen_layers import KeepsFrozenModel
from keras_avssan._internal.functional_storage import StoredByAttribute
from keras_avssan._internal.start_up.hub import keras_hub
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.examples import FoldExamples, UnfoldExamples
from keras_avssan.encoders.presets import LoadsBackbonePresets
from keras_avssan.encoders.sound_effects_spectrogram import (
    HOP_LENGTH,
    NUM_MELS,
    SAMPLING_RATE,
    SoundEffectsSpectrogram,
)
from keras_avssan.layers.resampler import Resampler
from keras_avssan.layers.sizes import at_least, divide_up

EXAMPLE_FRAMES = 100
_FRAME_SECONDS = HOP_LENGTH / SAMPLING_RATE
_SMALLEST_PEAK = 1e-6  # recordings below are silent: they are not scaled to the peak


@keras.saving.register_keras_serializable(package="keras_avssan")
class SoundEffectsCNN(
    LoadsBackbonePresets,
    StoredByAttribute,
    KeepsFrozenModel,
    FixedSettings,
    keras_hub.models.Backbone,
):
    """Encodes audio by a network that was trained to classify sound-effects libraries.

    Resampling to 44.1 kHz → log-mel spectrogram → examples of 100 frames (2.3 s) → four blocks of
    two convolutions → mean over frequency, maximum over time. A new network has random weights;
    `keras_avssan.encoders.converters.convert_aisfx` loads the trained ones. Frozen by default;
    while frozen, batch normalisation uses its stored statistics.

    A recording shorter than an example is padded with silence, and so is the last example of a
    longer one, so that all samples are used. Recordings of a batch do not influence each other.

    Args:
        filters: Number of filters of the four blocks; the last is the dimension d of an embedding.
        hop_seconds: Distance between examples in seconds, rounded to whole frames of 23 ms, at
            most one example; half an example (1.16 s) if not given, as in the reference.
        sampling_rate: Sampling rate of the audio in hertz.
        peak: Largest absolute sample to which every recording is scaled, because the network was
            trained on recordings of sound libraries. `None` does not scale; samples in [-1, 1]
            are expected then.
        trainable: Whether the network is trained with the task.
        dtype: Data type or precision policy. Resampling and spectrogram stay in float32.
        **kwargs: Arguments of `keras_hub.models.Backbone`.

    Attributes:
        hop_seconds: Distance between embeddings in seconds.
        offset_seconds: Centre of the first embedding's example in seconds.

    Call arguments:
        audio: Mono audio, shape (batch, samples), at `sampling_rate`.
        training: Whether the network runs in training mode; never while it is frozen.

    Returns:
        Embeddings, shape (batch, t, d), one per example.

    Raises:
        ValueError: If `hop_seconds`, `peak` or `filters` is out of range, or audio has a wrong
            shape.

    Example:
        >>> encoder = SoundEffectsCNN()
        >>> encoder(keras.ops.ones((1, 16000))).shape
        (1, 1, 512)
        >>> encoder(keras.ops.ones((1, 160000))).shape
        (1, 8, 512)

    Reference:
        Ma and Lerch, "Representation Learning for the Automatic Indexing of Sound Effects
        Libraries", ISMIR 2022.
    """

    also_fixed = ("offset_seconds",)

    def __init__(
        self,
        filters: Sequence[int] = (64, 128, 256, 512),
        hop_seconds: float | None = None,
        sampling_rate: int = 16000,
        peak: float | None = 1.0,
        trainable: bool = False,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        if len(filters) != 4:
            raise ValueError(f"`filters` must hold four numbers. Received: filters={filters!r}")
        if peak is not None:
            check_positive_number("peak", peak)
        self.filters = tuple(filters)
        self.sampling_rate = sampling_rate
        self.peak = peak
        self._hop_frames = _hop_frames(hop_seconds)
        self.hop_seconds = self._hop_frames * _FRAME_SECONDS
        # Frames 0 to 99 are centred on 0 to 99 hops.
        self.offset_seconds = 0.5 * (EXAMPLE_FRAMES - 1) * _FRAME_SECONDS
        self.resampler = Resampler(sampling_rate, SAMPLING_RATE, name="resampler")
        self.spectrogram = SoundEffectsSpectrogram(name="spectrogram")
        self._build_blocks(keras.dtype_policies.get(dtype))
        audio = keras.Input((None,), name="audio")
        pairs = zip(self.convolutions, self.norms, strict=True)
        super().__init__(audio, self._connect(audio), pairs=pairs, base={"dtype": dtype}, **kwargs)
        self.trainable = trainable

    def _build_blocks(self, policy: keras.DTypePolicy) -> None:
        """Creates all weights, so that a model can be saved and loaded before its first call."""
        shared = {"dtype": policy}
        self.convolutions, self.norms, channels = [], [], 1
        for i, filters in enumerate(self.filters, start=1):
            for j in (1, 2):
                convolution = keras.layers.Conv2D(
                    filters,
                    3,
                    padding="same",
                    use_bias=False,
                    data_format="channels_last",
                    name=f"conv_{i}_{j}",
                    **shared,
                )
                norm = keras.layers.BatchNormalization(
                    momentum=0.9, epsilon=1e-5, name=f"norm_{i}_{j}", **shared
                )
                convolution.build((None, None, NUM_MELS, channels))
                norm.build((None, None, NUM_MELS, filters))
                self.convolutions.append(convolution)
                self.norms.append(norm)
                channels = filters
        self.pool = keras.layers.MaxPooling2D(2, data_format="channels_last", name="pool", **shared)

    def _connect(self, audio: Tensor) -> Tensor:
        level = _PeakNormalization(self.peak, dtype="float32", name="level")
        log_mel = self.spectrogram(self.resampler(level(audio)))
        examples = _CutExamples(self._hop_frames, dtype="float32", name="cut")(log_mel)
        x = FoldExamples(dtype="float32", name="fold")(examples)
        layers = zip(self.convolutions, self.norms, strict=True)
        for i, (convolution, norm) in enumerate(layers):
            x = ops.relu(norm(convolution(x)))
            if i in (1, 3, 5):  # after all blocks but the last
                x = self.pool(x)
        x = ops.max(ops.mean(x, axis=2), axis=1)
        return UnfoldExamples(dtype=x.dtype, name="unfold")(x, examples)

    def call(
        self, audio: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        if len(audio.shape) != 2:
            raise ValueError(
                "`audio` must have shape (batch, samples). "
                f"Received: audio.shape={tuple(audio.shape)}"
            )
        x = super().call(audio, training=bool(training) and self.trainable)
        return x if self.trainable else ops.stop_gradient(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        frames = self.spectrogram.compute_output_shape(
            self.resampler.compute_output_shape(input_shape)
        )[1]
        count = None if frames is None else _num_examples(frames, self._hop_frames)
        return (input_shape[0], count, self.filters[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "hop_seconds": self.hop_seconds,
            "sampling_rate": self.sampling_rate,
            "peak": self.peak,
        }


def _hop_frames(hop_seconds: float | None) -> int:
    """Distance between examples in frames."""
    if hop_seconds is None:
        return EXAMPLE_FRAMES // 2
    frames = round(hop_seconds / _FRAME_SECONDS)
    if not 1 <= frames <= EXAMPLE_FRAMES:
        longest = EXAMPLE_FRAMES * _FRAME_SECONDS
        raise ValueError(
            f"`hop_seconds` must be from {_FRAME_SECONDS:.3f} to {longest:.3f}, so that examples "
            f"leave no gap. Received: hop_seconds={hop_seconds!r}"
        )
    return frames


def _num_examples(frames: Tensor, hop_frames: int) -> Tensor:
    """Number of examples that hold all frames: an int, or a tensor if the length is unknown."""
    return 1 + at_least(divide_up(frames - EXAMPLE_FRAMES, hop_frames), 0)


class _PeakNormalization(keras.layers.Layer):
    """Scales recordings (batch, samples) to one peak, or not at all if it is `None`."""

    def __init__(self, peak: float | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.peak = peak

    def call(self, audio: Tensor) -> Tensor:
        audio = ops.cast(audio, "float32")
        if self.peak is None:
            return audio
        peak = ops.max(ops.abs(audio), axis=1, keepdims=True)
        return audio * (self.peak / ops.maximum(peak, _SMALLEST_PEAK))

    def compute_output_shape(self, audio_shape: Shape) -> Shape:
        return audio_shape


class _CutExamples(keras.layers.Layer):
    """Cuts a spectrogram into examples: (batch, T, 96) to (batch, t, 100, 96)."""

    def __init__(self, hop_frames: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hop_frames = hop_frames

    def call(self, spectrogram: Tensor) -> Tensor:
        count = _num_examples(ops.shape(spectrogram)[1], self.hop_frames)
        # Enough silence for any number of frames, so that the padding is a constant.
        padded = ops.pad(spectrogram, [[0, 0], [0, EXAMPLE_FRAMES], [0, 0]])
        # The type is named: PyTorch has none for sizes of an exported program.
        starts = self.hop_frames * ops.arange(count, dtype="int32")
        return ops.take(padded, starts[:, None] + ops.arange(EXAMPLE_FRAMES)[None, :], axis=1)

    def compute_output_shape(self, spectrogram_shape: Shape) -> Shape:
        batch, frames, num_mels = spectrogram_shape
        count = None if frames is None else _num_examples(frames, self.hop_frames)
        return (batch, count, EXAMPLE_FRAMES, num_mels)
