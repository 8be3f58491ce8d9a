"""A catalog of one folder per class."""

import csv
import hashlib
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from keras_avssan.data.audio_io import audio_num_samples, read_audio
from keras_avssan.data.catalog import Catalog, Clip, Picture
from keras_avssan.data.checks import check_classes, check_integer, check_splits
from keras_avssan.data.file_kinds import file_kind
from keras_avssan.data.image_io import read_image

_SPLIT_NAMES = ("train", "val", "test")


class ClassFolders(Catalog):
    """Recordings and pictures in one folder per class.

    ```
    root/dog/a.wav   root/dog/b.ogg   root/dog/terrier.jpg   root/dog/poodle.png
    root/bell/…
    ```

    Audio is `.wav`, `.flac`, `.ogg` or `.mp3`; several channels are averaged. Pictures are
    `.jpg`, `.jpeg`, `.png` or `.webp`. Files of a class with the same stem are one *instance*
    (a video's sound and frame); a prompt never comes from the instance of the clip.

    Where `root/metadata.csv` exists, it alone says which files there are. Its columns are `path`
    (relative to `root`), `class` and `split` (train, val or test), and optionally `kind` (audio or
    image) and `instance`; further columns are ignored. Otherwise instances are dealt to the splits
    by `seed`, class by class: each split receives at least one clip and one picture of every class
    that has enough of them.

    Args:
        root: Path of the folder.
        classes: Iterable of str: the classes to take. `None` takes all that have both audio and
            pictures.
        splits: Tuple of three floats: shares of train, validation and test. Unused where
            `metadata.csv` says the splits.
        seed: Int. Seed of the splits.
        allow_single_picture: Bool. Whether a class may have one picture only. Such a class has
            prompts in one split only, and recordings of that picture's own instance get none.
        sampling_rate: Int. Rate of the audio in Hz; files at other rates are resampled.
        cache_bytes: Int. Memory for decoded audio and resized pictures.

    Raises:
        ValueError: The folder has no usable class, an unknown class is asked for, a class has a
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
        root: str | os.PathLike,
        classes: Iterable[str] | None = None,
        *,
        splits: tuple[float, float, float] = (0.7, 0.15, 0.15),
        seed: int = 0,
        allow_single_picture: bool = False,
        sampling_rate: int = 16000,
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise ValueError(f"`root` must be a folder, '{root}' is none.")
        shares = check_splits(splits)
        check_integer("seed", seed)
        check_integer("sampling_rate", sampling_rate, least=1)
        metadata = self.root / "metadata.csv"
        from_metadata = metadata.is_file()
        files = _read_metadata(metadata) if from_metadata else _list_folders(self.root)
        by_class = _choose_classes(files, classes, self.root, allow_single_picture)
        if not from_metadata:
            by_class = {name: _deal(members, shares, seed) for name, members in by_class.items()}
        files = [file for members in by_class.values() for file in members]
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

    def read_clip(self, clip: Clip) -> np.ndarray:
        """Decode a clip and average its channels."""
        samples = read_audio(self.root / clip.id, self.sampling_rate)
        return samples if samples.ndim == 1 else samples.mean(axis=1)

    @property
    def store(self) -> str | None:
        """Str or `None`: the folder `.embeddings` in the root, where that can be written to."""
        return str(self.root / ".embeddings") if os.access(self.root, os.W_OK) else None

    def fingerprint(self, picture: Picture) -> str:
        """SHA-256 of a picture's file."""
        return hashlib.sha256((self.root / picture.id).read_bytes()).hexdigest()

    def read_picture(self, picture: Picture, size: tuple[int, int]) -> np.ndarray:
        """Decode a picture and fit it into `size`."""
        return read_image(self.root / picture.id, size)


@dataclass(frozen=True)
class _File:
    """One file of a class: its path relative to the root, its kind, its instance."""

    path: str
    class_name: str
    kind: str
    instance: str
    split: str = ""

    def identity(self) -> dict[str, str]:
        """The arguments that `Clip` and `Picture` share."""
        return {
            "class_name": self.class_name,
            "id": self.path,
            "instance": self.instance,
            "split": self.split,
        }


def _list_folders(root: Path) -> list[_File]:
    """All files `root/<class>/<file>` of a known kind, sorted."""
    files = []
    for path in sorted(root.glob("[!.]*/[!.]*")):
        kind = file_kind(path)
        if kind and path.is_file():
            relative = path.relative_to(root)
            instance = relative.with_suffix("").as_posix()
            files.append(_File(relative.as_posix(), relative.parts[0], kind, instance))
    return files


