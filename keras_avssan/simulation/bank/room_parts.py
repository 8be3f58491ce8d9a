"""Which rooms train, which validate and which test."""

PARTS = ("train", "validation", "test")
# Rooms of one seed are a series. Where they are simulated on the spot, training takes the first,
# evaluation those from here on, so that no room is in both.
FIRST_EVALUATION_ROOM = 1_000_000


def divide_rooms(num_rooms: int, parts: tuple[str, ...] = PARTS) -> dict[str, tuple[int, int]]:
    """Divides rooms into disjoint ranges, by their number alone.

    The last part has the last tenth of the rooms, at least one, the part before it the tenth
    before, and so on; the first part has all others.

    Args:
        num_rooms: number of rooms.
        parts: names of the parts.

    Returns:
        Dict from a part to its range `(start, stop)`.

    Raises:
        ValueError: If there are fewer rooms than parts.

    Example:
    >>> divide_rooms(300)
    {'train': (0, 240), 'validation': (240, 270), 'test': (270, 300)}
    """
    if num_rooms < len(parts):
        raise ValueError(
            f"A bank needs at least {len(parts)} rooms to be divided into {', '.join(parts)}. "
            f"Received: {num_rooms}."
        )
    tenth = max(1, num_rooms // 10)
    stops = [num_rooms - tenth * after for after in reversed(range(len(parts)))]
    return dict(zip(parts, zip([0, *stops], stops, strict=False), strict=True))
