"""Every layer comes back from its configuration."""

import keras
import pytest

from keras_avssan import layers
from keras_avssan.layers.resampler import Resampler
from keras_avssan.layers.spec_augment import SpecAugment
from keras_avssan.layers.transformer_block import TransformerBlock

pytestmark = pytest.mark.backend_agnostic

EXAMPLES = [
    layers.DoAHead("cross_spectrum", 32, 1, 0.4, 8, 0.1, 8000, name="a"),
    layers.FrameAlignment(512, 16000, 0.96, 0.48, name="b"),
    layers.GeneralizedCrossCorrelation([-1.5, 0, 2], 1e-6, name="k"),
    layers.ClassPrototypes(3, 5.0, 0.25, name="r"),
    layers.PromptFusion(True, name="n"),
    Resampler(16000, 44100, name="i"),
    layers.SceneRenderer(0.2, name="j"),
    layers.LevelNormalization(name="m"),
    layers.SemanticBridge(8, 1, 2, 16, 0.1, True, True, False, name="c"),
    layers.SemanticSpatialAlignment(8, 1, 5, 16, None, False, True, 0.5, name="d"),
    layers.SpatialRefiner(33, 16, False, True, 0.5, 0.2, name="e"),
    layers.SourceCandidates(2, 8, 0.1, 8000, "learned", name="o"),
    layers.SourceDirections(8, 0.1, 8000, name="q"),
    layers.SpatialExtractor(8, 0.1, 8000, name="p"),
    SpecAugment(5, 3, 1, name="l"),
    layers.StereoSTFT(64, 32, "conv", name="f"),
    TransformerBlock(2, 16, 0.1, name="g"),
    layers.TriBandSpatialFeatures("angle", ("full",), 1.0, 1e-3, True, name="h"),
]


def test_all_layers_are_covered():
    further = {"Resampler", "SpecAugment", "TransformerBlock"}  # imported from their modules
    assert {type(layer).__name__ for layer in EXAMPLES} == further | set(layers.__all__)


@pytest.mark.parametrize("layer", EXAMPLES, ids=lambda layer: type(layer).__name__)
def test_config_round_trip(layer):
    restored = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(restored) is type(layer)
    assert restored.get_config() == layer.get_config()


@pytest.mark.parametrize("layer", EXAMPLES, ids=lambda layer: type(layer).__name__)
def test_names_are_registered_under_the_package(layer):
    assert keras.saving.get_registered_name(type(layer)) == f"keras_avssan>{type(layer).__name__}"
