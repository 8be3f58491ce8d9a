"""FN-SSL: recurrence along frequency and along time, alternating."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_integer, known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.sizes import divide_up, size_as_float
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone

_NUM_PARTS = 4  # re1, im1, re2, im2


def along(layer: keras.Layer, x: Tensor, training: bool | None = None) -> Tensor:
    """Runs a recurrent layer along the steps of (batch, entries, steps, features), by entry."""
    _, entries, steps, features = ops.shape(x)
    y = layer(ops.reshape(x, (-1, steps, features)), training=training)
    return ops.reshape(y, (-1, entries, steps, y.shape[-1]))


@keras.saving.register_keras_serializable(package="keras_avssan")
class FullNarrowBlock(FixedSettings, keras.layers.Layer):
    """Full-band recurrence over the frequencies of a frame, narrow-band over the time of a band.

    The full-band layer runs over one frame at a time, in both directions; the narrow-band layer
    over one band at a time, with the same weights for all. In the first block of a network the
    narrow-band layer gets the block's input besides the full-band output; later blocks add the
    outputs of the previous block.

    Args:
        hidden_dim: Width D of the outputs, even.
        first: Whether this is the first block.
        causal: Whether the narrow-band layer depends only on the past. If not, half of its units
            run backwards in time.
        dropout: Share of the outputs of both layers dropped while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Input of the network, or the narrow-band output of the block before; shape
            (batch, T, F, channels).
        full_skip: Full-band output of the block before, shape (batch, T, F, D). The first block
            takes none.
        training: Whether dropout is active.

    Returns:
        Tuple of the narrow-band and the full-band output, each (batch, T, F, D).

    Raises:
        ValueError: If `hidden_dim` is odd or not positive, or if a later block has another number
            of channels than D.

    Example:
        >>> narrow, full = FullNarrowBlock(32, first=True)(keras.ops.ones((2, 5, 16, 4)))
        >>> narrow.shape, full.shape
        ((2, 5, 16, 32), (2, 5, 16, 32))

    Reference:
        Wang, Yang and Li, "FN-SSL: Full-band and narrow-band fusion for sound source
        localization", 2023.
    """

    def __init__(
        self,
        hidden_dim: int = 256,
        first: bool = False,
        causal: bool = True,
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not hidden_dim > 0 or hidden_dim % 2:
            raise ValueError(
                "`hidden_dim` must be a positive even number, one half for each direction. "
                f"Received: hidden_dim={hidden_dim}"
            )
        self.hidden_dim = hidden_dim
        self.first = first
        self.causal = causal
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        channels = known_size("input_shape", input_shape, -1, "channels")
        if not self.first and channels != self.hidden_dim:
            raise ValueError(
                "`input_shape` of a block that is not the first one must have "
                f"{self.hidden_dim} channels. Received: input_shape={tuple(input_shape)}"
            )
        self.full_band = self._two_directions("full_band")
        self.narrow_band = (
            self._lstm(self.hidden_dim, "narrow_band")
            if self.causal
            else self._two_directions("narrow_band")
        )
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="drop")
        self.full_band.build((None, None, channels))
        width = self.hidden_dim
        if self.first:
            width += channels
        self.narrow_band.build((None, None, width))
        self.built = True

    def _lstm(self, units: int, name: str) -> keras.Layer:
        return keras.layers.LSTM(units, return_sequences=True, dtype=self.dtype_policy, name=name)

    def _two_directions(self, name: str) -> keras.Layer:
        lstm = self._lstm(self.hidden_dim // 2, "lstm")
        return keras.layers.Bidirectional(lstm, dtype=self.dtype_policy, name=name)

    def call(
        self, x: Tensor, full_skip: Tensor = None, training: bool | None = None
    ) -> tuple[Tensor, Tensor]:
        full = along(self.full_band, x if self.first else x + full_skip, training)
        narrow = self.drop(full, training=training)
        narrow = ops.concatenate([narrow, x], axis=-1) if self.first else narrow + x
        narrow = ops.transpose(narrow, (0, 2, 1, 3))
        narrow = along(self.narrow_band, narrow, training)
        narrow = ops.transpose(narrow, (0, 2, 1, 3))
        return self.drop(narrow, training=training), full

    def compute_output_shape(
        self, x_shape: Shape, full_skip_shape: Shape | None = None
    ) -> tuple[Shape, Shape]:
        shape = (*x_shape[:-1], self.hidden_dim)
        return shape, shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "first": self.first,
            "causal": self.causal,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="keras_avssan")
class SegmentMeans(FixedSettings, keras.layers.Layer):
    """Means of consecutive segments of frames; the last one may be shorter.

    Args:
        segment: Length of a segment in frames.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Tensor of shape (batch, T, F, channels).

    Returns:
        Tuple of the means (batch, S, F, channels), with S segments of at most `segment` frames,
        and the share of all frames that each segment holds, shape (1, S, 1).
    """

    def __init__(self, segment: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segment = segment

    def call(self, x: Tensor) -> tuple[Tensor, Tensor]:
        segment = self.segment
        _, frames, bands, channels = ops.shape(x)
        count, total = divide_up(frames, segment), size_as_float(frames)
        # More zeros than needed, so that their number does not depend on the duration.
        x = ops.pad(x, [[0, 0], [0, segment - 1], [0, 0], [0, 0]])[:, : count * segment]
        sums = ops.sum(ops.reshape(x, (-1, count, segment, bands, channels)), axis=2)
        starts = segment * ops.arange(count, dtype="float32")
        lengths = ops.minimum(total - starts, float(segment))[None, :, None]
        shares = ops.cast(lengths / total, x.dtype)
        return sums / ops.cast(lengths, x.dtype)[..., None], shares

    def compute_output_shape(self, x_shape: Shape) -> tuple[Shape, Shape]:
        batch, frames, bands, channels = x_shape
        count = None if frames is None else divide_up(frames, self.segment)
        return (batch, count, bands, channels), (1, count, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "segment": self.segment}


@keras.saving.register_keras_serializable(package="keras_avssan")
class FNSSLBackbone(BaselineBackbone):
    """Network of `FNSSL`.

    Args:
        hidden_dim: Width of both recurrent layers of a block, even.
        num_blocks: Number of blocks.
        frequency_stride: Number of neighbouring bins in one step along frequency, stacked as
            channels. Larger strides are faster; no bin is lost.
        segment_length: Number of frames in one estimate of the network.
        causal: Whether the layers along time depend only on the past.
        dropout: Share of the outputs of the recurrent layers dropped while training.
        frame_length: Frame length of the spectrogram in samples.
        hop_length: Hop of the spectrogram in samples.
        **kwargs: Arguments of `BaselineBackbone`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2). A prompt is ignored.

    Returns:
        Dict with `doa` (batch, 180).

    Raises:
        ValueError: If `frequency_stride` does not divide the number of bins, or `num_blocks` or
            `segment_length` is not an integer of at least 1.

    Example:
        >>> backbone = FNSSLBackbone(hidden_dim=16, num_blocks=2, frequency_stride=8)
        >>> backbone({"audio": keras.ops.ones((1, 16000, 2))})["doa"].shape
        (1, 180)
    """

    takes_prompt = False

    def __init__(
        self,
        hidden_dim: int = 256,
        num_blocks: int = 3,
        frequency_stride: int = 1,
        segment_length: int = 12,
        causal: bool = True,
        dropout: float = 0.2,
        frame_length: int = 512,
        hop_length: int = 256,
        **kwargs: Any,
    ) -> None:
        num_blocks = check_integer("num_blocks", num_blocks, least=1)
        segment_length = check_integer("segment_length", segment_length, least=1)
        kwargs = self.set_up(
            {
                "hidden_dim": hidden_dim,
                "num_blocks": num_blocks,
                "frequency_stride": frequency_stride,
                "segment_length": segment_length,
                "causal": causal,
                "dropout": dropout,
            },
            frame_length=frame_length,
            hop_length=hop_length,
            **kwargs,
        )
        self._check_stride(frequency_stride)
        self.segment_length = segment_length
        self._bands = (self.stft.num_bins - 1) // frequency_stride
        self._channels = _NUM_PARTS * frequency_stride
        dtype = self.policy
        self.to_bands = keras.layers.Reshape(
            (-1, self._bands, self._channels), dtype=dtype, name="bands"
        )
        self.blocks = self._build_blocks(hidden_dim, num_blocks, causal, dropout)
        # One complex number a bin, as the phase difference of the direct path would be.
        self.direct_path = keras.layers.Dense(
            2 * frequency_stride, activation="tanh", dtype=dtype, name="direct_path"
        )
        self.direct_path.build((None, None, None, hidden_dim))
        features = 2 * frequency_stride * self._bands
        self.segments = SegmentMeans(segment_length, dtype=dtype, name="segments")
        self.cues = keras.layers.Reshape((-1, features), dtype=dtype, name="cues")
        self.logits.build((None, None, features))
        super().__init__(**kwargs)

    def _check_stride(self, frequency_stride: int) -> None:
        bins = self.stft.num_bins - 1
        if not frequency_stride > 0 or bins % frequency_stride:
            raise ValueError(
                f"`frequency_stride` must divide the {bins} bins of the spectrogram. "
                f"Received: frequency_stride={frequency_stride}"
            )

    def _build_blocks(
        self, hidden_dim: int, num_blocks: int, causal: bool, dropout: float
    ) -> list[FullNarrowBlock]:
        channels, blocks = self._channels, []
        for i in range(num_blocks):
            block = FullNarrowBlock(
                hidden_dim,
                first=i == 0,
                causal=causal,
                dropout=dropout,
                dtype=self.policy,
                name=f"block_{i}",
            )
            block.build((None, None, None, channels))
            blocks.append(block)
            channels = hidden_dim
        return blocks

    def compute_outputs(self, audio: Tensor, prompt: Tensor) -> dict[str, Tensor]:
        # The bin of frequency zero has no phase difference.
        x = ops.cast(self.stft(audio)[:, :, 1:], self.policy.compute_dtype)
        x = self.to_bands(x)
        full = None
        for block in self.blocks:
            x, full = block(x, full)
        means, shares = self.segments(x)
        cues = self.cues(self.direct_path(means))
        return {"logits": ops.sum(self.logits(cues) * ops.cast(shares, "float32"), axis=1)}


@keras.saving.register_keras_serializable(package="keras_avssan")
class FNSSL(Baseline):
    """FN-SSL: the direction of the loudest sound, by recurrence along frequency and time.

    Takes no prompt and ignores one. Real and imaginary parts of 256 bins of both channels pass
    three blocks, each of a bidirectional layer of 2 x 128 units along frequency and one of 256
    units along time. The mean of 12 frames becomes one complex number a bin, and the 512 parts of
    those a posterior.

    Changes: a recording is normalised to unit power as a whole, where the original normalises by a
    running level; the logits of all segments of 12 frames are averaged, weighted by their numbers
    of frames: the last segment, or the only one of a short recording, may have fewer. The training
    target is a softmax with cross-entropy over 180 directions. `fnssl_small` is not published: 64
    units and two blocks, eight bins a step, for a processor without an accelerator.

    Args:
        backbone: An `FNSSLBackbone`. If not given, one is built from `**kwargs`.
        **kwargs: Arguments of `Baseline` and of `FNSSLBackbone`.

    Example:
        >>> model = FNSSL.from_preset("fnssl_small", load_weights=False)
        >>> model.fit(train_dataset)                # see data.make_dataset
        >>> theta = model.localize("mix.wav")       # degrees

    Reference:
        Wang, Yang and Li, "FN-SSL: Full-band and narrow-band fusion for sound source
        localization", 2023.
    """

    backbone_cls = FNSSLBackbone
    untrained = {
        "fnssl": {
            "description": "FN-SSL with layer sizes as published.",
            "arguments": {},
            "parts": {},
        },
        "fnssl_small": {
            "description": "FN-SSL with 64 units, two blocks, eight bins a step: for processors.",
            "arguments": {"hidden_dim": 64, "num_blocks": 2, "frequency_stride": 8},
            "parts": {},
        },
    }
