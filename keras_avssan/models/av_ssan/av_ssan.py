"""AV-SSAN as a task: train it, ask it, see why."""

import keras
import numpy as np

from keras_avssan.data.embeddings import encoder_fingerprint
from keras_avssan.doa.grid import GRID_DEGREES
from keras_avssan.encoders.conv_image_encoder import ConvImageEncoder
from keras_avssan.encoders.get_image_encoder import get_image_encoder
from keras_avssan.encoders.log_mel_encoder import LogMelEncoder
from keras_avssan.layers.stereo_stft import level_gain
from keras_avssan.models.av_ssan.av_ssan_backbone import AVSSANBackbone
from keras_avssan.models.av_ssan.av_ssan_preprocessor import AVSSANPreprocessor
from keras_avssan.models.av_ssan.av_ssan_presets import (
    CONFIGURATIONS,
    FORMAT_VERSION,
    LEARNING_RATES,
    PRESETS,
    check_configuration,
    check_format,
    make_loss,
)
from keras_avssan.models.localizer import Localizer, posterior_confidence
from keras_avssan.models.preset_files import check_preset_folder


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVSSAN(Localizer):
    """Localises the sound that a prompt shows, out of a two-microphone mix.

    Compiled on construction with the joint loss, AdamW, and the scores MAE, accuracy within 5°,
    selection rate and MAE of correctly selected scenes.

    Args:
        backbone: An `AVSSANBackbone`. If not given, one is built from the arguments below.
        preprocessor: An `AVSSANPreprocessor`. If not given, the one that fits the backbone.
        configuration: `"base"` (this library's decisions) or `"paper"` (the letter of the
            paper); decides the network where `backbone` is not given, and the default loss and
            optimizer.
        image_encoder: Encoder of picture prompts, see `keras_avssan.encoders`, or the name of a
            CLIP preset such as `"clip_vit_base_patch32"`. By default a small convolutional one
            that trains with the task, unless `prompt_dim` is given.
        audio_encoder: Encoder of what is heard. By default a frame-rate log-mel encoder that
            trains with the task.
        compile: Whether the model is compiled on construction.
        name: Name of the model.
        **kwargs: Further arguments of `AVSSANBackbone`; they win over the configuration's.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and a prompt: `images` (batch, H, W, 3) in
            [0, 1], `token_ids`, `prompt_embedding` (batch, d_V) or `prompt_audio`; see
            `AVSSANBackbone`.

    Returns:
        Dict with `doa` (batch, 180), `mask`, `masked_spectrogram`, `band_attention`,
        `band_weights`, see `AVSSANBackbone`.

    Raises:
        ValueError: If `configuration` is unknown.
        TypeError: If `backbone` is given together with arguments for one.

    Example:
        >>> model = AVSSAN()
        >>> model.fit(train_dataset, epochs=10)                   # see data.make_dataset
        >>> theta = model.localize("mix.wav", "dog.jpg")          # degrees
        >>> theta = model.localize("mix.wav", "another_bark.wav")
        >>> explanation = model.explain("mix.wav", "dog.jpg")     # posterior, mask, band weights

    Reference:
        AV-SSAN: Audio-Visual Selective DOA Estimation Through Explicit Multi-Band
        Semantic-Spatial Alignment.
    """

    backbone_cls = AVSSANBackbone
    preprocessor_cls = AVSSANPreprocessor
    presets = PRESETS

    def __init__(
        self,
        backbone=None,
        preprocessor=None,
        configuration="base",
        image_encoder=None,
        audio_encoder=None,
        compile=True,
        name=None,
        **kwargs,
    ):
        check_configuration(configuration)
        parts = {"image_encoder": image_encoder, "audio_encoder": audio_encoder, **kwargs}
        if backbone is None:
            backbone = _make_backbone(configuration, image_encoder, audio_encoder, kwargs)
        elif any(part is not None for part in parts.values()):
            raise TypeError(
                "With a `backbone`, arguments that would build one cannot be given. "
                f"Received: {sorted(key for key, part in parts.items() if part is not None)}"
            )
        if preprocessor is None:
            preprocessor = AVSSANPreprocessor(
                sampling_rate=backbone.sampling_rate,
                image_size=backbone.image_size,
                prompt_dim=backbone.prompt_dim if backbone.visual_prompt else None,
            )
        super().__init__(backbone, preprocessor, name=name)
        preprocessor.tokenize = getattr(backbone.image_encoder, "tokenize", None)
        self.configuration = configuration
        if compile:
            self.compile()

    def default_loss(self):
        return make_loss(self.configuration)

    def default_optimizer(self):
        rate = LEARNING_RATES[self.configuration]
        return keras.optimizers.AdamW(rate, weight_decay=1e-4, clipnorm=5.0)

    def embed_prompts(self, images, batch_size=32):
        """Embeds pictures once, for training with cached embeddings.

        Args:
            images: RGB pictures in [0, 1], array of shape (n, H, W, 3).
            batch_size: Pictures a run.

        Returns:
            float32 array of shape (n, d_V).

        Raises:
            ValueError: If the model has no image encoder or the pictures have a wrong shape.
        """
        return self._embed("images", images, batch_size)

    def embed_texts(self, texts, batch_size=32):
        """Embeds words once.

        Args:
            texts: List of strings.
            batch_size: Texts a run.

        Returns:
            float32 array of shape (n, d_V).

        Raises:
            ValueError: If the model's image encoder has no text side.
        """
        if not self.backbone.reads_words:
            raise ValueError(
                "Words need a model whose image encoder has a text side, such as CLIP's. "
                f"Received: texts={list(texts)!r}"
            )
        token_ids = self.backbone.image_encoder.tokenize(list(texts))
        return self._embed("token_ids", token_ids, batch_size)

    def _embed(self, key, prompts, batch_size):
        parts = [
            keras.ops.convert_to_numpy(
                self.backbone.embed_prompt(
                    {key: keras.ops.convert_to_tensor(prompts[start : start + batch_size])},
                    training=False,
                )
            )
            for start in range(0, len(prompts), batch_size)
        ]
        return np.concatenate(parts).astype("float32")

    def explain(self, audio, prompt, sampling_rate=None):
        """Localises one scene and returns what led there.

        Args:
            audio: One two-microphone recording, see `localize`.
            prompt: One prompt, see `localize`.
            sampling_rate: Sampling rate of an `audio` array in hertz.

        Returns:
            Dict of NumPy arrays and numbers: `azimuth` and `confidence`; `posterior` (180,);
            `spectrogram`, `masked_spectrogram` (T, F, 4) as re1, im1, re2, im2; `mask` (T, F);
            `band_attention`, dict from band name to β (n,); `band_weights` α (T, bands); `bands`,
            their names; `sampling_rate` in hertz and `hop_length` in samples.

        Raises:
            ValueError: If recording or prompt are unusable, or more than one.

        Example:
            >>> explanation = model.explain("mix.wav", "dog.jpg")
            >>> explanation["mask"].shape  # (frames, bins)
        """
        inputs = self._preprocess(audio, prompt, sampling_rate)
        if len(inputs["audio"]) != 1:
            raise ValueError(
                "`explain` takes one recording and one prompt. "
                f"Received: {len(inputs['audio'])} scenes"
            )
        outputs = keras.tree.map_structure(
            lambda output: np.asarray(output)[0], self.predict_on_batch(inputs)
        )
        recording = keras.ops.convert_to_tensor(inputs["audio"])
        spectrogram = self.backbone.stft(recording * level_gain(recording))
        posterior = outputs["doa"]
        return {
            "azimuth": float(GRID_DEGREES[np.argmax(posterior)]),
            "confidence": float(posterior_confidence(posterior[None])[0]),
            "posterior": posterior,
            "spectrogram": keras.ops.convert_to_numpy(spectrogram)[0],
            "mask": outputs["mask"],
            "masked_spectrogram": outputs["masked_spectrogram"],
            "band_attention": outputs["band_attention"],
            "band_weights": outputs["band_weights"],
            "bands": self.backbone.bands,
            "sampling_rate": self.backbone.sampling_rate,
            "hop_length": self.backbone.hop_length,
        }

    @classmethod
    def from_preset(cls, preset, load_weights=True, image_encoder=None, **kwargs):
        """Loads a model that was saved, or builds a named network.

        Nothing that a preset holds is run as code: it is made of JSON and of arrays.

        Args:
            preset: Folder that `save_to_preset` made, a hub handle (`hf://…`, `kaggle://…`), or a
                name of `AVSSAN.presets`. No weights are published for the names yet, so that they
                need `load_weights=False`.
            load_weights: Whether the weights are loaded too; random ones otherwise.
            image_encoder: The image encoder that the model is expected to have been trained
                with; another one is refused. For a name, the one to build with.
            **kwargs: Arguments of `AVSSAN` that win over the preset's.

        Returns:
            An `AVSSAN`.

        Raises:
            ValueError: If there is no such preset, a file of it is missing or damaged, it was
                written by a later version, or `image_encoder` is another one.

        Example:
            >>> model = AVSSAN.from_preset("avssan_small", load_weights=False)
            >>> model.save_to_preset("my_model")
            >>> model = AVSSAN.from_preset("my_model")
        """
        if preset in PRESETS:
            return cls._from_name(preset, load_weights, image_encoder=image_encoder, **kwargs)
        check_preset_folder(preset, with_weights=load_weights)
        try:
            model = super().from_preset(preset, load_weights=load_weights, **kwargs)
        except (OSError, KeyError) as error:
            raise ValueError(
                f"`preset` '{preset}' cannot be loaded, a file of it is missing or damaged: {error}"
            ) from error
        if image_encoder is not None:
            _check_encoder(model.backbone.image_encoder, image_encoder)
        return model

    @classmethod
    def _from_name(cls, name, load_weights, **kwargs):
        if load_weights:
            raise ValueError(
                f"No weights are published for '{name}' yet: pass `load_weights=False` and train "
                "it, or load a folder of your own."
            )
        given = {key: value for key, value in kwargs.items() if value is not None}
        parts = PRESETS[name]["parts"]
        made = {key: make() for key, make in parts.items() if key not in given}
        arguments = {**PRESETS[name]["arguments"], **made, **given}
        if "image_encoder" in given:
            arguments.pop("prompt_dim", None)
        return cls(**arguments)

    def get_config(self):
        return {
            **super().get_config(),
            "configuration": self.configuration,
            "format_version": FORMAT_VERSION,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        check_format(config.pop("format_version", 1))
        return super().from_config(config)


def _check_encoder(stored, given):
    """Refuses an image encoder that is not the one of the preset."""
    if stored is not None and not given.built:
        given.build((None, *stored.image_size, 3))
    if stored is None or encoder_fingerprint(stored) != encoder_fingerprint(given):
        raise ValueError(
            "`image_encoder` is not the one that this model was trained with, whose embeddings it "
            f"needs. Received: {type(given).__name__} in place of {type(stored).__name__}"
        )


def _make_backbone(configuration, image_encoder, audio_encoder, kwargs):
    settings = {**CONFIGURATIONS[configuration], **kwargs}
    dtype = settings.get("dtype")
    image_encoder = get_image_encoder(image_encoder, dtype)
    if image_encoder is None and settings.get("prompt_dim") is None:
        if settings.get("visual_prompt", True):
            image_encoder = ConvImageEncoder(dtype=dtype)
    if audio_encoder is None and settings.get("semantic_audio", True):
        audio_encoder = LogMelEncoder(dtype=dtype)
    return AVSSANBackbone(image_encoder, audio_encoder, **settings)
