"""The network of AV-SSAN, from audio and prompt to posterior and mask."""

from collections.abc import Mapping
from typing import Any, Self

import keras
from keras import ops

from keras_avssan._internal.checks import check_choice, check_gain, check_integer, check_number
from keras_avssan._internal.types import Tensor
from keras_avssan.layers.doa_head import DoAHead
from keras_avssan.layers.frame_alignment import FrameAlignment
from keras_avssan.layers.level_normalization import LevelNormalization
from keras_avssan.layers.semantic_bridge import SemanticBridge, repeated
from keras_avssan.layers.semantic_spatial_alignment import SemanticSpatialAlignment
from keras_avssan.layers.spatial_refiner import SpatialRefiner
from keras_avssan.layers.stereo_stft import StereoSTFT
from keras_avssan.layers.tri_band_spatial_features import TriBandSpatialFeatures
from keras_avssan.models.av_ssan.audio_encoder_check import check_audio_encoder
from keras_avssan.models.av_ssan.bridge_prompt import bridge_prompt
from keras_avssan.models.av_ssan.candidates import add_candidates, weigh_candidates
from keras_avssan.models.av_ssan.one_recording import OneRecording
from keras_avssan.models.prompted_backbone import PromptedBackbone
from keras_avssan.models.prompting import check_reference

