"""Named configurations of AV-SSAN: how the network is built and how it is trained."""

from functools import partial
from typing import Any

import keras

from keras_avssan.doa.losses import JointLoss
from keras_avssan.encoders.log_mel_encoder import LogMelEncoder
from keras_avssan.encoders.vggish.vggish import VGGish

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    # As published, where the paper prints a form; docs/design-decisions.md lists all settings.
    "paper": {
        "interaction": False,
        "scale_prompt": False,
        "ipd": "difference",
        "ild_scale": 1.0,
        "ild_epsilon": "second",
        "residual": None,
        "doa_form": "spectrogram",
    },
    # This library's settings, which are the defaults; the same page has the evidence for each.
    "base": {},
}

_LOSSES: dict[str, dict[str, Any]] = {
    "paper": {
        "doa": "mse",
        "reconstruction": "sum",
        "doa_weight": 1.0,
        "reconstruction_weight": 1.0,
    },
    "base": {
        "doa": "cross_entropy",
        "reconstruction": "compressed",
        "doa_weight": 1.0,
        "reconstruction_weight": 5.0,
        "alignment_weight": 1.0,
    },
}

_OPTIMIZERS = {
    # The paper names AdamW and its rate; the decay is PyTorch's default.
    "paper": {"learning_rate": 5e-3, "weight_decay": 0.01},
    "base": {"learning_rate": 3e-3, "weight_decay": 1e-4, "clipnorm": 5.0},
}

# Named networks: description, arguments of `AVSSAN`, and functions that make further ones.
PRESETS: dict[str, dict[str, Any]] = {
    "avssan_paper": {
        "description": "As published: frozen VGGish, prompts embedded by CLIP ViT-B/32.",
        "arguments": {"configuration": "paper", "prompt_dim": 512},
        "parts": {"audio_encoder": partial(VGGish, gain=0.1, drop_remainder=True)},
    },
    "avssan_base": {
        "description": "This library's decisions, encoders that train with the task.",
        "arguments": {"configuration": "base"},
        "parts": {},
    },
    "avssan_small": {
        "description": "As `avssan_base`, of half the width: trains in minutes on two CPU cores.",
        "arguments": {"configuration": "base", "dim": 32, "mlp_dim": 128},
        "parts": {"audio_encoder": partial(LogMelEncoder, filters=(8, 16, 32))},
    },
}


def check_configuration(configuration: str) -> None:
    """Refuses an unknown name of a configuration."""
    if configuration not in CONFIGURATIONS:
        raise ValueError(
            f"`configuration` must be one of {tuple(CONFIGURATIONS)}. "
            f"Received: configuration={configuration!r}"
        )


def make_loss(configuration: str) -> JointLoss:
    """Makes the loss that a configuration trains with."""
    return JointLoss(**_LOSSES[configuration])


def make_optimizer(configuration: str) -> keras.optimizers.Optimizer:
    """Makes the AdamW that a configuration trains with."""
    return keras.optimizers.AdamW(**_OPTIMIZERS[configuration])
