"""Catalog of pictures in one folder per class, without recordings."""

import numpy as np

from keras_avssan._internal.types import PathLike
from keras_avssan.data.catalogs.catalog import Clip, Picture
from keras_avssan.data.catalogs.folder_catalog import FolderCatalog, existing_folder
from keras_avssan.data.catalogs.metadata_csv import read_table
from keras_avssan.data.media.file_kinds import file_kind

_SPLIT = "all"


class PictureFolders(FolderCatalog):
    """Pictures in one folder per class, as prompts for sounds that were recorded elsewhere.

    ```
    root/bell/church.jpg   root/bell/bicycle.png   root/telephone/…
    ```

    Pictures are files that pillow reads (JPEG, PNG, WebP, …), whatever their names; other files,
    such as recordings, are ignored. Splits are those of `root/metadata.csv`, the table of
    `ClassFolders`; pictures that are not in it are of the split `"all"`. Embeddings of all are kept
    in `root/.embeddings`.

    Args:
        root: Path of the folder.
        cache_bytes: Memory for resized pictures.

    Raises:
        ValueError: The folder does not exist or has no picture, or `metadata.csv` is wrong.

    Example:
        ```python
        catalog = PictureFolders("pictures")
        catalog.classes  # ('bell', 'telephone')
        ```
    """

    def __init__(self, root: PathLike, *, cache_bytes: int = 512 * 2**20) -> None:
        self.root = existing_folder(root)
        paths = sorted(self.root.glob("[!.]*/[!.]*"))
        relative = [path.relative_to(self.root) for path in paths if file_kind(path) == "image"]
        splits = self._splits()
        pictures = [
            Picture(
                path.parts[0],
                path.as_posix(),
                path.with_suffix("").as_posix(),
                splits.get(path.as_posix(), _SPLIT),
            )
            for path in relative
        ]
        if not pictures:
            raise ValueError(
                "`root` must have folders <class>/ with pictures (JPEG, PNG, WebP, …). "
                f"Received: root='{root}', without pictures"
            )
        super().__init__((), pictures, cache_bytes=cache_bytes)

    def _splits(self) -> dict[str, str]:
        """Split by path, of the files in `metadata.csv`."""
        table = self.root / "metadata.csv"
        rows = read_table(table, self.root, needs_split=False) if table.is_file() else ()
        return {row.path: row.split for row in rows if row.split}

    def read_clip(self, clip: Clip) -> np.ndarray:
        """Raises a ValueError: there are no clips."""
        raise ValueError(f"`clip` cannot be read: there are no clips. Received: clip={clip!r}")
