"""`PromptedBackbone`, the base of all networks: inputs, prompts and configurations."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

import keras
from keras import ops

from keras_avssan._internal.checks import transpose_hint
from keras_avssan._internal.frozen_layers import KeepsFrozenModel, freeze_parts
from keras_avssan._internal.functional_storage import StoredByAttribute, layers_in
from keras_avssan._internal.saved_files import find_preset
from keras_avssan._internal.start_up.hub import keras_hub
from keras_avssan._internal.types import PathLike, Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings, fixed_setting
from keras_avssan.models.export.quantization import quantize_layers, quantized_layers
from keras_avssan.models.prompting import EMBEDDED, REFERENCE, check_inputs, embed_inputs
from keras_avssan.models.storage.named_presets import FindsPackaged
from keras_avssan.models.storage.weight_files import check_stored_encoders, write_fingerprints


class PromptedBackbone(
    StoredByAttribute,
    KeepsFrozenModel,
    FixedSettings,
    FindsPackaged,
    keras_hub.models.Backbone,
):
    """Base of the networks that localise a prompted sound, as functional Keras models.

    The constructor of a subclass calls `set_up` with its arguments, makes its layers, and ends
    with `super().__init__`, which composes the model: from `audio` and the prompt that the network
    was made for (`images` with an image encoder, `prompt_embedding` without) to the outputs of the
    subclass's `connect`, a dict that holds `doa` (batch, 180). For another prompt, or with
    `microphone_spacing`, the same layers are composed once more.

    Args:
        dtype: Data type or precision policy.
        **kwargs: Arguments of `keras_hub.models.Backbone`.

    Raises:
        ValueError: If inputs have a wrong shape.

    Example:
        >>> class Network(PromptedBackbone):
        ...     def __init__(self, sampling_rate=16000, image_encoder=None, **kwargs):
        ...         self.set_up({"sampling_rate": sampling_rate}, image_encoder=image_encoder)
        ...         self.stft = StereoSTFT()
        ...         super().__init__(**kwargs)
        ...     def connect(self, inputs):
        ...         return {"doa": ...}
    """

    also_fixed: tuple[str, ...] = ("image_encoder", "prompt_dim", "settings", "visual_prompt")
    preset_file = "config.json"
    # Layers of two attributes that alternate in the order of the weights.
    pairs: Sequence[tuple[keras.Layer, keras.Layer]] = ()

    def __init__(self, dtype: Any = None, **kwargs: Any) -> None:
        self._name_encoders()
        inputs = self.make_inputs(self.own_inputs())
        super().__init__(
            inputs, self.connect(inputs), pairs=self.pairs, base={"dtype": dtype}, **kwargs
        )
        # Inputs may be arrays and tensors together.
        self._convert_input_args = True

    def set_up(
        self,
        settings: Mapping[str, Any],
        *,
        image_encoder: keras.Layer | None = None,
        prompt_dim: int | None = None,
        visual_prompt: bool = True,
        dtype: Any = None,
    ) -> None:
        """Sets the configuration and the image encoder, before the layers are made.

        Args:
            settings: Dict of the subclass's own constructor arguments, numbers and strings; with
                `sampling_rate` in hertz among them. They become the configuration.
            image_encoder: Keras layer or model from pictures (batch, H, W, 3) in [0, 1] to
                embeddings (batch, d_V), see `keras_avssan.encoders`. `None` where prompts always
                come as embeddings; `prompt_dim` is needed then.
            prompt_dim: Dimension d_V of prompt embeddings.
            visual_prompt: Whether prompts have an influence at all.
            dtype: Data type or precision policy of the layers.

        Raises:
            ValueError: If `prompt_dim` is missing, or the image encoder returns no vectors.
        """
        self.settings = MappingProxyType(dict(settings))  # read-only: the layers are made of it
        self.visual_prompt = visual_prompt
        if image_encoder is not None and not isinstance(image_encoder, keras.Layer):
            raise TypeError(
                "`image_encoder` must be a Keras layer or model from pictures to embeddings. "
                f"Received: image_encoder={image_encoder!r}"
            )
        self.image_encoder: keras.Layer | None = image_encoder
        self.prompt_dim = self._prompt_dim(image_encoder, prompt_dim)
        if visual_prompt and image_encoder is not None and not image_encoder.built:
            image_encoder.build(self._images_shape())
            freeze_parts(image_encoder)
        self.policy = keras.dtype_policies.get(dtype)

    def own_inputs(self) -> tuple[str, ...]:
        """Names of the inputs that the functional model is composed for."""
        if not self.visual_prompt:
            return ("audio",)
        return "audio", "prompt_embedding" if self.image_encoder is None else "images"

    def make_inputs(self, names: Sequence[str]) -> dict[str, keras.KerasTensor]:
        """Makes the symbolic inputs of a functional model.

        Args:
            names: Names of inputs.

        Returns:
            Dict from name to `keras.KerasTensor`.
        """
        shapes: dict[str, Shape] = {
            "audio": (None, 2),
            "images": (None, None, 3) if self.image_size is None else (*self.image_size, 3),
            "prompt_embedding": (self.prompt_dim,),
            "token_ids": (None,),
            "prompt_audio": (None,),
        }
        return {
            name: keras.Input(
                shapes.get(name, ()),
                name=name,
                dtype="int32" if name == "token_ids" else "float32",
            )
            for name in names
        }

    def connect(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Connects the layers.

        Args:
            inputs: Dict of symbolic inputs, see `make_inputs`.

        Returns:
            Dict of outputs, with `doa` (batch, 180).
        """
        raise NotImplementedError

    def call(
        self, inputs: Mapping[str, Tensor], training: bool | None = None, mask: Tensor = None
    ) -> dict[str, Tensor]:
        inputs = self._known(inputs)
        if set(inputs) == set(self.input):
            return super().call(inputs, training=training)
        # Explicitly: a model that was composed within a step keeps the mode of that step.
        return self._model_for(inputs).call(inputs, training=bool(training))

    def compute_output_spec(
        self, inputs: Mapping[str, Tensor], training: bool | None = None, mask: Tensor = None
    ) -> dict[str, keras.KerasTensor]:
        inputs = self._known(inputs)
        if set(inputs) == set(self.input):
            return super().compute_output_spec(inputs)
        return self._model_for(inputs).compute_output_spec(inputs)

    def _model_for(self, inputs: Mapping[str, Tensor]) -> keras.Model:
        """The same layers as a functional model from other inputs, made at the first request."""
        names = tuple(sorted(inputs))
        # Not an attribute that Keras tracks: its layers are those of this model.
        models = self.__dict__.setdefault("_models_for", {})
        if names not in models:
            symbols = self.make_inputs(names)
            models[names] = keras.Model(symbols, self.connect(symbols))
        return models[names]

    def _known(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs that the network uses, checked, in float32 where they are floats."""
        if not isinstance(inputs, dict):
            raise TypeError(
                "`inputs` must be a dict with `audio` and, where the network takes one, a prompt. "
                f"Received: type(inputs)={type(inputs).__name__}"
            )
        given = {name for name in inputs if inputs[name] is not None}
        names = ["audio", "microphone_spacing"]
        if self.visual_prompt:
            names += [name for name in EMBEDDED if name in given][:1]
            names += REFERENCE
        known = {name: _as_tensor(inputs[name]) for name in names if name in given}
        for name in {"microphone_spacing", "prompt_audio_weight"} & set(known):
            known[name] = ops.reshape(known[name], (-1,))
        self.check_audio(known)
        self._check_prompt(known)
        return known

    def _name_encoders(self) -> None:
        """Renames encoders whose names are those of other parts or of inputs."""
        encoders = [self.image_encoder, getattr(self, "audio_encoder", None)]
        parts = [layer for value in self.__dict__.values() for layer in layers_in(value)]
        taken = {layer.name for layer in parts if not any(layer is one for one in encoders)}
        taken |= {*EMBEDDED, *REFERENCE, "audio", "microphone_spacing"}
        for encoder in (one for one in encoders if one is not None):
            name, number = encoder.name, 0
            while encoder.name in taken:
                number += 1
                encoder.name = f"{name}_{number}"
            taken.add(encoder.name)

    def _prompt_dim(self, image_encoder: keras.Layer | None, prompt_dim: int | None) -> int:
        if not self.visual_prompt:
            return 1
        if image_encoder is None:
            if prompt_dim is None:
                raise ValueError(
                    "Without an `image_encoder`, `prompt_dim` must be the dimension of the "
                    "prompt embeddings. Received: image_encoder=None, prompt_dim=None"
                )
            return int(prompt_dim)
        shape = image_encoder.compute_output_shape(self._images_shape())
        if len(shape) != 2:
            raise ValueError(
                "`image_encoder` must return embeddings of shape (batch, d_V); wrap models that "
                "return feature maps in `keras_avssan.encoders.ImageEncoder`. "
                f"Received: image_encoder={image_encoder!r} with output shape {tuple(shape)}"
            )
        return int(shape[-1])

    def _images_shape(self) -> Shape:
        """Shape of the pictures of the image encoder, (batch, H, W, 3)."""
        assert self.image_size is not None
        return (None, *self.image_size, 3)

    @property
    def sampling_rate(self) -> int:
        """Sampling rate of the audio in hertz."""
        return self.settings["sampling_rate"]

    @property
    def microphone_spacing(self) -> float | None:
        """Distance between the microphones in metres; `None` where the network has none."""
        return self.settings.get("microphone_spacing")

    @property
    def takes_microphone_spacing(self) -> bool:
        """Whether the input `microphone_spacing` takes the place of the network's own."""
        return False

    def __setattr__(self, name: str, value: Any) -> None:
        settings = self.__dict__.get("settings", {})
        if name in settings and self.__dict__.get("built") and value != settings[name]:
            raise AttributeError(fixed_setting(self, name, value))
        super().__setattr__(name, value)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width in pixels of the pictures, or `None` without an image encoder."""
        if self.image_encoder is None:
            return None
        size = getattr(self.image_encoder, "image_size", None)
        height, width = size or self.image_encoder.input_shape[1:3]
        return height, width

    @property
    def reads_words(self) -> bool:
        """Whether the image encoder has a text side, as CLIP has."""
        return hasattr(self.image_encoder, "encode_text")

    def check_audio(self, inputs: Mapping[str, Tensor]) -> None:
        """Refuses recordings of a wrong shape.

        Args:
            inputs: Dict with `audio`.

        Raises:
            ValueError: If `audio` is not of shape (batch, samples, 2).
        """
        if "audio" not in inputs:
            raise ValueError(
                "`inputs` must hold `audio` (batch, samples, 2). "
                f"Received: inputs with keys {sorted(inputs)}"
            )
        audio = inputs["audio"]
        if len(audio.shape) != 3 or audio.shape[-1] != 2:
            raise ValueError(
                "`audio` must have shape (batch, samples, 2), the two microphones last."
                f"{transpose_hint(audio.shape)} Received: audio.shape={tuple(audio.shape)}"
            )

    def embed_prompt(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        """Embeds the prompts of a batch.

        Args:
            inputs: Dict with `images` (batch, H, W, 3) in [0, 1], `token_ids` (batch, tokens) or
                `prompt_embedding` (batch, d_V).
            training: Whether the image encoder runs in training mode.

        Returns:
            Prompt embeddings, shape (batch, d_V).

        Raises:
            ValueError: If there is no prompt, or one that does not fit the model.
        """
        self._check_prompt(inputs)
        return embed_inputs(self, inputs, training)

    def _check_prompt(self, inputs: Mapping[str, Tensor]) -> None:
        """Refuses inputs without a prompt, or with one that does not fit the network."""
        if self.visual_prompt:
            check_inputs(self, inputs)

    def save_to_preset(self, preset_dir: PathLike, max_shard_size: float | None = 10) -> None:
        """Saves the network into a folder, with fingerprints of its frozen encoders.

        Args:
            preset_dir: Path of the folder; made if it does not exist.
            max_shard_size: Largest size of a weights file in GB; `None` for a single file.
        """
        super().save_to_preset(preset_dir, max_shard_size=max_shard_size)
        write_fingerprints(preset_dir, self)

    @classmethod
    def from_preset(cls, preset: PathLike, load_weights: bool = True, **kwargs: Any) -> Self:
        """Loads the network of a saved model.

        Args:
            preset: A name of the class's `presets`, a folder, or a hub handle, see
                `Localizer.from_preset`.
            load_weights: Whether the weights are loaded too; random ones otherwise.
            **kwargs: Arguments of the class that override those of the preset.

        Returns:
            A network of this class.

        Raises:
            TypeError: If the class has no such argument.
            ValueError: If there is no such preset, a file of it is missing or damaged, or its
                frozen encoders were exchanged.
        """
        backbone = super().from_preset(preset, load_weights=load_weights, **kwargs)
        if load_weights:
            check_stored_encoders(find_preset(preset))
        return backbone

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "image_encoder": keras.saving.serialize_keras_object(self.image_encoder),
            "prompt_dim": self.prompt_dim,
            **self.settings,
        }
        modes = quantized_layers(self)
        if modes:
            # In place of KerasHub's map of policies, which composite layers do not pass on.
            config["dtype"] = keras.dtype_policies.serialize(self.dtype_policy)
            config["quantization"] = modes
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        config = dict(config)
        for key in ("image_encoder", "audio_encoder"):
            if isinstance(config.get(key), dict):
                config[key] = keras.saving.deserialize_keras_object(config[key])
        modes = config.pop("quantization", {})
        backbone = super().from_config(config)
        quantize_layers(backbone, modes)
        return backbone


def _as_tensor(value: Any) -> Tensor:
    """A tensor; floats in float32, whatever the precision of the layers."""
    if not isinstance(value, keras.KerasTensor):
        value = ops.convert_to_tensor(value)
    floating = "float" in keras.backend.standardize_dtype(value.dtype)
    return ops.cast(value, "float32") if floating else value
