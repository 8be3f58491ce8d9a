"""CMAF: attention between correlation, log-mel spectrogram and prompt, each pair both ways."""

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.generalized_cross_correlation import GeneralizedCrossCorrelation
from keras_avssan.layers.transformer_block import attend_in_steps, make_attention
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone
from keras_avssan.models.baselines.shared_layers import MLP, StereoLogMel, unit_power

_STREAMS = ("correlation", "mel", "visual")


@keras.saving.register_keras_serializable(package="keras_avssan")
class HANLayer(FixedSettings, keras.layers.Layer):
    """Self-attention and cross-attention side by side, then a feed-forward step.

    q ← norm(q + selfattn(q) + crossattn(q, v)), q ← norm(q + ffn(q)).

    Args:
        num_heads: Number of heads of each attention.
        ffn_dim: Hidden width of the feed-forward step.
        dropout: Share of values dropped in each part while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        query: Sequence that attends, shape (batch, n, D).
        value: Sequence that is attended to, shape (batch, m, D).
        training: Whether dropout is active.

    Returns:
        Tensor of the shape of `query`.

    Raises:
        ValueError: If D is not a multiple of `num_heads`.

    Example:
        >>> HANLayer()(keras.ops.ones((2, 10, 128)), keras.ops.ones((2, 1, 128))).shape
        (2, 10, 128)

    Reference:
        Tian et al., "Unified multisensory perception: weakly-supervised audio-visual video
        parsing", 2020, for the hybrid attention network.
    """

    def __init__(
        self, num_heads: int = 4, ffn_dim: int = 512, dropout: float = 0.3, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.ffn_dim = ffn_dim
        self.dropout = dropout

    def build(self, query_shape: Shape, value_shape: Shape) -> None:
        dim = known_size("query_shape", query_shape, -1, "features")
        known_size("value_shape", value_shape, -1, "features")
        dtype = self.dtype_policy
        self.self_attention = self._make_attention("self_attention", query_shape, query_shape)
        self.cross_attention = self._make_attention("cross_attention", query_shape, value_shape)
        self.attention_norm = keras.layers.LayerNormalization(dtype=dtype, name="attention_norm")
        self.attention_norm.build(query_shape)
        self.hidden = keras.layers.Dense(
            self.ffn_dim, activation="relu", dtype=dtype, name="hidden"
        )
        self.hidden.build(query_shape)
        self.projection = keras.layers.Dense(dim, dtype=dtype, name="projection")
        self.projection.build((*query_shape[:-1], self.ffn_dim))
        self.norm = keras.layers.LayerNormalization(dtype=dtype, name="norm")
        self.norm.build(query_shape)
        self.drop = keras.layers.Dropout(self.dropout, dtype=dtype, name="drop")
        self.built = True

    def _make_attention(self, name: str, query_shape: Shape, value_shape: Shape) -> keras.Layer:
        dim = known_size("query_shape", query_shape, -1, "features")
        dtype, dropout = self.dtype_policy, self.dropout
        attention = make_attention(dim, self.num_heads, dtype, name, dropout)
        attention.build(query_shape, value_shape)
        return attention

    def call(self, query: Tensor, value: Tensor, training: bool | None = None) -> Tensor:
        itself = self._attend(self.self_attention, query, query, training)
        other = self._attend(self.cross_attention, query, value, training)
        x = self.attention_norm(query + itself + other)
        hidden = self.drop(self.hidden(x), training=training)
        return self.norm(x + self.drop(self.projection(hidden), training=training))

    def _attend(
        self, attention: keras.Layer, query: Tensor, value: Tensor, training: bool | None
    ) -> Tensor:
        attended = attend_in_steps(attention, query, value, training)
        return self.drop(attended, training=training)

    def compute_output_shape(self, query_shape: Shape, value_shape: Shape) -> Shape:
        return query_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="keras_avssan")
