"""`Localizer`, the base of all task models: training, localisation, export and storage."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np

from keras_avssan._internal.frozen_layers import KEY, set_trainable_layers, trainable_layers
from keras_avssan._internal.functional_storage import StoredByAttribute
from keras_avssan._internal.start_up.hub import keras_hub
from keras_avssan._internal.types import PathLike, Tensor
from keras_avssan.encoders.clip_tokenizer import as_texts
from keras_avssan.layers.scene_renderer import SceneRenderer
from keras_avssan.models.export.export import export_localizer
from keras_avssan.models.fitting.localizer_training import LocalizerTraining
from keras_avssan.models.fitting.recorded_training import RecordsTraining
from keras_avssan.models.localization.localize import LocalizesSounds
from keras_avssan.models.localization.sound_tracking import TracksSounds
from keras_avssan.models.localization.sources import ListsSources
from keras_avssan.models.localizer_preprocessor import LocalizerPreprocessor
from keras_avssan.models.preset_files import FORMAT_VERSION, check_format
from keras_avssan.models.preset_loading import LoadsPresets
from keras_avssan.models.prompted_backbone import PromptedBackbone
from keras_avssan.models.prompting import check_pictures, embed_batches


def refuse_parts(owner: type, parts: Mapping[str, Any]) -> None:
    """Refuses arguments that would build a backbone where one is given; `None` is not given."""
    given = {name: part for name, part in parts.items() if part is not None}
    if given:
        own = inspect.signature(owner.__init__).parameters.values()  # type: ignore[misc]
        named = [one.name for one in own if one.default is not one.empty]
        others = ", ".join(f"`{name}`" for name in named if name not in {"backbone", *parts})
        raise TypeError(
            f"Only {others} may be given where there is a `backbone`, such as that of a preset, "
            "which cannot be rebuilt with other arguments. "
            f"Received: {', '.join(f'{name}={part!r}' for name, part in given.items())}"
        )


class Localizer(
    StoredByAttribute,
    LoadsPresets,
    RecordsTraining,
    LocalizerTraining,
    LocalizesSounds,
    ListsSources,
    TracksSounds,
    keras_hub.models.Task,
):
    """Base of the tasks that localise a prompted sound.

    Subclasses bring a `PromptedBackbone` whose outputs hold `doa` (batch, 180), and
    `masked_spectrogram` where their loss weighs it, and the defaults of `compile`. Datasets for
    `fit` and `evaluate` come in the model's form already (see `keras_avssan.data.make_dataset`):
    inputs are a dict with `audio` and the prompt, labels a dict with

    - `azimuth`: azimuth of the target in degrees, shape (batch,) or (batch, 1);
    - `target`: the target alone as both microphones record it, shape (batch, samples, 2). Without
      it, the terms of the loss that need it are left out, with a warning;
    - `interferer_azimuth`: optional, azimuth of the interferer in degrees, NaN in scenes without
      one; needed for the selection rate.

    Azimuths alone, without a dict, are labels too. In place of `audio` and `target`, inputs may
    hold `dry_audio`, `rirs` and `snr` (`make_dataset(..., render="device")`): the scenes are
    rendered within the step then, see `keras_avssan.layers.SceneRenderer`.

    Args:
        backbone: The network.
        preprocessor: Brings files and arrays to the model's form, for `localize`. If not given,
            the one that fits the backbone.
        **kwargs: Arguments of `keras_hub.models.Task`.

    Raises:
        ValueError: If the sampling rates of `preprocessor` and `backbone` differ.

    Example:
        >>> model = AVSSAN()  # a Localizer
        >>> model.fit(dataset)
        >>> theta = model.localize("mix.wav", "dog.jpg")
    """

    preprocessor_cls = LocalizerPreprocessor

    def __init__(
        self,
        backbone: PromptedBackbone,
        preprocessor: LocalizerPreprocessor | None = None,
        **kwargs: Any,
    ) -> None:
        if preprocessor is None:
            preprocessor = self.preprocessor_cls(
                sampling_rate=backbone.sampling_rate,
                image_size=backbone.image_size,
                prompt_dim=backbone.prompt_dim if backbone.visual_prompt else None,
            )
        if preprocessor.sampling_rate != backbone.sampling_rate:
            raise ValueError(
                f"`preprocessor` must have the network's sampling rate, {backbone.sampling_rate} "
                f"Hz. Received: preprocessor.sampling_rate={preprocessor.sampling_rate}"
            )
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.renderer = SceneRenderer(name="renderer")
        inputs = backbone.input
        super().__init__(inputs, backbone(inputs), base={"compile": False}, **kwargs)
        # Inputs may be arrays and tensors together.
        self._convert_input_args = True

    def call(
        self, inputs: Mapping[str, Tensor], training: bool | None = None, mask: Tensor = None
    ) -> dict[str, Tensor]:
        inputs, _ = self.render(inputs)
        return self.backbone(inputs, training=training)

    def compute_output_spec(
        self, inputs: Mapping[str, Tensor], training: bool | None = None, mask: Tensor = None
    ) -> dict[str, keras.KerasTensor]:
        return keras.Operation.compute_output_spec(self, inputs)

    def export(
        self,
        filepath: PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Mapping[str, keras.InputSpec] | None = None,
        prompt: str | None = None,
        duration: float | None = None,
        outputs: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the network as a file that runs without Keras and this library.

        Batch size and duration stay free, except in LiteRT, whose files take one recording of the
        given `duration`. The short-time Fourier transforms are written as convolutions, which
        every format has. Not every backend writes every format; the error names one that does.
        After a failure no partial file remains.

        Args:
            filepath: Where to write: a folder for `"tf_saved_model"`; else a file that ends in
                `.onnx`, `.tflite`, `.pt2` or `.xml` (OpenVINO, with a `.bin` beside it).
            format: `"tf_saved_model"`, `"onnx"`, `"litert"`, `"torch"` or `"openvino"`.
            verbose: Whether the path is printed; it is if not given.
            input_signature: Dict from input name to `keras.InputSpec`, in place of `prompt` and
                `duration`: for example to fix the batch size, or to add `microphone_spacing`.
            prompt: `"images"` exports the image encoder too, `"embedding"` leaves it out and
                takes `prompt_embedding`. `"images"` if not given, where the model has an encoder.
            duration: Duration of recordings in seconds; any if not given. `"litert"` needs it.
            outputs: Names of the outputs to export; by default `doa`, `mask`,
                `masked_spectrogram`, `band_weights` and one `band_attention_…` a band, and
                of networks with candidates `presence`, `mixture_doa` and `candidate_…`.
            **kwargs: Arguments of the format's own converter, as in `keras.Model.export`.

        Raises:
            ValueError: If an argument does not fit, if the backend does not write the format, or
                if the model does not compute in float32.
            ImportError: If a package of the extra `export` is missing.

        Example:
            >>> model.export("model.onnx", format="onnx", prompt="embedding")

        Reference:
            `keras_avssan.models.load_exported` runs such a file.
        """
        export_localizer(
            self,
            filepath,
            format,
            verbose=verbose,
            input_signature=input_signature,
            prompt=prompt,
            duration=duration,
            outputs=outputs,
            **kwargs,
        )

    def embed_prompts(self, images: np.ndarray, batch_size: int = 32) -> np.ndarray:
        """Embeds pictures, for training with cached embeddings.

        Args:
            images: RGB pictures in [0, 1], array of shape (n, H, W, 3).
            batch_size: Pictures a run.

        Returns:
            float32 array of shape (n, d_V).

        Raises:
            ValueError: If the model has no image encoder, the pictures have a wrong shape, or they
                are not floating-point numbers.
        """
        return embed_batches(self.backbone, "images", check_pictures(images), batch_size)

    def embed_texts(self, texts: str | Sequence[str], batch_size: int = 32) -> np.ndarray:
        """Embeds words, for training with cached embeddings.

        Args:
            texts: A text or a list of texts.
            batch_size: Texts a run.

        Returns:
            float32 array of shape (n, d_V).

        Raises:
            TypeError: If a text is not a string.
            ValueError: If there is no text, or the model's image encoder has no text side.
        """
        texts = as_texts(texts)
        if not self.backbone.reads_words:
            raise ValueError(
                "`texts` need a model whose image encoder has a text side, such as CLIP's. "
                f"Received: texts={texts!r}"
            )
        encoder: Any = self.backbone.image_encoder
        token_ids = encoder.tokenize(texts)
        return embed_batches(self.backbone, "token_ids", token_ids, batch_size)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "format_version": FORMAT_VERSION}
        if self.trainable:  # the backbone knows what of it is frozen
            return config
        return {**config, "trainable": False, KEY: trainable_layers(self)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        config = dict(config)
        check_format(config.pop("format_version", 1))
        trainable, state = config.pop("trainable", True), config.pop(KEY, {})
        model = super().from_config(config)
        if config.get("preprocessor", model.preprocessor) is None:
            model.preprocessor = None  # removed before the model was stored
        if not trainable:
            model.trainable = False
            set_trainable_layers(model, state)
        return model
