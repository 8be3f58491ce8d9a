"""Impulse responses in files of the Spatially Oriented Format for Acoustics (SOFA, AES69)."""

import dataclasses
import os
from typing import Any

import numpy as np

from keras_avssan._internal.types import PathLike
from keras_avssan.simulation.measured.recordings import PairChoice, Recordings, delayed

CONVENTIONS = (
    *("SingleRoomSRIR", "SingleRoomDRIR", "MultiSpeakerBRIR", "SimpleFreeFieldHRIR"),
    "GeneralFIR",
)
# Those whose two receivers are the ears of a head.
_OF_HEADS = ("MultiSpeakerBRIR", "SimpleFreeFieldHRIR")
_NEEDED = ("Data.IR", "Data.SamplingRate", "SourcePosition", "ListenerPosition", "ReceiverPosition")
_OPTIONAL = (
    *("Data.Delay", "ListenerView", "ListenerUp", "EmitterPosition", "SourceView", "SourceUp"),
    *("RoomCornerA", "RoomCornerB"),
)
# Positions that differ by less are one point, in metres.
_SAME_POINT = 1e-3


# SOFA files are HDF5 files. They are read with h5py, which Keras needs too: the readers built on
# netCDF4 bring another copy of the HDF5 library into the process, which is known to fail.
def read_sofa(path: PathLike, choice: PairChoice) -> Recordings:
    """Reads the responses of the chosen pairs of receivers.

    Raises a `FileNotFoundError`, or a ValueError for what is no such file, or a damaged one.
    """
    import h5py

    name = f"file='{os.fspath(path)}'"
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`file` must be an existing SOFA file. Received: {name}")
    try:
        with h5py.File(path, "r") as file:
            content = _Content.of(file, name)
            pairs = choice.of(content.receivers[0], name)
            return _recordings(content, _stored(file, "Data.IR", name), pairs)
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(
            f"`file` must be a whole SOFA file: {str(error).strip()}. Received: {name}"
        ) from error


@dataclasses.dataclass(frozen=True, eq=False)
class _Content:
    """All of a file but the responses; M measurements, R receivers, E emitters."""

    name: str
    convention: str
    sampling_rate: int
    receivers: np.ndarray  # (M, R, 3) in metres
    emitters: np.ndarray  # (M, E, 3) in metres
    sources: np.ndarray  # (M, 3) in metres
    delays: np.ndarray  # (M, R) or (M, R, E) in samples
    corners: np.ndarray | None  # of the room, lowest and highest, (2, 3)

    @classmethod
    def of(cls, file: Any, name: str) -> "_Content":
        convention = _text(file.attrs.get("SOFAConventions", ""))
        if convention not in CONVENTIONS:
            stated = f"convention '{convention}'" if convention else "no SOFAConventions"
            raise ValueError(
                f"`file` must be a SOFA file of one of the conventions {', '.join(CONVENTIONS)}. "
                f"Received: {name} of {stated}"
            )
        absent = [variable for variable in _NEEDED if variable not in file]
        if absent:
            what = "positions" if any("Position" in one for one in absent) else "responses"
            raise ValueError(
                f"`file` must hold {what}: it lacks {', '.join(absent)}. Received: {name}"
            )
        read = {
            variable: np.asarray(_stored(file, variable, name)[()], "float64")
            for variable in (*_NEEDED, *_OPTIONAL)
            if variable in file and variable != "Data.IR"
        }
        kinds = {variable: _text(file[variable].attrs.get("Type", "")) for variable in read}
        return cls._placed(file, read, kinds, convention, name)

    @classmethod
    def _placed(
        cls,
        file: Any,
        read: dict[str, np.ndarray],
        kinds: dict[str, str],
        convention: str,
        name: str,
    ) -> "_Content":
        """Brings everything into the coordinates of the room, for each measurement."""
        number = _stored(file, "Data.IR", name).shape[0]
        points = {
            variable: _cartesian(variable, values, kinds, name)
            for variable, values in read.items()
            if not variable.startswith("Data.")
        }
        each = {
            variable: _for_each(values, number, variable, name)
            for variable, values in points.items()
            if not variable.startswith("RoomCorner")
        }
        listeners, sources = each["ListenerPosition"], each["SourcePosition"]
        receivers = listeners[:, None] + _turned(each["ReceiverPosition"], each, "Listener")
        emitters = sources[:, None]
        if "EmitterPosition" in each:
            emitters = emitters + _turned(each["EmitterPosition"], each, "Source")
        if (np.linalg.norm(emitters - listeners[:, None], axis=-1) < _SAME_POINT).all():
            raise ValueError(
                "`file` must hold positions of the sources. Received: "
                f"{name}, whose sources are all where the listener is"
            )
        delays = read.get("Data.Delay", np.zeros((1, 1)))
        if delays.ndim not in (2, 3) or len(delays) not in (1, number):
            raise ValueError(
                f"`file` must be a whole SOFA file: it has {number} measurements and delays of "
                f"shape {delays.shape}. Received: {name}"
            )
        corners = [points[key][0] for key in ("RoomCornerA", "RoomCornerB") if key in points]
        return cls(
            name,
            convention,
            _one_rate(read["Data.SamplingRate"], name),
            receivers,
            emitters,
            sources,
            np.broadcast_to(delays, (number, *delays.shape[1:])),
            np.sort(corners, axis=0) if len(corners) == 2 else None,
        )


