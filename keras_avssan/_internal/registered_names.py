"""Registers this library's saved classes with Keras without importing their modules."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Keras finds classes by the names under which their modules register them, and imports no modules
# but its own. `import keras_avssan` registers stand-ins, which import the module when a file needs
# the class, so that preparing data imports neither Keras nor KerasHub.
# Names of saved classes by their module below `keras_avssan`.
REGISTERED: dict[str, tuple[str, ...]] = {
    "classical.arrays.array_music": ("ArrayMUSIC",),
    "classical.arrays.array_srp_phat": ("ArraySRPPHAT",),
    "classical.arrays.classical_array_localizer": ("ClassicalArrayLocalizer",),
    "classical.classical_localizer": ("ClassicalLocalizer",),
    "classical.gcc_phat": ("GCCPHAT",),
    "classical.music": ("MUSIC",),
    "classical.srp_phat": ("SRPPHAT",),
    "doa.losses": (
        "DoALoss",
        "ReconstructionLoss",
        "AlignmentLoss",
        "JointLoss",
    ),
    "doa.metrics": (
        "AngularMAE",
        "AngularAccuracy",
        "SelectionRate",
        "SelectedAngularMAE",
    ),
    "encoders.audio_encoder": ("AudioEncoder",),
    "encoders.clip_encoder": ("CLIPEncoder",),
    "encoders.clip_tokenizer": ("CLIPTextTokenizer",),
    "encoders.conv_image_encoder": ("ConvImageEncoder",),
    "encoders.image_encoder": ("ImageEncoder",),
    "encoders.log_mel_encoder": ("LogMelEncoder",),
    "encoders.sound_effects_cnn": ("SoundEffectsCNN",),
    "encoders.sound_effects_spectrogram": ("SoundEffectsSpectrogram",),
    "encoders.text.picture_text_encoder": ("PictureTextEncoder",),
    "encoders.text.sentence_encoder": ("SentenceEncoder",),
    "encoders.text.word_piece_tokenizer": ("WordPieceTokenizer",),
    "encoders.text.word_table": ("WordTable",),
    "encoders.vggish.vggish": ("VGGish",),
    "encoders.vggish.vggish_postprocessor": ("VGGishPostprocessor",),
    "encoders.vggish.vggish_spectrogram": ("VGGishSpectrogram",),
    "encoders.yamnet.yamnet": ("YAMNet",),
    "encoders.yamnet.yamnet_network": ("YAMNetNetwork",),
    "encoders.yamnet.yamnet_spectrogram": (
        "YAMNetSpectrogram",
        "YAMNetLogMel",
    ),
    "layers.doa_head": ("DoAHead",),
    "layers.extraction.class_prototypes": ("ClassPrototypes",),
    "layers.extraction.prompt_fusion": ("PromptFusion",),
    "layers.extraction.source_candidates": ("SourceCandidates",),
    "layers.extraction.source_directions": ("SourceDirections",),
    "layers.extraction.spatial_extractor": ("SpatialExtractor",),
    "layers.frame_alignment": ("FrameAlignment",),
    "layers.generalized_cross_correlation": ("GeneralizedCrossCorrelation",),
    "layers.level_normalization": ("LevelNormalization",),
    "layers.resampler": ("Resampler",),
    "layers.scene_renderer": ("SceneRenderer",),
    "layers.semantic_bridge": ("SemanticBridge",),
    "layers.semantic_spatial_alignment": ("SemanticSpatialAlignment",),
    "layers.spatial_refiner": ("SpatialRefiner",),
    "layers.spec_augment": ("SpecAugment",),
    "layers.stereo_stft": ("StereoSTFT",),
    "layers.transformer_block": ("TransformerBlock",),
    "layers.tri_band_spatial_features": ("TriBandSpatialFeatures",),
    "models.av_ssan.av_ssan": ("AVSSAN",),
    "models.av_ssan.av_ssan_backbone": ("AVSSANBackbone",),
    "models.av_ssan.av_ssan_preprocessor": ("AVSSANPreprocessor",),
    "models.baselines.av_mlp": (
        "AVMLPBackbone",
        "AVMLP",
    ),
    "models.baselines.av_seld": (
        "AVSELDBackbone",
        "AVSELD",
        "ResidualConvBlock",
    ),
    "models.baselines.avst": (
        "AVSTBackbone",
        "AVST",
        "ClassTokenEncoder",
    ),
    "models.baselines.cmaf": (
        "CMAFBackbone",
        "CMAF",
        "HANLayer",
    ),
    "models.baselines.conformer": (
        "ConformerBlock",
        "ConformerConvolution",
    ),
    "models.baselines.dgb": (
        "DGBBackbone",
        "DGB",
        "GaussianSampler",
        "SteeredResponse",
    ),
    "models.baselines.dgb_loss": ("DGBLoss",),
    "models.baselines.fn_ssl": (
        "SegmentMeans",
        "FNSSLBackbone",
        "FNSSL",
        "FullNarrowBlock",
    ),
    "models.baselines.gcc_mlp": (
        "GCCMLPBackbone",
        "GCCMLP",
    ),
    "models.baselines.mlp_avc": (
        "MLPAVCBackbone",
        "MLPAVC",
    ),
    "models.baselines.seld_net": (
        "ConvPoolBlock",
        "SELDNetBackbone",
        "SELDNet",
    ),
    "models.baselines.shared_layers": (
        "MLP",
        "PromptProjection",
        "StereoLogMel",
    ),
    "models.localizer_preprocessor": ("LocalizerPreprocessor",),
}


class _StandIn:
    """Takes the place of a class among Keras's custom objects until the class is needed."""

    def __init__(self, module: str, name: str) -> None:
        self.module = f"keras_avssan.{module}"
        self.__name__ = name

    def from_config(self, config: dict[str, Any]) -> Any:
        """Makes an object of the class, whose module registers it."""
        return getattr(importlib.import_module(self.module), self.__name__).from_config(config)


class _AfterKeras(MetaPathFinder):
    """Registers once Keras is imported, not before, because that takes seconds."""

    _is_looking = False

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Finds Keras as Python would, and adds the registration to its import."""
        if name != "keras" or self._is_looking:
            return None
        self._is_looking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._is_looking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                _register()
                if self in sys.meta_path:
                    sys.meta_path.remove(self)

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def register() -> None:
    """Registers stand-ins for all saved classes, now or when Keras is imported."""
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def import_registered(name: str) -> None:
    """Imports the module of a registered class, such as `"keras_avssan>AVSSAN"`, if it is ours."""
    package, _, name = name.partition(">")
    for module, names in REGISTERED.items():
        if package == "keras_avssan" and name in names:
            importlib.import_module(f"keras_avssan.{module}")


def _register() -> None:
    objects = sys.modules["keras"].saving.get_custom_objects()
    for module, names in REGISTERED.items():
        for name in names:
            objects.setdefault(f"keras_avssan>{name}", _StandIn(module, name))
