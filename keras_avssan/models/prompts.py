"""What a sound is asked for with: a picture, words, a recording, or several of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_avssan._internal.atomic_files import check_file, is_meant_as_file
from keras_avssan._internal.one_line import count, one_line
from keras_avssan._internal.types import Shape
from keras_avssan.data.media.contents import Contents, as_contents, is_file
from keras_avssan.data.media.file_kinds import file_kind
from keras_avssan.data.media.recordings import to_numpy

# Shortest array that is taken for a recording, in samples.
MIN_RECORDING = 1600


@dataclass(frozen=True, eq=False)
class Prompt:
    """Several things that ask for the same sound together, averaged.

    Args:
        pictures: Pictures: files (paths, bytes, or opened in binary mode) or RGB arrays (H, W, 3).
        texts: Words: strings.
        recordings: Recordings of the sound: files or arrays (samples,) or (samples, channels).
        embeddings: Embeddings (d_V,) that the model's image encoder made.

    Raises:
        TypeError: If an argument is a single thing rather than a list of them.
        ValueError: If there is nothing at all.

    Example:
        >>> theta = model.localize(
        ...     "mix.wav", Prompt(pictures=["dog.jpg", "puppy.jpg"], texts=["a barking dog"])
        ... )
    """

    pictures: Sequence = ()
    texts: Sequence = ()
    recordings: Sequence = ()
    embeddings: Sequence = ()

    def __post_init__(self) -> None:
        for name in ("pictures", "texts", "recordings", "embeddings"):
            if is_file(getattr(self, name)):
                raise TypeError(
                    f"`{name}` must be a list. Received: {name}={getattr(self, name)!r}"
                )
        if not len(self):
            raise ValueError("A `Prompt` must hold something. Received: no part at all")

    def __len__(self) -> int:
        parts = (self.pictures, self.texts, self.recordings, self.embeddings)
        return sum(len(part) for part in parts)

    def __repr__(self) -> str:
        parts = ("pictures", "texts", "recordings", "embeddings")
        numbers = {name: len(getattr(self, name)) for name in parts}
        return one_line(
            self, *(count(number, name[:-1]) for name, number in numbers.items() if number)
        )


def split_prompts(prompt: Any, prompt_dim: int | None = None) -> tuple[list, list[str]]:
    """Takes prompts apart and tells what each is.

    A string that is the path of a file, or looks like one that is missing, is that file: what is
    in it says whether it is a picture or a recording. Any other string is words. A vector of
    `prompt_dim` numbers is an embedding, a longer one a recording.

    Args:
        prompt: One prompt, a list of prompts, or a batch of pictures, embeddings or recordings as
            one array.
        prompt_dim: Dimension of the model's prompt embeddings, if known.

    Returns:
        A list of prompts, and the kind of each: `"picture"`, `"text"`, `"recording"`,
        `"embedding"` or `"several"` for a `Prompt`.

    Raises:
        TypeError: If a prompt is neither a string, a path, an array nor a `Prompt`.
        ValueError: If there is no prompt, an array has the shape of none, or a file is missing,
            empty, a directory, or neither a picture nor a recording.

    Example:
        >>> split_prompts(["dog.jpg", "a barking dog", "bark.wav"])[1]
        ['picture', 'text', 'recording']
    """
    if isinstance(prompt, (list, tuple)):
        prompts = list(prompt)
    elif is_file(prompt) or isinstance(prompt, Prompt):
        prompts = [prompt]
    else:
        array = to_numpy(prompt, "prompt")
        prompts = list(array) if _is_batch(array) else [array]
    if not prompts:
        raise ValueError("`prompt` must hold at least one prompt. Received: none")
    prompts = [as_contents(p, "prompt") for p in prompts]
    prompts = [p if is_file(p) or isinstance(p, Prompt) else to_numpy(p, "prompt") for p in prompts]
    return prompts, [_kind(p, prompt_dim) for p in prompts]


def as_prompt(prompt: Any, kind: str) -> Prompt:
    """Makes a single thing a `Prompt`.

    Args:
        prompt: A picture, words, a recording, an embedding, or a `Prompt` already.
        kind: What it is, see `split_prompts`.

    Returns:
        A `Prompt`.
    """
    return prompt if kind == "several" else Prompt(**{f"{kind}s": [prompt]})


def stack_repeated(recordings):
    """Makes one array of recordings, each repeated to the length of the longest.

    Args:
        recordings: List of float arrays (samples,), none of them empty.

    Returns:
        float32 array of shape (recordings, samples); (0, 0) for no recording.
    """
    longest = max(map(len, recordings), default=0)
    repeated = [np.resize(recording, longest) for recording in recordings]
    return np.array(repeated, "float32").reshape(len(recordings), longest)


def _is_recording(shape: Shape):
    """Whether an array of rank 2 is one recording (samples, channels), rather than a batch."""
    return len(shape) == 2 and shape[0] >= MIN_RECORDING and shape[1] <= 2


def _is_batch(array: Any):
    if array.ndim == 3:
        return _is_recording(array.shape[1:])
    return array.ndim == 4 or (array.ndim == 2 and not _is_recording(array.shape))


def _kind(prompt: Any, prompt_dim: int):
    if isinstance(prompt, Prompt):
        return "several"
    if isinstance(prompt, (str, os.PathLike, Contents)):
        return _kind_of_file(prompt)
    if _is_recording(prompt.shape):
        return "recording"
    if prompt.ndim != 1:
        if prompt.ndim != 3 or prompt.shape[-1] != 3:
            raise ValueError(
                "`prompt` as an array must be a picture (height, width, 3), a recording (samples,) "
                f"or (samples, channels) of at least {MIN_RECORDING} samples and at most two "
                f"channels, or an embedding ({prompt_dim or 'd_V'},). "
                f"Received: shape {prompt.shape}"
            )
        return "picture"
    is_recording = len(prompt) != prompt_dim and len(prompt) >= MIN_RECORDING
    return "recording" if is_recording else "embedding"


def _kind_of_file(prompt: Any) -> str:
    if isinstance(prompt, str) and not is_meant_as_file(prompt):
        return "text"
    kind = file_kind(prompt)
    if kind == "audio":
        return "recording"
    if kind == "image":
        return "picture"
    if isinstance(prompt, Contents):
        name = prompt.label
    else:
        name = f"file '{os.fspath(prompt)}' as `prompt`"
        check_file(prompt, name)
    raise ValueError(f"{name} is neither a picture nor a recording that can be read.")
