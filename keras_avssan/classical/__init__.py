"""Localisation of the strongest sound without training: pairs of microphones, and arrays."""

from keras_avssan.classical.arrays.array_music import ArrayMUSIC
from keras_avssan.classical.arrays.array_srp_phat import ArraySRPPHAT
from keras_avssan.classical.arrays.classical_array_localizer import ClassicalArrayLocalizer
from keras_avssan.classical.classical_localizer import ClassicalLocalizer
from keras_avssan.classical.gcc_phat import GCCPHAT
from keras_avssan.classical.music import MUSIC
from keras_avssan.classical.srp_phat import SRPPHAT

__all__ = [
    "GCCPHAT",
    "MUSIC",
    "SRPPHAT",
    "ArrayMUSIC",
    "ArraySRPPHAT",
    "ClassicalArrayLocalizer",
    "ClassicalLocalizer",
]
