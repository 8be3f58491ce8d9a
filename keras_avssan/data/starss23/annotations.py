"""Annotations of STARSS23: class, source and direction of every active source by frame."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_avssan._internal.one_line import count, names, one_line
from keras_avssan._internal.tables.csv_files import read_csv
from keras_avssan._internal.types import PathLike

FRAME_SECONDS = 0.1
STARSS23_CLASSES = (
    "female speech",
    "male speech",
    "clapping",
    "telephone",
    "laughter",
    "domestic sounds",
    "footsteps",
    "door",
    "music",
    "musical instrument",
    "water tap",
    "bell",
    "knock",
)

# Least distance of a source in centimetres.
_NEAREST = 10
# Five columns, or six with the distance.
_COLUMNS = ("frame", "class", "source", "azimuth", "elevation", "distance")


@dataclass(frozen=True, eq=False)
class Events:
    """The annotation of one recording: one entry a source and frame of 100 ms.

    Args:
        frame: Number of the frame from 0; shape `(entries,)`, as all others.
        class_index: Number of the class in `STARSS23_CLASSES`.
        source: Number of the source within its class.
        azimuth: Degrees, counter-clockwise, 0 in front, 90 to the left.
        elevation: Degrees, 90 above.
        distance: Metres; NaN where the file has no such column.

    Example:
        >>> events = Events(
        ...     frame=np.array([0, 1]), class_index=np.array([0, 0]), source=np.array([0, 0]),
        ...     azimuth=np.array([30.0, 31.0]), elevation=np.zeros(2), distance=np.full(2, np.nan),
        ... )
        >>> events.azimuth[events.frame == 1].tolist()
        [31.0]
    """

    frame: np.ndarray
    class_index: np.ndarray
    source: np.ndarray
    azimuth: np.ndarray
    elevation: np.ndarray
    distance: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        classes = sorted({STARSS23_CLASSES[number] for number in self.class_index})
        frames = count(len(np.unique(self.frame)), "frame")
        return one_line(self, f"{count(len(self), 'entry', 'entries')} in {frames}", names(classes))

    def select(self, chosen: np.ndarray) -> "Events":
        """Returns the entries that a bool array (entries,) or an array of indices selects."""
        return Events(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def read_events(path: PathLike) -> Events:
    """Read a CSV file of STARSS23's metadata.

    A row is `frame,class,source,azimuth,elevation`, or with `distance` in centimetres as a sixth
    column; there is no header. A file without rows is a recording without events.

    Args:
        path: Path of the file.

    Returns:
        `Events`.

    Raises:
        ValueError: The file does not exist, or a row has another number of columns, is not
            numeric or out of range; names file and line. Or six columns are Cartesian.

    Example:
        ```python
        events = read_events("STARSS23/metadata_dev/dev-test-sony/fold4_room23_mix001.csv")
        events.azimuth[events.frame == 12]  # where the sources of the thirteenth frame are
        ```
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"`path` must be an existing file. Received: path='{path}'")
    rows = [
        (_numbers(row, f"'{path}', line {line}"), f"'{path}', line {line}")
        for line, row in read_csv(path, f"'{path}'", lambda row: len(row) in (5, 6))
    ]
    _refuse_cartesian(np.array([values[3:] for values, _ in rows]), path)
    for values, where in rows:
        _check_limits(values, where)
    table = np.array([values for values, _ in rows], "float64").reshape(len(rows), len(_COLUMNS))
    frame, class_index, source = table[:, :3].astype(int).T
    azimuth, elevation, centimetres = table[:, 3:].T
    return Events(frame, class_index, source, azimuth, elevation, centimetres / 100)


def _numbers(row: list[str], where: str) -> list[float]:
    """The six numbers of a row; the distance is NaN in a row of five."""
    if len(row) not in (len(_COLUMNS) - 1, len(_COLUMNS)):
        raise ValueError(
            f"{where}: expected 5 or 6 columns ({', '.join(_COLUMNS)}). Received: {len(row)}"
        )
    try:
        values = [float(value) for value in row]
    except ValueError as error:
        raise ValueError(f"{where}: expected numbers. Received: {','.join(row)!r}") from error
    return values if len(values) == len(_COLUMNS) else [*values, np.nan]


def _refuse_cartesian(positions: np.ndarray, path: Path) -> None:
    """Refuses x, y, z in place of azimuth, elevation in degrees and distance in centimetres.

    No source lies within 10 cm of the microphones, and no distance is negative.
    """
    positions = positions.reshape(-1, 3)
    positions = positions[np.isfinite(positions).all(axis=1)]
    if not len(positions):
        return
    x, y, z = positions.T
    in_the_plane = not z.any() and np.allclose(np.hypot(x, y), 1, atol=0.02)
    near = np.abs(positions).max() <= _NEAREST and (z.any() or in_the_plane)
    whole = (positions == np.round(positions)).all()
    if (z < 0).any() or (near and not (in_the_plane and whole)):
        raise ValueError(
            f"'{path}' must hold azimuth and elevation in degrees and the distance in centimetres. "
            f"Received: columns that look like x, y, z, such as {x[0]:g}, {y[0]:g}, {z[0]:g}"
        )


def _check_limits(values: list[float], where: str) -> None:
    limits = {
        "frame": (0, np.inf),
        "class": (0, len(STARSS23_CLASSES) - 1),
        "source": (0, np.inf),
        "azimuth": (-360, 360),
        "elevation": (-90, 90),
    }
    for (name, (low, high)), value in zip(limits.items(), values, strict=False):
        whole = name in ("azimuth", "elevation") or value.is_integer()
        if not (np.isfinite(value) and low <= value <= high and whole):
            kind = "a number" if name in ("azimuth", "elevation") else "a whole number"
            raise ValueError(
                f"{where}: `{name}` must be {kind} from {low} to {high}. Received: {name}={value}"
            )
