"""Reading of recordings within a `tf.data` pipeline."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from keras_avssan._internal.checks import check_choice, check_integer
from keras_avssan._internal.types import Tensor
from keras_avssan.data.media.audio_io import read_audio

_DECODERS = ("auto", "soundfile", "tfio")
# Bytes before the samples of a WAV file without further chunks; FLAC needs fewer.
_HEADER = 44
_WAV_PCM = 1
_INT16_SCALE = 1 / 32768
# From TensorFlow, tensorflow-io and the bytes of a file to samples and their rate.
_Decoder: TypeAlias = Callable[[Any, Any, Tensor], tuple[Tensor, Tensor]]


def read_audio_tf(path: Any, sampling_rate: int = 16000, *, decoder: str = "auto") -> Any:
    """Reads a recording as mono samples in a TensorFlow graph, for `dataset.map`.

    The samples and the errors are those of `read_audio` with channels averaged. Decoders:

    - plain WAV files of 16 bits: TensorFlow;
    - plain FLAC files of 16 bits: tensorflow-io, see `decoder`;
    - all others: soundfile, in a Python function. tensorflow-io would take a truncated Ogg file
      for a short one, and its decoder does not return the rate of an MP3 file.

    Recordings at other rates are resampled by soxr, in a Python function: the resampler of
    tensorflow-io delays a recording by 2 to 4 ms, and is two orders of magnitude slower. Files that
    need no Python can be decoded by the workers of another process, see
    `tf.data.experimental.service`.

    Args:
        path: Path of the file, a string or a string tensor.
        sampling_rate: Rate of the result in Hz.
        decoder: `"soundfile"`, `"tfio"`, or `"auto"` for tensorflow-io where it can be imported.

    Returns:
        Float32 tensor of shape `(samples,)`.

    Raises:
        ValueError: `sampling_rate` or `decoder` is out of range.
        ImportError: TensorFlow is missing, or tensorflow-io with `decoder="tfio"`.
        tf.errors.OpError: The recording is unreadable, truncated or empty; raised when it is read.

    Example:
        ```python
        paths = tf.data.Dataset.list_files("sounds/dog/*", shuffle=False)
        audio = paths.map(read_audio_tf, num_parallel_calls=tf.data.AUTOTUNE)
        ```
    """
    tf = import_tensorflow("`read_audio_tf`")
    sampling_rate = check_integer("sampling_rate", sampling_rate, least=1)
    check_choice("decoder", decoder, _DECODERS)
    tfio = None if decoder == "soundfile" else _import_tfio(required=decoder == "tfio")
    path = tf.convert_to_tensor(path, tf.string)
    content = tf.io.read_file(path)

    def by_soundfile() -> Tensor:
        read = functools.partial(_read_mono, sampling_rate=sampling_rate)
        return tf.numpy_function(read, [path], tf.float32, stateful=False)

    def decoded_by(decode: _Decoder) -> Callable[[], Tensor]:
        def read() -> Tensor:
            samples, rate = decode(tf, tfio, content)
            return _resample(tf, tf.reduce_mean(samples, axis=1), rate, sampling_rate)

        return read

    cases = [(_is_plain_wav(tf, content), decoded_by(_decode_wav))]
    if tfio is not None:
        cases.append((_is_plain_flac(tf, content), decoded_by(_decode_flac)))
    samples = tf.case(cases, default=by_soundfile)
    return tf.ensure_shape(samples, (None,))


def import_tensorflow(wanted_for: str) -> Any:
    """Imports TensorFlow, or raises an ImportError that says what needs it."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(f"{wanted_for} needs TensorFlow: `pip install tensorflow`.") from error
    return tf


def _import_tfio(required: bool) -> Any:
    """The module `tensorflow_io`; `None` where it is missing or incompatible with TensorFlow."""
    try:
        import tensorflow_io
    except Exception as error:  # loading its libraries raises errors of any kind
        if required:
            raise ImportError(
                '`decoder="tfio"` needs tensorflow-io, which loads with TensorFlow 2.16 alone; '
                "see the page on installing."
            ) from error
        return None
    return tensorflow_io


