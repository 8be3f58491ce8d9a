"""Arrays of any number of microphones: geometry, directions around them, fusion of their pairs."""

from keras_avssan.arrays.direction_grid import DirectionGrid
from keras_avssan.arrays.microphone_array import MicrophoneArray
from keras_avssan.arrays.pair_fusion import fuse_posteriors

__all__ = ["DirectionGrid", "MicrophoneArray", "fuse_posteriors"]
