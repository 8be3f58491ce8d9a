"""The networks that AV-SSAN is compared with, each trained and prompted as AV-SSAN is."""

from keras_avssan.models.baselines.av_mlp import AVMLP
from keras_avssan.models.baselines.av_seld import AVSELD
from keras_avssan.models.baselines.avst import AVST
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone
from keras_avssan.models.baselines.cmaf import CMAF
from keras_avssan.models.baselines.dgb import DGB
from keras_avssan.models.baselines.fn_ssl import FNSSL
from keras_avssan.models.baselines.gcc_mlp import GCCMLP
from keras_avssan.models.baselines.mlp_avc import MLPAVC
from keras_avssan.models.baselines.seld_net import SELDNet

__all__ = [
    "AVMLP",
    "AVSELD",
    "AVST",
    "Baseline",
    "BaselineBackbone",
    "CMAF",
    "DGB",
    "FNSSL",
    "GCCMLP",
    "MLPAVC",
    "SELDNet",
]