def _read_mono(path: bytes, sampling_rate: int) -> np.ndarray:
    samples = read_audio(path.decode(), sampling_rate)
    return samples if samples.ndim == 1 else samples.mean(axis=1)


def _header(tf: Any, content: Tensor) -> Tensor:
    """The beginning of a file; zeros where it ends before."""
    beginning = tf.strings.substr(content, 0, _HEADER)
    return tf.strings.substr(tf.strings.join([beginning, "\0" * _HEADER]), 0, _HEADER)


def _has_marks(tf: Any, header: Tensor, marks: dict[int, str]) -> list[Tensor]:
    """Whether a header holds these strings at these places."""
    return [
        tf.equal(tf.strings.substr(header, position, len(mark)), mark)
        for position, mark in marks.items()
    ]


def _is_plain_wav(tf: Any, content: Tensor) -> Tensor:
    """Whether a file is complete PCM of 16 bits with the shortest header."""
    header = _header(tf, content)
    words = tf.io.decode_raw(header, tf.uint16)
    declared = tf.io.decode_raw(header, tf.int32)[10]
    conditions = [
        *_has_marks(tf, header, {0: "RIFF", 8: "WAVEfmt ", 36: "data"}),
        words[10] == _WAV_PCM,
        words[17] == 16,
        declared > 0,
        declared == tf.strings.length(content) - _HEADER,
    ]
    return tf.reduce_all(tf.stack(conditions))


def _decode_wav(tf: Any, tfio: Any, content: Tensor) -> tuple[Tensor, Tensor]:
    """Samples `(samples, channels)` in [-1, 1) and their rate."""
    return tf.audio.decode_wav(content)


def _flac_format(tf: Any, content: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rate in Hz, bits a sample and number of samples, from the header of a FLAC file."""
    octets = tf.cast(tf.io.decode_raw(_header(tf, content), tf.uint8), tf.int64)[18:26]
    # 20 bits of rate, 3 of channels, 5 of bits a sample less one, 36 of the number of samples.
    fields = tf.reduce_sum(tf.bitwise.left_shift(octets, tf.range(56, -8, -8, tf.int64)))

    def field(start: int, length: int) -> Tensor:
        shifted = tf.bitwise.right_shift(fields, tf.constant(64 - start - length, tf.int64))
        return tf.bitwise.bitwise_and(shifted, tf.constant(2**length - 1, tf.int64))

    return field(0, 20), field(23, 5) + 1, field(28, 36)


def _is_plain_flac(tf: Any, content: Tensor) -> Tensor:
    """Whether a file is FLAC of 16 bits whose header has the number of samples."""
    _, bits, num_samples = _flac_format(tf, content)
    marks = _has_marks(tf, _header(tf, content), {0: "fLaC", 4: "\0\0\0\x22"})
    marks += [tf.equal(bits, 16), num_samples > 0]
    return tf.reduce_all(tf.stack(marks))


def _decode_flac(tf: Any, tfio: Any, content: Tensor) -> tuple[Tensor, Tensor]:
    """Samples `(samples, channels)` in [-1, 1) and their rate."""
    rate, _, num_samples = _flac_format(tf, content)
    samples = tfio.audio.decode_flac(content, dtype=tf.int16)
    whole = tf.debugging.assert_equal(
        tf.shape(samples, out_type=tf.int64)[0], num_samples, "A FLAC file is truncated."
    )
    with tf.control_dependencies([whole]):
        return tf.cast(samples, tf.float32) * _INT16_SCALE, rate


def _resample(tf: Any, samples: Tensor, rate: Tensor, sampling_rate: int) -> Tensor:
    """Mono samples at another rate."""
    rate = tf.cast(rate, tf.int64)

    def by_soxr() -> Tensor:
        resample = functools.partial(_resample_numpy, sampling_rate=sampling_rate)
        return tf.numpy_function(resample, [samples, rate], tf.float32, stateful=False)

    return tf.cond(tf.equal(rate, sampling_rate), lambda: samples, by_soxr)


def _resample_numpy(samples: np.ndarray, rate: np.ndarray, sampling_rate: int) -> np.ndarray:
    return read_audio(samples, sampling_rate, source_rate=int(rate))
