"""Every layer passes the harness that Keras holds its own layers to."""

import pytest
from keras.src.testing import TestCase

from keras_avssan import layers
from keras_avssan.layers.resampler import Resampler
from keras_avssan.layers.spec_augment import SpecAugment
from keras_avssan.layers.transformer_block import TransformerBlock

# Imported from their modules.
FURTHER = {cls.__name__: cls for cls in (Resampler, SpecAugment, TransformerBlock)}

B, T, F, D = 2, 5, 33, 8
SPECTROGRAM = (B, T, F, 4)

# Name of the layer: arguments, shape of the input or shapes by name, shape of the output.
CASES = {
    "ClassPrototypes": ({"num_prototypes": 3}, (B, D), (B, D)),
    "DoAHead": ({"hidden_dim": 8, "num_bands": 4}, SPECTROGRAM, (B, 180)),
    "FrameAlignment": (
        {"hop_length": 512, "sampling_rate": 16000},
        {"sequence_shape": (B, 3, D), "spectrogram_shape": SPECTROGRAM, "audio_shape": (B, 2100)},
        (B, T, D),
    ),
    "GeneralizedCrossCorrelation": ({"lags": [-1.5, 0.0, 2.0]}, SPECTROGRAM, (B, T, 3)),
    "LevelNormalization": ({}, (B, 100, 2), (B, 100, 2)),
    "PromptFusion": (
        {},
        {
            **{"evidence_shape": (B, 2), "azimuths_shape": (B, 2), "posteriors_shape": (B, 2, 180)},
            **{"doa_shape": (B, 180), "similarity_shape": (B,)},
        },
        ((B, 180), (B, 2), (B,)),
    ),
    "Resampler": ({"source_rate": 16000, "target_rate": 8000}, (B, 1000), (B, 500)),
    "SceneRenderer": (
        {},
        {"dry_audio_shape": (B, 2, 50), "rirs_shape": (B, 2, 2, 8), "snr_shape": (B,)},
        ((B, 50, 2), (B, 50, 2)),
    ),
    "SemanticBridge": (
        {"dim": D, "num_layers": 1, "num_heads": 2, "mlp_dim": 8},
        {"prompt_shape": (B, 6), "audio_shape": (B, 4, 7)},
        (B, 4, D),
    ),
    "SemanticSpatialAlignment": (
        {"dim": D, "mlp_dim": 8},
        {"semantics_shape": (B, T, D), "features_shape": (B, 4, T, 16, 3)},
        ((B, T, D), (B, 4)),
    ),
    "SourceCandidates": (
        {"num_candidates": 2, "filters": 3},
        SPECTROGRAM,
        ((B, 2), (B, 2, T, F), (B, 2, 180), (B, 2)),
    ),
    "SourceDirections": ({"filters": 3}, SPECTROGRAM, (B, 180)),
    "SpatialExtractor": (
        {"filters": 3},
        {"spectrogram_shape": SPECTROGRAM, "azimuths_shape": (B, 2)},
        (B, 2, T, F),
    ),
    "SpecAugment": ({"frequency": 2, "time": 1, "seed": 0}, (B, T, F), (B, T, F)),
    "StereoSTFT": ({"frame_length": 64, "hop_length": 32}, (B, 128, 2), SPECTROGRAM),
    "TransformerBlock": ({"num_heads": 2, "mlp_dim": 8}, (B, T, D), (B, T, D)),
}
# Their inputs or outputs are lists or dicts of tensors, which the harness does not take.
OTHERS = {"SpatialRefiner", "TriBandSpatialFeatures"}
# What computes in float32 by contract, whatever the policy.
FLOAT32 = {
    *(
        "ClassPrototypes",
        "DoAHead",
        "GeneralizedCrossCorrelation",
        "LevelNormalization",
        "PromptFusion",
    ),
    *("Resampler", "SceneRenderer", "SemanticSpatialAlignment", "SourceCandidates"),
    *("SourceDirections", "SpatialExtractor", "StereoSTFT"),
}


def test_every_layer_is_here():
    assert set(layers.__all__) | set(FURTHER) == OTHERS | set(CASES)


class TestLayers(TestCase):
    """Configuration, build, symbolic and eager calls, precision."""


def _layer_test(name):
    arguments, shapes, expected = CASES[name]

    def test(self):
        self.run_layer_test(
            FURTHER.get(name) or getattr(layers, name),
            init_kwargs=arguments,
            input_shape=shapes,
            expected_output_shape=expected,
            run_training_check=False,
            run_mixed_precision_check=name not in FLOAT32,
        )

    return pytest.mark.one_backend(test)


for _name in CASES:
    setattr(TestLayers, f"test_{_name}", _layer_test(_name))
