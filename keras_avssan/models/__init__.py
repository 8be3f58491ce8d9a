"""Prompted localisers, one KerasHub backbone and task a system."""

from keras_avssan.models.attach_text_encoder import attach_text_encoder
from keras_avssan.models.av_ssan.av_ssan import AVSSAN
from keras_avssan.models.av_ssan.av_ssan_backbone import AVSSANBackbone
from keras_avssan.models.av_ssan.av_ssan_preprocessor import AVSSANPreprocessor
from keras_avssan.models.baselines import (
    AVMLP,
    AVSELD,
    AVST,
    CMAF,
    DGB,
    FNSSL,
    GCCMLP,
    MLPAVC,
    SELDNet,
)
from keras_avssan.models.export.exported_localizer import ExportedLocalizer
from keras_avssan.models.export.load_exported import load_exported
from keras_avssan.models.fitting.training_record import TrainingRecord
from keras_avssan.models.localization.array_answer import ArrayAnswer
from keras_avssan.models.localization.array_localizer import ArrayLocalizer
from keras_avssan.models.localization.sources import Source
from keras_avssan.models.localizer import Localizer
from keras_avssan.models.localizer_preprocessor import LocalizerPreprocessor
from keras_avssan.models.prompts import Prompt

__all__ = [
    "AVMLP",
    "AVSELD",
    "AVSSAN",
    "AVSSANBackbone",
    "AVSSANPreprocessor",
    "AVST",
    "ArrayAnswer",
    "ArrayLocalizer",
    "CMAF",
    "DGB",
    "ExportedLocalizer",
    "FNSSL",
    "GCCMLP",
    "Localizer",
    "LocalizerPreprocessor",
    "MLPAVC",
    "Prompt",
    "SELDNet",
    "Source",
    "TrainingRecord",
    "attach_text_encoder",
    "load_exported",
]
