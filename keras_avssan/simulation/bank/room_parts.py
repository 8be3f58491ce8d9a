"""Division of a bank's rooms into training, validation and test."""

import numpy as np

PARTS = ("train", "validation", "test")
# Rooms of one seed are a series. Without a bank, training uses the first ones, and evaluation those
# from this index, so that no room is in both.
FIRST_EVALUATION_ROOM = 1_000_000


def divide_rooms(num_rooms: int, parts: tuple[str, ...] = PARTS) -> dict[str, tuple[int, int]]:
    """Divides rooms into disjoint ranges `(start, stop)` by their number alone.

    The last part has the last tenth, at least one room, and so on; the first part has the rest.
    """
    if num_rooms < len(parts):
        raise ValueError(
            f"A bank needs at least {len(parts)} rooms to be divided into {', '.join(parts)}. "
            f"Received: num_rooms={num_rooms}"
        )
    tenth = max(1, num_rooms // 10)
    stops = [num_rooms - tenth * after for after in reversed(range(len(parts)))]
    return dict(zip(parts, zip([0, *stops], stops, strict=False), strict=True))


def divide_rows(groups: np.ndarray, origins: np.ndarray | None) -> dict[str, tuple[int, int]]:
    """Divides the rows of a bank, of which those of one group, a room, stay in one part.

    In a mixture the rooms of each bank are divided; those of a bank of fewer than three are the
    first part's.
    """
    banks = np.zeros(len(groups), int) if origins is None else np.asarray(origins)
    counts = np.zeros(len(PARTS), int)
    most = 0
    for bank in np.unique(banks):
        begins = np.flatnonzero(np.diff(groups[banks == bank], prepend=-1) != 0)
        edges = np.append(begins, np.count_nonzero(banks == bank))
        most = max(most, len(begins))
        if len(begins) < len(PARTS):
            counts[0] += edges[-1]
            continue
        parts = divide_rooms(len(begins)).values()
        counts += [edges[stop] - edges[start] for start, stop in parts]
    divide_rooms(most)  # raises an error where no bank has rooms enough
    stops = np.cumsum(counts).tolist()
    return dict(zip(PARTS, zip([0, *stops], stops, strict=False), strict=True))
