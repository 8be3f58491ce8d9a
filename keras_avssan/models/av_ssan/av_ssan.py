"""The AV-SSAN task model: training, inference, explanation."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import gives_presence
from keras_avssan._internal.frozen_layers import freeze_parts
from keras_avssan._internal.write_once import WriteOnce
from keras_avssan.data.media.channel_pair import confidence
from keras_avssan.doa.grid import GRID_DEGREES
from keras_avssan.encoders.conv_image_encoder import ConvImageEncoder
from keras_avssan.encoders.get_image_encoder import get_image_encoder
from keras_avssan.encoders.log_mel_encoder import LogMelEncoder
from keras_avssan.layers.stereo_stft import level_gain
from keras_avssan.models.av_ssan.av_ssan_backbone import BAND_ATTENTION, AVSSANBackbone
from keras_avssan.models.av_ssan.av_ssan_preprocessor import AVSSANPreprocessor
from keras_avssan.models.av_ssan.av_ssan_presets import (
    CONFIGURATIONS,
    PRESETS,
    check_configuration,
    make_loss,
    make_optimizer,
)
from keras_avssan.models.localizer import Localizer, refuse_parts


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVSSAN(Localizer):
    """Localises a prompted sound in a two-microphone mixture.

    Compiled on construction with the joint loss, AdamW, and the scores MAE, accuracy within 5°,
    selection rate and MAE of correctly selected scenes.

    Args:
        backbone: An `AVSSANBackbone`. If not given, one is built from the arguments below.
        preprocessor: An `AVSSANPreprocessor`. If not given, the one that fits the backbone.
        configuration: `"base"` (this library's decisions) or `"paper"` (as published, where the
            paper prints a form; the design decisions list every setting of both); determines
            the network where `backbone` is not given, and the default loss and optimizer.
        image_encoder: Encoder of picture prompts, see `keras_avssan.encoders`, or the name of a
            CLIP preset such as `"clip_vit_base_patch32"`. By default a small convolutional one
            that trains with the task, unless `prompt_dim` is given. `"paper"` has no default.
        audio_encoder: Encoder of the mixture. By default a frame-rate log-mel encoder that
            trains with the task. `"paper"` has no default.
        compile: Whether the model is compiled on construction.
        name: Name of the model.
        **kwargs: Further arguments of `AVSSANBackbone`; they override the configuration's.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and a prompt: `images` (batch, H, W, 3) in
            [0, 1], `token_ids`, `prompt_embedding` (batch, d_V) or `prompt_audio`; see
            `AVSSANBackbone`.

    Returns:
        Dict with `doa` (batch, 180), `mask`, `masked_spectrogram`, `band_attention_…`,
        `band_weights`, see `AVSSANBackbone`.

    Raises:
        ValueError: If `configuration` is unknown, or `"paper"` and an encoder is missing.
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
    untrained = PRESETS

    configuration = WriteOnce()

    def __init__(
        self,
        backbone: AVSSANBackbone | None = None,
        preprocessor: AVSSANPreprocessor | None = None,
        configuration: str = "base",
        image_encoder: keras.Layer | str | None = None,
        audio_encoder: keras.Layer | None = None,
        compile: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_configuration(configuration)
        parts = {"image_encoder": image_encoder, "audio_encoder": audio_encoder, **kwargs}
        if backbone is None:
            backbone = _make_backbone(configuration, image_encoder, audio_encoder, kwargs)
        else:
            refuse_parts(type(self), parts)
        super().__init__(backbone, preprocessor, name=name)
        self.configuration = configuration
        if compile:
            self.compile()

    @property
    def supervised_outputs(self) -> tuple[str, ...]:
        """Names of the outputs that losses and metrics can be given for."""
        if self.backbone.visual_prompt and self.backbone.semantic_audio:
            return "doa", "masked_spectrogram", "prompt_semantics"
        return "doa", "masked_spectrogram"

    def default_loss(self) -> keras.losses.Loss:
        return make_loss(self.configuration)

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return make_optimizer(self.configuration)

    def explain(
        self,
        audio: Any,
        prompt: Any,
        sampling_rate: int | None = None,
        channels: tuple[int, int] | None = None,
        microphone_spacing: float | ArrayLike | None = None,
    ) -> dict[str, Any]:
        """Localises one scene and returns the intermediate results.

        Args:
            audio: One two-microphone recording, see `localize`.
            prompt: One prompt, see `localize`.
            sampling_rate: Sampling rate of an `audio` array in hertz.
            channels: The two channels that are the microphones, see `localize`.
            microphone_spacing: Distance between the microphones in metres, see `localize`.

        Returns:
            Dict of NumPy arrays and numbers: `azimuth` and `confidence`; `similarity` of prompt and
            mixture, from -1 to 1, or NaN without prompt or semantic audio; `posterior` (180,);
            `spectrogram`, `masked_spectrogram` (T, F, 4) as re1, im1, re2, im2; `mask` (T, F);
            `masked_audio` (samples, 2), the recording after the mask, as audio; `band_attention`,
            dict from band name to β (n,); `band_weights` α (T, bands); `bands`, their names;
            `sampling_rate` in hertz and `hop_length` in samples. Of a network with candidates also
            `candidate_azimuths` in degrees and `candidate_weights`, both (K,), and `presence`, the
            probability that the prompted sound is in the recording.

        Raises:
            ValueError: If recording or prompt are unusable, or more than one.

        Example:
            >>> explanation = model.explain("mix.wav", "dog.jpg")
            >>> explanation["mask"].shape  # (frames, bins)
        """
        inputs = self._preprocess(
            audio, prompt, sampling_rate, channels=channels, microphone_spacing=microphone_spacing
        )
        if len(inputs["audio"]) != 1:
            raise ValueError(
                "`audio` and `prompt` must be one recording and one prompt; `explain` takes one "
                f"scene. Received: {len(inputs['audio'])} scenes"
            )
        outputs = keras.tree.map_structure(
            lambda output: np.asarray(output)[0], self.predict_on_batch(inputs)
        )
        recording = keras.ops.convert_to_tensor(inputs["audio"])
        gain = level_gain(recording)
        spectrogram = self.backbone.stft(recording * gain)
        masked = outputs["masked_spectrogram"][None] / keras.ops.convert_to_numpy(gain)[..., None]
        posterior = outputs["doa"]
        candidates = {}
        if gives_presence(self):
            candidates = {
                name: outputs[name] for name in ("candidate_azimuths", "candidate_weights")
            }
            candidates["presence"] = float(outputs["presence"])
        return {
            "azimuth": float(GRID_DEGREES[np.argmax(posterior)]),
            "confidence": float(confidence(posterior[None], inputs["audio"])[0]),
            "similarity": float(outputs.get("similarity", "nan")),
            "posterior": posterior,
            "spectrogram": keras.ops.convert_to_numpy(spectrogram)[0],
            "mask": outputs["mask"],
            "masked_spectrogram": outputs["masked_spectrogram"],
            "masked_audio": self.backbone.stft.inverse(masked, recording.shape[1])[0],
            "band_attention": {
                band: outputs[f"{BAND_ATTENTION}{band}"] for band in self.backbone.bands
            },
            "band_weights": outputs["band_weights"],
            "bands": self.backbone.bands,
            "sampling_rate": self.backbone.sampling_rate,
            "hop_length": self.backbone.hop_length,
            **candidates,
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "configuration": self.configuration}


def _make_backbone(
    configuration: str,
    image_encoder: keras.Layer | str | None,
    audio_encoder: keras.Layer | None,
    kwargs: Mapping[str, Any],
) -> AVSSANBackbone:
    settings = {**CONFIGURATIONS[configuration], **kwargs}
    if configuration == "paper":
        _check_published_encoders(image_encoder, audio_encoder, settings)
    dtype = settings.get("dtype")
    image_encoder = get_image_encoder(image_encoder, dtype)
    if image_encoder is None and settings.get("prompt_dim") is None:
        if settings.get("visual_prompt", True):
            image_encoder = ConvImageEncoder(dtype=dtype)
    if audio_encoder is None and settings.get("semantic_audio", True):
        rate = settings.get("sampling_rate", 16000)
        audio_encoder = LogMelEncoder(sampling_rate=rate, dtype=dtype)
    backbone = AVSSANBackbone(image_encoder, audio_encoder, **settings)
    freeze_parts(backbone)  # `trainable=False` comes before the layers
    return backbone


def _check_published_encoders(
    image_encoder: keras.Layer | str | None,
    audio_encoder: keras.Layer | None,
    settings: Mapping[str, Any],
) -> None:
    """Refuses default encoders where Figure 1 has pretrained ones."""
    embeds = settings.get("visual_prompt", True) and settings.get("prompt_dim") is None
    if embeds and image_encoder is None:
        raise ValueError(
            '`image_encoder` must be given with `configuration="paper"`, whose prompts are '
            'embedded by a pretrained CLIP: its name, such as "clip_vit_base_patch32", or another '
            "encoder; or `prompt_dim`, where prompts come as embeddings. "
            "Received: image_encoder=None, prompt_dim=None"
        )
    if settings.get("semantic_audio", True) and audio_encoder is None:
        raise ValueError(
            '`audio_encoder` must be given with `configuration="paper"`, whose audio is embedded '
            "by a pretrained VGGish: one of `keras_avssan.encoders.converters`, or another "
            "encoder. Received: audio_encoder=None"
        )
