"""Image encoders by name."""

import os
from typing import Any

from keras_avssan.encoders.clip_encoder import CLIPEncoder


def get_image_encoder(image_encoder: Any, dtype: Any = None) -> Any:
    """Loads the encoder of a name, address or folder of a CLIP preset, see `CLIPEncoder`.

    An encoder or `None` is returned as it is.
    """
    if isinstance(image_encoder, (str, os.PathLike)):
        return CLIPEncoder.from_preset(image_encoder, dtype=dtype)
    return image_encoder
