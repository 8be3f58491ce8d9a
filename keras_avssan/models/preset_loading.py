"""Saving and loading of models, and named networks."""

from typing import Any, Self

import keras

from keras_avssan._internal.checks import preset_string
from keras_avssan._internal.saved_files import find_preset
from keras_avssan._internal.types import PathLike
from keras_avssan.models.preset_files import check_preset_folder
from keras_avssan.models.prompt_embeddings import encoder_fingerprint
from keras_avssan.models.storage.named_presets import FindsPackaged
from keras_avssan.models.storage.weight_files import (
    check_stored_encoders,
    check_weights_dtype,
    halve_weights,
)


class LoadsPresets(FindsPackaged):
    """Adds saving to folders, and loading from them and by name, to a `keras_hub.models.Task`.

    `presets` is a dict from name to a dict with `description` and, of a network without weights,
    the `arguments` of the class and `parts`, functions that make further ones, or, of a packaged
    model, its `folder`.
    """

    preset_file = "task.json"

    def save_to_preset(
        self,
        preset_dir: PathLike,
        max_shard_size: float | None = 10,
        weights_dtype: str | None = None,
    ) -> None:
        """Saves the model, with its preprocessor and its training record, into a folder.

        A `UserWarning` says where `from_preset` would load a preset of the folder's name instead.

        Args:
            preset_dir: Path of the folder; made if it does not exist.
            max_shard_size: Largest size of a weights file in GB; `None` for a single file.
            weights_dtype: `"float16"` stores weights in half precision, which halves the size;
                they are loaded into the variables' own data type. A weight stays in single
                precision where half precision has not enough range, such as small variances.
                `None` stores each weight as it is.

        Raises:
            ValueError: If `weights_dtype` is another one.

        Example:
            >>> model.save_to_preset("my_model", weights_dtype="float16")
            >>> model = AVSSAN.from_preset("my_model")
        """
        check_weights_dtype(weights_dtype)
        super().save_to_preset(preset_dir, max_shard_size=max_shard_size)
        if weights_dtype is not None:
            halve_weights(preset_dir, self.backbone)

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
            preset: A name of the class's `presets`, the folder that `save_to_preset` made, or a
                hub handle (`hf://…`, `kaggle://…`). Names come first, as in KerasHub: a folder
                of the same name is `"./name"`. Names that are configurations without weights
                require `load_weights=False`.
            load_weights: Whether the weights are loaded too; random ones otherwise.
            image_encoder: The image encoder that the model is expected to have been trained
                with; another one is refused. For a name, the one to build with.
            **kwargs: Arguments of the class that override those of the preset, such as `compile`;
                its network is not rebuilt.

        Returns:
            A model of this class.

        Raises:
            TypeError: If `preset` is not a string or a path, or an argument is given that would
                build another network.
            ValueError: If there is no such preset, a file of it is missing or damaged, it was
                written by a later version, the weights of its frozen encoders were exchanged, or
                `image_encoder` is another one.

        Example:
            >>> model = AVSSAN.from_preset("avssan_small", load_weights=False)
            >>> model.save_to_preset("my_model")
            >>> model = AVSSAN.from_preset("my_model")
        """
        preset = preset_string(preset)
        folder = find_preset(preset)
        if folder == preset and preset in cls.untrained:
            return cls._from_name(preset, load_weights, image_encoder=image_encoder, **kwargs)
        check_preset_folder(folder, load_weights, cls)
        model = super().from_preset(folder, load_weights=load_weights, **kwargs)
        if load_weights:
            check_stored_encoders(folder)
        if image_encoder is not None:
            _check_encoder(model.backbone.image_encoder, image_encoder)
        return model

    @classmethod
    def _from_name(cls, name: str, load_weights: bool, **kwargs: Any) -> Self:
        if load_weights:
            trained = [other for other, one in cls.presets.items() if "arguments" not in one]
            others = f" Names with weights: {', '.join(trained)}." if trained else ""
            raise ValueError(
                f"No weights are published for '{name}' yet: pass `load_weights=False` and train "
                f"it, or load a folder of your own.{others} "
                f"Received: preset={name!r}, load_weights=True"
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
