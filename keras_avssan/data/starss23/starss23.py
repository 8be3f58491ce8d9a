"""STARSS23: recordings of real rooms, in segments with one target."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import soxr

from keras_avssan._internal.checks import check_choice, check_integer
from keras_avssan._internal.one_line import count, one_line
from keras_avssan._internal.tables.text_tables import join_tables, make_table
from keras_avssan._internal.types import PathLike
from keras_avssan.data.catalogs.checks import check_classes
from keras_avssan.data.media.sound_files import open_sound
from keras_avssan.data.starss23.annotations import STARSS23_CLASSES, read_events
from keras_avssan.data.starss23.microphone_pair import MicrophonePair
from keras_avssan.data.starss23.segments import INCOMPLETE, REASONS, Segment, SegmentRules

FORMATS = ("mic", "foa")
_NUM_CHANNELS = 4
# Read beyond a segment on either side, so that resampling finds the recording's own samples
# there. It holds whole samples at every rate that is a multiple of 10 Hz.
_MARGIN_SECONDS = 0.1


class STARSS23:
    """Segments of STARSS23 at a pair of microphones: `dataset[i]` is a `Segment`.

    Reads the published layout, 24 kHz with four channels:

    ```
    root/mic_dev/dev-test-sony/fold4_room23_mix001.wav        root/foa_dev/…
    root/metadata_dev/dev-test-sony/fold4_room23_mix001.csv
    ```

    Every recording is cut into segments, one after the other. The *target* of a segment is its
    most frequent class, the one that is active in most frames of 100 ms (of two equal ones, the
    one with the lower number); where several sources of that class are active, it is the most
    active of them. Everything else is interference. The target's azimuth is the median, over the
    frames in which it is active, of the angle that the pair measures.

    A segment has no usable target where it has no event (of `classes`), or where the target is
    active too briefly, moves too much, or shares its class with a source elsewhere: one that is
    active for more than a tenth of its time and is more than `max_motion` away from it. Such
    segments are left out, counted by reason, and listed by `report`.

    Args:
        root: Path of the folder that holds `mic_dev` or `foa_dev`, and `metadata_dev`.
        format: `"mic"` for the four microphones, of which `load_audio` returns the two of `pair`;
            or `"foa"` for first-order Ambisonics, of which it returns all four channels (W, Y, Z,
            X). These meet in one point: they have level but no time differences, and are no input
            for a model of two microphones.
        split: `"train"`, `"test"`, the name of one folder such as `"dev-test-sony"`, or `None` for
            all.
        pair: `"M1-M4"`, whose 0° lies at an azimuth of 45°, or `"M2-M3"`, whose 0° lies at −45°.
            Channel 0 is the microphone named first.
        classes: The classes that may be targets; others are interference only. `None` for all of
            `STARSS23_CLASSES`.
        duration: Length of a segment in seconds, a multiple of 0.1.
        min_activity: Seconds for which a target must be active.
        max_motion: Largest deviation of the target from its azimuth in degrees; `None` for any.
        allow_same_class: Whether segments are kept where another source of the target's class is
            active elsewhere, so that the prompt fits both.
        baffle: `"rigid"` for the published recordings, made on a rigid sphere, or `"open"` for
            simulated ones whose microphones stand in free air. Decides `microphone_spacing`.
        sampling_rate: Rate of the audio in Hz; recordings at other rates are resampled.

    Raises:
        ValueError: An argument is out of range, a folder or an annotation is missing, or a
            recording is unreadable, truncated, or has another number of channels than four.

    Example:
        ```python
        dataset = STARSS23("STARSS23", split="test", pair="M1-M4")
        print(dataset.report())
        segment = dataset[0]
        audio = dataset.load_audio(segment)  # (160000, 2) at 16 kHz
        segment.class_name, segment.azimuth, segment.interferer_azimuth
        ```

    Reference:
        K. Shimada et al., STARSS23: An Audio-Visual Dataset of Spatial Recordings of Real Scenes
        with Spatiotemporal Annotations of Sound Events, 2023. The rules of a segment follow
        AV-SSAN, "Experiments"; those for motion and several sources are this library's.
    """

    def __init__(
        self,
        root: PathLike,
        format: str = "mic",
        *,
        split: str | None = None,
        pair: str = "M1-M4",
        classes: Iterable[str] | None = None,
        duration: float = 10.0,
        min_activity: float = 1.0,
        max_motion: float | None = 10.0,
        allow_same_class: bool = False,
        baffle: str = "rigid",
        sampling_rate: int = 16000,
    ) -> None:
        check_choice("format", format, FORMATS)
        chosen = STARSS23_CLASSES if classes is None else check_classes(classes, STARSS23_CLASSES)
        self.root = Path(root)
        self.format = format
        self.split = split
        self.sampling_rate = check_integer("sampling_rate", sampling_rate, least=1)
        self._pair = MicrophonePair(pair, baffle)
        self._rules = SegmentRules(chosen, duration, min_activity, max_motion, allow_same_class)
        self._recordings = [
            _Recording.open(path, self.root, format)
            for folder in _split_folders(self.root, format, split)
            for path in sorted(folder.glob("[!.]*.wav"))
        ]
        if not self._recordings:
            raise ValueError(
                f"`root` must hold recordings (.wav) in '{format}_dev'. Received: root='{root}'"
            )
        labels = [label for recording in self._recordings for label in self._label(recording)]
        self._segments = tuple(label for label in labels if isinstance(label, Segment))
        self._left_out = Counter(label for label in labels if isinstance(label, str))

    def _label(self, recording: "_Recording") -> list[Segment | str]:
        """A segment, or the reason why it is left out, for every part of a recording."""
        events = read_events(recording.annotation)
        duration = self._rules.duration
        whole = int(recording.seconds / duration + 1e-6)
        labels: list[Segment | str] = [
            self._rules.label(recording.name, index, events, self._pair) for index in range(whole)
        ]
        incomplete = recording.seconds - whole * duration > 1 / recording.rate
        return [*labels, INCOMPLETE] if incomplete else labels

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All usable segments."""
        return self._segments

    @property
    def recordings(self) -> tuple[str, ...]:
        """Folder and name of every recording."""
        return tuple(recording.name for recording in self._recordings)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the targets, in the order of their numbers."""
        present = {segment.class_name for segment in self._segments}
        return tuple(name for name in STARSS23_CLASSES if name in present)

    @property
    def left_out(self) -> dict[str, int]:
        """Number of segments without a usable target, by reason."""
        return {reason: self._left_out[reason] for reason in REASONS}

    @property
    def pair(self) -> MicrophonePair:
        """The `MicrophonePair` that azimuths are measured by."""
        return self._pair

    @cached_property
    def microphone_spacing(self) -> float:
        """Spacing in metres that a steered response is to assume.

        The microphones of a pair are 6.88 cm apart (`baffle="open"`). The rigid sphere lengthens
        the path of the sound between them: 7.97 cm fit its phase differences best.
        """
        return self._pair.spacing

    def __len__(self) -> int:
        return len(self._segments)

    def __getitem__(self, index: int) -> Segment:
        return self._segments[index]

    def load_audio(self, segment: Segment) -> np.ndarray:
        """Reads the audio of a segment.

        Args:
            segment: `Segment` of this dataset.

        Returns:
            Float32 array at `sampling_rate`: `(samples, 2)`, the two microphones of the pair; for
            the FOA format `(samples, 4)`, W, Y, Z, X.

        Raises:
            ValueError: The recording is damaged.
        """
        recording = self._by_name[segment.recording]
        channels = self._pair.channels if self.format == "mic" else range(_NUM_CHANNELS)
        return recording.read(segment.start, segment.duration, self.sampling_rate, channels)

    @cached_property
    def _by_name(self) -> dict[str, "_Recording"]:
        return {recording.name: recording for recording in self._recordings}

    def report(self) -> str:
        """Returns tables of the segments that were found and left out.

        Returns:
            Segments by reason, then usable segments and seconds of activity by class; a string
            aligned for a terminal, and Markdown as the value of a cell of a notebook.
        """
        rows = [("usable", len(self)), *self.left_out.items()]
        counted = make_table(("segments", "number"), rows)
        by_class = []
        for name in self.classes:
            segments = [s for s in self._segments if s.class_name == name]
            accompanied = sum(bool(s.interferers) for s in segments)
            active = sum(s.target.activity for s in segments)
            by_class.append((name, len(segments), accompanied, f"{active:.1f} s"))
        head = ("class", "segments", "with an interferer", "active")
        return join_tables(
            [f"{len(self._recordings)} recordings", counted, make_table(head, by_class)]
        )

    def __repr__(self) -> str:
        return one_line(
            self,
            count(len(self._recordings), "recording"),
            f"{count(len(self), 'segment')} of {count(len(self.classes), 'class', 'classes')}",
            f"format {self.format}",
            f"pair {self._pair.name}",
        )


@dataclass(frozen=True)
class _Recording:
    """A recording: its files, and the rate and duration in its header."""

    name: str
    path: Path
    annotation: Path
    rate: int
    seconds: float

    @classmethod
    def open(cls, path: Path, root: Path, format: str) -> "_Recording":
        relative = path.relative_to(root / f"{format}_dev").with_suffix("")
        annotation = root / "metadata_dev" / relative.with_suffix(".csv")
        if not annotation.is_file():
            raise ValueError(f"'{path}' must have an annotation. Received: no file '{annotation}'")
        with open_sound(path, f"audio file '{path}'") as file:
            channels, rate, seconds = file.channels, file.samplerate, file.frames / file.samplerate
        if channels != _NUM_CHANNELS:
            raise ValueError(
                f"'{path}' must have {_NUM_CHANNELS} channels. Received: {channels} channels"
            )
        return cls(relative.as_posix(), path, annotation, rate, seconds)

    def read(
        self, start: float, duration: float, sampling_rate: int, channels: Sequence[int]
    ) -> np.ndarray:
        """Reads a part of some channels, resampled: (samples, channels)."""
        margin = min(start, _MARGIN_SECONDS)
        first = round((start - margin) * self.rate)
        frames = round((margin + duration + _MARGIN_SECONDS) * self.rate)
        try:
            with open_sound(self.path, f"audio file '{self.path}'") as file:
                file.seek(min(first, file.frames))
                samples = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise ValueError(f"'{self.path}' cannot be read: {error}") from error
        samples = np.ascontiguousarray(samples[:, list(channels)])
        if self.rate != sampling_rate:
            samples = soxr.resample(samples, self.rate, sampling_rate)
        skipped = round(margin * sampling_rate)
        samples = samples[skipped : skipped + round(duration * sampling_rate)]
        if len(samples) < round(duration * sampling_rate):
            raise ValueError(
                f"'{self.path}' ends before {start + duration:g} s. "
                f"Received: {start + len(samples) / sampling_rate:g} s"
            )
        return np.ascontiguousarray(samples)


def _split_folders(root: Path, format: str, split: str | None) -> list[Path]:
    """The folders of a split, sorted."""
    top = root / f"{format}_dev"
    for folder in (root, top, root / "metadata_dev"):
        if not folder.is_dir():
            raise ValueError(
                f"`root` must hold the folders `{top.name}` and `metadata_dev`. Received: "
                f"root='{root}', without '{folder}'"
            )
    folders = sorted(folder for folder in top.iterdir() if folder.is_dir())
    if split is None:
        return folders
    chosen = [f for f in folders if f.name == split or f.name.startswith(f"dev-{split}-")]
    if not chosen:
        known = [folder.name for folder in folders]
        raise ValueError(
            f"`split` must be 'train', 'test' or one of {known} in '{top}'. "
            f"Received: split={split!r}"
        )
    return chosen
