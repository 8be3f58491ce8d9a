"""MLP-AVC: correlation of the pair and prompt side by side in a multilayer perceptron."""

from typing import Any

import keras

from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import (
    PromptedCorrelationBackbone,
)


@keras.saving.register_keras_serializable(package="keras_avssan")
class MLPAVCBackbone(PromptedCorrelationBackbone):
    """Network of `MLPAVC`.

    Args:
        max_lag: Largest lag of the correlation in samples: `2 * max_lag + 1` features, and as many
            of the prompt.
        hidden_dim: Width of the hidden layers.
        num_layers: Number of hidden layers.
        dropout: Share of units dropped after each while training.
        **kwargs: Arguments of `BaselineBackbone`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and a prompt, see `BaselineBackbone`.

    Returns:
        Dict with `doa` (batch, 180).

    Raises:
        ValueError: If `prompt_dim` is missing or inputs have a wrong shape.

    Example:
        >>> backbone = MLPAVCBackbone(prompt_dim=512)
        >>> inputs = {"audio": keras.ops.ones((1, 16000, 2))}
        >>> backbone({**inputs, "prompt_embedding": keras.ops.ones((1, 512))})["doa"].shape
        (1, 180)
    """

    def __init__(
        self,
        max_lag: int = 25,
        hidden_dim: int = 1000,
        num_layers: int = 3,
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        kwargs = self.set_up(
            {
                "max_lag": max_lag,
                "hidden_dim": hidden_dim,
                "num_layers": num_layers,
                "dropout": dropout,
            },
            **kwargs,
        )
        self.make_layers(range(-max_lag, max_lag + 1), hidden_dim, num_layers, dropout)
        super().__init__(**kwargs)


@keras.saving.register_keras_serializable(package="keras_avssan")
class MLPAVC(Baseline):
    """MLP-AVC: the direction of the prompted sound, from the correlation and the prompt.

    The correlation after the phase transform at ±25 samples and as many features of the prompt
    pass three hidden layers of 1000 units together.

    Changes: the prompt's embedding, projected, replaces the position of a face in the picture; the
    correlation is averaged over the frames of AV-SSAN's spectrogram; both embedding and
    correlation are scaled to a root mean square of one, without which the network overfits the
    prompts and learns the directions late; a softmax with cross-entropy replaces independent
    sigmoids with squared errors.

    Args:
        backbone: An `MLPAVCBackbone`. If not given, one is built from `**kwargs`.
        **kwargs: Arguments of `Baseline` and of `MLPAVCBackbone`.

    Example:
        >>> model = MLPAVC(prompt_dim=512)
        >>> model.fit(train_dataset)                           # see data.make_dataset
        >>> theta = model.localize("mix.wav", embedding)       # degrees

    Reference:
        Qian, Madhavi, Pan, Wang and Li, "Multi-target DoA estimation with an audio-visual fusion
        mechanism", 2021.
    """

    backbone_cls = MLPAVCBackbone
    untrained = {
        "mlp_avc": {
            "description": "MLP-AVC with layer sizes as published.",
            "arguments": {},
            "parts": {},
        }
    }
