"""AVST: one Transformer for what is heard and one for what is asked, joined by attention."""

import keras
import numpy as np
from keras import ops

from keras_avssan.layers.generalized_cross_correlation import GeneralizedCrossCorrelation
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone
from keras_avssan.models.baselines.class_token_encoder import ClassTokenEncoder
from keras_avssan.models.baselines.prompt_projection import PromptProjection

_LAG_STEP = 1.0 / 48000.0  # seconds, one sample of the original's recordings


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
        num_lags=96,
        dim=128,
        num_layers=2,
        num_heads=4,
        mlp_dim=256,
        prompt_tokens=4,
        dropout=0.1,
        **kwargs,
    ):
        encoder = {
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

    def _build_weights(self, num_lags):
        pair_shape = (None, 2, self.dim)
        self.correlation.build((None, None, self.stft.num_bins, 4))
        self.correlation_norm.build((None, None, num_lags))
        self.prompt_projection.build((None, self.prompt_dim))
        self.audio_encoder.build((None, None, num_lags))
        self.visual_encoder.build((None, self.prompt_tokens, self.dim))
        self.attention.build(pair_shape, pair_shape)
        self.attention_norm.build(pair_shape)
        self.logits.build((None, 2 * self.dim))

    def hear(self, audio, prompt):
        heard = self.correlation_norm(self.correlation(self.stft(audio)))
        asked = self.prompt_projection(prompt)
        asked = ops.reshape(asked, (-1, self.prompt_tokens, self.dim))
        pair = [
            self.audio_encoder(heard),
            self.visual_encoder(asked),
        ]
        joined = self.join(ops.stack(pair, axis=1))
        return {"logits": self.logits(ops.reshape(joined, (-1, 2 * self.dim)))}

    def join(self, pair):
        """Lets the class tokens of audio and prompt attend to each other and to themselves.

        Args:
            pair: The two tokens, shape (batch, 2, dim).

        Returns:
            Tensor of the same shape: their sum with what they attended to, normalised.
        """
        # Asked for the scores, Keras attends in single steps, which every precision has.
        attended, _ = self.attention(pair, pair, return_attention_scores=True)
        return self.attention_norm(pair + attended)


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVST(Baseline):
    """AVST: audio-visual spatial Transformer.

    The correlation of both microphones after the phase transform, at 96 lags a frame, is the audio
    tokens; a Transformer of two blocks sums them up in a class token, another one what is asked.
    Attention of four heads between both class tokens leads to the posterior.

    Ours: the prompt embedding is projected to four tokens, where the original cuts pictures into
    patches; the correlation of this library's frames is normalised lag by lag; one posterior of
    180 directions stands in place of a map of the field of view.

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
    presets = {
        "avst": {
            "description": "AVST with layer sizes as published, prompts of CLIP's dimension.",
            "arguments": {"prompt_dim": 512},
            "parts": {},
        }
    }
