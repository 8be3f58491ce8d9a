"""Encoders of pictures, texts and audio: pretrained ones, any Keras model, small ones."""

from keras_avssan.encoders.audio_encoder import AudioEncoder
from keras_avssan.encoders.clip_encoder import CLIPEncoder
from keras_avssan.encoders.clip_tokenizer import CLIPTextTokenizer
from keras_avssan.encoders.conv_image_encoder import ConvImageEncoder
from keras_avssan.encoders.image_encoder import ImageEncoder
from keras_avssan.encoders.log_mel_encoder import LogMelEncoder
from keras_avssan.encoders.sound_effects_cnn import SoundEffectsCNN
from keras_avssan.encoders.text.picture_text_encoder import PictureTextEncoder
from keras_avssan.encoders.text.sentence_encoder import SentenceEncoder
from keras_avssan.encoders.text.word_piece_tokenizer import WordPieceTokenizer
from keras_avssan.encoders.text.word_table import WordTable
from keras_avssan.encoders.vggish.vggish import VGGish
from keras_avssan.encoders.yamnet.yamnet import YAMNet

__all__ = [
    "AudioEncoder",
    "CLIPEncoder",
    "CLIPTextTokenizer",
    "ConvImageEncoder",
    "ImageEncoder",
    "LogMelEncoder",
    "PictureTextEncoder",
    "SentenceEncoder",
    "SoundEffectsCNN",
    "VGGish",
    "WordPieceTokenizer",
    "WordTable",
    "YAMNet",
]
