"""Tables of the files of classes: from folders, from CSV, dealt to splits."""

import csv
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from keras_avssan._internal.atomic_files import whole_file
from keras_avssan.data.catalogs.csv_files import read_csv_table
from keras_avssan.data.media.file_kinds import file_kind

SPLIT_NAMES = ("train", "val", "test")
_COLUMNS = ("path", "class", "split", "kind", "instance")


@dataclass(frozen=True)
class FileRow:
    """One file of a class.

    Args:
        path: Str. Its path, relative to the root or absolute, with `/`.
        class_name: Str.
        kind: Str: `"audio"` or `"image"`.
        instance: Str. The thing recorded or shown.
        split: Str: `"train"`, `"val"`, `"test"`, or empty where no split is known yet.
    """

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


def list_folders(root: Path) -> list[FileRow]:
    """All recordings and pictures `root/<class>/<file>`, sorted; hidden ones are left out.

    Args:
        root: Path of the folder.

    Returns:
        List of `FileRow` without splits; files of a class with the same stem are one instance.
    """
    files = []
    for path in sorted(root.glob("[!.]*/[!.]*")):
        kind = file_kind(path) if path.is_file() else None
        if kind:
            relative = path.relative_to(root)
            files.append(
                FileRow(relative.as_posix(), relative.parts[0], kind, _own_instance(relative))
            )
    return files


def read_table(path: Path, root: Path, *, needs_split: bool = True) -> list[FileRow]:
    """The files that a CSV lists.

    Args:
        path: Path of the CSV, with a header, see `read_csv_table`. Its columns are `path`, `class`
            and `split`, and optionally `kind` and `instance`.
        root: Folder that its relative paths start from.
        needs_split: Bool. Whether a CSV without the column `split` is refused.

    Returns:
        List of `FileRow`, in the order of the CSV.

    Raises:
        ValueError: A column is missing, a row is wrong, a file does not exist or is listed twice,
            or an instance is in two splits; names the line.
    """
    required = ("path", "class", "split") if needs_split else ("path", "class")
    files: list[FileRow] = []
    lines: list[int] = []
    for line, row in read_csv_table(path, f"'{path}'", required):
        files.append(_read_row(row, root, f"'{path}', line {line}"))
        lines.append(line)
    _check_disjoint(files, lines, path)
    return files


def _read_row(row: dict[str, str], root: Path, where: str) -> FileRow:
    path = _find(row["path"], root, where)
    kind = row.get("kind", "").lower() or file_kind(root / path)
    if kind not in ("audio", "image"):
        raise ValueError(f"{where}: `kind` must be audio or image, got {kind!r} for '{path}'.")
    split = row["split"].lower() if "split" in row else ""
    if "split" in row and split not in SPLIT_NAMES:
        raise ValueError(f"{where}: `split` must be one of {SPLIT_NAMES}, got {row['split']!r}.")
    if not row["class"]:
        raise ValueError(f"{where}: `class` is empty.")
    instance = row.get("instance") or _own_instance(path)
    return FileRow(path.as_posix(), row["class"], kind, instance, split)


def _find(written: str, root: Path, where: str) -> PurePosixPath:
    """The path of a file that exists, with `/`; it may be written with backslashes."""
    if not written:
        raise ValueError(f"{where}: `path` is empty.")
    for name in (written, written.replace("\\", "/")):
        path = PurePosixPath(os.path.normpath(name).replace(os.sep, "/"))
        if (root / path).is_file():
            return path
    raise ValueError(f"{where} names '{written}', which does not exist.")


def _own_instance(path: Path | PurePosixPath) -> str:
    """The instance of files that name none: their path without the suffix."""
    return path.with_suffix("").as_posix()


def _check_disjoint(files: list[FileRow], lines: list[int], path: Path) -> None:
    """No file may be listed twice, no instance be in two splits."""
    paths: dict[str, int] = {}
    splits: dict[str, tuple[str, int]] = {}
    for file, line in zip(files, lines, strict=True):
        where = f"'{path}', line {line}"
        first = paths.setdefault(file.path, line)
        if first != line:
            raise ValueError(f"{where} lists '{file.path}' twice, first in line {first}.")
        split, first = splits.setdefault(file.instance, (file.split, line))
        if split != file.split:
            raise ValueError(
                f"{where} puts the instance '{file.instance}' into two splits: {split} (line "
                f"{first}) and {file.split}."
            )


def write_table(files: Iterable[FileRow], path: str | os.PathLike) -> None:
    """Write files as a CSV that `read_table` reads. It appears whole or not at all.

    Args:
        files: Iterable of `FileRow`.
        path: Path of the CSV.
    """
    with whole_file(path) as part, open(part, "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for file in files:
            writer.writerow((file.path, file.class_name, file.split, file.kind, file.instance))


def deal_splits(files: Iterable[FileRow], shares: dict[str, float], seed: int) -> list[FileRow]:
    """Give every instance to a split, class by class.

    The instances of a class come in random order, the richest first. Each goes to the split that
    still lacks its kinds (audio, image) altogether, else to the one that is farthest below its
    share. An instance of several classes stays where the first of them put it.

    Args:
        files: Iterable of `FileRow`.
        shares: Dict from the name of a split to its share, what `check_splits` returned.
        seed: Int. A class is dealt by this and its own name.

    Returns:
        List of `FileRow` with splits, in the order of `files`.
    """
    files = list(files)
    by_class: dict[str, list[FileRow]] = defaultdict(list)
    for file in files:
        by_class[file.class_name].append(file)
    placed: dict[str, str] = {}
    for name in sorted(by_class):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        _deal_class(by_class[name], shares, rng, placed)
    return [replace(file, split=placed[file.instance]) for file in files]


def _deal_class(
    files: list[FileRow],
    shares: dict[str, float],
    rng: np.random.Generator,
    placed: dict[str, str],
) -> None:
    """Adds the splits of the instances of one class to `placed`."""
    instances: dict[str, Counter[str]] = defaultdict(Counter)
    for file in files:
        instances[file.instance][file.kind] += 1
    total = Counter(file.kind for file in files)
    dealt: dict[str, Counter[str]] = {split: Counter() for split in shares}

    def need(kinds: Counter[str], split: str) -> tuple[int, float]:
        lacking = sum(not dealt[split][kind] for kind in kinds)
        below = sum(shares[split] * total[kind] - dealt[split][kind] for kind in kinds)
        return lacking, below

    names = list(instances)
    shuffled = [names[k] for k in rng.permutation(len(names))]
    # Those that another class has placed count before the others are dealt.
    for name in sorted(shuffled, key=lambda name: (name not in placed, -instances[name].total())):
        kinds = instances[name]
        if name not in placed:
            placed[name] = max(shares, key=partial(need, kinds))
        dealt[placed[name]] += kinds
