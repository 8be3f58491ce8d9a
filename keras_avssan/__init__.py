"""Selective sound source localisation in Keras: show it a dog, hear where the dog is."""

from keras_avssan.models.av_ssan.av_ssan import AVSSAN
from keras_avssan.models.av_ssan.av_ssan_backbone import AVSSANBackbone
from keras_avssan.models.av_ssan.av_ssan_preprocessor import AVSSANPreprocessor
from keras_avssan.models.prompts import Prompt

__version__ = "0.1.0"

__all__ = ["AVSSAN", "AVSSANBackbone", "AVSSANPreprocessor", "Prompt", "__version__"]
