"""A web page that localises a prompted sound in a recording; needs Gradio."""

from keras_avssan.app.answer import Answer, answer
from keras_avssan.app.interface import build_interface

__all__ = ["Answer", "answer", "build_interface"]
