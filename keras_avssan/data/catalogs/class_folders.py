"""Catalog of recordings and pictures in one folder per class."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import PathLike
from keras_avssan.data.catalogs.catalog import Clip, Picture
from keras_avssan.data.catalogs.checks import check_classes, check_splits
from keras_avssan.data.catalogs.folder_catalog import FolderCatalog, existing_folder
from keras_avssan.data.catalogs.metadata_csv import (
    FileRow,
    deal_splits,
    list_folders,
    read_table,
    write_table,
)
from keras_avssan.data.media.audio_io import audio_num_samples, read_audio


class ClassFolders(FolderCatalog):
    """Recordings and pictures in one folder per class.

    ```
    root/dog/a.wav   root/dog/b.ogg   root/dog/terrier.jpg   root/dog/poodle.png
    root/bell/…
    ```

    Recordings are files that soundfile reads (WAV, FLAC, Ogg, MP3, AIFF, …), pictures files that
    pillow reads (JPEG, PNG, WebP, …), whatever their names; several channels are averaged. Files of
    a class with the same stem are one *instance* (a video's sound and frame); a prompt never comes
    from the instance of the clip.

    Where `root/metadata.csv` exists, exactly the files in it are taken. Its columns are `path`
    (relative to `root`), `class` and `split` (train, val or test), and optionally `kind` (audio or
    image) and `instance`; further columns are ignored. Otherwise instances are dealt to the splits
    by `seed`, class by class: each split receives at least one clip and one picture of every class
    that has enough of them.

    Args:
        root: Path of the folder.
        classes: The classes to take. `None` takes all that have both audio and pictures.
        splits: Shares of train, validation and test. Unused where `metadata.csv` has them.
        seed: Seed of the splits.
        allow_single_picture: Whether a class may have one picture only. Such a class has prompts in
            one split only, and recordings of that picture's own instance get none.
        metadata: Path of a CSV that lists the files, instead of `root/metadata.csv`; see
            `from_csv`.
        sampling_rate: Rate of the audio in Hz; files at other rates are resampled.
        cache_bytes: Memory for decoded audio and resized pictures.

    Raises:
        ValueError: The folder has no usable class, `classes` has an unknown class, a class has a
            single picture, a file is unreadable or truncated, or `metadata.csv` is wrong.

    Example:
        ```python
        catalog = ClassFolders("sounds", classes=["dog", "bell"], seed=0)
        dog = next(clip for clip in catalog.clips if clip.class_name == "dog")
        audio = catalog.load_audio(dog)  # (samples,), 16 kHz
        ```
    """

    def __init__(
        self,
        root: PathLike,
        classes: Iterable[str] | None = None,
        *,
        splits: tuple[float, float, float] = (0.7, 0.15, 0.15),
        seed: int = 0,
        allow_single_picture: bool = False,
        metadata: PathLike | None = None,
        sampling_rate: int = 16000,
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        self.root = existing_folder(root)
        if metadata is not None and not Path(metadata).is_file():
            raise ValueError(f"`metadata` must be a CSV file. Received: metadata='{metadata}'")
        shares = check_splits(splits)
        check_integer("seed", seed)
        check_integer("sampling_rate", sampling_rate, least=1)
        files = _choose_classes(
            _list_files(self.root, metadata), classes, metadata or root, allow_single_picture
        )
        if not all(file.split for file in files):
            files = deal_splits(files, shares, seed)
        clips = [
            Clip(
                **file.identity(),
                num_samples=audio_num_samples(self.root / file.path, sampling_rate),
            )
            for file in files
            if file.kind == "audio"
        ]
        pictures = [Picture(**file.identity()) for file in files if file.kind == "image"]
        super().__init__(clips, pictures, sampling_rate=sampling_rate, cache_bytes=cache_bytes)

    @classmethod
    def from_csv(
        cls, path: PathLike, root: PathLike | None = None, **settings: Any
    ) -> "ClassFolders":
        """Makes a catalog of the files that a CSV lists, wherever they are.

        Its columns are those of `metadata.csv`. Without the column `split`, the instances are
        dealt to the splits by `seed`; `to_csv` then writes the split of each.

        Args:
            path: Path of the CSV.
            root: Folder that its relative paths start from; `None` takes the folder of the CSV.
                Absolute paths are taken as they are.
            **settings: The other arguments of `ClassFolders`.

        Returns:
            A `ClassFolders`.

        Raises:
            ValueError: There is no such file or folder, or the CSV is wrong; see `ClassFolders`.

        Example:
            ```python
            catalog = ClassFolders.from_csv("lists/dogs.csv", root="/data/sounds", seed=0)
            catalog.to_csv("lists/dogs-split.csv")
            ```
        """
        return cls(Path(path).parent if root is None else root, metadata=path, **settings)

    def to_csv(self, path: PathLike) -> None:
        """Writes the files of this catalog and their splits, so that `from_csv` reads them.

        Written to `root/metadata.csv`, it is what `ClassFolders(root)` reads from then on.

        Args:
            path: Path of the CSV; a file that is there is replaced.

        Example:
            ```python
            ClassFolders("sounds", seed=3).to_csv("sounds/metadata.csv")
            ```
        """
        rows = [
            FileRow(item.id, item.class_name, kind, item.instance, item.split)
            for kind, items in (("audio", self.clips), ("image", self.pictures))
            for item in items
        ]
        write_table(sorted(rows, key=lambda row: (row.class_name, row.path)), path)

    def read_clip(self, clip: Clip) -> np.ndarray:
        """Decodes a clip and averages its channels."""
        samples = read_audio(self.root / clip.id, self.sampling_rate)
        return samples if samples.ndim == 1 else samples.mean(axis=1)


def _list_files(root: Path, metadata: PathLike | None) -> list[FileRow]:
    if metadata is not None:
        return read_table(Path(metadata), root, needs_split=False)
    own = root / "metadata.csv"
    return read_table(own, root) if own.is_file() else list_folders(root)


def _choose_classes(
    files: list[FileRow],
    classes: Iterable[str] | None,
    source: PathLike,
    allow_single_picture: bool,
) -> list[FileRow]:
    """Keeps the files of `classes`, or of all usable classes, class by class."""
    by_class: dict[str, list[FileRow]] = defaultdict(list)
    for file in files:
        by_class[file.class_name].append(file)
    counts = {name: Counter(file.kind for file in by_class[name]) for name in by_class}
    usable = [name for name in by_class if counts[name]["audio"] and counts[name]["image"]]
    if not usable:
        raise ValueError(
            "`root` must hold folders <class>/ with recordings (WAV, FLAC, Ogg, MP3, AIFF, …) and "
            f"pictures (JPEG, PNG, WebP, …). Received: '{source}' with no usable class"
        )
    chosen = sorted(usable) if classes is None else check_classes(classes, by_class)
    for name in chosen:
        if name not in usable:
            missing = "pictures" if counts[name]["audio"] else "audio"
            raise ValueError(
                "`classes` must have recordings and pictures. "
                f"Received: '{name}' in '{source}' with no {missing}"
            )
    single = [name for name in chosen if counts[name]["image"] == 1]
    if single and not allow_single_picture:
        raise ValueError(
            "`classes` must have two pictures or more each, so that prompts vary between "
            "instances. Add pictures, name other `classes`, or pass `allow_single_picture=True`. "
            f"Received: {single} in '{source}' with one picture"
        )
    return [file for name in chosen for file in by_class[name]]
