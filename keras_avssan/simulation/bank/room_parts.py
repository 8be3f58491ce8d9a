"""Division of a bank's rooms into training, validation and test."""

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
