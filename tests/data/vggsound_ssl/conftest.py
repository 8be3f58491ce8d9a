"""A small VGGSound in the true format: a table and videos, many of them unusable."""

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

CLASSES = ("dog barking", "people eating, crisps", "violin")
# What is wrong with some of the videos, and the reason for which they are dropped.
REASONS = {
    "silent": "silent",
    "no audio": "no audio",
    "no picture": "no picture",
    "half a file": "unreadable",
    "another format": "unreadable",
    "empty": "unreadable",
    "cut short": "truncated",
    "too short": "too short",
    "absent": "missing",
}


def noise(seconds, rate=44100, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    samples = 0.1 * rng.standard_normal((round(seconds * rate), channels), "float32")
    return samples[:, 0] if channels == 1 else samples


def pictures(count=10, size=(48, 64), seed=0):
    """Plain pictures, whose brightness is the time."""
    colour = np.random.default_rng(seed).integers(0, 100, 3)
    brightness = np.linspace(0, 155, count)[:, None, None, None]
    return np.broadcast_to(colour + brightness, (count, *size, 3)).astype("uint8")


@dataclass(frozen=True)
class Material:
    """A table and a folder of videos, with what is wrong with each."""

    csv: Path
    videos: Path
    faults: dict

    def copy(self, folder):
        """The same material in another folder, to be changed."""
        shutil.copytree(self.videos, folder / "videos")
        shutil.copy(self.csv, folder / "table.csv")
        return Material(folder / "table.csv", folder / "videos", self.faults)


def write_material(folder, write_video, usable, faults=()):
    """Writes `usable` videos of each class, and one of the first class for each fault.

    Rates, channels and codecs alternate; the videos last one second.
    """
    videos = folder / "videos"
    videos.mkdir(parents=True)
    rows, broken = [], {}
    for number in range(usable * len(CLASSES)):
        row = (f"-good_{number:06d}", 10 * number, CLASSES[number % len(CLASSES)])
        rows.append((*row, "test" if number % 5 == 0 else "train"))
        write_usable(videos / file_name(row), number, write_video)
    for number, fault in enumerate(faults):
        row = (f"bad-{number:07d}", number, CLASSES[0])
        rows.append((*row, "train"))
        broken[row[0]] = fault
        write_faulty(videos / file_name(row), fault, write_video)
    rows = [rows[k] for k in np.random.default_rng(0).permutation(len(rows))]
    with open(folder / "table.csv", "w", newline="") as table:
        csv.writer(table).writerows(rows)
    return Material(folder / "table.csv", videos, broken)


def file_name(row):
    return f"{row[0]}_{row[1]:06d}.mp4"


def write_usable(path, number, write_video):
    rate, channels = (44100, 48000)[number % 2], 1 + number // 2 % 2
    sound = noise(1.0, rate, channels, seed=number)
    write_video(path, sound, pictures(seed=number), sampling_rate=rate)


def write_faulty(path, fault, write_video):
    if fault == "absent":
        return
    if fault in ("empty", "another format"):
        path.write_bytes(b"" if fault == "empty" else b"<html>This video is gone</html>")
        return
    sound = {"no audio": None, "silent": 0 * noise(1.0), "too short": noise(0.3)}
    seconds = 3 if fault == "cut short" else 1
    write_video(
        path,
        sound.get(fault, noise(float(seconds))),
        None if fault == "no picture" else pictures(10 * seconds),
    )
    if fault in ("half a file", "cut short"):
        cut(path, begin_with_index=fault == "cut short")


def cut(path, begin_with_index):
    """Cuts a file in the middle; where its index comes first, what is there can be decoded."""
    if begin_with_index:
        import av

        indexed = path.with_suffix(".indexed")
        with av.open(str(path)) as source:
            options = {"movflags": "faststart"}
            with av.open(str(indexed), "w", format="mp4", options=options) as target:
                streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
                for packet in source.demux():
                    if packet.dts is not None:
                        packet.stream = streams[packet.stream.index]
                        target.mux(packet)
        indexed.replace(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.fixture(scope="session")
def write_video():
    pytest.importorskip("av")
    from keras_avssan.data.media.video_io import write_video

    return write_video


@pytest.fixture(scope="session")
def material(tmp_path_factory, write_video):
    """Five usable videos of each of three classes, and one for each fault."""
    return write_material(tmp_path_factory.mktemp("vggsound"), write_video, 5, REASONS)


@pytest.fixture(scope="session")
def make_material(write_video):
    """`make_material(folder, usable, faults)` writes more of it."""
    return lambda folder, usable, faults=(): write_material(folder, write_video, usable, faults)


def contents(folder):
    """All files below a folder, by their paths in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session", name="contents")
def contents_fixture():
    """`contents(folder)`: all files below a folder."""
    return contents


@pytest.fixture(scope="session", name="reasons")
def reasons_fixture():
    """What is wrong with a video, and the reason that must be reported."""
    return REASONS


@pytest.fixture(scope="session", name="make_pictures")
def make_pictures_fixture():
    """`make_pictures(count)` of a video."""
    return pictures
