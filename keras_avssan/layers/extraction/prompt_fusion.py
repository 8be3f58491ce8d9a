"""Posterior over directions from candidates and how well each agrees with the prompt."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_flag, check_shape
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.doa.grid import NUM_DIRECTIONS
from keras_avssan.layers.extraction.source_candidates import NEAR, grid

_LEAST = 1e-4  # least share of the posterior, so that a candidate is never excluded
# Initial factors: of the cosine, and of the logarithm of the network's own posterior.
_EVIDENCE, _PRIOR = 10.0, 0.5
_STRENGTH = 0.1  # initial factor e of the strengths


@keras.saving.register_keras_serializable(package="keras_avssan")
class PromptFusion(FixedSettings, keras.layers.Layer):
    """Weighs candidate directions by the prompt, and indicates whether the prompted sound is there.

    The weight of candidate k is the softmax of a s_k + b log p_k + c_k: s_k is the cosine between
    the prompt and the sound extracted at the candidate, p_k the share of the network's own
    posterior, equation (11), near it, and c_k a bias of its rank. With `use_strength`, s_k + e r_k
    takes the place of s_k, r_k being the strength of the candidate. The posterior is the weighted
    sum of those of the candidates. The presence is a logistic function of the best s_k (or
    s_k + e r_k) and of the cosine with the whole mixture. The eight or so numbers are weights of
    the layer; those of the presence are not trained by gradients but by
    `keras_avssan.training.fit_fusion`. Computed in float32.

    Args:
        use_strength: Whether the strengths of the candidates count.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        evidence: Cosines s_k, shape (batch, K).
        azimuths: Azimuths of the candidates in degrees, shape (batch, K).
        posteriors: Posteriors of the candidates, shape (batch, K, 180).
        doa: The network's own posterior, shape (batch, 180).
        similarity: Cosine of prompt and whole mixture, shape (batch,).
        strengths: With `use_strength`, log probabilities r_k that there is a source, shape
            (batch, K), see `SourceCandidates`.

    Returns:
        Tuple of float32 tensors: posterior (batch, 180), weights of the candidates (batch, K), and
        presence (batch,), a probability.

    Raises:
        ValueError: If the number of candidates is unknown, an input has another shape, or
            `strengths` are missing.

    Example:
        >>> one = keras.ops.ones((1, 2))
        >>> doa, weights, presence = PromptFusion()(
        ...     one, 90 * one, keras.ops.ones((1, 2, 180)) / 180, keras.ops.ones((1, 180)) / 180,
        ...     one[:, 0])
        >>> doa.shape, weights.shape, presence.shape
        ((1, 180), (1, 2), (1,))

    Reference:
        Beyond the paper.
    """

    def __init__(self, use_strength: bool = False, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        check_flag("use_strength", use_strength)
        self.use_strength = use_strength

    def build(
        self,
        evidence_shape: Shape,
        azimuths_shape: Shape | None = None,
        posteriors_shape: Shape | None = None,
        doa_shape: Shape | None = None,
        similarity_shape: Shape | None = None,
        strengths_shape: Shape | None = None,
    ) -> None:
        count = evidence_shape[1]
        if count is None:
            raise ValueError(
                "`evidence` must have a known number of candidates. "
                f"Received: evidence.shape={tuple(evidence_shape)}"
            )
        constant = keras.initializers.Constant
        self.evidence_scale = self.add_weight((), constant(_EVIDENCE), name="evidence_scale")
        self.prior_scale = self.add_weight((), constant(_PRIOR), name="prior_scale")
        self.rank_bias = self.add_weight((count,), "zeros", name="rank_bias")
        if self.use_strength:
            self.strength_scale = self.add_weight((), constant(_STRENGTH), name="strength_scale")
        # No loss reaches the presence, whose weights are fitted by maximum likelihood.
        fitted: dict[str, Any] = {"trainable": False}
        self.presence_scale = self.add_weight(
            (2,), constant([8.0, 4.0]), name="presence_scale", **fitted
        )
        self.presence_bias = self.add_weight((), constant(-3.0), name="presence_bias", **fitted)
        self.built = True

    def call(
        self,
        evidence: Tensor,
        azimuths: Tensor,
        posteriors: Tensor,
        doa: Tensor,
        similarity: Tensor,
        strengths: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, count = evidence.shape[0], self.rank_bias.shape[0]
        check_shape("evidence", evidence.shape, "batch, K", (None, count))
        check_shape("azimuths", azimuths.shape, "batch, K", (batch, count))
        wide = (batch, count, NUM_DIRECTIONS)
        check_shape("posteriors", posteriors.shape, "batch, K, 180", wide)
        check_shape("doa", doa.shape, "batch, 180", (batch, NUM_DIRECTIONS))
        check_shape("similarity", similarity.shape, "batch", (batch,))
        if self.use_strength:
            if strengths is None:
                raise ValueError("`strengths` must be given. Received: strengths=None")
            check_shape("strengths", strengths.shape, "batch, K", (batch, count))
            evidence = evidence + self.strength_scale * strengths
        logits = (
            self.evidence_scale * evidence
            + self.prior_scale * ops.log(self.share(doa, azimuths))
            + self.rank_bias
        )
        weights = ops.softmax(logits, axis=-1)
        posterior = ops.sum(weights[..., None] * posteriors, axis=1)
        cosines = ops.stack([ops.max(evidence, axis=-1), similarity], axis=-1)
        presence = ops.sigmoid(ops.sum(self.presence_scale * cosines, axis=-1) + self.presence_bias)
        return posterior, weights, presence

    def share(self, doa: Tensor, azimuths: Tensor) -> Tensor:
        """Computes the share of a posterior within 12 degrees of each candidate.

        Args:
            doa: Posterior, shape (batch, 180).
            azimuths: Azimuths of the candidates in degrees, shape (batch, K).

        Returns:
            float32 shares p_k, shape (batch, K), none below 0.0001.
        """
        near = ops.cast(ops.abs(grid() - azimuths[..., None]) <= NEAR, "float32")
        return ops.sum(near * doa[:, None], axis=-1) + _LEAST

    def compute_output_spec(
        self,
        evidence: Tensor,
        azimuths: Tensor,
        posteriors: Tensor,
        doa: Tensor,
        similarity: Tensor,
        strengths: Tensor | None = None,
    ) -> tuple[keras.KerasTensor, ...]:
        shapes = self.compute_output_shape(evidence.shape)
        return tuple(keras.KerasTensor(shape, "float32") for shape in shapes)

    def compute_output_shape(
        self,
        evidence_shape: Shape,
        azimuths_shape: Shape | None = None,
        posteriors_shape: Shape | None = None,
        doa_shape: Shape | None = None,
        similarity_shape: Shape | None = None,
        strengths_shape: Shape | None = None,
    ) -> tuple[Shape, Shape, Shape]:
        batch = evidence_shape[0]
        return (batch, NUM_DIRECTIONS), (batch, evidence_shape[1]), (batch,)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "use_strength": self.use_strength}
