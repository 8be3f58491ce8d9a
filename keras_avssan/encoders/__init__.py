"""Encoders of pictures, words and sound: CLIP, slots for any Keras model, two that train along."""

from keras_avssan.encoders.audio_encoder import AudioEncoder
from keras_avssan.encoders.clip_encoder import CLIPEncoder
from keras_avssan.encoders.clip_tokenizer import CLIPTextTokenizer
from keras_avssan.encoders.conv_image_encoder import ConvImageEncoder
from keras_avssan.encoders.converters.clip import convert_clip_huggingface
from keras_avssan.encoders.get_image_encoder import get_image_encoder
from keras_avssan.encoders.image_encoder import ImageEncoder
from keras_avssan.encoders.log_mel_encoder import LogMelEncoder

__all__ = [
    "AudioEncoder",
    "CLIPEncoder",
    "CLIPTextTokenizer",
    "ConvImageEncoder",
    "ImageEncoder",
    "LogMelEncoder",
    "convert_clip_huggingface",
    "get_image_encoder",
]
