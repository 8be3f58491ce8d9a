"""Loading of stored models, and of named networks."""

from typing import Any, Self

import keras

from keras_avssan._internal.checks import path_of
from keras_avssan._internal.types import PathLike
from keras_avssan.encoders.presets import reading_preset
from keras_avssan.models.fitting.task_mixin import TaskMixin
from keras_avssan.models.preset_files import check_preset_folder
from keras_avssan.models.prompt_embeddings import encoder_fingerprint


class LoadsPresets(TaskMixin):
    """Adds loading from folders and by name to a `keras_hub.models.Task`.

    `presets` is a dict from name to a dict with `description`, the `arguments` of the class, and
    `parts`, functions that make further ones.
    """

    presets: dict[str, dict[str, Any]]

    @classmethod
    def from_preset(
        cls,
        preset: PathLike,
        load_weights: bool = True,
        image_encoder: keras.Layer | None = None,
        **kwargs: Any,
    ) -> Self:
        """Loads a saved model, or builds a named network.

        A preset holds JSON and arrays only; no code from it is executed.

        Args:
            preset: Folder that `save_to_preset` made, a hub handle (`hf://…`, `kaggle://…`), or a
                name of the class's `presets`. No weights are published for the names yet, so they
                require `load_weights=False`.
            load_weights: Whether the weights are loaded too; random ones otherwise.
            image_encoder: The image encoder that the model is expected to have been trained
                with; another one is refused. For a name, the one to build with.
            **kwargs: Arguments of the class that override those of the preset.

        Returns:
            A model of this class.

        Raises:
            TypeError: If `preset` is not a string or a path.
            ValueError: If there is no such preset, a file of it is missing or damaged, it was
                written by a later version, or `image_encoder` is another one.

        Example:
            >>> model = AVSSAN.from_preset("avssan_small", load_weights=False)
            >>> model.save_to_preset("my_model")
            >>> model = AVSSAN.from_preset("my_model")
        """
        preset = path_of("preset", preset, "name, an address or a path")
        if preset in cls.presets:
            return cls._from_name(preset, load_weights, image_encoder=image_encoder, **kwargs)
        check_preset_folder(preset, load_weights, cls)
        with reading_preset(preset, kwargs):
            model = super().from_preset(preset, load_weights=load_weights, **kwargs)
        if image_encoder is not None:
            _check_encoder(model.backbone.image_encoder, image_encoder)
        return model

    @classmethod
    def _from_name(cls, name: str, load_weights: bool, **kwargs: Any) -> Self:
        if load_weights:
            raise ValueError(
                f"No weights are published for '{name}' yet: pass `load_weights=False` and train "
                f"it, or load a folder of your own. Received: preset={name!r}, load_weights=True"
            )
        given = {key: value for key, value in kwargs.items() if value is not None}
        parts = cls.presets[name]["parts"]
        made = {key: make() for key, make in parts.items() if key not in given}
        arguments = {**cls.presets[name]["arguments"], **made, **given}
        if "image_encoder" in given:
            arguments.pop("prompt_dim", None)
        return cls(**arguments)


def _check_encoder(stored: keras.Layer | None, given: keras.Layer) -> None:
    """Refuses an image encoder that is not the one of the preset."""
    if stored is not None and not given.built:
        given.build((None, *stored.image_size, 3))
    if stored is None or encoder_fingerprint(stored) != encoder_fingerprint(given):
        raise ValueError(
            "`image_encoder` must be the one that this model was trained with, with the same "
            f"configuration and weights. Received: image_encoder={given!r}"
        )
