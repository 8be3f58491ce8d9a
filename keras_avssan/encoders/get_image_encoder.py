"""Image encoders by name."""

import os
from typing import Any

from keras_avssan.encoders.clip_encoder import CLIPEncoder


def get_image_encoder(image_encoder: Any, dtype: Any = None) -> Any:
    """Gives the encoder of a name; what is no name is returned as it is.

    Args:
        image_encoder: Name, address or folder of a CLIP preset, see `CLIPEncoder.from_preset`;
            or an encoder, or `None`.
        dtype: Data type or precision policy of an encoder that is loaded.

    Returns:
        A Keras layer from pictures (batch, H, W, 3) in [0, 1] to embeddings (batch, d), or `None`.

    Raises:
        ValueError: If there is no such preset.
        OSError: If a hub cannot be reached.

    Example:
        >>> encoder = get_image_encoder("clip_vit_base_patch32")
        >>> encoder.image_size
        (224, 224)
    """
    if isinstance(image_encoder, (str, os.PathLike)):
        return CLIPEncoder.from_preset(image_encoder, dtype=dtype)
    return image_encoder
