"""Directions over time: tracks of recordings, streams, smoothing."""

from keras_avssan.tracking.estimate import Estimate
from keras_avssan.tracking.motion_model import MotionModel
from keras_avssan.tracking.stream import LocalizerStream
from keras_avssan.tracking.track import Track

__all__ = ["Estimate", "LocalizerStream", "MotionModel", "Track"]
