"""A size that a layer needs and does not know is an error in words, not an assertion."""

import pytest

from keras_avssan import layers
from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.encoders.vggish.vggish_postprocessor import VGGishPostprocessor
from keras_avssan.layers.transformer_block import TransformerBlock
from keras_avssan.models.baselines.av_seld import ResidualConvBlock
from keras_avssan.models.baselines.avst import ClassTokenEncoder
from keras_avssan.models.baselines.cmaf import HANLayer
from keras_avssan.models.baselines.conformer import ConformerBlock, ConformerConvolution
from keras_avssan.models.baselines.fn_ssl import FullNarrowBlock
from keras_avssan.models.baselines.seld_net import ConvPoolBlock
from keras_avssan.models.baselines.shared_layers import MLP, PromptProjection, StereoLogMel

pytestmark = pytest.mark.backend_agnostic

SPECTROGRAM = (2, 5, None, 4)

# A layer, the shapes it is built with, and the start of the message.
BUILT = [
    (layers.DoAHead(), [SPECTROGRAM], "bins, axis 2 of `masked_spectrogram_shape`"),
    (layers.DoAHead(), [(2, 5)], "bins, axis 2 of `masked_spectrogram_shape`"),
    (
        layers.GeneralizedCrossCorrelation([0.0]),
        [SPECTROGRAM],
        "bins, axis 2 of `spectrogram_shape`",
    ),
    (layers.SemanticBridge(), [(2, None), (2, 4, 7)], "features, axis -1 of `prompt_shape`"),
    (layers.SemanticBridge(), [(2, 6), (2, 4, None)], "features, axis -1 of `audio_shape`"),
    (
        layers.SemanticSpatialAlignment(),
        [(2, 5, 8), (2, None, 5, 16, 3)],
        "patches, axis 1 of `features_shape`",
    ),
    (
        layers.SemanticSpatialAlignment(),
        [(2, 5, 8), (2, 4, 5, 16, None)],
        "cues, axis 4 of `features_shape`",
    ),
    (
        layers.SpatialRefiner(),
        [[(2, 5, None)] * 3, SPECTROGRAM],
        r"features, axis -1 of `bands_shape\[0\]`",
    ),
    (TransformerBlock(), [(2, 5, None)], "features, axis -1 of `input_shape`"),
    (MLP([4]), [(2, None)], "features, axis -1 of `input_shape`"),
    (PromptProjection(4), [(2, None)], "features, axis -1 of `prompt_shape`"),
    (StereoLogMel(), [SPECTROGRAM], "bins, axis 2 of `spectrogram_shape`"),
    (ConformerConvolution(), [(2, 5, None)], "features, axis -1 of `input_shape`"),
    (ConformerBlock(), [(2, 5, None)], "features, axis -1 of `input_shape`"),
    (HANLayer(), [(2, 5, None), (2, 3, 8)], "features, axis -1 of `query_shape`"),
    (HANLayer(), [(2, 5, 8), (2, 3, None)], "features, axis -1 of `value_shape`"),
    (FullNarrowBlock(4), [(2, 5, 6, None)], "channels, axis -1 of `input_shape`"),
    (ConvPoolBlock(4, 2), [(2, 5, 6, None)], "channels, axis -1 of `input_shape`"),
    (ResidualConvBlock(4, (1, 2)), [(2, 5, 6, None)], "channels, axis -1 of `input_shape`"),
    (ClassTokenEncoder(8), [(2, 5, None)], "features, axis -1 of `input_shape`"),
    (ConvImageEncoder(4), [(2, 16, 16, None)], "channels, axis -1 of `input_shape`"),
    (VGGishPostprocessor(), [(2, None)], "features, axis -1 of `input_shape`"),
]
# Layers whose output cannot be described, and the start of the message.
DESCRIBED = [
    (layers.StereoSTFT(), (2, 128, None), "channels, axis 2 of `input_shape`"),
    (layers.TriBandSpatialFeatures(), SPECTROGRAM, "bins, axis 2 of `input_shape`"),
    (ConvPoolBlock(4, 2), SPECTROGRAM, "bins, axis 2 of `input_shape`"),
    (ResidualConvBlock(4, (1, 2)), SPECTROGRAM, "bins, axis 2 of `input_shape`"),
]


def named(cases):
    return [f"{type(layer).__name__} {shapes}" for layer, shapes, _ in cases]


@pytest.mark.parametrize(("layer", "shapes", "size"), BUILT, ids=named(BUILT))
def test_a_layer_is_not_built_without_its_sizes(layer, shapes, size):
    message = rf"number of {size}, must be known when the layer is built\. Received: \w+.*=\("
    with pytest.raises(ValueError, match=message):
        layer.build(*shapes)


@pytest.mark.parametrize(("layer", "shape", "size"), DESCRIBED, ids=named(DESCRIBED))
def test_an_output_is_not_described_without_its_sizes(layer, shape, size):
    with pytest.raises(ValueError, match=f"number of {size}, must be known"):
        layer.compute_output_shape(shape)
