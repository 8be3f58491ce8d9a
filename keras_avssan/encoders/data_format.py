"""The order of a picture's axes: channels last in every model, whatever Keras is set to."""

import contextlib
from typing import Any

import keras


@contextlib.contextmanager
def channels_last():
    """Builds and loads models with channels last.

    Models of KerasHub fix the order of their axes when they are built, from the setting
    `image_data_format` of Keras, and most of them do not store it.
    """
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def load_nested(model: Any):
    """Deserialises the model of an encoder; a model is returned as it is."""
    if not isinstance(model, dict):
        return model
    with channels_last():
        return keras.saving.deserialize_keras_object(model)
