"""What catalogs of pictures in the folders of classes share."""

import os
from pathlib import Path

import numpy as np

from keras_avssan._internal.atomic_files import sha256_of_file
from keras_avssan.data.catalogs.catalog import Catalog, Clip, Picture
from keras_avssan.data.media.image_io import read_image


class FolderCatalog(Catalog):
    """A catalog whose items are files below `root`, each by its path there as its id."""

    root: Path

    def identity(self, item: Clip | Picture) -> str:
        """Returns class, id and the size of the file in bytes."""
        return f"{super().identity(item)}/{(self.root / item.id).stat().st_size}"

    @property
    def store(self) -> str | None:
        """The folder `.embeddings` in the root, or `None` where the root is read-only."""
        return embeddings_folder(self.root)

    def fingerprint(self, picture: Picture) -> str:
        """Computes the SHA-256 of a picture's file."""
        return sha256_of_file(self.root / picture.id)

    def read_picture(self, picture: Picture, size: tuple[int, int]) -> np.ndarray:
        """Decodes a picture and fits it into `size`, `(height, width)` in pixels."""
        return read_image(self.root / picture.id, size)


def existing_folder(root: str | os.PathLike[str]) -> Path:
    """Returns `root` as a path; raises a ValueError if it is not a folder."""
    if not Path(root).is_dir():
        raise ValueError(f"`root` must be an existing folder. Received: root='{root}'")
    return Path(root)


def embeddings_folder(root: Path) -> str | None:
    """The folder of a dataset for embeddings of its pictures, `None` where it is read-only."""
    return str(root / ".embeddings") if os.access(root, os.W_OK) else None
