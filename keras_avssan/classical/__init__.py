"""Localisation of the strongest sound without training: GCC-PHAT, SRP-PHAT, MUSIC for a pair."""

from keras_avssan.classical.classical_localizer import ClassicalLocalizer
from keras_avssan.classical.gcc_phat import GCCPHAT
from keras_avssan.classical.music import MUSIC
from keras_avssan.classical.srp_phat import SRPPHAT

__all__ = [
    "GCCPHAT",
    "MUSIC",
    "SRPPHAT",
    "ClassicalLocalizer",
]
