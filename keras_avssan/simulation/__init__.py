"""Rooms, microphones and impulse responses."""

from keras_avssan.simulation.bank.build_bank import build_bank
from keras_avssan.simulation.bank.rir_bank import RIRBank
from keras_avssan.simulation.calibration import calibrated_absorption
from keras_avssan.simulation.decay import reverberation_time
from keras_avssan.simulation.image_source.image_source import simulate_rirs
from keras_avssan.simulation.moving_source import render_moving
from keras_avssan.simulation.rooms import Room, RoomRanges, azimuth_of, sample_room
from keras_avssan.simulation.trajectory import Trajectory, arc_trajectory, linear_trajectory

__all__ = [
    "RIRBank",
    "Room",
    "RoomRanges",
    "Trajectory",
    "arc_trajectory",
    "azimuth_of",
    "calibrated_absorption",
    "build_bank",
    "linear_trajectory",
    "render_moving",
    "reverberation_time",
    "sample_room",
    "simulate_rirs",
]
