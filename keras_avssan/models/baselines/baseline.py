"""`Baseline`, the base of the task models that AV-SSAN is compared with."""

from typing import Any

import keras

from keras_avssan._internal.frozen_layers import freeze_parts
from keras_avssan.doa.losses import JointLoss
from keras_avssan.models.localizer import Localizer, refuse_parts
from keras_avssan.models.localizer_preprocessor import LocalizerPreprocessor
from keras_avssan.models.prompted_backbone import PromptedBackbone


class Baseline(Localizer):
    """Base of the tasks that AV-SSAN is compared with.

    Datasets, labels, `fit`, `evaluate`, `localize` and presets are those of `AVSSAN`. Compiled on
    construction with the cross-entropy of the posterior, Adam at the published rate, and the same
    scores. Subclasses name their network as `backbone_cls`.

    Args:
        backbone: A backbone of `backbone_cls`. If not given, one is built from the arguments
            below.
        preprocessor: A `LocalizerPreprocessor`. If not given, the one that fits the backbone.
        image_encoder: Encoder of picture prompts, see `keras_avssan.encoders`.
        prompt_dim: Dimension of prompt embeddings, where `image_encoder` is `None`.
        compile: Whether the model is compiled on construction.
        name: Name of the model.
        **kwargs: Further arguments of the backbone.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and a prompt, see `BaselineBackbone`.

    Returns:
        Dict with `doa` (batch, 180).

    Raises:
        TypeError: If `backbone` is given together with arguments for one.

    Example:
        >>> class MyNetwork(Baseline):
        ...     backbone_cls = MyBackbone   # a BaselineBackbone
        ...     learning_rate = 3e-4
    """

    # Published learning rate of the optimizer.
    learning_rate = 1e-3

    def __init__(
        self,
        backbone: PromptedBackbone | None = None,
        preprocessor: LocalizerPreprocessor | None = None,
        image_encoder: keras.Layer | None = None,
        prompt_dim: int | None = None,
        compile: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        parts = {"image_encoder": image_encoder, "prompt_dim": prompt_dim, **kwargs}
        if backbone is None:
            backbone = self.backbone_cls(**parts)
            freeze_parts(backbone)  # `trainable=False` comes before the layers
        else:
            refuse_parts(type(self), parts)
        super().__init__(backbone, preprocessor, name=name)
        if compile:
            self.compile()

    def default_loss(self) -> keras.losses.Loss:
        return JointLoss(reconstruction_weight=0.0)

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(self.learning_rate, clipnorm=5.0)
