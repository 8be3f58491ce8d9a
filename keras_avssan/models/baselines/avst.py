"""AVST: one Transformer for the mixture and one for the prompt, joined by attention."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.start_up.hub import keras_hub
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.generalized_cross_correlation import GeneralizedCrossCorrelation
from keras_avssan.layers.transformer_block import TransformerBlock
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone
from keras_avssan.models.baselines.shared_layers import PromptProjection

_LAG_STEP = 1.0 / 48000.0  # seconds, one sample of the original's recordings


@keras.saving.register_keras_serializable(package="keras_avssan")
class ClassTokenEncoder(FixedSettings, keras.layers.Layer):
    """Linear embedding, class token, sinusoidal positions, Transformer blocks; returns the token.

    Positions are computed, not learnt, so sequences may have any length.

    Args:
        dim: Dimension of a token.
        num_layers: Number of Transformer blocks.
        num_heads: Attention heads a block.
        mlp_dim: Hidden width of a block's MLP.
        dropout: Share of values of the tokens dropped before the blocks while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Sequence, shape (batch, t, features).
        training: Whether dropout is active.

    Returns:
        Class token after the blocks, shape (batch, dim).

    Example:
        >>> ClassTokenEncoder()(keras.ops.ones((2, 32, 96))).shape
        (2, 128)

    Reference:
        Dosovitskiy et al., "An image is worth 16x16 words", 2021.
    """

    def __init__(
        self,
        dim: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        mlp_dim: int = 256,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        known_size("input_shape", input_shape, -1, "features")
        dtype = self.dtype_policy
        sequence_shape = (None, None, self.dim)
        self.embedding = keras.layers.Dense(self.dim, dtype=dtype, name="embedding")
        self.embedding.build(input_shape)
        self.class_token = self.add_weight(
            shape=(1, 1, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="class_token",
        )
        # In float32: half precision cannot represent the positions of long recordings.
        self.position = keras_hub.layers.SinePositionEncoding(dtype="float32", name="position")
        self.drop = keras.layers.Dropout(self.dropout, dtype=dtype, name="drop")
        self.blocks = [
            TransformerBlock(self.num_heads, self.mlp_dim, dtype=dtype, name=f"block_{i}")
            for i in range(self.num_layers)
        ]
        for block in self.blocks:
            block.build(sequence_shape)
        self.norm = keras.layers.LayerNormalization(dtype=dtype, name="norm")
        self.norm.build((None, self.dim))
        self.built = True

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        x = self.embedding(x)
        class_token = ops.zeros_like(x[:, :1]) + ops.cast(self.class_token, x.dtype)
        x = ops.concatenate([class_token, x], axis=1)
        x = self.drop(x + ops.cast(self.position(x), x.dtype), training=training)
        for block in self.blocks:
            x = block(x, training=training)
        return self.norm(x[:, 0])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVSTBackbone(BaselineBackbone):
    """Network of `AVST`.

    Args:
        num_lags: Number of lags of the correlation, 1/48000 s apart; even numbers have one more
            negative lag.
        dim: Dimension of a token.
        num_layers: Number of Transformer blocks for each of audio and prompt.
        num_heads: Attention heads, of the blocks and between audio and prompt.
        mlp_dim: Hidden width of the MLP of a block.
        prompt_tokens: Number of tokens that the prompt is projected to.
        dropout: Share of values of the tokens dropped before the blocks while training.
        **kwargs: Arguments of `BaselineBackbone`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and a prompt, see `BaselineBackbone`.

    Returns:
        Dict with `doa` (batch, 180).

    Example:
        >>> backbone = AVSTBackbone(prompt_dim=512)
        >>> inputs = {
        ...     "audio": keras.ops.ones((1, 16000, 2)),
        ...     "prompt_embedding": keras.ops.ones((1, 512)),
        ... }
        >>> backbone(inputs)["doa"].shape
        (1, 180)
    """

    def __init__(
        self,
        num_lags: int = 96,
        dim: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        mlp_dim: int = 256,
        prompt_tokens: int = 4,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        encoder: dict[str, Any] = {
            "dim": dim,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "mlp_dim": mlp_dim,
            "dropout": dropout,
        }
        kwargs = self.set_up(
            {"num_lags": num_lags, "prompt_tokens": prompt_tokens, **encoder}, **kwargs
        )
        self.dim = dim
        self.prompt_tokens = prompt_tokens
        dtype = self.policy
        lags = (np.arange(num_lags) - num_lags // 2) * _LAG_STEP * self.sampling_rate
        self.correlation = GeneralizedCrossCorrelation(lags, name="correlation")
        self.correlation_norm = keras.layers.BatchNormalization(
            momentum=0.9, dtype=dtype, name="correlation_norm"
        )
        self.prompt_projection = PromptProjection(
            prompt_tokens * dim, dtype=dtype, name="prompt_projection"
        )
        self.audio_encoder = ClassTokenEncoder(**encoder, dtype=dtype, name="audio_encoder")
        self.visual_encoder = ClassTokenEncoder(**encoder, dtype=dtype, name="visual_encoder")
        self.attention = keras.layers.MultiHeadAttention(
            num_heads, key_dim=dim, dtype=dtype, name="attention"
        )
        self.attention_norm = keras.layers.LayerNormalization(dtype=dtype, name="attention_norm")
        self._build_weights(num_lags)
        super().__init__(**kwargs)

    def _build_weights(self, num_lags: int) -> None:
        pair_shape = (None, 2, self.dim)
        self.correlation.build((None, None, self.stft.num_bins, 4))
        self.correlation_norm.build((None, None, num_lags))
        self.prompt_projection.build((None, self.prompt_dim))
        self.audio_encoder.build((None, None, num_lags))
        self.visual_encoder.build((None, self.prompt_tokens, self.dim))
        self.attention.build(pair_shape, pair_shape)
        self.attention_norm.build(pair_shape)
        self.logits.build((None, 2 * self.dim))

    def compute_outputs(self, audio: Tensor, prompt: Tensor) -> dict[str, Tensor]:
        correlation = self.correlation_norm(self.correlation(self.stft(audio)))
        tokens = self.prompt_projection(prompt)
        tokens = ops.reshape(tokens, (-1, self.prompt_tokens, self.dim))
        pair = [self.audio_encoder(correlation), self.visual_encoder(tokens)]
        joined = self.join(ops.stack(pair, axis=1))
        return {"logits": self.logits(ops.reshape(joined, (-1, 2 * self.dim)))}

    def join(self, pair: Tensor) -> Tensor:
        """Attention among the class tokens of audio and prompt, (batch, 2, dim), normalised."""
        # With its scores returned, Keras computes attention step by step, in every precision.
        attended, _ = self.attention(pair, pair, return_attention_scores=True)
        return self.attention_norm(pair + attended)


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVST(Baseline):
    """AVST: audio-visual spatial Transformer.

    The audio tokens are the correlation of both microphones after the phase transform, at 96 lags
    a frame; a Transformer of two blocks summarises them in a class token, a second one the prompt.
    Attention of four heads between both class tokens leads to the posterior.

    Changes: the prompt embedding is projected to four tokens, where the original cuts pictures
    into patches; the correlation of this library's frames is normalised lag by lag; one posterior
    of 180 directions replaces a map of the field of view.

    Args:
        backbone: An `AVSTBackbone`. If not given, one is built from `**kwargs`.
        **kwargs: Arguments of `Baseline` and of `AVSTBackbone`.

    Example:
        >>> model = AVST(prompt_dim=512)
        >>> model.fit(train_dataset)                # see data.make_dataset
        >>> theta = model.localize("mix.wav", embedding)        # degrees

    Reference:
        Zhao et al., "Audio visual speaker localization from egocentric views", 2023.
    """

    backbone_cls = AVSTBackbone
    learning_rate = 1e-4
    untrained = {
        "avst": {
            "description": "AVST with layer sizes as published, prompts of CLIP's dimension.",
            "arguments": {"prompt_dim": 512},
            "parts": {},
        }
    }