# Settings of the head of networks that were stored without them.
_FIRST_HEAD = {"phase_transform": False, "doa_padding": "zeros"}
_MAGNITUDES = (None, "cues", "mask", "both")
# Prefix of the names of the outputs that hold β; the band's name follows.
BAND_ATTENTION = "band_attention_"


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVSSANBackbone(OneRecording, PromptedBackbone):
    """The whole network of AV-SSAN, with the ablations of its Table 4 as arguments.

    STFT → spatial features in three bands; prompt and audio → semantic bridge; one
    semantic-spatial alignment a band → refiner → masked spectrogram → posterior. Weights do not
    depend on the duration: a model takes recordings of any length from half a second on. The
    mixture is normalised to unit power first, so that loudness has no influence.

    Args:
        image_encoder: Keras layer or model from pictures (batch, H, W, 3) in [0, 1] to embeddings
            (batch, d_V), see `keras_avssan.encoders`. `None` where prompts always come as
            embeddings; `prompt_dim` is needed then.
        audio_encoder: Keras layer or model from mono audio (batch, samples) to embeddings
            (batch, t, d_A). Its attributes `hop_seconds` and `offset_seconds` are the times of the
            embeddings. May be `None` where `semantic_audio` is `False`.
        prompt_dim: Dimension d_V of prompt embeddings.
        dim: Feature dimension D.
        bridge_layers: Transformer blocks of the semantic bridge.
        num_heads: Attention heads of these blocks.
        mlp_dim: Hidden width of the MLPs.
        dropout: Dropout in the semantic bridge.
        interaction: Whether prompt times audio is an input of the bridge too, see `SemanticBridge`.
        scale_prompt: Whether prompt embeddings are scaled before they are projected, likewise.
        ipd: Form of the phase difference, see `TriBandSpatialFeatures`.
        ild_scale: Factor on the level difference in decibels, likewise.
        residual: Residual of the alignment, see `SemanticSpatialAlignment`.
        scale_relevance: Whether β comes from scaled scores, likewise.
        magnitude: Where magnitudes join the spatial cues: `None`, `"cues"` (see
            `TriBandSpatialFeatures`), `"mask"` (see `SpatialRefiner`), or `"both"`.
        doa_form: Form of the head, see `DoAHead`.
        visual_prompt: Column V of Table 4. If `False`, prompts have no influence.
        semantic_audio: Column A. If `False`, the audio encoder is left out.
        multi_band: Column MB. If `False`, the full band alone is used.
        band_attention: Column BA. If `False`, the patches of a band weigh the same.
        spatial_refiner: Column Refiner. If `False`, the bands weigh the same.
        microphone_spacing: Distance between the microphones in metres.
        sampling_rate: Sampling rate in hertz.
        frame_length: Frame length of the spectrogram in samples.
        hop_length: Hop of the spectrogram in samples.
        stft_implementation: `"fft"` or `"conv"`, see `StereoSTFT`.
        ild_epsilon: Position of the ε of the level difference, see `TriBandSpatialFeatures`.
        phase_transform: Whether a head of the form `"srp"` weighs bins by the share of power that
            the mask keeps alone, as SRP-PHAT does; if `False`, by mask and amplitude.
        doa_padding: Padding of the head beyond the axis of the microphones, see `DoAHead`.
        num_candidates: Directions at which sounds are extracted (`SourceCandidates`), embedded and
            compared with the prompt (`PromptFusion`), beyond the paper; 0 for its own network. It
            takes an audio encoder whose magnitudes can be masked, such as `YAMNet`.
        candidate_search: How they are found, `"steered"` or `"learned"`, see `SourceCandidates`.
        candidate_masks: Whether they share every bin: `"separate"` or `"shared"`, likewise.
        candidate_posteriors: Shapes of their posteriors, `"steered"` or `"equal"`, likewise.
        extractor_filters: Channels of the `SpatialExtractor` of these directions.
        num_prototypes: Known classes to which prompts are drawn, see `ClassPrototypes`; or 0.
        attention_gain: Form of β and α, see `SemanticSpatialAlignment` and `SpatialRefiner`.
        band_dropout: Share of training scenes that lack one of the bands, see `SpatialRefiner`.
        dtype: Data type or precision policy. Front end, head and losses stay in float32.
        **kwargs: Arguments of `keras_hub.models.Backbone`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and one prompt: `images` (batch, H, W, 3) in
            [0, 1], `token_ids` (batch, tokens) where the image encoder also reads words,
            `prompt_embedding` (batch, d_V), or a mono recording `prompt_audio` (batch, samples).
            A recording may be combined with one of the others; `prompt_audio_weight` (batch,)
            from 0 to 1 is its weight then, half if not given. Optionally `microphone_spacing`
            (batch,) in metres.
        training: Whether dropout and batch normalisation run in training mode.

    Returns:
        Dict of float32 tensors: `doa` (batch, 180), `mask` (batch, T, F), `masked_spectrogram`
        (batch, T, F, 4), `band_attention_fine`, `_mid` and `_full`, β of a band (batch, n),
        `band_weights`, α (batch, T, bands); and, where prompt and semantic audio are both used,
        `prompt_semantics` (batch, D), the projected prompt, and `similarity` (batch,), the cosine
        between it and the mixture in the space that `AlignmentLoss` trains: it indicates better
        than the posterior whether the prompted sound is present at all. With `num_candidates`
        also `mixture_doa`, the posterior of equation (11); `candidate_azimuths`, `_strengths`,
        `_evidence` (cosine with the prompt) and `_weights`, (batch, K); `presence` (batch,).

    Raises:
        ValueError: If an encoder or `prompt_dim` is missing, a form is unknown, or inputs have a
            wrong shape.

    Example:
        >>> from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder
        >>> backbone = AVSSANBackbone(ConvImageEncoder(), LogMelEncoder())
        >>> outputs = backbone({"audio": keras.ops.ones((1, 16000, 2)),
        ...                     "images": keras.ops.ones((1, 64, 64, 3))})
        >>> outputs["doa"].shape
        (1, 180)

    Reference:
        AV-SSAN, Figure 1 and equations (1) to (11).
    """

    also_fixed = ("bands",)

    def __init__(
        self,
        image_encoder: keras.Layer | None = None,
        audio_encoder: keras.Layer | None = None,
        prompt_dim: int | None = None,
        dim: int = 64,
        bridge_layers: int = 2,
        num_heads: int = 4,
        mlp_dim: int = 256,
        dropout: float = 0.0,
        interaction: bool = True,
        scale_prompt: bool = True,
        ipd: str = "cos_sin",
        ild_scale: float = 0.1,
        residual: str | None = "query",
        scale_relevance: bool = False,
        magnitude: str | None = None,
        doa_form: str = "srp",
        visual_prompt: bool = True,
        semantic_audio: bool = True,
        multi_band: bool = True,
        band_attention: bool = True,
        spatial_refiner: bool = True,
        microphone_spacing: float = 0.2,
        sampling_rate: int = 16000,
        frame_length: int = 1024,
        hop_length: int = 512,
        stft_implementation: str = "fft",
        ild_epsilon: str = "both",
        phase_transform: bool = True,
        doa_padding: str = "mirror",
        num_candidates: int = 0,
        candidate_search: str = "steered",
        candidate_masks: str = "separate",
        candidate_posteriors: str = "steered",
        extractor_filters: int = 24,
        num_prototypes: int = 0,
        attention_gain: float | None = None,
        band_dropout: float = 0.0,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        settings = {
            "dim": dim,
            "bridge_layers": bridge_layers,
            "num_heads": num_heads,
            "mlp_dim": mlp_dim,
            "dropout": dropout,
            "interaction": interaction,
            "scale_prompt": scale_prompt,
            "ipd": ipd,
            "ild_scale": ild_scale,
            "ild_epsilon": ild_epsilon,
            "residual": residual,
            "scale_relevance": scale_relevance,
            "magnitude": magnitude,
            "doa_form": doa_form,
            "phase_transform": phase_transform,
            "doa_padding": doa_padding,
            "visual_prompt": visual_prompt,
            "semantic_audio": semantic_audio,
            "multi_band": multi_band,
            "band_attention": band_attention,
            "spatial_refiner": spatial_refiner,
            "microphone_spacing": microphone_spacing,
            "sampling_rate": sampling_rate,
            "frame_length": frame_length,
            "hop_length": hop_length,
            "stft_implementation": stft_implementation,
            "num_candidates": check_integer("num_candidates", num_candidates),
            "candidate_search": candidate_search,
            "candidate_masks": candidate_masks,
            "candidate_posteriors": candidate_posteriors,
            "extractor_filters": extractor_filters,
            "num_prototypes": check_integer("num_prototypes", num_prototypes),
            "attention_gain": check_gain("attention_gain", attention_gain),
            "band_dropout": check_number("band_dropout", band_dropout, 0.0, 1.0),
        }
        check_choice("magnitude", magnitude, _MAGNITUDES)
        self.set_up(
            settings,
            image_encoder=image_encoder,
            prompt_dim=prompt_dim,
            visual_prompt=visual_prompt,
            dtype=dtype,
        )
        self.semantic_audio = semantic_audio
        self.bands: tuple[str, ...] = ("fine", "mid", "full") if multi_band else ("full",)
        self.audio_encoder: keras.Layer | None = audio_encoder if semantic_audio else None
        if semantic_audio:
            check_audio_encoder(audio_encoder, sampling_rate)

        # === Layers ===
        self.level = LevelNormalization(name="level")
        self.stft = StereoSTFT(frame_length, hop_length, stft_implementation, name="stft")
        self.spatial_features = TriBandSpatialFeatures(
            ipd,
            self.bands,
            ild_scale,
            magnitude=magnitude in ("cues", "both"),
            ild_epsilon=ild_epsilon,
            name="spatial_features",
        )
        self.bridge = SemanticBridge(
            dim,
            bridge_layers,
            num_heads,
            mlp_dim,
            dropout,
            interaction,
            scale_prompt,
            use_prompt=visual_prompt,
            use_audio=semantic_audio,
            return_similarity=visual_prompt and semantic_audio,
            dtype=self.policy,
            name="bridge",
        )
        self.frame_alignment = FrameAlignment(
            hop_length,
            sampling_rate,
            getattr(audio_encoder, "hop_seconds", None),
            getattr(audio_encoder, "offset_seconds", 0.0),
            dtype=self.policy,
            name="frame_alignment",
        )
        self.alignments = [
            SemanticSpatialAlignment(
                dim,
                mlp_dim=mlp_dim,
                residual=residual,
                band_attention=band_attention,
                scale_relevance=scale_relevance,
                attention_gain=attention_gain,
                dtype=self.policy,
                name=f"alignment_{band}",
            )
            for band in self.bands
        ]
        self.refiner = SpatialRefiner(
            self.stft.num_bins,
            mlp_dim,
            adaptive=spatial_refiner,
            magnitude=magnitude in ("mask", "both"),
            attention_gain=attention_gain,
            band_dropout=band_dropout,
            dtype=self.policy,
            name="refiner",
        )
        self.doa_head = DoAHead(
            doa_form,
            mlp_dim,
            microphone_spacing=microphone_spacing,
            sampling_rate=sampling_rate,
            padding=doa_padding,
            name="doa_head",
        )
        add_candidates(self)

        # === Functional model: `connect`, Figure 1 ===
        super().__init__(dtype=dtype, **kwargs)

    def connect(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Connects the layers as in Figure 1, from mixture and prompt to posterior and mask.

        Args:
            inputs: Dict of symbolic inputs, see `make_inputs`.

        Returns:
            Dict of outputs, see the class.
        """
        audio = self.level(inputs["audio"])
        spectrogram = self.stft(audio)
        prompt = bridge_prompt(self, inputs, audio)
        mixture = self._embed_mixture(audio, spectrogram)  # F_A
        cue, *similarity = keras.tree.flatten(self.bridge(audio=mixture, **prompt))  # (1)
        if self.semantic_audio:
            cue = self.frame_alignment(cue, spectrogram, audio)
        features = self.spatial_features(spectrogram)  # (2), (3)
        once = {"shared": True} if "shared" in prompt else {}
        aligned, attention = [], {}
        for band, alignment in zip(self.bands, self.alignments, strict=True):
            z, beta = alignment(cue, features[band], **once)  # (4) to (7)
            aligned.append(z)
            attention[f"{BAND_ATTENTION}{band}"] = beta
        mixtures = repeated(spectrogram, cue) if once else spectrogram
        mask, masked_spectrogram, alpha = self.refiner(aligned, mixtures)  # (8) to (10)
        spacing = inputs.get("microphone_spacing")
        outputs = {
            "doa": self._read_direction(spectrogram, mask, masked_spectrogram, spacing),  # (11)
            "mask": mask,
            "masked_spectrogram": masked_spectrogram,
            **attention,
            "band_weights": alpha,
        }
        names = ("prompt_semantics", "similarity")[: len(similarity)]
        outputs |= dict(zip(names, similarity, strict=True))
        if not self.settings["num_candidates"]:
            return outputs
        return weigh_candidates(self, audio, spectrogram, spacing, outputs, **once)

    @property
    def hop_length(self) -> int:
        """Hop of the spectrogram in samples."""
        return self.settings["hop_length"]

    @property
    def takes_microphone_spacing(self) -> bool:
        """Whether the input `microphone_spacing` takes the place of the network's own."""
        return self.settings["doa_form"] == "srp"

    def locate(
        self, spectrogram: Tensor, mask: Tensor, microphone_spacing: Tensor = None
    ) -> Tensor:
        """Computes the posterior over directions of a masked mixture.

        Args:
            spectrogram: Spectrogram of the mixture, shape (batch, T, F, 4), as `stft` returns it.
            mask: Mask, shape (batch, T, F), the network's own or another.
            microphone_spacing: Optional distances in metres, shape (batch,).

        Returns:
            float32 posterior of shape (batch, 180).
        """
        masked = spectrogram * mask[..., None]
        return self._read_direction(spectrogram, mask, masked, microphone_spacing)

    def _read_direction(
        self, spectrogram: Tensor, mask: Tensor, masked_spectrogram: Tensor, spacing: Tensor
    ) -> Tensor:
        """Posterior of the head, which takes mixture and mask, or the masked spectrogram."""
        if self.settings["phase_transform"] and self.settings["doa_form"] == "srp":
            return self.doa_head(spectrogram, spacing, ops.square(mask))
        return self.doa_head(masked_spectrogram, spacing)

    def _embed_mixture(self, audio: Tensor, spectrogram: Tensor) -> Tensor:
        """Embeddings of the mixture, (batch, t, d_A); without semantic audio, one zero a frame."""
        if self.audio_encoder is None:
            return ops.zeros_like(spectrogram[:, :, 0, :1])
        return self.audio_encoder(ops.mean(audio, axis=-1))

    def _check_prompt(self, inputs: Mapping[str, Tensor]) -> None:
        """Refuses inputs without a prompt that fits, recordings included."""
        super()._check_prompt(inputs)
        check_reference(inputs, self.semantic_audio)

    def embed_target(self, target: Tensor, training: bool | None = None) -> Tensor:
        """Embeds the audio of targets in the space of the projected prompts.

        Args:
            target: The targets alone, shape (batch, samples, 2), with the gain of their mixtures.
            training: Whether the audio encoder runs in training mode.

        Returns:
            float32 embeddings, shape (batch, D), averaged over time.
        """
        if self.audio_encoder is None:
            raise ValueError(
                "`semantic_audio` must be on for the audio of a target to be embedded. "
                "Received: semantic_audio=False"
            )
        embeddings = self.audio_encoder(ops.mean(target, axis=-1), training=training)
        return ops.cast(self.bridge.project_audio(embeddings), "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "audio_encoder": keras.saving.serialize_keras_object(self.audio_encoder),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        # Networks that were stored before these settings existed have the head of that time.
        return super().from_config({**_FIRST_HEAD, **config})
