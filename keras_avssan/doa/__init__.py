"""The grid of directions: encoding, decoding, losses and metrics."""

from keras_avssan.doa.grid import GRID_DEGREES, NUM_DIRECTIONS, decode_posterior, encode_azimuth
from keras_avssan.doa.losses import AlignmentLoss, DoALoss, JointLoss, ReconstructionLoss
from keras_avssan.doa.metrics import (
    AngularAccuracy,
    AngularMAE,
    SelectedAngularMAE,
    SelectionRate,
)

__all__ = [
    "GRID_DEGREES",
    "NUM_DIRECTIONS",
    "AlignmentLoss",
    "AngularAccuracy",
    "AngularMAE",
    "DoALoss",
    "JointLoss",
    "ReconstructionLoss",
    "SelectedAngularMAE",
    "SelectionRate",
    "decode_posterior",
    "encode_azimuth",
]