def _stored(file: Any, variable: str, name: str) -> Any:
    """A variable of a file, still unread; refuses all but arrays of numbers that are not empty."""
    try:
        stored = file[variable]
        kind, shape = stored.dtype.kind, stored.shape
    except (AttributeError, TypeError, ValueError):  # no array, or one of a damaged type
        kind, shape = "", ()
    if kind not in tuple("fiu") or not shape or 0 in shape:
        raise ValueError(
            f"`file` must hold numbers in {variable}. Received: {name}, whose {variable} is no "
            f"array of numbers, or an empty one, of shape {shape}"
        )
    return stored


def _text(value: Any) -> str:
    return (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).strip()


def _one_rate(rates: np.ndarray, name: str) -> int:
    rate = float(rates.flat[0])
    if not np.all(rates == rate):
        raise ValueError(
            "`file` must have one sampling rate. Received: "
            f"{name} with {rates.min():g} to {rates.max():g} Hz"
        )
    if not 0 < rate < np.inf or rate != round(rate):
        raise ValueError(
            f"`file` must have a whole, positive sampling rate. Received: {name} with {rate:g} Hz"
        )
    return round(rate)


def _cartesian(variable: str, values: np.ndarray, kinds: dict[str, str], name: str) -> np.ndarray:
    """Coordinates in metres, on axis 1, of a variable in either coordinate system of SOFA."""
    # The up vectors have the type of the view.
    kind = kinds[variable] or kinds.get(variable.replace("Up", "View"), "")
    if values.ndim < 2 or values.shape[1] != 3 or kind not in ("", "cartesian", "spherical"):
        raise ValueError(
            f"`file` must hold {variable} in cartesian or spherical coordinates. Received: "
            f"{name} with {variable} of type '{kind}' and shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"`file` must hold finite positions. Received: {name}, see {variable}")
    if kind != "spherical":
        return values
    azimuth, elevation, radius = np.moveaxis(values, 1, 0)
    azimuth, elevation = np.radians(azimuth), np.radians(elevation)
    level = radius * np.cos(elevation)
    parts = (level * np.cos(azimuth), level * np.sin(azimuth), radius * np.sin(elevation))
    return np.stack(parts, axis=1)


def _for_each(values: np.ndarray, number: int, variable: str, name: str) -> np.ndarray:
    """Positions for each measurement: `(M, 3)`, or `(M, R, 3)` of receivers and emitters."""
    if variable.startswith(("Receiver", "Emitter")):
        values = values[..., None] if values.ndim == 2 else values
        values = np.moveaxis(values, -1, 0)
    if len(values) not in (1, number):
        raise ValueError(
            f"`file` must be a whole SOFA file: it has {number} measurements and {len(values)} of "
            f"{variable}. Received: {name}"
        )
    return np.broadcast_to(values, (number, *values.shape[1:]))


def _turned(offsets: np.ndarray, each: dict[str, np.ndarray], thing: str) -> np.ndarray:
    """Offsets `(M, n, 3)` in the coordinates of a listener or source, turned as it is."""
    if f"{thing}View" not in each:
        return offsets
    view = each[f"{thing}View"]
    up = each.get(f"{thing}Up", np.broadcast_to([0.0, 0.0, 1.0], view.shape))
    ahead = _unit(view)
    above = _unit(up - np.sum(up * ahead, axis=-1, keepdims=True) * ahead)
    left = np.cross(above, ahead)
    return np.einsum("mij,mnj->mni", np.stack([ahead, left, above], axis=-1), offsets)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _recordings(content: _Content, data: Any, pairs: list[tuple[int, int]]) -> Recordings:
    """Reads the responses, and joins measurements and emitters to one axis of positions."""
    used = sorted({number for pair in pairs for number in pair})
    rows = np.searchsorted(used, pairs)  # (K, 2)
    number, num_emitters = content.emitters.shape[:2]
    _check_shape(content, data.shape)
    values = np.asarray(data[:, used], "float64")
    if values.ndim == 4:
        # Version 1 of the format has emitters last, earlier ones before the samples.
        last = values.shape[3] == num_emitters and values.shape[2] != num_emitters
        values = np.moveaxis(values, 3 if last else 2, 1)
        sources = content.emitters
    else:
        values = values[:, None]
        # Emitters that play together are where the source is.
        sources = content.emitters if num_emitters == 1 else content.sources[:, None]
    count = values.shape[1]
    delays = content.delays[:, used] if content.delays.shape[1] > 1 else content.delays
    delays = delays[:, :, None] if delays.ndim == 2 else delays
    delays = np.broadcast_to(np.moveaxis(delays, 2, 1), (number, count, len(used)))
    values = delayed(values, delays, content.name)
    microphones = np.broadcast_to(
        content.receivers[:, None, used], (number, count, len(used), 3)
    ).reshape(-1, len(used), 3)
    positions = number * count
    low, size = _room(content, sources, microphones)
    return Recordings(
        name=content.name,
        responses=values.reshape(positions, len(used), -1)[:, rows],
        microphones=microphones[:, rows] - low,
        sources=sources.reshape(-1, 3) - low,
        rooms=np.zeros(positions, int),
        sizes=np.broadcast_to(size, (positions, 3)),
        t60=np.full(positions, np.nan),
        sampling_rate=content.sampling_rate,
        is_head=content.convention in _OF_HEADS,
    )


def _check_shape(content: _Content, shape: tuple[int, ...]) -> None:
    """Refuses responses that do not fit the positions."""
    receivers, emitters = content.receivers.shape[1], content.emitters.shape[1]
    fits = len(shape) in (3, 4) and shape[1] == receivers and 0 not in shape
    if not fits or (len(shape) == 4 and emitters not in shape[2:]):
        raise ValueError(
            f"`file` must hold responses of its {receivers} receivers and {emitters} emitters. "
            f"Received: {content.name} with Data.IR of shape {shape}"
        )


def _room(
    content: _Content, sources: np.ndarray, microphones: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest corner of the room and its size; zero and NaN where it is not known."""
    unknown = np.zeros(3), np.full(3, np.nan)
    if content.corners is None:
        return unknown
    low, high = content.corners
    points = np.concatenate([sources.reshape(-1, 3), microphones.reshape(-1, 3)])
    inside = np.all((points > low) & (points < high))
    return (low, high - low) if inside else unknown
