"""Prompts: image, text, audio, embedding, or a combination."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_avssan._internal.atomic_files import check_file, is_meant_as_file
from keras_avssan._internal.one_line import count, one_line
from keras_avssan.data.media.contents import Contents, as_contents, is_file
from keras_avssan.data.media.file_kinds import file_kind
from keras_avssan.data.media.recordings import to_numpy

# Length in samples from which an array counts as a recording.
MIN_RECORDING = 1600


@dataclass(frozen=True, eq=False)
class Prompt:
    """Combines several prompts for the same sound; their embeddings are averaged.

    Args:
        pictures: Pictures: files (paths, bytes, or opened in binary mode) or RGB arrays (H, W, 3).
        texts: Words: strings.
        recordings: Recordings of the sound: files or arrays (samples,) or (samples, channels).
        embeddings: Embeddings (d_V,) that the model's image encoder made.

    Raises:
        TypeError: If an argument is a single file or text rather than a list.
        ValueError: If all arguments are empty, or a text is blank.

    Example:
        >>> theta = model.localize(
        ...     "mix.wav", Prompt(pictures=["dog.jpg", "puppy.jpg"], texts=["a barking dog"])
        ... )
    """

    pictures: Sequence[Any] = ()
    texts: Sequence[str] = ()
    recordings: Sequence[Any] = ()
    embeddings: Sequence[Any] = ()

    def __post_init__(self) -> None:
        for name in ("pictures", "texts", "recordings", "embeddings"):
            if is_file(getattr(self, name)):
                raise TypeError(
                    f"`{name}` must be a list. Received: {name}={getattr(self, name)!r}"
                )
        blank = [text for text in self.texts if isinstance(text, str) and not text.strip()]
        if blank:
            raise ValueError(f"`texts` must not be blank. Received: text={blank[0]!r}")
        if not len(self):
            raise ValueError(
                "`pictures`, `texts`, `recordings` or `embeddings` must hold something. "
                "Received: pictures=(), texts=(), recordings=(), embeddings=()"
            )

    def __len__(self) -> int:
        parts = (self.pictures, self.texts, self.recordings, self.embeddings)
        return sum(len(part) for part in parts)

    def __repr__(self) -> str:
        parts = ("pictures", "texts", "recordings", "embeddings")
        numbers = {name: len(getattr(self, name)) for name in parts}
        return one_line(
            self, *(count(number, name[:-1]) for name, number in numbers.items() if number)
        )


def split_prompts(prompt: Any, prompt_dim: int | None = None) -> tuple[list[Any], list[str]]:
    """Splits a prompt, a list or a batch into single prompts and their kinds.

    Strings that are or look like paths are files, others text; vectors of `prompt_dim` embeddings.
    """
    if isinstance(prompt, (list, tuple)):
        prompts = list(prompt)
    elif is_file(prompt) or isinstance(prompt, Prompt):
        prompts = [prompt]
    else:
        array = to_numpy(prompt, "prompt")
        prompts = list(array) if _is_batch(array) else [array]
    if not prompts:
        raise ValueError(
            f"`prompt` must hold at least one prompt. Received: len(prompt)={len(prompt)}"
        )
    prompts = [as_contents(p, "prompt") for p in prompts]
    prompts = [p if is_file(p) or isinstance(p, Prompt) else to_numpy(p, "prompt") for p in prompts]
    return prompts, [_kind(p, prompt_dim) for p in prompts]


def as_prompt(prompt: Any, kind: str) -> Prompt:
    """A single prompt of a kind, see `split_prompts`, as a `Prompt`."""
    return prompt if kind == "several" else Prompt(**{f"{kind}s": [prompt]})


def stack_repeated(recordings: Sequence[np.ndarray]) -> np.ndarray:
    """Recordings (samples,) as one float32 array, each repeated to the length of the longest."""
    longest = max(map(len, recordings), default=0)
    repeated = [np.resize(recording, longest) for recording in recordings]
    return np.array(repeated, "float32").reshape(len(recordings), longest)


def _is_recording(shape: tuple[int, ...]) -> bool:
    """Whether an array of rank 2 is one recording (samples, channels), rather than a batch."""
    return len(shape) == 2 and shape[0] >= MIN_RECORDING and shape[1] <= 2


def _is_batch(array: np.ndarray) -> bool:
    if array.ndim == 3:
        return _is_recording(array.shape[1:])
    return array.ndim == 4 or (array.ndim == 2 and not _is_recording(array.shape))


def _kind(prompt: Any, prompt_dim: int | None) -> str:
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
                f"Received: prompt.shape={prompt.shape}"
            )
        return "picture"
    is_recording = len(prompt) != prompt_dim and len(prompt) >= MIN_RECORDING
    return "recording" if is_recording else "embedding"


def _kind_of_file(prompt: Any) -> str:
    if isinstance(prompt, str) and not is_meant_as_file(prompt):
        if not prompt.strip():
            raise ValueError(
                f"`prompt` must be a file or words, not blank. Received: prompt={prompt!r}"
            )
        return "text"
    kind = file_kind(prompt)
    if kind == "audio":
        return "recording"
    if kind == "image":
        return "picture"
    if isinstance(prompt, Contents):
        name = prompt.label
    else:
        name = f"prompt={os.fspath(prompt)!r}"
        check_file(prompt, f"file '{os.fspath(prompt)}' as `prompt`")
    raise ValueError(
        f"`prompt` as a file must be a picture or a recording that can be read. Received: {name}"
    )
