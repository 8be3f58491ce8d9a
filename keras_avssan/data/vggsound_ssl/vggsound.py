"""VGGSound on disk: a table and a folder of videos."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from keras_avssan._internal.atomic_files import sha256_of_file
from keras_avssan._internal.one_line import count, one_line
from keras_avssan._internal.tables.csv_files import read_csv
from keras_avssan._internal.types import PathLike
from keras_avssan.data.catalogs.checks import check_classes

_COLUMNS = "youtube_id,start_second,label,split"
_CSV_SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class Video:
    """One row of VGGSound's table.

    Args:
        youtube_id: The video that the clip was cut from.
        start_second: Beginning of the clip in it.
        label: Class of the sound.
        split: `"train"` or `"test"`.
    """

    youtube_id: str
    start_second: int
    label: str
    split: str

    @property
    def key(self) -> str:
        """The name of the clip's files, without suffix."""
        return f"{self.youtube_id}_{self.start_second:06d}"

    @property
    def file_name(self) -> str:
        """Name of the file, `{youtube_id}_{start_second:06d}.mp4`."""
        return f"{self.key}.mp4"


class VGGSound:
    """VGGSound's table beside a folder of its videos.

    The table has its published form: without a header, four columns, labels with commas. The
    videos are named `{youtube_id}_{start_second:06d}.mp4` and are in one folder; many of them are
    usually missing, since they have been removed from the web.

    Args:
        csv: Path of the table.
        root: Path of the folder of videos.
        classes: The labels to take; `None` takes all.

    Raises:
        ValueError: There is no such table or folder, a row is wrong, or a class is unknown.

    Example:
        ```python
        vggsound = VGGSound("vggsound.csv", "videos")
        print(len(vggsound.videos), "rows,", len(vggsound.missing), "videos are missing")
        samples = read_video_audio(vggsound.path(vggsound.videos[0]))
        ```

    Reference:
        Chen et al., VGGSound: A Large-Scale Audio-Visual Dataset, 2020.
    """

    def __init__(
        self,
        csv: PathLike,
        root: PathLike,
        classes: Iterable[str] | None = None,
    ) -> None:
        self.csv, self.root = Path(csv), Path(root)
        if not self.csv.is_file():
            raise ValueError(f"`csv` must be an existing file. Received: csv='{csv}'")
        if not self.root.is_dir():
            raise ValueError(f"`root` must be an existing folder. Received: root='{root}'")
        videos = _read_table(self.csv)
        if classes is not None:
            chosen = check_classes(classes, {video.label for video in videos})
            videos = [video for video in videos if video.label in chosen]
        first: dict[str, Video] = {}
        repeated: list[Video] = []
        for video in videos:
            if first.setdefault(video.key, video) is not video:
                repeated.append(video)
        self._videos, self._repeated = tuple(first.values()), tuple(repeated)

    @property
    def videos(self) -> tuple[Video, ...]:
        """The rows of the table in order, each video once."""
        return self._videos

    @property
    def repeated(self) -> tuple[Video, ...]:
        """The rows whose video is in an earlier row."""
        return self._repeated

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, sorted."""
        return tuple(sorted({video.label for video in self._videos}))

    @cached_property
    def missing(self) -> tuple[Video, ...]:
        """The videos whose file is not in the folder."""
        there = {entry.name for entry in os.scandir(self.root)}
        return tuple(video for video in self._videos if video.file_name not in there)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the table."""
        return sha256_of_file(self.csv)

    def path(self, video: Video) -> Path:
        """Returns the path of a video's file, whether it exists or not."""
        return self.root / video.file_name

    def __repr__(self) -> str:
        return one_line(
            self,
            count(len(self.classes), "class", "classes"),
            count(len(self._videos), "video"),
        )


def _read_table(path: Path) -> list[Video]:
    name = f"`csv` '{path}'"
    rows = read_csv(path, name, lambda row: len(row) == 4)
    videos = [_read_row(row, f"{name}, line {line}") for line, row in rows]
    if not videos:
        raise ValueError(
            f"`csv` must have rows with the columns {_COLUMNS}. "
            f"Received: csv='{path}', without rows"
        )
    return videos


def _read_row(row: list[str], where: str) -> Video:
    if len(row) != 4:
        raise ValueError(
            f"{where}: expected the columns {_COLUMNS}. Received: {len(row)} columns, {row}"
        )
    youtube_id, start, label, split = row
    split = split.lower()
    # It becomes the name of files.
    if not re.fullmatch(r"[\w-]+", youtube_id, re.ASCII):
        raise ValueError(
            f"{where}: `youtube_id` must consist of letters, digits, - and _. "
            f"Received: youtube_id={youtube_id!r}"
        )
    if not re.fullmatch(r"\d{1,6}", start, re.ASCII):
        raise ValueError(
            f"{where}: `start_second` must be a whole number of seconds. "
            f"Received: start_second={start!r}"
        )
    if not label:
        raise ValueError(f"{where}: `label` must not be empty. Received: label={label!r}")
    if split not in _CSV_SPLITS:
        raise ValueError(
            f"{where}: `split` must be one of {_CSV_SPLITS}. Received: split={split!r}"
        )
    return Video(youtube_id, int(start), label, split)
