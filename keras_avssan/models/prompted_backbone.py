"""What the networks of all prompted localisers share: recordings and prompts, configurations."""

from types import MappingProxyType
from typing import Any

import keras
import keras_hub
from keras import ops

from keras_avssan.frozen_layers import KeepsFrozenModel, freeze_parts
from keras_avssan.models.quantization import quantize_layers, quantized_layers
from keras_avssan.orientation import transpose_hint
from keras_avssan.subclassing import SubclassedModel
from keras_avssan.write_once import FixedSettings, fixed_setting


class PromptedBackbone(
    KeepsFrozenModel, FixedSettings, keras_hub.models.Backbone, metaclass=SubclassedModel
):
    """Base of the networks that localise a prompted sound.

    Subclasses hand their arguments over as `settings`, build their layers on construction, and
    bring a `call` from a dict of inputs to a dict that holds `doa` (batch, 180).

    Args:
        settings: Dict of the subclass's own constructor arguments, numbers and strings; with
            `sampling_rate` in hertz among them. They become the configuration.
        image_encoder: Keras layer or model from pictures (batch, H, W, 3) in [0, 1] to embeddings
            (batch, d_V), see `keras_avssan.encoders`. `None` where prompts always come as
            embeddings; `prompt_dim` is needed then.
        prompt_dim: Dimension d_V of prompt embeddings.
        visual_prompt: Whether prompts have an influence at all.
        dtype: Data type or precision policy.
        **kwargs: Arguments of `keras_hub.models.Backbone`.

    Raises:
        ValueError: If `prompt_dim` is missing, or the image encoder returns no vectors.

    Example:
        >>> class Network(PromptedBackbone):
        ...     def __init__(self, sampling_rate=16000, **kwargs):
        ...         super().__init__({"sampling_rate": sampling_rate}, **kwargs)
    """

    def __init__(
        self,
        settings,
        image_encoder=None,
        prompt_dim=None,
        visual_prompt=True,
        dtype=None,
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        # Without autocast the recording stays in float32 under mixed precision.
        self.autocast = False
        self.settings = MappingProxyType(dict(settings))  # read-only: the layers are made of it
        self.visual_prompt = visual_prompt
        self.image_encoder: Any = image_encoder
        self.prompt_dim = self._prompt_dim(image_encoder, prompt_dim)
        if visual_prompt and image_encoder is not None and not image_encoder.built:
            image_encoder.build((None, *self.image_size, 3))
            freeze_parts(image_encoder)

    def _prompt_dim(self, image_encoder, prompt_dim):
        if not self.visual_prompt:
            return 1
        if image_encoder is None:
            if prompt_dim is None:
                raise ValueError(
                    "Without an `image_encoder`, `prompt_dim` must tell the dimension of the "
                    "prompt embeddings. Received: image_encoder=None, prompt_dim=None"
                )
            return int(prompt_dim)
        shape = image_encoder.compute_output_shape((None, *self.image_size, 3))
        if len(shape) != 2:
            raise ValueError(
                "`image_encoder` must return embeddings of shape (batch, d_V); wrap models that "
                "return feature maps in `keras_avssan.encoders.ImageEncoder`. "
                f"Received: an encoder with output shape {shape}"
            )
        return int(shape[-1])

    @property
    def sampling_rate(self):
        """Sampling rate of the audio in hertz."""
        return self.settings["sampling_rate"]

    @property
    def microphone_spacing(self):
        """Distance between the microphones in metres; `None` where the network has none."""
        return self.settings.get("microphone_spacing")

    @property
    def takes_microphone_spacing(self):
        """Whether the input `microphone_spacing` takes the place of the network's own."""
        return False

    def __setattr__(self, name, value):
        settings = self.__dict__.get("settings", {})
        if name in settings and self.__dict__.get("built") and value != settings[name]:
            raise AttributeError(fixed_setting(self, name, value))
        super().__setattr__(name, value)

    @property
    def image_size(self):
        """Height and width in pixels of the pictures, or `None` without an image encoder."""
        if self.image_encoder is None:
            return None
        size = getattr(self.image_encoder, "image_size", None)
        return tuple(size or self.image_encoder.input_shape[1:3])

    @property
    def reads_words(self):
        """Whether the image encoder has a text side, as CLIP has."""
        return hasattr(self.image_encoder, "encode_text")

    def checked_audio(self, inputs):
        """The recordings of a batch in float32, (batch, samples, 2).

        Args:
            inputs: Dict with `audio`.

        Returns:
            float32 tensor of shape (batch, samples, 2).

        Raises:
            ValueError: If `audio` has another shape.
        """
        audio = inputs["audio"]
        if len(audio.shape) != 3 or audio.shape[-1] != 2:
            raise ValueError(
                "`audio` must have shape (batch, samples, 2), the two microphones last. "
                f"Received: shape {tuple(audio.shape)}.{transpose_hint(audio.shape)}"
            )
        return ops.cast(audio, "float32")

    def embed_prompt(self, inputs, training=None):
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
        if "prompt_embedding" in inputs:
            embedding = inputs["prompt_embedding"]
            if len(embedding.shape) != 2 or embedding.shape[-1] != self.prompt_dim:
                raise ValueError(
                    f"`prompt_embedding` must have shape (batch, {self.prompt_dim}). "
                    f"Received: shape {tuple(embedding.shape)}"
                )
            return embedding
        if "token_ids" in inputs:
            if not self.reads_words:
                raise ValueError(
                    "Words as prompt need an image encoder with a text side, such as CLIP's. "
                    "Received: `token_ids`"
                )
            return self.image_encoder.encode_text(inputs["token_ids"])
        if "images" not in inputs:
            raise ValueError(
                "A prompt is needed: `images` or `prompt_embedding` (or `token_ids`, "
                f"`prompt_audio`). Received: inputs {sorted(inputs)}"
            )
        if self.image_encoder is None:
            raise ValueError(
                "This model has no image encoder: give `prompt_embedding` in place of `images`."
            )
        images = inputs["images"]
        if len(images.shape) != 4 or images.shape[-1] != 3:
            raise ValueError(
                f"`images` must have shape (batch, H, W, 3). Received: shape {tuple(images.shape)}"
            )
        return self.image_encoder(images, training=training)

    def get_config(self):
        config = {
            **super().get_config(),
            "image_encoder": keras.saving.serialize_keras_object(self.image_encoder),
            "prompt_dim": self.prompt_dim,
            **self.settings,
        }
        modes = quantized_layers(self)
        if modes:
            # In place of KerasHub's map of policies, which layers made of layers do not hand on.
            config["dtype"] = keras.dtype_policies.serialize(self.dtype_policy)
            config["quantization"] = modes
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for key in ("image_encoder", "audio_encoder"):
            if isinstance(config.get(key), dict):
                config[key] = keras.saving.deserialize_keras_object(config[key])
        modes = config.pop("quantization", {})
        backbone = super().from_config(config)
        quantize_layers(backbone, modes)
        return backbone
