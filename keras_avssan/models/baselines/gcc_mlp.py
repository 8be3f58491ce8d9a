"""GCC-MLP: correlation of the pair, then a multilayer perceptron."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.layers.generalized_cross_correlation import GeneralizedCrossCorrelation
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone
from keras_avssan.models.baselines.shared_layers import MLP


@keras.saving.register_keras_serializable(package="keras_avssan")
class GCCMLPBackbone(BaselineBackbone):
    """Network of `GCCMLP`.

    Args:
        max_lag: Largest lag of the correlation in samples: `2 * max_lag + 1` features.
        hidden_dim: Width of the hidden layers.
        num_layers: Number of hidden layers.
        dropout: Share of units dropped after each while training.
        **kwargs: Arguments of `BaselineBackbone`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2). A prompt is ignored.

    Returns:
        Dict with `doa` (batch, 180).

    Example:
        >>> GCCMLPBackbone()({"audio": keras.ops.ones((1, 16000, 2))})["doa"].shape
        (1, 180)
    """

    takes_prompt = False

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
        self.correlation = GeneralizedCrossCorrelation(
            range(-max_lag, max_lag + 1), name="correlation"
        )
        self.mlp = MLP([hidden_dim] * num_layers, dropout, dtype=self.policy, name="mlp")
        self.correlation.build((None, None, self.stft.num_bins, 4))
        self.mlp.build((None, 2 * max_lag + 1))
        self.logits.build((None, hidden_dim))
        super().__init__(**kwargs)

    def compute_outputs(self, audio: Tensor, prompt: Tensor) -> dict[str, Tensor]:
        correlation = ops.mean(self.correlation(self.stft(audio)), axis=1)
        return {"logits": self.logits(self.mlp(correlation))}


@keras.saving.register_keras_serializable(package="keras_avssan")
class GCCMLP(Baseline):
    """GCC-MLP: the direction of the loudest sound, from the correlation of both microphones.

    Takes no prompt and ignores one. The correlation after the phase transform at ±25 samples
    passes three hidden layers of 1000 units.

    Changes: the correlation is averaged over the frames of AV-SSAN's spectrogram, where the
    original estimates frame by frame; a softmax with cross-entropy replaces independent sigmoids
    with squared errors.

    Args:
        backbone: A `GCCMLPBackbone`. If not given, one is built from `**kwargs`.
        **kwargs: Arguments of `Baseline` and of `GCCMLPBackbone`.

    Example:
        >>> model = GCCMLP()
        >>> model.fit(train_dataset)                # see data.make_dataset
        >>> theta = model.localize("mix.wav")       # degrees

    Reference:
        He, Motlicek and Odobez, "Deep neural networks for multiple speaker detection and
        localization", 2018.
    """

    backbone_cls = GCCMLPBackbone
    untrained = {
        "gcc_mlp": {
            "description": "GCC-MLP with layer sizes as published.",
            "arguments": {},
            "parts": {},
        }
    }