def _read_metadata(path: Path) -> list[_File]:
    """The files that `metadata.csv` lists."""
    with open(path, newline="", encoding="utf-8-sig") as table:
        reader = csv.DictReader(table)
        missing = {"path", "class", "split"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"'{path}' lacks the column(s) {sorted(missing)}.")
        files = [_read_row(row, f"'{path}', line {reader.line_num}") for row in reader]
    for file in files:
        if not (path.parent / file.path).is_file():
            raise ValueError(f"'{path}' names '{file.path}', which does not exist.")
    _check_disjoint(files, path)
    return files


def _read_row(row: dict[str, str], where: str) -> _File:
    relative = PurePosixPath(row["path"] or "")
    kind = row.get("kind") or file_kind(relative)
    if kind not in ("audio", "image"):
        raise ValueError(f"{where}: `kind` must be audio or image, got {kind!r} for '{relative}'.")
    if row["split"] not in _SPLIT_NAMES:
        raise ValueError(f"{where}: `split` must be one of {_SPLIT_NAMES}, got {row['split']!r}.")
    if not row["class"]:
        raise ValueError(f"{where}: `class` is empty.")
    instance = row.get("instance") or relative.with_suffix("").as_posix()
    return _File(relative.as_posix(), row["class"], kind, instance, row["split"])


def _check_disjoint(files: list[_File], path: Path) -> None:
    """No file may be listed twice, no instance be in two splits."""
    paths: set[str] = set()
    splits: dict[str, str] = {}
    for file in files:
        if file.path in paths:
            raise ValueError(f"'{path}' lists '{file.path}' twice.")
        paths.add(file.path)
        split = splits.setdefault(file.instance, file.split)
        if split != file.split:
            raise ValueError(
                f"'{path}' puts the instance '{file.instance}' into the splits {split} and "
                f"{file.split}."
            )


def _choose_classes(
    files: list[_File],
    classes: Iterable[str] | None,
    root: Path,
    allow_single_picture: bool,
) -> dict[str, list[_File]]:
    """Group the files by class and keep the classes asked for, or all that are usable."""
    by_class: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        by_class[file.class_name].append(file)
    counts = {name: Counter(file.kind for file in by_class[name]) for name in by_class}
    usable = [name for name in by_class if counts[name]["audio"] and counts[name]["image"]]
    if not usable:
        raise ValueError(
            f"'{root}' holds no usable class: expected folders <class>/ with audio "
            f"(.wav, .flac, .ogg, .mp3) and pictures (.jpg, .jpeg, .png, .webp)."
        )
    chosen = sorted(usable) if classes is None else check_classes(classes, by_class)
    for name in chosen:
        if name not in usable:
            missing = "pictures" if counts[name]["audio"] else "audio"
            raise ValueError(f"The class '{name}' in '{root}' has no {missing}.")
    single = [name for name in chosen if counts[name]["image"] == 1]
    if single and not allow_single_picture:
        raise ValueError(
            f"The class(es) {single} in '{root}' have one picture only, so that prompts cannot "
            "vary between instances. Add pictures, name other `classes`, or pass "
            "`allow_single_picture=True`."
        )
    return {name: by_class[name] for name in chosen}


def _deal(files: list[_File], shares: dict[str, float], seed: int) -> list[_File]:
    """Give every instance of one class to a split, in random order, the richest instances first.

    An instance goes to the split that still lacks its kinds (audio, image) altogether, else to the
    one that is farthest below its share.
    """
    instances: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        instances[file.instance].append(file)
    rng = np.random.default_rng([seed, zlib.crc32(files[0].class_name.encode())])
    total = Counter(file.kind for file in files)
    dealt: dict[str, Counter[str]] = {split: Counter() for split in shares}

    def need(kinds: Counter[str], split: str) -> tuple[int, float]:
        lacking = sum(not dealt[split][kind] for kind in kinds)
        below = sum(shares[split] * total[kind] - dealt[split][kind] for kind in kinds)
        return lacking, below

    placed = []
    shuffled = [list(instances.values())[k] for k in rng.permutation(len(instances))]
    for members in sorted(shuffled, key=len, reverse=True):
        kinds = Counter(file.kind for file in members)
        split = max(shares, key=partial(need, kinds))
        dealt[split] += kinds
        placed += [replace(file, split=split) for file in members]
    return sorted(placed, key=lambda file: file.path)
