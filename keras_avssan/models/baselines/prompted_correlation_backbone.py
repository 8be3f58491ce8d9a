"""What the networks share that join a correlation and a prompt in a multilayer perceptron."""

from keras import ops

from keras_avssan.layers.generalized_cross_correlation import GeneralizedCrossCorrelation
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone
from keras_avssan.models.baselines.mlp import MLP
from keras_avssan.models.baselines.prompt_projection import PromptProjection
from keras_avssan.models.baselines.unit_power import unit_power


class PromptedCorrelationBackbone(BaselineBackbone):
    """Base of `MLPAVCBackbone` and `AVMLPBackbone`.

    The correlation of the pair, averaged over the frames and scaled to a root mean square of one,
    and as many features of the prompt are concatenated; nothing but the multilayer perceptron
    behind brings the two together. A subclass calls `make_layers` after `set_up`.

    Args:
        settings: Dict of the subclass's own constructor arguments.
        **kwargs: Arguments of `BaselineBackbone`.

    Example:
        >>> backbone = MLPAVCBackbone(prompt_dim=512)  # a PromptedCorrelationBackbone
    """

    def make_layers(self, lags, hidden_dim, num_layers, dropout):
        """Makes the layers and their weights.

        Args:
            lags: Lags of the correlation in samples.
            hidden_dim: Width of the hidden layers.
            num_layers: Number of hidden layers.
            dropout: Share of units dropped after each while training.
        """
        dtype = self.policy
        self.correlation = GeneralizedCrossCorrelation(lags, name="correlation")
        self.projection = PromptProjection(len(lags), dtype=dtype, name="prompt")
        self.mlp = MLP([hidden_dim] * num_layers, dropout, dtype=dtype, name="mlp")
        self.correlation.build((None, None, self.stft.num_bins, 4))
        self.projection.build((None, self.prompt_dim))
        self.mlp.build((None, 2 * len(lags)))
        self.logits.build((None, hidden_dim))

    def hear(self, audio, prompt):
        x = self.features(audio, prompt)
        return {"logits": self.logits(self.mlp(x))}

    def features(self, audio, prompt):
        """What the multilayer perceptron sees.

        Args:
            audio: float32 recordings of unit power, shape (batch, samples, 2).
            prompt: Prompt embeddings, shape (batch, d_V).

        Returns:
            Tensor of shape (batch, 2 * lags): the correlation, then the features of the prompt.
        """
        correlation = unit_power(ops.mean(self.correlation(self.stft(audio)), axis=1))
        prompt = self.projection(prompt)
        return ops.concatenate([ops.cast(correlation, prompt.dtype), prompt], axis=-1)
