"""AV-SELD: convolutions and Conformers over the mixture, joined by the prompt."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone
from keras_avssan.models.baselines.conformer import ConformerBlock
from keras_avssan.models.baselines.shared_layers import PromptProjection, StereoLogMel


@keras.saving.register_keras_serializable(package="keras_avssan")
class ResidualConvBlock(FixedSettings, keras.layers.Layer):
    """Twice [convolution 3 x 3, batch normalisation, ReLU], average pooling, plus a shortcut.

    The shortcut projects the first frame and bin of each pooled group to the new channels. Frames
    and bins of an incomplete last group are left out.

    Args:
        filters: Number of filters.
        pool_size: Frames and bins that are averaged, a pair of integers.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Maps, shape (batch, T, F, channels).
        training: Whether batch normalisation runs in training mode.

    Returns:
        Tensor of shape (batch, T // pool_size[0], F // pool_size[1], filters).

    Example:
        >>> ResidualConvBlock(64)(keras.ops.ones((2, 32, 64, 4))).shape
        (2, 16, 32, 64)
    """

    def __init__(self, filters: int, pool_size: tuple[int, int] = (2, 2), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.pool_size = tuple(pool_size)

    def build(self, input_shape: Shape) -> None:
        known_size("input_shape", input_shape, -1, "channels")
        dtype = self.dtype_policy
        output_shape = (*input_shape[:-1], self.filters)
        self.convolutions, self.norms = [], []
        for i, shape in enumerate([input_shape, output_shape]):
            convolution = keras.layers.Conv2D(
                self.filters,
                3,
                padding="same",
                use_bias=False,
                data_format="channels_last",
                dtype=dtype,
                name=f"conv_{i}",
            )
            norm = keras.layers.BatchNormalization(momentum=0.9, dtype=dtype, name=f"norm_{i}")
            convolution.build(shape)
            norm.build(output_shape)
            self.convolutions.append(convolution)
            self.norms.append(norm)
        self.shortcut = keras.layers.Dense(
            self.filters, use_bias=False, dtype=dtype, name="shortcut"
        )
        self.shortcut_norm = keras.layers.BatchNormalization(
            momentum=0.9, dtype=dtype, name="shortcut_norm"
        )
        self.shortcut.build(input_shape)
        self.shortcut_norm.build(output_shape)
        self.built = True

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        first = self._groups(x)[:, :, 0, :, 0]
        shortcut = self.shortcut_norm(self.shortcut(first), training=training)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = ops.relu(norm(convolution(x), training=training))
        return ops.mean(self._groups(x), axis=(2, 4)) + shortcut

    def _groups(self, x: Tensor) -> Tensor:
        """Cuts maps into groups: (batch, T, F, C) → (batch, T / p, p, F / q, q, C)."""
        _, frames, bins, channels = ops.shape(x)
        p, q = self.pool_size
        x = x[:, : frames // p * p, : bins // q * q]
        return ops.reshape(x, (-1, frames // p, p, bins // q, q, channels))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        bins = known_size("input_shape", input_shape, 2, "bins")
        batch, frames = input_shape[:2]
        frames = None if frames is None else frames // self.pool_size[0]
        return (batch, frames, bins // self.pool_size[1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "pool_size": list(self.pool_size),
        }


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVSELDBackbone(BaselineBackbone):
    """Network of `AVSELD`.

    Args:
        num_mels: Number of mel bands.
        filters: Filters of the residual blocks of convolutions; each halves the bands.
        time_pools: Numbers of frames that these blocks average, one for each.
        visual_dim: Dimension that the prompt is projected to.
        num_layers: Number of Conformer blocks over the audio, and of those over both.
        num_heads: Attention heads a block.
        ffn_dim: Hidden width of the feed-forward steps of a block.
        kernel_size: Length of the depthwise convolution of a block in (pooled) frames.
        dropout: Share of values dropped in the Conformer blocks while training.
        **kwargs: Arguments of `BaselineBackbone`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and a prompt, see `BaselineBackbone`.

    Returns:
        Dict with `doa` (batch, 180).

    Raises:
        ValueError: If `time_pools` and `filters` differ in length, pooling leaves no band, or a
            recording is too short for the pooling of time.

    Example:
        >>> backbone = AVSELDBackbone(prompt_dim=512)
        >>> inputs = {
        ...     "audio": keras.ops.ones((1, 16000, 2)),
        ...     "prompt_embedding": keras.ops.ones((1, 512)),
        ... }
        >>> backbone(inputs)["doa"].shape
        (1, 180)
    """

    def __init__(
        self,
        num_mels: int = 64,
        filters: Sequence[int] = (64, 128, 256, 512),
        time_pools: Sequence[int] = (2, 2, 1, 1),
        visual_dim: int = 512,
        num_layers: int = 4,
        num_heads: int = 8,
        ffn_dim: int = 1024,
        kernel_size: int = 51,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        conformer = {
            "num_heads": num_heads,
            "ffn_dim": ffn_dim,
            "kernel_size": kernel_size,
            "dropout": dropout,
        }
        _check_pools(num_mels, filters, time_pools)
        kwargs = self.set_up(
            {
                "num_mels": num_mels,
                "filters": list(filters),
                "time_pools": list(time_pools),
                "visual_dim": visual_dim,
                "num_layers": num_layers,
                **conformer,
            },
            **kwargs,
        )
        self._build_convolutions(num_mels, filters, time_pools)
        self.audio_blocks = self._make_conformer("audio", num_layers, filters[-1], conformer)
        self._build_projections(filters[-1], visual_dim)
        joint_dim = filters[-1] + visual_dim
        self.joint_blocks = self._make_conformer("joint", num_layers, joint_dim, conformer)
        self.logits.build((None, joint_dim))
        super().__init__(**kwargs)

    def _build_convolutions(
        self, num_mels: int, filters: Sequence[int], time_pools: Sequence[int]
    ) -> None:
        dtype = self.policy
        self.log_mel = StereoLogMel(num_mels, self.sampling_rate, name="log_mel")
        self.log_mel.build((None, None, self.stft.num_bins, 4))
        self.input_norm = keras.layers.BatchNormalization(
            momentum=0.9, dtype=dtype, name="input_norm"
        )
        self.input_norm.build((None, None, num_mels, 4))
        self.convolutions: list[ResidualConvBlock] = []
        shape: Shape = (None, None, num_mels, 4)
        for i, (width, pool) in enumerate(zip(filters, time_pools, strict=True)):
            block = ResidualConvBlock(width, (pool, 2), dtype=dtype, name=f"conv_block_{i}")
            block.build(shape)
            shape = block.compute_output_shape(shape)
            self.convolutions.append(block)

    def _make_conformer(
        self, name: str, num_layers: int, dim: int, arguments: Mapping[str, Any]
    ) -> list[ConformerBlock]:
        blocks = [
            ConformerBlock(**arguments, dtype=self.policy, name=f"{name}_block_{i}")
            for i in range(num_layers)
        ]
        for block in blocks:
            block.build((None, None, dim))
        return blocks

    def _build_projections(self, audio_dim: int, visual_dim: int) -> None:
        dtype = self.policy
        self.audio_norm = keras.layers.LayerNormalization(dtype=dtype, name="audio_norm")
        self.audio_norm.build((None, None, audio_dim))
        self.visual = PromptProjection(visual_dim, dtype=dtype, name="visual")
        self.visual.build((None, self.prompt_dim))
        self.visual_norm = keras.layers.LayerNormalization(dtype=dtype, name="visual_norm")
        self.visual_norm.build((None, visual_dim))

    def compute_outputs(self, audio: Tensor, prompt: Tensor) -> dict[str, Tensor]:
        mixture = self._encode_audio(audio)
        visual = self.visual_norm(self.visual(prompt))
        visual = visual[:, None, :] + ops.zeros_like(mixture[:, :, :1])
        x = ops.concatenate([mixture, visual], axis=-1)
        for block in self.joint_blocks:
            x = block(x)
        return {"logits": self.logits(ops.mean(x, axis=1))}

    def _encode_audio(self, audio: Tensor) -> Tensor:
        """Encodes recordings frame by frame: (batch, samples, 2) → (batch, t, filters)."""
        spectrogram = self.stft(audio)
        x = self.input_norm(self.log_mel(spectrogram))
        for block in self.convolutions:
            x = block(x)
        x = ops.mean(x, axis=2)
        for block in self.audio_blocks:
            x = block(x)
        return self.audio_norm(x)

    def check_audio(self, inputs: Mapping[str, Tensor]) -> None:
        """Refuses recordings of a wrong shape, or too short for the pooling of time."""
        super().check_audio(inputs)
        needed = 1
        for pool in self.settings["time_pools"]:
            needed *= pool
        samples = inputs["audio"].shape[1]
        frames = None if samples is None else 1 + samples // self.settings["hop_length"]
        if isinstance(frames, int) and frames < needed:
            samples = (needed - 1) * self.settings["hop_length"]
            raise ValueError(
                f"`audio` must have at least {samples} samples, {needed} frames, which are pooled "
                f"to one. Received: audio.shape={tuple(inputs['audio'].shape)}"
            )


def _check_pools(num_mels: int, filters: Sequence[int], time_pools: Sequence[int]) -> None:
    """Refuses blocks of convolutions that do not fit together."""
    if len(filters) != len(time_pools) or not len(filters):
        raise ValueError(
            "`filters` and `time_pools` must have the same length, at least one. "
            f"Received: filters={tuple(filters)}, time_pools={tuple(time_pools)}"
        )
    if num_mels < 2 ** len(filters):
        raise ValueError(
            f"`num_mels` must be at least {2 ** len(filters)}, as {len(filters)} blocks halve the "
            f"bands. Received: num_mels={num_mels}"
        )


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVSELD(Baseline):
    """AV-SELD: audio-visual sound event localisation by Conformers.

    Four residual blocks of convolutions and four Conformer blocks encode the mixture; the prompt,
    projected to 512 values, is concatenated to each frame; four Conformer blocks over both lead to
    the posterior.

    Changes: the inputs are log-mel spectrograms of both channels and the cosine and sine of their
    phase difference in the mel bands, normalised by the batch, where the original has four
    channels and their intensity vector, normalised by stored statistics; only the first two blocks
    pool time, so that a frame lasts 128 ms (100 ms in the original, which pools frames five times
    shorter four times) and a second has eight; frames are averaged, and one posterior replaces a
    vector for each class and frame.

    Args:
        backbone: An `AVSELDBackbone`. If not given, one is built from `**kwargs`.
        **kwargs: Arguments of `Baseline` and of `AVSELDBackbone`.

    Example:
        >>> model = AVSELD(prompt_dim=512)
        >>> model.fit(train_dataset)                # see data.make_dataset
        >>> theta = model.localize("mix.wav", embedding)        # degrees

    Reference:
        Berghi et al., "Fusion of audio and visual embeddings for sound event localization and
        detection", 2024.
    """

    backbone_cls = AVSELDBackbone
    learning_rate = 5e-5
    untrained = {
        "avseld": {
            "description": "AV-SELD with layer sizes as published, prompts of CLIP's dimension.",
            "arguments": {"prompt_dim": 512},
            "parts": {},
        },
        "avseld_small": {
            "description": "As `avseld`, a quarter as wide and half as deep: trains on a CPU.",
            "arguments": {
                "prompt_dim": 512,
                "filters": [16, 32, 64, 128],
                "visual_dim": 128,
                "num_layers": 2,
                "ffn_dim": 256,
            },
            "parts": {},
        },
    }
