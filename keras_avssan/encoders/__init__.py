"""Encoders of pictures and sound: slots for any Keras model, and two that train with the task."""

from keras_avssan.encoders.audio_encoder import AudioEncoder
from keras_avssan.encoders.conv_image_encoder import ConvImageEncoder
from keras_avssan.encoders.image_encoder import ImageEncoder
from keras_avssan.encoders.log_mel_encoder import LogMelEncoder

__all__ = ["AudioEncoder", "ConvImageEncoder", "ImageEncoder", "LogMelEncoder"]
