"""Encoders of pictures and sound: slots for any Keras model, sound effects, and two that learn."""

from keras_avssan.encoders.audio_encoder import AudioEncoder
from keras_avssan.encoders.conv_image_encoder import ConvImageEncoder
from keras_avssan.encoders.image_encoder import ImageEncoder
from keras_avssan.encoders.log_mel_encoder import LogMelEncoder
from keras_avssan.encoders.sound_effects_cnn import SoundEffectsCNN
from keras_avssan.encoders.sound_effects_spectrogram import SoundEffectsSpectrogram

__all__ = [
    "AudioEncoder",
    "ConvImageEncoder",
    "ImageEncoder",
    "LogMelEncoder",
    "SoundEffectsCNN",
    "SoundEffectsSpectrogram",
]
