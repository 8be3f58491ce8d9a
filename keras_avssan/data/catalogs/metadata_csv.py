"""Tables of class files: from folders or CSV, and dealt to splits."""

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
from keras_avssan._internal.tables.csv_files import read_csv_table
from keras_avssan._internal.types import PathLike
from keras_avssan.data.media.file_kinds import file_kind

SPLIT_NAMES = ("train", "val", "test")
_COLUMNS = ("path", "class", "split", "kind", "instance")


@dataclass(frozen=True)
class FileRow:
    """One file of a class.

    Args:
        path: Its path, relative to the root or absolute, with `/`.
        class_name: Its class.
        kind: `"audio"` or `"image"`.
        instance: The thing recorded or shown.
        split: `"train"`, `"val"`, `"test"`, or empty where no split is known yet.
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
    """Lists recordings and pictures `root/<class>/<file>`, sorted, without splits."""
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
    """Reads the files that a CSV lists, in its order; see `ClassFolders` for the columns.

    Relative paths start from `root`. Errors name the line.
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
        raise ValueError(
            f"{where}: `kind` must be audio or image. Received: kind={kind!r} for '{path}'"
        )
    split = row["split"].lower() if "split" in row else ""
    if "split" in row and split not in SPLIT_NAMES:
        raise ValueError(
            f"{where}: `split` must be one of {SPLIT_NAMES}. Received: split={row['split']!r}"
        )
    if not row["class"]:
        raise ValueError(f"{where}: `class` must not be empty. Received: class=''")
    instance = row.get("instance") or _own_instance(path)
    return FileRow(path.as_posix(), row["class"], kind, instance, split)


def _find(written: str, root: Path, where: str) -> PurePosixPath:
    """The path of a file that exists, with `/`; it may be written with backslashes."""
    if not written:
        raise ValueError(f"{where}: `path` must not be empty. Received: path=''")
    for name in (written, written.replace("\\", "/")):
        path = PurePosixPath(os.path.normpath(name).replace(os.sep, "/"))
        if (root / path).is_file():
            return path
    raise ValueError(f"{where}: `path` must be an existing file. Received: path='{written}'")


def _own_instance(path: Path | PurePosixPath) -> str:
    """The default instance of a file: its path without the suffix."""
    return path.with_suffix("").as_posix()


def _check_disjoint(files: list[FileRow], lines: list[int], path: Path) -> None:
    """Refuses a file that is listed twice, and an instance in two splits."""
    paths: dict[str, int] = {}
    splits: dict[str, tuple[str, int]] = {}
    for file, line in zip(files, lines, strict=True):
        where = f"'{path}', line {line}"
        first = paths.setdefault(file.path, line)
        if first != line:
            raise ValueError(
                f"{where}: `path` must be listed once. Received: path='{file.path}', as in line "
                f"{first}"
            )
        split, first = splits.setdefault(file.instance, (file.split, line))
        if split != file.split:
            raise ValueError(
                f"{where}: the instance '{file.instance}' must be in one split. "
                f"Received: split='{file.split}', and '{split}' in line {first}"
            )


def write_table(files: Iterable[FileRow], path: PathLike) -> None:
    """Writes files atomically as a CSV that `read_table` reads."""
    with whole_file(path) as part, open(part, "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for file in files:
            writer.writerow((file.path, file.class_name, file.split, file.kind, file.instance))


def deal_splits(files: Iterable[FileRow], shares: dict[str, float], seed: int) -> list[FileRow]:
    """Returns `files` with a split for every instance: the richest first, in random order by class.

    Each goes to a split that lacks its kinds (audio, image), else to the one farthest below its
    share. An instance of several classes stays where the first of them put it.
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
