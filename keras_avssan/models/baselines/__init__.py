"""The networks that AV-SSAN is compared with, each trained and asked as AV-SSAN is."""

from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone
from keras_avssan.models.baselines.gcc_mlp import GCCMLP, GCCMLPBackbone

__all__ = [
    "Baseline",
    "BaselineBackbone",
    "GCCMLP",
    "GCCMLPBackbone",
]
