"""Videos: sound as mono samples, pictures at chosen moments; writing of small MP4 files."""

import contextlib
import errno
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import soxr

from keras_avssan._internal.checks import check_integer, transpose_hint
from keras_avssan._internal.one_line import one_line
from keras_avssan._internal.types import PathLike

# Samples that AAC encodes at a time.
_AAC_FRAME = 1024
# An encoder of PyAV, and the frames that it encodes.
_Stream: TypeAlias = tuple[Any, Iterator[Any]]
# A stream that ends this many seconds before the length in its container is truncated.
_TRUNCATION_SECONDS = 0.5
# Decoded beyond the requested duration, in seconds, so that resampling has no edge there.
_MARGIN_SECONDS = 0.5
# Failures of the machine and not of the file; damaged files may request any amount of memory.
_MACHINE_ERRORS = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.EACCES)


class UnusableVideo(ValueError):
    """A video file whose sound or picture cannot be used.

    Args:
        reason: `"missing"`, `"unreadable"`, `"damaged"`, `"truncated"`, `"no audio"`,
            `"no picture"`.
        detail: The finding in words.

    Example:
        ```python
        try:
            samples = read_video_audio("clip.mp4")
        except UnusableVideo as error:
            print(error.reason)
        ```
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One picture of a video.

    Args:
        seconds: Time from the beginning of the video.
        pixels: `uint8` array of shape `(height, width, 3)`, RGB.

    Example:
        >>> VideoFrame(seconds=2.5, pixels=np.zeros((48, 64, 3), "uint8")).pixels.shape
        (48, 64, 3)
    """

    seconds: float
    pixels: np.ndarray

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        return one_line(self, f"{width} x {height} pixels at {self.seconds:.3f} s")


def read_video_audio(
    path: PathLike, sampling_rate: int = 16000, *, duration: float | None = None
) -> np.ndarray:
    """Read the sound of a video as mono samples.

    The first audio track is decoded, its channels are averaged, and the result is resampled.
    Damaged packets are left out; a sound that lacks more than half a second is refused.

    Args:
        path: Path of a file that FFmpeg reads (MP4, WebM, …).
        sampling_rate: Int. Rate of the result in Hz.
        duration: Float or `None`. Longest result in seconds; `None` takes all.

    Returns:
        Float32 array of shape `(samples,)`: exactly `duration` seconds, or as long as the sound is.

    Raises:
        UnusableVideo: The file is missing, unreadable, damaged or truncated, or has no sound.
        ImportError: PyAV is missing.

    Example:
        ```python
        samples = read_video_audio("clip.mp4", duration=10.0)  # (160000,)
        ```
    """
    sampling_rate = check_integer("sampling_rate", sampling_rate, least=1)
    with _opened(path) as container:
        stream = _first_stream(container.streams.audio, "no audio", "it has no audio track")
        samples, rate = _decode_audio(container, stream, duration)
        _check_length(len(samples) / rate, _declared_seconds(container, stream), duration)
    if not np.isfinite(samples).all():
        raise UnusableVideo("damaged", "its sound holds NaN or infinite samples")
    samples = soxr.resample(samples, rate, sampling_rate)
    return samples if duration is None else samples[: round(duration * sampling_rate)]


def read_video_frames(path: PathLike, times: Sequence[float]) -> list[VideoFrame]:
    """Read the pictures that a video shows at some moments.

    Args:
        path: Path of a file that FFmpeg reads.
        times: Sequence of floats, ascending: moments in seconds. Beyond the end, the last picture
            is taken.

    Returns:
        List of `VideoFrame`, each picture once, in the order of time.

    Raises:
        UnusableVideo: The file is missing, unreadable or damaged, or has no picture.
        ImportError: PyAV is missing.

    Example:
        ```python
        early, late = read_video_frames("clip.mp4", times=(2.5, 7.5))
        early.pixels.shape  # (height, width, 3)
        ```
    """
    with _opened(path) as container:
        stream = _first_stream(container.streams.video, "no picture", "it has no video track")
        stream.codec_context.thread_count = 1
        shown = list(_shown_at(_timed_frames(container, stream), times))
        if not shown:
            raise UnusableVideo("no picture", "its video track holds no picture")
        return [VideoFrame(seconds, frame.to_ndarray(format="rgb24")) for seconds, frame in shown]


def write_video(
    path: PathLike,
    audio: np.ndarray | None,
    pictures: np.ndarray | None,
    *,
    sampling_rate: int = 44100,
    frame_rate: int = 10,
    codec: str = "mpeg4",
) -> None:
    """Write an MP4, such as examples and tests need.

    Args:
        path: Path of the file.
        audio: Float array of shape `(samples,)` or `(samples, 2)` in [-1, 1], or `None` for a video
            without sound. It is encoded as AAC.
        pictures: `uint8` array of shape `(frames, height, width, 3)`, RGB, with even sides; or
            `None` for a video without pictures.
        sampling_rate: Int. Rate of the sound in Hz, one that AAC has.
        frame_rate: Int. Pictures a second.
        codec: Str. What encodes pictures: `"mpeg4"`, or `"h264"`.

    Raises:
        ValueError: There is neither sound nor pictures, or an array has another shape.
        ImportError: PyAV is missing.

    Example:
        ```python
        noise = 0.1 * np.random.default_rng(0).standard_normal(44100)
        write_video("noise.mp4", noise, np.zeros((10, 48, 64, 3), "uint8"))
        ```
    """
    av = import_av()
    if audio is None and pictures is None:
        raise ValueError("`audio` or `pictures` must be given. Received: audio=None, pictures=None")
    with av.open(os.fspath(path), "w", format="mp4") as container:
        # All streams are added before the first packet.
        streams = []
        if pictures is not None:
            streams.append(_picture_stream(container, pictures, frame_rate, codec))
        if audio is not None:
            streams.append(_audio_stream(container, audio, sampling_rate))
        for stream, frames in streams:
            for frame in frames:
                container.mux(stream.encode(frame))
            container.mux(stream.encode())


