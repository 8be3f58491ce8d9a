"""Another text encoder for a trained localiser."""

from typing import Any

import keras

from keras_avssan.encoders.text.picture_text_encoder import PictureTextEncoder


def attach_text_encoder(model: Any, text_encoder: keras.Layer) -> Any:
    """Makes a localiser with another text encoder, for words beyond its stored table.

    Args:
        model: A `Localizer` whose image encoder is a `PictureTextEncoder`.
        text_encoder: The `SentenceEncoder` that the table names, or another table of it.

    Returns:
        A localiser of the same class with the same weights; the given one does not change.

    Raises:
        ValueError: If the model has no `PictureTextEncoder`, or the embeddings of `text_encoder`
            have another dimension than those of the model's own, or are others: a few names are
            compared, unless the model's projection of words was never trained.

    Example:
        >>> model = attach_text_encoder(model, SentenceEncoder.from_preset("all-MiniLM-L6-v2"))
        >>> theta = model.localize("mix.wav", "a barking puppy")
    """
    backbone: Any = getattr(model, "backbone", None)
    encoder = getattr(backbone, "image_encoder", None)
    if not isinstance(encoder, PictureTextEncoder):
        raise ValueError(
            "`model` must be a `Localizer` and have a `PictureTextEncoder` as its image encoder. "
            f"Received: model={model!r} with image_encoder={encoder!r}"
        )
    attached = encoder.with_text_encoder(text_encoder)
    other = type(backbone).from_config({**backbone.get_config(), "image_encoder": attached})
    pairs = zip(_without(backbone, encoder), _without(other, attached), strict=True)
    for before, after in pairs:
        after.assign(keras.ops.convert_to_numpy(before))  # JAX would share the array and free it
    result = type(model).from_config({**model.get_config(), "backbone": other})
    result.training_record = model.training_record
    return result


def _without(backbone: Any, encoder: keras.Layer) -> list[keras.Variable]:
    """Weights of a network that are not those of its image encoder, in their order."""
    own = {id(weight) for weight in encoder.weights}
    return [weight for weight in backbone.weights if id(weight) not in own]
