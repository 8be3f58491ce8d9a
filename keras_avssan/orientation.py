"""What an error adds where the axes of an array stand the other way round."""


def transpose_hint(shape, last="microphones"):
    """A sentence for arrays (…, 2, samples) where (…, samples, 2) is wanted; else empty.

    `last` names what the last axis is to be.
    """
    sides = tuple(shape)[-2:]
    if len(sides) < 2 or not all(isinstance(side, int) for side in sides):
        return ""
    if not 1 <= sides[0] <= 8 or sides[0] >= sides[1]:
        return ""
    return f" The {last} must be the last axis: transpose it, `np.swapaxes(array, -1, -2)`."
