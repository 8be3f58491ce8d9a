"""Lattice of the images of a source that can arrive in time."""

import dataclasses

import numpy as np

# Neighbouring cells along z that form a block, so that few indices stand for many images.
BLOCK = 8


@dataclasses.dataclass(frozen=True, eq=False)
class ImageLattice:
    """The images that can arrive within a radius, wherever source and microphones are.

    Cell k of the mirrored rooms spans from k to k + 1 times the side; in odd cells it is mirrored.
    """

    cells: tuple[np.ndarray, np.ndarray, np.ndarray]  # numbers (nx,), (ny,), (nz * BLOCK,)
    x: np.ndarray  # index of the cell along x for each block of images, (blocks,), int32
    y: np.ndarray
    z: np.ndarray  # index of the block of cells along z

    @classmethod
    def within(cls, size: np.ndarray, radius: float, max_order: int | None) -> "ImageLattice":
        """The lattice of a room of this size; `max_order` bounds the number of reflections."""
        reach = np.floor(radius / size).astype(int) + 1
        if max_order is not None:
            reach = np.minimum(reach, max_order)
        blocks_z = -(-(int(reach[2]) + 1) // BLOCK)
        x, y = (np.arange(-number, number + 1) for number in reach[:2])
        cells = (x, y, np.arange(-blocks_z * BLOCK, blocks_z * BLOCK))
        near = [
            (np.maximum(abs(numbers) - 1, 0) * side) ** 2
            for numbers, side in zip(cells, size, strict=True)
        ]
        near_z = near[2].reshape(-1, BLOCK).min(axis=1)
        columns = np.add.outer(near[0], near[1]).reshape(-1)
        # Sorted columns: those that reach a block of cells along z come first, and neighbours in
        # this order fall into neighbouring bins, which the cache then holds.
        order = np.argsort(columns, kind="stable").astype("int32")
        counts = np.searchsorted(columns[order], radius**2 - near_z, side="right")
        taken = np.concatenate([order[:count] for count in counts])
        x, y = np.divmod(taken, np.int32(len(cells[1])))
        z = np.repeat(np.arange(len(counts), dtype="int32"), counts)
        if max_order is not None:
            least_z = abs(cells[2]).reshape(-1, BLOCK).min(axis=1)
            kept = abs(cells[0])[x] + abs(cells[1])[y] + least_z[z] <= max_order
            x, y, z = x[kept], y[kept], z[kept]
        return cls(cells, x, y, z)
