"""Training loss of DGB: reconstruction, divergence of the latent vector, and direction."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.doa.losses import DoALoss, describe_loss, label_in_words, weighted


def kl_divergence(prior: Tensor, posterior: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(posterior || prior) in nats, of diagonal normal distributions.

    Both are means and log variances, (batch, 2, d); see Kingma and Welling, 2014, appendix B.
    """
    log_ratio = posterior[:, 1] - prior[:, 1]
    distance = ops.square(posterior[:, 0] - prior[:, 0]) * ops.exp(-prior[:, 1])
    return 0.5 * ops.sum(distance + ops.exp(log_ratio) - 1.0 - log_ratio, axis=-1)


@keras.saving.register_keras_serializable(package="keras_avssan")
class DGBLoss(keras.losses.Loss):
    """Weighted sum of the reconstruction, the divergence from the prior, and the direction loss.

    The reconstruction is the squared distance between the generated and the clean correlation
    curve, both of unit length: from 0 to 4. Computed in float32 under every precision policy.

    Args:
        doa: Form of the direction loss, see `DoALoss`.
        doa_weight: Weight of the direction loss.
        reconstruction_weight: Weight of the reconstruction.
        kl_weight: Weight of the divergence. It is small because the direction reaches the decoder
            through the latent vector alone, where it costs at least as many nats as the
            cross-entropy gains: at a weight of one a decoder that ignores the recording has as
            low a loss.
        sigma: Width of the direction label in degrees.
        kind: Shape of the direction label, `"laplacian"` or `"gaussian"`.
        name: Name of the loss.
        reduction: Reduction over the batch, as in any Keras loss.

    Call arguments:
        y_true: Dict with `azimuth` (batch,) in degrees; and, each where its weight is not zero,
            `curve` (batch, lags), the clean curve, and `latent` (batch, 2, d), means and log
            variances of the prior.
        y_pred: Dict with `doa` (batch, 180), `curve` and `latent` likewise.

    Returns:
        Scalar, or shape (batch,) with `reduction="none"`.

    Raises:
        ValueError: If a form is unknown, `sigma` is not positive or a weight is negative.

    Example:
        >>> model = DGB(prompt_dim=512)
        >>> model.compile(loss=DGBLoss(kl_weight=1e-2))

    Reference:
        Qian, Zhang, Guan and Xue, "Deep audio-visual beamforming for speaker localization", 2022.
    """

    def __init__(
        self,
        doa: str = "cross_entropy",
        doa_weight: float = 1.0,
        reconstruction_weight: float = 1.0,
        kl_weight: float = 1e-3,
        sigma: float = 5.0,
        kind: str = "laplacian",
        name: str = "dgb_loss",
        reduction: str = "sum_over_batch_size",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype="float32")
        for key, weight in [
            ("doa_weight", doa_weight),
            ("reconstruction_weight", reconstruction_weight),
            ("kl_weight", kl_weight),
        ]:
            if not weight >= 0:
                raise ValueError(f"`{key}` must not be negative. Received: {key}={weight}")
        self.doa_loss = DoALoss(doa, sigma, kind, reduction="none")
        self.doa_weight = doa_weight
        self.reconstruction_weight = reconstruction_weight
        self.kl_weight = kl_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        loss = self.doa_weight * self.doa_loss(y_true["azimuth"], y_pred["doa"])
        if self.reconstruction_weight and "curve" in y_true:
            distance = ops.sum(ops.square(y_pred["curve"] - y_true["curve"]), axis=-1)
            loss = loss + self.reconstruction_weight * distance
        if self.kl_weight and "latent" in y_true:
            divergence = kl_divergence(y_true["latent"], y_pred["latent"])
            loss = loss + self.kl_weight * divergence
        return loss

    def __repr__(self) -> str:
        return describe_loss(
            self,
            weighted(self.doa_weight, f"direction ({self.doa_loss.loss})"),
            weighted(self.reconstruction_weight, "reconstruction"),
            weighted(self.kl_weight, "divergence"),
            label_in_words(self.doa_loss),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "doa": self.doa_loss.loss,
            "doa_weight": self.doa_weight,
            "reconstruction_weight": self.reconstruction_weight,
            "kl_weight": self.kl_weight,
            "sigma": self.doa_loss.sigma,
            "kind": self.doa_loss.kind,
        }