class CMAFBackbone(BaselineBackbone):
    """Network of `CMAF`.

    Args:
        max_lag: Largest lag of the correlation in samples: `2 * max_lag + 1` features a frame.
        num_mels: Number of mel bands of each channel.
        dim: Dimension of a token.
        num_heads: Attention heads.
        ffn_dim: Hidden width of the feed-forward step after attention.
        hidden_dim: Width of the hidden layers before the posterior.
        num_layers: Number of these.
        stream_dropout: Share of values of the tokens dropped while training.
        attention_dropout: Share dropped in the attention layers.
        hidden_dropout: Share dropped after each hidden layer.
        **kwargs: Arguments of `BaselineBackbone`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and a prompt, see `BaselineBackbone`.

    Returns:
        Dict with `doa` (batch, 180).

    Example:
        >>> backbone = CMAFBackbone(prompt_dim=512)
        >>> inputs = {
        ...     "audio": keras.ops.ones((1, 16000, 2)),
        ...     "prompt_embedding": keras.ops.ones((1, 512)),
        ... }
        >>> backbone(inputs)["doa"].shape
        (1, 180)
    """

    def __init__(
        self,
        max_lag: int = 10,
        num_mels: int = 64,
        dim: int = 128,
        num_heads: int = 4,
        ffn_dim: int = 512,
        hidden_dim: int = 1024,
        num_layers: int = 2,
        stream_dropout: float = 0.1,
        attention_dropout: float = 0.3,
        hidden_dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        kwargs = self.set_up(
            {
                "max_lag": max_lag,
                "num_mels": num_mels,
                "dim": dim,
                "num_heads": num_heads,
                "ffn_dim": ffn_dim,
                "hidden_dim": hidden_dim,
                "num_layers": num_layers,
                "stream_dropout": stream_dropout,
                "attention_dropout": attention_dropout,
                "hidden_dropout": hidden_dropout,
            },
            **kwargs,
        )
        self._build_front_end(max_lag, num_mels)
        self._build_streams(
            {
                "correlation": (None, None, 2 * max_lag + 1),
                "mel": (None, None, 2 * num_mels),
                "visual": (None, 1, self.prompt_dim),
            }
        )
        self._build_attention()
        self._build_mlp()
        self.pairs = [(self.embeddings[name], self.norms[name]) for name in _STREAMS]
        super().__init__(**kwargs)

    def _build_front_end(self, max_lag: int, num_mels: int) -> None:
        lags = range(-max_lag, max_lag + 1)
        self.correlation = GeneralizedCrossCorrelation(lags, name="correlation")
        self.log_mel = StereoLogMel(num_mels, self.sampling_rate, phase=False, name="log_mel")
        self.mel_features = keras.layers.Reshape((-1, 2 * num_mels), name="mel_features")
        for layer in (self.correlation, self.log_mel):
            layer.build((None, None, self.stft.num_bins, 4))

    def _build_streams(self, shapes: Mapping[str, Shape]) -> None:
        dtype, dim = self.policy, self.settings["dim"]
        self.embeddings: dict[str, keras.Layer] = {}
        self.norms: dict[str, keras.Layer] = {}
        for stream, shape in shapes.items():
            embedding = keras.layers.Dense(dim, dtype=dtype, name=f"{stream}_embedding")
            norm = keras.layers.BatchNormalization(momentum=0.9, dtype=dtype, name=f"{stream}_norm")
            embedding.build(shape)
            norm.build((*shape[:-1], dim))
            self.embeddings[stream] = embedding
            self.norms[stream] = norm
        self.drop = keras.layers.Dropout(
            self.settings["stream_dropout"], dtype=dtype, name="stream_drop"
        )

    def _build_attention(self) -> None:
        settings = self.settings
        self.attentions: dict[str, HANLayer] = {}
        for query, value in permutations(_STREAMS, 2):
            layer = HANLayer(
                settings["num_heads"],
                settings["ffn_dim"],
                settings["attention_dropout"],
                dtype=self.policy,
                name=f"{query}_to_{value}",
            )
            layer.build((None, None, settings["dim"]), (None, None, settings["dim"]))
            self.attentions[f"{query}_to_{value}"] = layer

    def _build_mlp(self) -> None:
        dtype, settings = self.policy, self.settings
        features = len(self.attentions) * settings["dim"]
        self.fusion_norm = keras.layers.LayerNormalization(dtype=dtype, name="fusion_norm")
        self.fusion_norm.build((None, None, features))
        self.mlp = MLP(
            [settings["hidden_dim"]] * settings["num_layers"],
            settings["hidden_dropout"],
            dtype=dtype,
            name="mlp",
        )
        self.mlp.build((None, None, features))
        self.logits.build((None, settings["hidden_dim"]))

    def compute_outputs(self, audio: Tensor, prompt: Tensor) -> dict[str, Tensor]:
        fused = self.fusion_norm(self.fuse(self._embed(audio, prompt)))
        return {"logits": self.logits(ops.mean(self.mlp(fused), axis=1))}

    def _embed(self, audio: Tensor, prompt: Tensor) -> dict[str, Tensor]:
        """Tokens of each stream: one a frame (batch, T, dim), or the prompt's (batch, 1, dim)."""
        spectrogram = self.stft(audio)
        features = {
            "correlation": self.correlation(spectrogram),
            "mel": self.mel_features(self.log_mel(spectrogram)),
            "visual": unit_power(prompt)[:, None, :],
        }
        tokens = {}
        for stream in _STREAMS:
            x = self.norms[stream](self.embeddings[stream](features[stream]))
            tokens[stream] = self.drop(ops.elu(x))
        return tokens

    def fuse(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """Attention of each ordered pair of streams, concatenated to (batch, T, 6 * dim).

        Outputs of the prompt's stream are repeated over the frames.
        """
        steps = ops.zeros_like(tokens["mel"][:, :, :1])
        fused = []
        for query, value in permutations(_STREAMS, 2):
            layer = self.attentions[f"{query}_to_{value}"]
            fused.append(layer(tokens[query], tokens[value]) + steps)
        return ops.concatenate(fused, axis=-1)


@keras.saving.register_keras_serializable(package="keras_avssan")
class CMAF(Baseline):
    """CMAF: cross-modal attention fusion.

    Correlation of both microphones, their log-mel spectrograms and the prompt are streams of 128
    features. For each ordered pair of them, one stream attends to itself and to the other; two
    hidden layers of 1024 units follow.

    Changes: every frame is a token and the prompt is one token; the hidden units are averaged over
    the frames before the posterior, where the original estimates frame by frame; batch
    normalisation of the streams is over features, not frames, so that recordings may have any
    length; the visual stream holds the prompt instead of face boxes, and there are 64 mel bands
    instead of 21, since only they carry the identity of a sound.

    Args:
        backbone: A `CMAFBackbone`. If not given, one is built from `**kwargs`.
        **kwargs: Arguments of `Baseline` and of `CMAFBackbone`.

    Example:
        >>> model = CMAF(prompt_dim=512)
        >>> model.fit(train_dataset)                # see data.make_dataset
        >>> theta = model.localize("mix.wav", embedding)        # degrees

    Reference:
        Qian et al., "Audio-visual cross-attention network for robotic speaker tracking", 2022.
    """

    backbone_cls = CMAFBackbone
    untrained = {
        "cmaf": {
            "description": "CMAF with layer sizes as published, prompts of CLIP's dimension.",
            "arguments": {"prompt_dim": 512},
            "parts": {},
        }
    }
