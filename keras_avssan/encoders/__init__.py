"""Encoders of pictures, words and sound: pretrained ones, slots for any Keras model, small ones."""

from keras_avssan.encoders.audio_encoder import AudioEncoder
from keras_avssan.encoders.clip_encoder import CLIPEncoder
from keras_avssan.encoders.clip_tokenizer import CLIPTextTokenizer
from keras_avssan.encoders.conv_image_encoder import ConvImageEncoder
from keras_avssan.encoders.get_image_encoder import get_image_encoder
from keras_avssan.encoders.image_encoder import ImageEncoder
from keras_avssan.encoders.log_mel_encoder import LogMelEncoder
from keras_avssan.encoders.sound_effects_cnn import SoundEffectsCNN
from keras_avssan.encoders.sound_effects_spectrogram import SoundEffectsSpectrogram
from keras_avssan.encoders.vggish import VGGish
from keras_avssan.encoders.vggish_postprocessor import VGGishPostprocessor
from keras_avssan.encoders.vggish_spectrogram import VGGishSpectrogram

__all__ = [
    "AudioEncoder",
    "CLIPEncoder",
    "CLIPTextTokenizer",
    "ConvImageEncoder",
    "ImageEncoder",
    "LogMelEncoder",
    "SoundEffectsCNN",
    "SoundEffectsSpectrogram",
    "VGGish",
    "VGGishPostprocessor",
    "VGGishSpectrogram",
    "get_image_encoder",
]
