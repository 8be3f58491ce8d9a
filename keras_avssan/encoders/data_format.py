"""Channels last in every nested image model, whatever data format Keras is set to."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras


@contextlib.contextmanager
def channels_last() -> Iterator[None]:
    """Sets Keras to channels last while models are built or loaded.

    Most KerasHub models take the order of their axes from this setting and do not store it.
    """
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def load_nested(model: Any) -> Any:
    """Deserialises the model of an encoder from its configuration; a model is returned as it is."""
    if not isinstance(model, dict):
        return model
    with channels_last():
        return keras.saving.deserialize_keras_object(model)
