"""Batches of segments by index, to train on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from keras_avssan._internal.checks import check_choice, check_integer, check_positive_number
from keras_avssan._internal.one_line import count, one_line
from keras_avssan._internal.types import Shape
from keras_avssan.data.catalogs.catalog import Picture
from keras_avssan.data.media.image_io import image_size
from keras_avssan.data.starss23.segment_prompts import SegmentPrompts
from keras_avssan.data.starss23.segments import Segment

_Shapes: TypeAlias = dict[str, Shape]
_PROMPTS = ("image", "embedding")


@dataclass(frozen=True, eq=False)
class SegmentBatches:
    """`batches[b]` is batch `b` of segments of STARSS23 as NumPy arrays, a pure function of `b`.

    The segments come in rounds: each round has all of them once, in an order of its own, and draws
    another picture of the class for each, as the paper trains on STARSS23. A batch is a tuple
    `(inputs, labels)` of dicts of float32 arrays: `audio` (batch, samples, 2), and `images` (batch,
    height, width, 3) in [0, 1] or `prompt_embedding` (batch, dimensions); `azimuth` (batch,) in
    degrees and `interferer_azimuth` (batch,), NaN without an interferer. The isolated target is not
    known: terms of a loss that compare with it are left out.

    Args:
        prompts: `SegmentPrompts`, of the MIC format.
        num_segments: Number of segments in all, of as many rounds as it takes.
        batch_size: Segments a batch.
        start: Number of the first segment, counted over the rounds.
        prompt: `"image"` or `"embedding"`.
        image_size: Side of a square or `(height, width)`, in pixels.
        prompt_embeddings: For `prompt="embedding"`: dict from the id of every picture of `prompts`
            to its embedding, shape (dimensions,).
        microphone_spacing: Distance between the microphones in metres that the model receives as
            an input; `None` leaves it out.

    Raises:
        ValueError: An argument is out of range, an embedding is missing, or the data set is in the
            FOA format.

    Example:
        ```python
        prompts = SegmentPrompts(STARSS23("STARSS23", split="train"), PictureFolders("pictures"))
        inputs, labels = SegmentBatches(prompts, num_segments=64, batch_size=8)[0]
        ```

    Reference:
        AV-SSAN, "Experiments": training on STARSS23 with pictures of the same category.
    """

    prompts: SegmentPrompts
    num_segments: int
    batch_size: int = 8
    start: int = 0
    prompt: str = "image"
    image_size: int | tuple[int, int] = (64, 64)
    prompt_embeddings: Mapping[str, np.ndarray] | None = None
    microphone_spacing: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("num_segments", 1), ("batch_size", 1), ("start", 0)):
            check_integer(name, getattr(self, name), least)
        check_choice("prompt", self.prompt, _PROMPTS)
        image_size(self.image_size)
        if self.microphone_spacing is not None:
            check_positive_number(
                "microphone_spacing", self.microphone_spacing, "distance in metres"
            )
        if self.prompts.dataset.format != "mic":
            raise ValueError(
                "`prompts` must be of the format 'mic', because the channels of 'foa' have no time "
                f"differences. Received: format={self.prompts.dataset.format!r}"
            )
        if self.prompt == "embedding":
            self._embeddings  # noqa: B018  (checks them now rather than in a worker)

    def __len__(self) -> int:
        return -(-self.num_segments // self.batch_size)

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{count(len(self), 'batch', 'batches')} of {count(self.batch_size, 'segment')}",
            f"{count(len(self.prompts.segments), 'segment')} a round",
            f"prompt: {self.prompt}",
        )

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        chosen = [self.draw(number) for number in self._numbers(int(index))]
        segments = [segment for segment, _ in chosen]
        load = self.prompts.dataset.load_audio
        inputs = {"audio": np.stack([load(segment) for segment in segments])}
        if self.microphone_spacing is not None:
            inputs["microphone_spacing"] = np.full(len(chosen), self.microphone_spacing, "float32")
        if self.prompt == "image":
            load_image = self.prompts.catalog.load_image
            inputs["images"] = np.stack([load_image(one, self.image_size) for _, one in chosen])
        else:
            inputs["prompt_embedding"] = np.stack([self._embeddings[one.id] for _, one in chosen])
        labels = {
            name: np.array([getattr(segment, name) for segment in segments], "float32")
            for name in ("azimuth", "interferer_azimuth")
        }
        return inputs, labels

    def draw(self, number: int) -> tuple[Segment, Picture]:
        """Returns a segment and the picture of its prompt.

        Args:
            number: Number of the segment, counted over the rounds.

        Returns:
            Tuple of a segment of `prompts.segments` and a `Picture` of its catalog.
        """
        segments = self.prompts.segments
        round_, place = divmod(number, len(segments))
        order = np.random.default_rng([self.prompts.seed, round_]).permutation(len(segments))
        segment = segments[order[place]]
        return segment, self.prompts.picture(segment, draw=round_)

    @property
    def shapes(self) -> tuple[_Shapes, _Shapes]:
        """Shapes of a batch's arrays, in the batch's own structure; the batch's size is `None`."""
        dataset = self.prompts.dataset
        samples = round(self.prompts.segments[0].duration * dataset.sampling_rate)
        inputs: _Shapes = {"audio": (None, samples, 2)}
        if self.microphone_spacing is not None:
            inputs["microphone_spacing"] = (None,)
        if self.prompt == "image":
            inputs["images"] = (None, *image_size(self.image_size), 3)
        else:
            inputs["prompt_embedding"] = (None, *next(iter(self._embeddings.values())).shape)
        return inputs, {"azimuth": (None,), "interferer_azimuth": (None,)}

    def _numbers(self, index: int) -> range:
        """The segments of a batch, counted over the rounds; the last batch may not be full."""
        if not 0 <= index < len(self):
            raise IndexError(f"`index` must be from 0 to {len(self) - 1}. Received: index={index}")
        first = index * self.batch_size
        last = min(first + self.batch_size, self.num_segments)
        return range(self.start + first, self.start + last)

    @cached_property
    def _embeddings(self) -> dict[str, np.ndarray]:
        """Embeddings by the id of the picture, float32."""
        given = self.prompt_embeddings or {}
        ids = [picture.id for picture in self.prompts.pictures]
        missing = [name for name in ids if name not in given]
        if missing:
            raise ValueError(
                f"`prompt_embeddings` must have every picture; '{missing[0]}' is missing. "
                f"Received: prompt_embeddings with {len(given)} pictures"
            )
        vectors = {name: np.asarray(given[name], "float32") for name in ids}
        shapes = {vector.shape for vector in vectors.values()}
        finite = all(np.isfinite(vector).all() for vector in vectors.values())
        if len(shapes) != 1 or len(*shapes) != 1 or not finite:
            raise ValueError(
                "`prompt_embeddings` must be finite, all of one shape (dimensions,). Received: "
                f"prompt_embeddings of shapes {sorted(shapes)}"
            )
        return vectors
