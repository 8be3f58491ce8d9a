"""Datasets of recordings, for training audio encoders and classifiers."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import PathLike, Tensor
from keras_avssan.data.media.tf_audio import import_tensorflow, read_audio_tf

# Recordings of the cache among which the next one is drawn.
_SHUFFLE_BUFFER = 1024


def make_audio_dataset(
    paths: Sequence[PathLike],
    labels: Sequence[int] | np.ndarray | None = None,
    batch_size: int = 32,
    *,
    duration: float = 1.0,
    sampling_rate: int = 16000,
    decoder: str = "auto",
    cache: bool | PathLike = False,
    shuffle: bool = False,
    seed: int = 0,
    repeat: bool = False,
    drop_remainder: bool = False,
    num_workers: int | None = None,
) -> Any:
    """Makes a `tf.data.Dataset` of recordings: decode, resample, cache, shuffle, batch, prefetch.

    An element is a batch of audio, float32 `(batch, samples)`, mono; with `labels`, a tuple of it
    and of int32 `(batch,)`. A longer recording is cut at the end, a shorter one repeated. The same
    arguments yield the same batches in the same order, however many threads decode. Keras fits
    from it under every backend.

    Args:
        paths: Paths of the audio files.
        labels: Integers, one a file; `None` for audio alone.
        batch_size: Recordings a batch.
        duration: Length of every recording in seconds.
        sampling_rate: Rate in Hz; files at other rates are resampled.
        decoder: `"auto"`, `"soundfile"` or `"tfio"`, see `read_audio_tf`.
        cache: Whether decoded recordings are kept in memory; or the path of a file in which they
            are kept, for the next run too. Remove it where files or arguments change.
        shuffle: Whether to shuffle by the seed, differently in each round.
        seed: Seed of the order.
        repeat: Whether to repeat without end.
        drop_remainder: Whether to leave out a last batch that is not full.
        num_workers: Number of threads that decode; `None` leaves it to `tf.data`.

    Returns:
        A `tf.data.Dataset`.

    Raises:
        ValueError: An argument is out of range, or the numbers of paths and labels differ.
        ImportError: TensorFlow is missing.

    Example:
        ```python
        paths = sorted(pathlib.Path("sounds").glob("*/*.wav"))
        names = sorted({path.parent.name for path in paths})
        labels = [names.index(path.parent.name) for path in paths]
        model.fit(make_audio_dataset(paths, labels, cache=True, shuffle=True), epochs=10)
        ```
    """
    tf = import_tensorflow("`make_audio_dataset`")
    check_integer("batch_size", batch_size, least=1)
    check_integer("seed", seed)
    if num_workers is not None:
        check_integer("num_workers", num_workers, least=1)
    if not (np.isfinite(duration) and round(duration * sampling_rate) >= 1):
        raise ValueError(
            "`duration` must last for one sample or more, in seconds. "
            f"Received: duration={duration!r}"
        )
    arrays = _check_files(paths, labels)
    num_samples = round(duration * sampling_rate)

    def read(path: Any, *label: Any) -> Any:
        samples = _fit(tf, read_audio_tf(path, sampling_rate, decoder=decoder), num_samples)
        return (samples, *label) if label else samples

    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    # A cache keeps the order in which it was filled, so that its output is shuffled.
    if shuffle and not cache:
        dataset = dataset.shuffle(len(arrays[0]), seed)
    dataset = dataset.map(read, num_workers or tf.data.AUTOTUNE, deterministic=True)
    if cache:
        dataset = dataset.cache("" if cache is True else os.fspath(cache))
    if shuffle and cache:
        dataset = dataset.shuffle(min(len(arrays[0]), _SHUFFLE_BUFFER), seed)
    if repeat:
        dataset = dataset.repeat()
    return dataset.batch(batch_size, drop_remainder).prefetch(tf.data.AUTOTUNE)


def _check_files(
    paths: Sequence[PathLike], labels: Sequence[int] | np.ndarray | None
) -> tuple[Any, ...]:
    """The paths and, if given, the labels, as arrays of one length."""
    names = [os.fspath(path) for path in paths]
    if not names:
        raise ValueError(f"`paths` must hold a path or more. Received: paths={paths!r}")
    if labels is None:
        return (names,)
    numbers = np.asarray(labels)
    if numbers.shape != (len(names),) or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be {len(names)} integers, one a path. "
            f"Received: labels of dtype {numbers.dtype}, shape {numbers.shape}"
        )
    return names, numbers.astype("int32")


def _fit(tf: Any, samples: Tensor, num_samples: int) -> Tensor:
    """Cuts or repeats a recording to a number of samples."""
    repeats = -(-num_samples // tf.maximum(tf.shape(samples)[0], 1))
    return tf.ensure_shape(tf.tile(samples, [repeats])[:num_samples], (num_samples,))
