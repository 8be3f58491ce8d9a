"""Measured responses as the rooms of a bank."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import soxr

from keras_avssan._internal.checks import check_integer, check_positive_number
from keras_avssan.doa.rigid_sphere import spacing_of_head
from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.simulation.decay import reverberation_time
from keras_avssan.simulation.measured.direct_path import Leads, measure_leads
from keras_avssan.simulation.measured.recordings import Recordings
from keras_avssan.simulation.rooms import azimuth_of

BAFFLES = ("open", "rigid")
# Parts of the decay that a reverberation time is measured on, the longest that a response has.
_DECAYS = (30.0, 20.0)  # decibels


@dataclasses.dataclass(frozen=True)
class ImportSettings:
    """How measured responses become rooms of a bank, see `RIRBank.from_sofa`."""

    sampling_rate: int = 16000
    sources_per_room: int | None = None
    max_duration: float | None = None
    t60: float | None = None
    baffle: str | None = None
    speed_of_sound: float = SPEED_OF_SOUND

    def __post_init__(self) -> None:
        """Checks the values."""
        check_integer("sampling_rate", self.sampling_rate, 1)
        if self.sources_per_room is not None:
            check_integer("sources_per_room", self.sources_per_room, 1)
        for name in ("max_duration", "t60"):
            if getattr(self, name) is not None:
                check_positive_number(name, getattr(self, name), "time in seconds")
        check_positive_number("speed_of_sound", self.speed_of_sound, "speed")
        check_baffle(self.baffle)


def check_baffle(baffle: str | None) -> None:
    """Raises a ValueError if this is not a baffle."""
    if baffle is not None and baffle not in BAFFLES:
        raise ValueError(f"`baffle` must be one of {BAFFLES} or None. Received: baffle={baffle!r}")


@dataclasses.dataclass(frozen=True, eq=False)
class _Pose:
    """A pair of microphones in one place, and the positions of sources that it recorded."""

    recordings: Recordings
    pair: int
    group: int  # the room
    positions: np.ndarray  # by azimuth, from 0 on

    def rows(self, num_sources: int) -> list[np.ndarray]:
        """Its positions in sets of so many, each spread over all azimuths."""
        count = len(self.positions) // num_sources
        return [self.positions[k::count][:num_sources] for k in range(count)]


def bank_fields(files: Sequence[Recordings], settings: ImportSettings) -> dict[str, Any]:
    """Fields of a `RIRBank` with the rooms of several files, each at its own sampling rate."""
    for file in files:
        file.check()
        if settings.sampling_rate > file.sampling_rate:
            raise ValueError(
                f"`sampling_rate` must be at most the {file.sampling_rate} Hz of {file.name}. "
                f"Received: sampling_rate={settings.sampling_rate}"
            )
    poses = _poses(files)
    counts = [len(pose.positions) for pose in poses]
    num_sources = settings.sources_per_room or min(counts)
    if num_sources > max(counts):
        raise ValueError(
            f"`sources_per_room` must be at most {max(counts)}, the largest number of positions "
            f"that one place of the microphones has. Received: sources_per_room={num_sources}"
        )
    rows: list[dict[str, Any]] = []
    leads: dict[str, list[Leads]] = {}
    for pose in poses:
        for positions in pose.rows(num_sources):
            row, compared = _row(pose, positions, settings)
            rows.append(row)
            leads.setdefault(pose.recordings.name, []).append(compared)
    for name, parts in leads.items():
        Leads.joined(parts).warn(name)
    length = max(row["rirs"].shape[-1] for row in rows)
    if settings.max_duration is not None:
        length = max(1, round(settings.max_duration * settings.sampling_rate))
    for row in rows:
        rirs = row["rirs"][..., :length]
        row["rirs"] = np.pad(rirs, ((0, 0), (0, 0), (0, length - rirs.shape[-1])))
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    floats = {name: array.astype("float32") for name, array in arrays.items() if name != "groups"}
    return {
        **floats,
        "groups": arrays["groups"],
        "measured": np.ones(len(rows), bool),
        "sampling_rate": settings.sampling_rate,
        "seed": 0,
        "formula": "measured",
        "speed_of_sound": settings.speed_of_sound,
    }


def _poses(files: Sequence[Recordings]) -> list[_Pose]:
    """All places of the microphones; those of one room stand together."""
    poses: list[_Pose] = []
    group = -1
    for file in files:
        for room in np.unique(file.rooms):
            group += 1
            there = np.flatnonzero(file.rooms == room)
            for pair in range(file.microphones.shape[1]):
                places: dict[bytes, list[int]] = {}
                for position in there.tolist():
                    # Equal up to rounding, and without a negative zero.
                    place = file.microphones[position, pair].round(4) + 0.0
                    places.setdefault(place.tobytes(), []).append(position)
                for found in places.values():
                    azimuths = azimuth_of(file.sources[found], file.microphones[found, pair])
                    order = np.argsort(azimuths.round(6), kind="stable")
                    poses.append(_Pose(file, pair, group, np.array(found)[order]))
    return poses


def _row(
    pose: _Pose, positions: np.ndarray, settings: ImportSettings
) -> tuple[dict[str, Any], Leads]:
    """One room of a bank, arrays by their names, for the sources at these positions; its leads."""
    file = pose.recordings
    responses = file.responses[positions, pose.pair]
    sources = file.sources[positions]
    microphones = file.microphones[positions[0], pose.pair]
    is_rigid = file.is_head if settings.baffle is None else settings.baffle == "rigid"
    if is_rigid:
        microphones = _moved_apart(microphones, settings.speed_of_sound)
    azimuths = azimuth_of(sources, microphones)
    leads = measure_leads(
        *(responses, sources, microphones, azimuths),
        *(file.sampling_rate, settings.speed_of_sound, is_rigid),
    )
    row = {
        "rirs": _resampled(responses, file.sampling_rate, settings.sampling_rate),
        "azimuths": azimuths,
        "t60": _t60(responses, file.t60[positions], file.sampling_rate, settings.t60),
        "room_sizes": file.sizes[positions[0]],
        "microphones": microphones,
        "sources": sources,
        "groups": pose.group,
    }
    return row, leads


def _moved_apart(microphones: np.ndarray, speed_of_sound: float) -> np.ndarray:
    """Two free microphones with about the delays of these on opposite sides of a rigid sphere."""
    distance = float(np.linalg.norm(microphones[0] - microphones[1]))
    centre = microphones.mean(axis=0)
    factor = spacing_of_head(distance, speed_of_sound) / distance
    return centre + factor * (microphones - centre)


def _resampled(responses: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Responses `(S, 2, N)` at another sampling rate, as filters of the same gain."""
    if rate == wanted:
        return responses
    flat = responses.reshape(-1, responses.shape[-1]).T
    resampled = soxr.resample(flat, rate, wanted, quality="VHQ") * (rate / wanted)
    return resampled.T.reshape(*responses.shape[:2], -1)


def _t60(
    responses: np.ndarray, stated: np.ndarray, sampling_rate: int, given: float | None
) -> float:
    """The reverberation time that is given or stated, else the median of what is measured."""
    if given is not None:
        return given
    if not np.isnan(stated).all():
        return float(np.nanmedian(stated))
    for decay in _DECAYS:
        times = reverberation_time(responses, sampling_rate, decay=decay)
        if not np.isnan(times).all():
            return float(np.nanmedian(times))
    return float("nan")
