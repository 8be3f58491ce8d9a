"""The blocks of AV-SSAN, one public layer per file."""

from keras_avssan.layers.doa_head import DoAHead
from keras_avssan.layers.extraction.class_prototypes import ClassPrototypes
from keras_avssan.layers.extraction.prompt_fusion import PromptFusion
from keras_avssan.layers.extraction.source_candidates import SourceCandidates
from keras_avssan.layers.extraction.source_directions import SourceDirections
from keras_avssan.layers.extraction.spatial_extractor import SpatialExtractor
from keras_avssan.layers.frame_alignment import FrameAlignment
from keras_avssan.layers.generalized_cross_correlation import GeneralizedCrossCorrelation
from keras_avssan.layers.level_normalization import LevelNormalization
from keras_avssan.layers.scene_renderer import SceneRenderer
from keras_avssan.layers.semantic_bridge import SemanticBridge
from keras_avssan.layers.semantic_spatial_alignment import SemanticSpatialAlignment
from keras_avssan.layers.spatial_refiner import SpatialRefiner
from keras_avssan.layers.stereo_stft import StereoSTFT
from keras_avssan.layers.tri_band_spatial_features import TriBandSpatialFeatures

__all__ = [
    "ClassPrototypes",
    "DoAHead",
    "FrameAlignment",
    "GeneralizedCrossCorrelation",
    "LevelNormalization",
    "PromptFusion",
    "SceneRenderer",
    "SemanticBridge",
    "SemanticSpatialAlignment",
    "SourceCandidates",
    "SourceDirections",
    "SpatialExtractor",
    "SpatialRefiner",
    "StereoSTFT",
    "TriBandSpatialFeatures",
]
