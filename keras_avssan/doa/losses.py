"""Training losses: direction, reconstruction, alignment and their sum; equations (12) to (14)."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_choice, check_positive_number
from keras_avssan._internal.one_line import one_line
from keras_avssan._internal.types import Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan.doa.grid import check_label_shape, encode_azimuth

_DOA_LOSSES = ("cross_entropy", "mse")
_RECONSTRUCTION_LOSSES = ("mse", "sum", "compressed")
_REDUCTION = "sum_over_batch_size"


def describe_loss(loss: keras.losses.Loss, *facts: str) -> str:
    """The `__repr__` of a loss: its settings, and the reduction if it is not the default."""
    unusual = loss.reduction != _REDUCTION
    return one_line(loss, *facts, f"reduction {loss.reduction!r}" if unusual else "")


def label_in_words(loss: "DoALoss") -> str:
    """The label of a `DoALoss` in words."""
    return f"{loss.kind} label of {loss.sigma:g}°"


def weighted(weight: float, term: str) -> str:
    """A term of a loss in words, `0.5 x alignment`; empty if its weight is zero."""
    return f"{weight:g} x {term}" if weight else ""


class _Float32Loss(keras.losses.Loss):
    """A loss that is computed in float32 under every precision policy."""

    def __init__(self, name: str, reduction: str = "sum_over_batch_size") -> None:
        super().__init__(name=name, reduction=reduction, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction}


@keras.saving.register_keras_serializable(package="keras_avssan")
class DoALoss(_Float32Loss):
    """Computes the distance between the predicted posterior and the label of the true azimuth.

    `"mse"` is the form as published: the squared difference to the unnormalised label, summed
    over the 180 directions. That label sums to about 2σ, a softmax output to one, so the two can
    never be equal; `"cross_entropy"` compares with the label normalised to one.

    Args:
        loss: `"cross_entropy"` or `"mse"`.
        sigma: Width of the label in degrees.
        kind: Shape of the label, `"laplacian"` or `"gaussian"`.
        name: Name of the loss.
        reduction: Reduction over the batch, as in any Keras loss.

    Call arguments:
        y_true: Azimuths in degrees, shape (batch,) or (batch, 1).
        y_pred: Posterior, shape (batch, 180).

    Returns:
        Scalar, or shape (batch,) with `reduction="none"`.

    Raises:
        ValueError: If `loss` or `kind` is unknown or `sigma` is not positive.

    Example:
        >>> loss = DoALoss()
        >>> float(loss([90.0], encode_azimuth([90.0], normalize=True)))

    Reference:
        AV-SSAN, equation (13).
    """

    def __init__(
        self,
        loss: str = "cross_entropy",
        sigma: float = 5.0,
        kind: str = "laplacian",
        name: str = "doa_loss",
        reduction: str = "sum_over_batch_size",
    ) -> None:
        super().__init__(name, reduction)
        check_choice("loss", loss, _DOA_LOSSES)
        check_label_shape(sigma, kind)
        self.loss = loss
        self.sigma = sigma
        self.kind = kind

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.loss == "mse":
            label = encode_azimuth(y_true, self.sigma, self.kind)
            return ops.sum(ops.square(y_pred - label), axis=-1)  # (13)
        label = encode_azimuth(y_true, self.sigma, self.kind, normalize=True)
        return -ops.sum(label * ops.log(y_pred + 1e-7), axis=-1)

    def __repr__(self) -> str:
        return describe_loss(self, self.loss, label_in_words(self))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": self.loss, "sigma": self.sigma, "kind": self.kind}


@keras.saving.register_keras_serializable(package="keras_avssan")
class ReconstructionLoss(_Float32Loss):
    """Computes the squared error between the masked and the target's clean spectrogram.

    Args:
        loss: `"sum"`, the squared norm of equation (12), which grows with the duration; `"mse"`,
            its mean over frames, bins and parts, the mean squared error of the paper's text; or
            `"compressed"`: that mean after every bin's magnitude is raised to the power 0.3, so
            that quiet bins count too.
        name: Name of the loss.
        reduction: Reduction over the batch, as in any Keras loss.

    Call arguments:
        y_true: Spectrogram of the target alone, shape (batch, T, F, 4) as re1, im1, re2, im2.
        y_pred: Masked spectrogram of the mixture, same shape.

    Returns:
        Scalar, or shape (batch,) with `reduction="none"`.

    Raises:
        ValueError: If `loss` is unknown.

    Example:
        >>> ReconstructionLoss()(keras.ops.ones((1, 2, 513, 4)), keras.ops.zeros((1, 2, 513, 4)))

    Reference:
        AV-SSAN, equation (12).
    """

    EXPONENT = 0.3

    def __init__(
        self,
        loss: str = "mse",
        name: str = "reconstruction_loss",
        reduction: str = "sum_over_batch_size",
    ) -> None:
        super().__init__(name, reduction)
        check_choice("loss", loss, _RECONSTRUCTION_LOSSES)
        self.loss = loss

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.loss != "compressed":
            reduce = ops.mean if self.loss == "mse" else ops.sum
            return reduce(ops.square(y_pred - y_true), axis=(1, 2, 3))  # (12)
        pairs = list(zip(self._compressed(y_true), self._compressed(y_pred), strict=True))
        # Part by part: a sum over an axis of four is slow, and so is its gradient.
        error = sum(ops.square(predicted - true) for true, predicted in pairs)
        return ops.mean(error, axis=(1, 2)) / len(pairs)

    def _compressed(self, spectrogram: Tensor) -> list[Tensor]:
        """The compressed parts re1, im1, re2, im2, each of shape (batch, T, F)."""
        parts = ops.unstack(spectrogram, spectrogram.shape[-1], axis=-1)
        compressed = []
        for real, imaginary in zip(parts[::2], parts[1::2], strict=True):
            power = ops.square(real) + ops.square(imaginary) + 1e-6
            # A power by its logarithm, whose gradient needs no second power.
            gain = ops.exp(0.5 * (self.EXPONENT - 1.0) * ops.log(power))
            compressed += [real * gain, imaginary * gain]
        return compressed

    def __repr__(self) -> str:
        return describe_loss(self, self.loss)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": self.loss}


@keras.saving.register_keras_serializable(package="keras_avssan")
class AlignmentLoss(_Float32Loss):
    """Computes the contrastive loss between the embeddings of prompts and targets.

    Each prompt is compared with the targets of the batch, and each target with the prompts:
    cross-entropy of the right pair under a softmax of the cosine similarities. It brings the
    projections of both encoders to one semantic space. Not in the paper.

    Args:
        temperature: Cosine similarities are divided by it.
        name: Name of the loss.
        reduction: Reduction over the batch, as in any Keras loss.

    Call arguments:
        y_true: Embeddings of the targets alone, shape (batch, D).
        y_pred: Embeddings of the prompts, shape (batch, D).

    Returns:
        Scalar, or shape (batch,) with `reduction="none"`.

    Raises:
        ValueError: If `temperature` is not positive.

    Example:
        >>> AlignmentLoss()(keras.ops.eye(4), keras.ops.eye(4))

    Reference:
        Radford et al., "Learning transferable visual models from natural language supervision",
        2021, for the symmetric contrast.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        name: str = "alignment_loss",
        reduction: str = "sum_over_batch_size",
    ) -> None:
        super().__init__(name, reduction)
        check_positive_number("temperature", temperature)
        self.temperature = temperature

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        targets, prompts = unit_length(y_true), unit_length(y_pred)
        similarity = ops.matmul(prompts, ops.transpose(targets)) / self.temperature
        by_prompt = ops.diagonal(ops.log_softmax(similarity, axis=1))
        by_target = ops.diagonal(ops.log_softmax(similarity, axis=0))
        return -0.5 * (by_prompt + by_target)

    def __repr__(self) -> str:
        return describe_loss(self, f"temperature {self.temperature:g}")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}


