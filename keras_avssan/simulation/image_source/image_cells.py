"""Table of the image lattices of several rooms."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from keras_avssan._internal.backend import static_size
from keras_avssan.simulation.image_source.image_lattice import BLOCK, ImageLattice

# The number of cells is rounded up to a multiple, so that few shapes are compiled.
_CELLS_STEP = 256


@dataclasses.dataclass(frozen=True, eq=False)
class ImageCells:
    """The cells of all rooms and axes of a group, one after another."""

    number: np.ndarray  # of the cell along its axis, (cells,)
    room: np.ndarray  # number of its room in the group
    axis: np.ndarray  # 0, 1 or 2
    is_cell: np.ndarray  # 0 for padding
    x: np.ndarray  # number of the cell along x for each block of images, (blocks,)
    y: np.ndarray
    z: np.ndarray  # number of the block of cells along z
    block_room: np.ndarray  # number of the room for each block of images

    @classmethod
    def of(cls, lattices: list[ImageLattice]) -> "ImageCells":
        """Puts blocks of cells along z first, so that each begins at a multiple of `BLOCK`."""
        parts = [
            (lattice.cells[axis], room, axis)
            for axis in (2, 0, 1)
            for room, lattice in enumerate(lattices)
        ]
        sizes = [len(numbers) for numbers, *_ in parts]
        starts = dict(zip([part[1:] for part in parts], np.cumsum([0, *sizes]), strict=False))
        total = round_up(sum(sizes) + 1, _CELLS_STEP)
        filled = total - sum(sizes)
        number = np.concatenate([numbers for numbers, *_ in parts])
        room = np.repeat([part[1] for part in parts], sizes)
        axis = np.repeat([part[2] for part in parts], sizes)
        places = [
            np.concatenate(
                [
                    getattr(lattice, name) + starts[room, axis] // step
                    for room, lattice in enumerate(lattices)
                ]
            )
            for axis, name, step in ((0, "x", 1), (1, "y", 1), (2, "z", BLOCK))
        ]
        block_room = np.repeat(np.arange(len(lattices)), [len(each.x) for each in lattices])
        x, y, z = (place.astype("int32") for place in places)
        return cls(
            number=np.pad(number, (0, filled)),
            room=np.pad(room, (0, filled)),
            axis=np.pad(axis, (0, filled)),
            is_cell=np.pad(np.ones(len(number), "float32"), (0, filled)),
            x=x,
            y=y,
            z=z,
            block_room=block_room.astype("int32"),
        )

    def chunks(self, max_blocks: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Yields x, y, z and room of up to so many blocks, padded with an empty cell."""
        nothing = len(self.number) - 1
        for start in range(0, len(self.x), max_blocks):
            part = slice(start, start + max_blocks)
            count = len(self.x[part])
            fill = (0, static_size(count, max_blocks) - count)
            yield (
                np.pad(self.x[part], fill, constant_values=nothing),
                *(np.pad(index[part], fill) for index in (self.y, self.z, self.block_room)),
            )


def round_up(value: int, step: int) -> int:
    """The next multiple of a step."""
    return -(-value // step) * step
