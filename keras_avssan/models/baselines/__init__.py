"""The networks that AV-SSAN is compared with, each trained and asked as AV-SSAN is."""

from keras_avssan.models.baselines.av_mlp import AVMLP, AVMLPBackbone
from keras_avssan.models.baselines.av_seld import AVSELD, AVSELDBackbone
from keras_avssan.models.baselines.avst import AVST, AVSTBackbone
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone
from keras_avssan.models.baselines.cmaf import CMAF, CMAFBackbone
from keras_avssan.models.baselines.dgb import DGB, DGBBackbone
from keras_avssan.models.baselines.dgb_loss import DGBLoss
from keras_avssan.models.baselines.fn_ssl import FNSSL, FNSSLBackbone
from keras_avssan.models.baselines.gcc_mlp import GCCMLP, GCCMLPBackbone
from keras_avssan.models.baselines.mlp_avc import MLPAVC, MLPAVCBackbone
from keras_avssan.models.baselines.seld_net import SELDNet, SELDNetBackbone

__all__ = [
    "AVSELD",
    "AVSELDBackbone",
    "AVST",
    "AVSTBackbone",
    "CMAF",
    "CMAFBackbone",
    "AVMLP",
    "AVMLPBackbone",
    "DGB",
    "DGBBackbone",
    "DGBLoss",
    "FNSSL",
    "FNSSLBackbone",
    "MLPAVC",
    "MLPAVCBackbone",
    "Baseline",
    "BaselineBackbone",
    "GCCMLP",
    "GCCMLPBackbone",
    "SELDNet",
    "SELDNetBackbone",
]
