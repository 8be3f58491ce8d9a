"""Every network passes the harness that KerasHub holds its own backbones to."""

import numpy as np
import pytest
from keras_hub.src.tests.test_case import TestCase

from keras_avssan import AVSSANBackbone, models
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder, YAMNet

BATCH, SAMPLES, DIM = 2, 8000, 6
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

    def inputs(self, **more):
        rng = np.random.default_rng(0)
        return {"audio": rng.normal(size=(BATCH, SAMPLES, 2)).astype("float32"), **more}

    def test_avssan(self):
        images = np.full((BATCH, 16, 16, 3), 0.5, "float32")
        frames = 1 + SAMPLES // 512
        self.check(
            AVSSANBackbone,
            {
                "image_encoder": ConvImageEncoder(DIM, (4,), (16, 16)),
                "audio_encoder": LogMelEncoder(4, (2,), num_mels=8),
                **{"dim": 4, "bridge_layers": 1, "num_heads": 1, "mlp_dim": 4},
            },
            self.inputs(images=images),
            {
                "doa": (BATCH, 180),
                "mask": (BATCH, frames, 513),
                "masked_spectrogram": (BATCH, frames, 513, 4),
                "band_attention_fine": (BATCH, 16),
                "band_attention_mid": (BATCH, 4),
                "band_attention_full": (BATCH, 1),
                "band_weights": (BATCH, frames, 3),
                "prompt_semantics": (BATCH, 4),
                "similarity": (BATCH,),
            },
        )

    @pytest.mark.one_backend
    def test_avssan_with_candidates(self):
        frames, count = 1 + SAMPLES // 512, 2
        self.check(
            AVSSANBackbone,
            {
                "image_encoder": ConvImageEncoder(DIM, (4,), (16, 16)),
                "audio_encoder": YAMNet(0.0625, stage=6),
                **{"dim": 4, "bridge_layers": 1, "num_heads": 1, "mlp_dim": 4},
                **{"multi_band": False, "num_candidates": count, "extractor_filters": 2},
            },
            self.inputs(images=np.full((BATCH, 16, 16, 3), 0.5, "float32")),
            {
                "doa": (BATCH, 180),
                "mask": (BATCH, frames, 513),
                "masked_spectrogram": (BATCH, frames, 513, 4),
                "band_attention_full": (BATCH, 1),
                "band_weights": (BATCH, frames, 1),
                "prompt_semantics": (BATCH, 4),
                "similarity": (BATCH,),
                "mixture_doa": (BATCH, 180),
                "candidate_azimuths": (BATCH, count),
                "candidate_evidence": (BATCH, count),
                "candidate_weights": (BATCH, count),
                "presence": (BATCH,),
            },
        )


def _baseline_test(name):
    def test(self):
        cls = getattr(models, name).backbone_cls
        prompt = {}
        if cls.takes_prompt:
            prompt["prompt_embedding"] = np.ones((BATCH, DIM), "float32")
        arguments = {"prompt_dim": DIM, **SMALL[name]}
        self.check(cls, arguments, self.inputs(**prompt), {"doa": (BATCH, 180)})

    return pytest.mark.one_backend(test)


for _name in SMALL:
    setattr(TestBackbones, f"test_{_name.lower()}", _baseline_test(_name))
