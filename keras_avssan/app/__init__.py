"""A page in the browser that shows where a chosen sound comes from; needs Gradio."""

from keras_avssan.app.answer import Answer, answer
from keras_avssan.app.interface import build_interface

__all__ = ["Answer", "answer", "build_interface"]