@keras.saving.register_keras_serializable(package="keras_avssan")
class JointLoss(_Float32Loss):
    """Computes the weighted sum of the reconstruction, the direction and the alignment loss.

    Args:
        doa: Form of the direction loss, see `DoALoss`.
        reconstruction: Form of the reconstruction loss, see `ReconstructionLoss`.
        doa_weight: Weight of the direction loss; 1 in the paper.
        reconstruction_weight: Weight of the reconstruction loss; 1 in the paper.
        alignment_weight: Weight of the `AlignmentLoss`, which the paper does not have.
        sigma: Width of the direction label in degrees.
        kind: Shape of the direction label, `"laplacian"` or `"gaussian"`.
        name: Name of the loss.
        reduction: Reduction over the batch, as in any Keras loss.

    Call arguments:
        y_true: Dict with `azimuth` (batch,) in degrees. Optional, for the loss of each:
            `spectrogram` (batch, T, F, 4), the target's clean spectrogram, and `semantics`
            (batch, D), the target's embedding.
        y_pred: Dict with `doa` (batch, 180); with `spectrogram` also `masked_spectrogram`
            (batch, T, F, 4), and with `semantics` also `prompt_semantics` (batch, D).

    Returns:
        Scalar, or shape (batch,) with `reduction="none"`.

    Raises:
        ValueError: If a form is unknown, `sigma` is not positive or a weight is negative.

    Example:
        >>> as_published = JointLoss(doa="mse", reconstruction="sum")

    Reference:
        AV-SSAN, equation (14).
    """

    def __init__(
        self,
        doa: str = "cross_entropy",
        reconstruction: str = "mse",
        doa_weight: float = 1.0,
        reconstruction_weight: float = 1.0,
        alignment_weight: float = 0.0,
        sigma: float = 5.0,
        kind: str = "laplacian",
        name: str = "joint_loss",
        reduction: str = "sum_over_batch_size",
    ) -> None:
        super().__init__(name, reduction)
        for key, weight in [
            ("doa_weight", doa_weight),
            ("reconstruction_weight", reconstruction_weight),
            ("alignment_weight", alignment_weight),
        ]:
            if not weight >= 0:
                raise ValueError(f"`{key}` must not be negative. Received: {key}={weight!r}")
        self.doa_loss = DoALoss(doa, sigma, kind, reduction="none")
        self.reconstruction_loss = ReconstructionLoss(reconstruction, reduction="none")
        self.alignment_loss = AlignmentLoss(reduction="none")
        self.doa_weight = doa_weight
        self.reconstruction_weight = reconstruction_weight
        self.alignment_weight = alignment_weight

    def call(self, y_true: dict[str, Tensor], y_pred: dict[str, Tensor]) -> Tensor:  # (14)
        loss = self.doa_weight * self.doa_loss(y_true["azimuth"], y_pred["doa"])
        if self.reconstruction_weight and "spectrogram" in y_true:
            reconstruction = self.reconstruction_loss(
                y_true["spectrogram"], y_pred["masked_spectrogram"]
            )
            loss = loss + self.reconstruction_weight * reconstruction
        if self.alignment_weight and "semantics" in y_true:
            alignment = self.alignment_loss(y_true["semantics"], y_pred["prompt_semantics"])
            loss = loss + self.alignment_weight * alignment
        return loss

    def __repr__(self) -> str:
        reconstruction = self.reconstruction_loss.loss
        return describe_loss(
            self,
            weighted(self.doa_weight, f"direction ({self.doa_loss.loss})"),
            weighted(self.reconstruction_weight, f"reconstruction ({reconstruction})"),
            weighted(self.alignment_weight, "alignment"),
            label_in_words(self.doa_loss),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "doa": self.doa_loss.loss,
            "reconstruction": self.reconstruction_loss.loss,
            "doa_weight": self.doa_weight,
            "reconstruction_weight": self.reconstruction_weight,
            "alignment_weight": self.alignment_weight,
            "sigma": self.doa_loss.sigma,
            "kind": self.doa_loss.kind,
        }