def import_av() -> Any:
    """Imports PyAV, which only videos need."""
    try:
        import av
    except ImportError as error:
        raise ImportError("Videos need PyAV: `pip install av`.") from error
    return av


def _picture_stream(container: Any, pictures: np.ndarray, frame_rate: int, codec: str) -> _Stream:
    av = import_av()
    pictures = np.asarray(pictures)
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
        raise ValueError(
            "`pictures` must be uint8 of shape (frames, height, width, 3). "
            f"Received: pictures of dtype {pictures.dtype}, shape {pictures.shape}"
        )
    stream = container.add_stream(codec, rate=frame_rate)
    stream.height, stream.width = pictures.shape[1:3]
    stream.pix_fmt = "yuv420p"
    return stream, (av.VideoFrame.from_ndarray(pixels, format="rgb24") for pixels in pictures)


def _audio_stream(container: Any, audio: np.ndarray, sampling_rate: int) -> _Stream:
    samples = np.asarray(audio, "float32")
    channels = samples.reshape(len(samples), -1).T
    if samples.ndim not in (1, 2) or len(channels) not in (1, 2):
        raise ValueError(
            "`audio` must have shape (samples,) or (samples, 2)."
            f"{transpose_hint(samples.shape, 'channels')} Received: audio of shape {samples.shape}"
        )
    layout = "mono" if len(channels) == 1 else "stereo"
    stream = container.add_stream("aac", rate=sampling_rate, layout=layout)
    return stream, _audio_frames(channels, layout, sampling_rate)


def _audio_frames(channels: np.ndarray, layout: str, sampling_rate: int) -> Iterator[Any]:
    av = import_av()
    for start in range(0, channels.shape[1], _AAC_FRAME):
        planar = np.ascontiguousarray(channels[:, start : start + _AAC_FRAME])
        frame = av.AudioFrame.from_ndarray(planar, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = sampling_rate, start
        yield frame


@contextlib.contextmanager
def _opened(path: PathLike) -> Generator[Any, None, None]:
    """An open container; errors of the file become an `UnusableVideo`."""
    av = import_av()
    if not os.path.isfile(path):
        raise UnusableVideo("missing", "there is no such file")
    reason = "unreadable"
    try:
        with av.open(os.fspath(path)) as container:
            reason = "damaged"
            yield container
    except UnusableVideo:
        raise
    except (av.FFmpegError, ValueError, IndexError, OverflowError) as error:
        _raise_failures_of_the_machine(error)
        # Without the path, which differs between machines.
        detail = getattr(error, "strerror", None) or type(error).__name__
        raise UnusableVideo(reason, detail) from error


def _raise_failures_of_the_machine(error: Exception) -> None:
    """Raises errors such as a full disk, for which a video must not be dropped."""
    number = getattr(error, "errno", None)
    if number in _MACHINE_ERRORS:
        raise OSError(number, os.strerror(number)) from error


def _first_stream(streams: Sequence[Any], reason: str, detail: str) -> Any:
    if not streams:
        raise UnusableVideo(reason, detail)
    if streams[0].codec_context is None:
        raise UnusableVideo("unreadable", "its codec is unknown")
    return streams[0]


def _decode_audio(container: Any, stream: Any, duration: float | None) -> tuple[np.ndarray, int]:
    """Samples `(n,)` at the rate of the file, averaged over channels, and that rate."""
    av = import_av()
    as_float = av.AudioResampler(format="fltp")
    parts: list[np.ndarray] = []
    decoded = 0
    for frame in _decode(container, stream):
        if parts and duration is not None:
            if decoded >= (duration + _MARGIN_SECONDS) * frame.sample_rate:
                break
        for planar in as_float.resample(frame):
            parts.append(planar.to_ndarray().mean(axis=0, dtype="float32"))
            decoded += planar.samples
    if not decoded:
        raise UnusableVideo("no audio", "its audio track holds no samples")
    return np.concatenate(parts), stream.codec_context.sample_rate


def _declared_seconds(container: Any, stream: Any) -> float:
    """Length of a stream as the file declares it; 0 where it does not."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1e6  # microseconds


def _check_length(seconds: float, declared: float, duration: float | None) -> None:
    expected = declared if duration is None else min(declared, duration)
    if seconds < expected - _TRUNCATION_SECONDS:
        raise UnusableVideo("truncated", f"its sound ends after {seconds:.2f} of {declared:.2f} s")


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    """Frames of a stream; packets that are damaged are left out, as players do."""
    av = import_av()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            _raise_failures_of_the_machine(error)
            return  # nothing can be read from here on
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            _raise_failures_of_the_machine(error)
            continue
        yield from frames


def _timed_frames(container: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    """Decoded frames, each with the second at which it is shown."""
    start = float((stream.start_time or 0) * stream.time_base) if stream.time_base else 0.0
    rate = float(stream.average_rate or 25)
    for number, frame in enumerate(_decode(container, stream)):
        yield (number / rate if frame.time is None else frame.time - start), frame


def _shown_at(frames: Iterator[tuple[float, Any]], times: Sequence[float]) -> Iterator[Any]:
    """The timed frames that are shown at one of the ascending times, each once."""
    shown = None
    waiting = iter(times)
    moment = next(waiting, None)
    for timed in frames:
        wanted = False
        while moment is not None and shown is not None and timed[0] > moment:
            wanted, moment = True, next(waiting, None)
        if wanted:
            yield shown
        if moment is None:
            return
        shown = timed
    if shown is not None and moment is not None:
        yield shown
