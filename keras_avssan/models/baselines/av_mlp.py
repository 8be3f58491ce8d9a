"""AVMLP: a short correlation of the pair and the prompt in a wide multilayer perceptron."""

from typing import Any

import keras
import numpy as np

from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import (
    PromptedCorrelationBackbone,
)


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVMLPBackbone(PromptedCorrelationBackbone):
    """Network of `AVMLP`.

    Args:
        num_lags: Number of lags of the correlation, spread evenly over the delays that the
            spacing of the microphones allows; as many features of the prompt are added.
        hidden_dim: Width of the hidden layers.
        num_layers: Number of hidden layers.
        dropout: Share of units dropped after each while training.
        **kwargs: Arguments of `BaselineBackbone`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and a prompt, see `BaselineBackbone`.

    Returns:
        Dict with `doa` (batch, 180).

    Raises:
        ValueError: If `num_lags` is below two, `prompt_dim` is missing or inputs have a wrong
            shape.

    Example:
        >>> backbone = AVMLPBackbone(prompt_dim=512)
        >>> inputs = {"audio": keras.ops.ones((1, 16000, 2))}
        >>> backbone({**inputs, "prompt_embedding": keras.ops.ones((1, 512))})["doa"].shape
        (1, 180)
    """

    def __init__(
        self,
        num_lags: int = 21,
        hidden_dim: int = 1024,
        num_layers: int = 3,
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        if not num_lags >= 2:
            raise ValueError(
                "`num_lags` must be at least two, the largest delays to either side. "
                f"Received: num_lags={num_lags}"
            )
        kwargs = self.set_up(
            {
                "num_lags": num_lags,
                "hidden_dim": hidden_dim,
                "num_layers": num_layers,
                "dropout": dropout,
            },
            **kwargs,
        )
        seconds = self.settings["microphone_spacing"] / SPEED_OF_SOUND
        samples = seconds * self.sampling_rate
        lags = np.linspace(-samples, samples, num_lags)
        self.make_layers(lags, hidden_dim, num_layers, dropout)
        super().__init__(**kwargs)


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVMLP(Baseline):
    """AVMLP: the direction of the prompted sound, from a short correlation and the prompt.

    The correlation after the phase transform at 21 lags and as many features of the prompt pass
    three hidden layers of 1024 units together.

    Changes: the published lags, -5 to 5 samples in steps of one half, are those of a pair that is
    about half as wide as AV-SSAN's; here the 21 lags span the delays that the given spacing
    allows, ±9.3 samples for 0.2 m at 16 kHz. The prompt's embedding, projected, replaces the
    position of a face in the picture; the correlation is averaged over the frames of AV-SSAN's
    spectrogram; both embedding and correlation are scaled to a root mean square of one, see
    `MLPAVC`.

    Args:
        backbone: An `AVMLPBackbone`. If not given, one is built from `**kwargs`.
        **kwargs: Arguments of `Baseline` and of `AVMLPBackbone`.

    Example:
        >>> model = AVMLP(prompt_dim=512)
        >>> model.fit(train_dataset)                           # see data.make_dataset
        >>> theta = model.localize("mix.wav", embedding)       # degrees

    Reference:
        Qian, Brutti, Lanz, Omologo and Cavallaro, "Audio-visual tracking of concurrent speakers",
        2021, which AV-SSAN's paper names; layer sizes as in the experiments of Qian, Wang, Wang,
        Guan and Li, "Audio-visual cross-attention network for robotic speaker tracking", 2022.
    """

    backbone_cls = AVMLPBackbone
    untrained = {
        "avmlp": {
            "description": "AVMLP with layer sizes as published.",
            "arguments": {},
            "parts": {},
        }
    }
