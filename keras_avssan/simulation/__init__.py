"""Rooms, microphones and impulse responses."""

from keras_avssan.simulation.absorption import eyring_absorption, sabine_absorption
from keras_avssan.simulation.bank import RIRBank
from keras_avssan.simulation.build_bank import build_bank
from keras_avssan.simulation.image_source import simulate_rirs
from keras_avssan.simulation.rooms import Room, RoomRanges, azimuth_of, sample_room

__all__ = [
    "RIRBank",
    "Room",
    "RoomRanges",
    "azimuth_of",
    "build_bank",
    "eyring_absorption",
    "sabine_absorption",
    "sample_room",
    "simulate_rirs",
]
