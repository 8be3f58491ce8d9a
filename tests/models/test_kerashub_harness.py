"""Networks, tasks and preprocessors pass the harness that KerasHub holds its own to."""

import keras
import numpy as np
import pytest
from keras_hub.src.tests.test_case import TestCase

from keras_avssan import AVSSAN, AVSSANBackbone, models
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder, YAMNet
from keras_avssan.models import AVSSANPreprocessor, LocalizerPreprocessor

BATCH, SAMPLES, DIM = 2, 8000, 6
FRAMES = 1 + SAMPLES // 512
AVSSAN_SHAPES = {
    "doa": (BATCH, 180),
    "mask": (BATCH, FRAMES, 513),
    "masked_spectrogram": (BATCH, FRAMES, 513, 4),
    "band_attention_fine": (BATCH, 16),
    "band_attention_mid": (BATCH, 4),
    "band_attention_full": (BATCH, 1),
    "band_weights": (BATCH, FRAMES, 3),
    "prompt_semantics": (BATCH, 4),
    "similarity": (BATCH,),
}
SMALL = {
    "GCCMLP": {"hidden_dim": 8, "num_layers": 1},
    "SELDNet": {"filters": 4, "recurrent_dim": 4, "num_recurrent_layers": 1, "hidden_dim": 4},
    "FNSSL": {"hidden_dim": 4, "num_blocks": 1, "frequency_stride": 32},
    "MLPAVC": {"hidden_dim": 8, "num_layers": 1},
    "AVMLP": {"hidden_dim": 8, "num_layers": 1},
    "AVST": {"dim": 8, "num_layers": 1, "num_heads": 2, "mlp_dim": 8},
    "CMAF": {"dim": 8, "num_heads": 2, "ffn_dim": 8, "hidden_dim": 8, "num_layers": 1},
    "DGB": {"condition_dim": 4, "latent_dim": 4, "hidden_dim": 8, "num_layers": 1},
    "AVSELD": {
        **{"filters": [4, 8], "time_pools": [2, 1], "visual_dim": 8, "num_layers": 1},
        **{"num_heads": 2, "ffn_dim": 8, "kernel_size": 3},
    },
}
# Outputs of tasks besides the posterior.
FURTHER_SHAPES = {"DGB": {"curve": (BATCH, 51), "latent": (BATCH, 2, 4)}}


class TestBackbones(TestCase):
    """Serialisation, calls, compiled `predict` on arrays and datasets, the name."""

    def check(self, cls, init_kwargs, inputs, shapes):
        self.run_backbone_test(
            cls=cls,
            init_kwargs=init_kwargs,
            input_data=inputs,
            expected_output_shape=shapes,
            # Posteriors and masks are float32 by contract, whatever the layers compute in.
            run_mixed_precision_check=False,
            # Tested by `tests/models/test_quantization.py`, with our own choice of layers.
            run_quantization_check=False,
        )

    def test_avssan(self):
        self.check(AVSSANBackbone, avssan_arguments(), make_inputs("AVSSAN"), AVSSAN_SHAPES)

    @pytest.mark.one_backend
    def test_avssan_with_candidates(self):
        count = 2
        self.check(
            AVSSANBackbone,
            {
                "image_encoder": ConvImageEncoder(DIM, (4,), (16, 16)),
                "audio_encoder": YAMNet(0.0625, stage=6),
                **{"dim": 4, "bridge_layers": 1, "num_heads": 1, "mlp_dim": 4},
                **{"multi_band": False, "num_candidates": count, "extractor_filters": 2},
            },
            make_inputs("AVSSAN"),
            {
                "doa": (BATCH, 180),
                "mask": (BATCH, FRAMES, 513),
                "masked_spectrogram": (BATCH, FRAMES, 513, 4),
                "band_attention_full": (BATCH, 1),
                "band_weights": (BATCH, FRAMES, 1),
                "prompt_semantics": (BATCH, 4),
                "similarity": (BATCH,),
                "mixture_doa": (BATCH, 180),
                "candidate_azimuths": (BATCH, count),
                "candidate_evidence": (BATCH, count),
                "candidate_weights": (BATCH, count),
                "presence": (BATCH,),
            },
        )


