"""Draws the graph of the network into docs/images/network.png: `python docs/draw_network.py`.

Needs Graphviz's `dot` and the extra `docs`.
"""

import pathlib

import keras
from legible_pictures import write_resolution

from keras_avssan import AVSSANBackbone
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder

DPI = 72
IMAGE = pathlib.Path(__file__).parent / "images" / "network.png"


def main():
    backbone = AVSSANBackbone(
        ConvImageEncoder(name="image_encoder"), LogMelEncoder(name="audio_encoder")
    )
    keras.utils.plot_model(
        backbone, IMAGE, show_shapes=True, show_layer_names=True, rankdir="TB", dpi=DPI
    )
    write_resolution(IMAGE, DPI)


if __name__ == "__main__":
    main()
