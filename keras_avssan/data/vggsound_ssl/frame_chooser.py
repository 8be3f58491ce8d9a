"""Choice of the picture of a video that matches its class best."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_avssan.data.media.image_io import read_image
from keras_avssan.data.media.video_io import VideoFrame


class FrameChooser:
    """Chooses the picture whose CLIP embedding is nearest to that of the class name.

    Args:
        encoder: `keras_avssan.encoders.CLIPEncoder` with a tokenizer.
        frames: Most pictures that are compared at a time.
        template: Text in which the class name takes the place of `{}`.

    Example:
        ```python
        choose = FrameChooser(get_image_encoder("clip_vit_base_patch32"))
        number, similarity = choose(read_video_frames("clip.mp4", (2, 5, 8)), "dog barking")
        ```
    """

    def __init__(self, encoder: Any, frames: int = 8, template: str = "a photo of {}") -> None:
        self._encoder = encoder
        self._frames = frames
        self._template = template
        self._names: dict[str, np.ndarray] = {}
        # A model runs compiled, an encoder alone operation by operation.
        images = keras.Input((*encoder.image_size, 3))
        self._model = keras.Model(images, encoder(images))

    def __call__(self, frames: Sequence[VideoFrame], class_name: str) -> tuple[int, float]:
        """Returns the number of the best of at most `frames` pictures, and its cosine."""
        images = np.stack([read_image(frame.pixels, self._encoder.image_size) for frame in frames])
        # Always a batch of the same size, for which the model is compiled once.
        missing = self._frames - len(images)
        images = np.concatenate([images, np.repeat(images[:1], missing, axis=0)])
        embeddings = keras.ops.convert_to_numpy(self._model.predict_on_batch(images))
        similarities = embeddings[: len(frames)] @ self._embed_name(class_name)
        best = int(np.argmax(similarities))
        return best, float(similarities[best])

    def _embed_name(self, class_name: str) -> np.ndarray:
        if class_name not in self._names:
            (embedding,) = self._encoder.embed_text([class_name], template=self._template)
            self._names[class_name] = embedding
        return self._names[class_name]


@functools.lru_cache(maxsize=1)
def load_frame_chooser(
    preset: str, identity: str | None, frames: int, template: str
) -> FrameChooser:
    """Loads the chooser of a CLIP preset, once in each process for each `identity`."""
    from keras_avssan.encoders.get_image_encoder import get_image_encoder

    return FrameChooser(get_image_encoder(preset), frames, template)