class TestTasks(TestCase):
    """Serialisation, calls, `predict` and `fit` on arrays and datasets, presets."""

    def check(self, cls, shapes, **init_kwargs):
        x = make_inputs(cls.__name__)
        y = {
            "azimuth": np.array([40.0, 90.0], "float32"),
            "target": 0.5 * x["audio"],
            "interferer_azimuth": np.array([120.0, np.nan], "float32"),
        }
        self.run_task_test(
            cls=cls,
            init_kwargs=init_kwargs,
            # Data in the model's form: `fit` and `predict` of localisers do not preprocess.
            train_data=(x, y, np.array([1.0, 0.5], "float32")),
            expected_output_shape=shapes,
            batch_size=BATCH,
            # Op by op a step is quick, except where each operation is compiled on its own.
            compile_kwargs={"run_eagerly": keras.backend.backend() != "jax"},
        )
        task = cls(**init_kwargs)
        task.save_to_preset(self.get_temp_dir())
        outputs = keras.tree.map_structure(keras.ops.convert_to_numpy, task(x))
        self.run_preset_test(cls, self.get_temp_dir(), x, expected_output=outputs)
        task.preprocessor = None  # as users of KerasHub do, to preprocess on their own
        self.run_serialization_test(task)

    @pytest.mark.one_backend
    def test_avssan(self):
        self.check(AVSSAN, AVSSAN_SHAPES, **avssan_arguments())


class TestPreprocessors(TestCase):
    """Serialisation, and data in the model's form by themselves, in `tf.data` and in Grain.

    `run_preprocessor_test` also sets `sequence_length`, a number of tokens: recordings and pictures
    have no such length, so that this is the part of it for every preprocessor.
    """

    def check(self, cls, name, **init_kwargs):
        labels = {"azimuth": np.array([40.0, 90.0], "float32")}
        weights = np.array([1.0, 0.5], "float32")
        x = make_inputs(name)
        for data in (x, (x, labels), (x, labels, weights)):
            self.run_preprocessing_layer_test(cls, init_kwargs, data, expected_output=data)

    def test_pictures(self):
        for cls in (AVSSANPreprocessor, LocalizerPreprocessor):
            self.check(cls, "AVSSAN", image_size=(16, 16), min_duration=0.25)

    @pytest.mark.one_backend
    def test_embeddings(self):
        self.check(LocalizerPreprocessor, "AVST", image_size=None, prompt_dim=DIM)

    @pytest.mark.one_backend
    def test_promptless(self):
        self.check(LocalizerPreprocessor, "GCCMLP", image_size=None)


def avssan_arguments():
    return {
        "image_encoder": ConvImageEncoder(DIM, (4,), (16, 16)),
        "audio_encoder": LogMelEncoder(4, (2,), num_mels=8),
        **{"dim": 4, "bridge_layers": 1, "num_heads": 1, "mlp_dim": 4},
    }


def make_inputs(name):
    """Inputs of a task in the model's form."""
    audio = np.random.default_rng(0).normal(size=(BATCH, SAMPLES, 2)).astype("float32")
    if name == "AVSSAN":
        return {"audio": audio, "images": np.full((BATCH, 16, 16, 3), 0.5, "float32")}
    if not getattr(models, name).backbone_cls.takes_prompt:
        return {"audio": audio}
    return {"audio": audio, "prompt_embedding": np.ones((BATCH, DIM), "float32")}


def _backbone_test(name):
    def test(self):
        cls = getattr(models, name).backbone_cls
        arguments = {"prompt_dim": DIM, **SMALL[name]}
        self.check(cls, arguments, make_inputs(name), {"doa": (BATCH, 180)})

    return pytest.mark.one_backend(test)


def _task_test(name):
    def test(self):
        cls = getattr(models, name)
        shapes = {"doa": (BATCH, 180), **FURTHER_SHAPES.get(name, {})}
        self.check(cls, shapes, prompt_dim=DIM, **SMALL[name])

    return pytest.mark.one_backend(test)


for _name in SMALL:
    setattr(TestBackbones, f"test_{_name.lower()}", _backbone_test(_name))
    setattr(TestTasks, f"test_{_name.lower()}", _task_test(_name))
