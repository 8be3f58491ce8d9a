"""Named configurations of AV-SSAN: how the network is built and how it is trained."""

from keras_avssan.doa.losses import JointLoss

CONFIGURATIONS = {
    # The letter of the paper.
    "paper": {
        "interaction": False,
        "scale_prompt": False,
        "ipd": "angle",
        "ild_scale": 1.0,
        "residual": None,
        "doa_form": "spectrogram",
    },
    # Our decisions, each with its evidence in docs/design-decisions.md.
    "base": {},
}

_LOSSES = {
    "paper": {
        "doa": "mse",
        "reconstruction": "mse",
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

LEARNING_RATES = {"paper": 5e-3, "base": 3e-3}


def check_configuration(configuration):
    """Refuses an unknown name.

    Args:
        configuration: Name of a configuration.

    Raises:
        ValueError: If there is no such configuration.
    """
    if configuration not in CONFIGURATIONS:
        raise ValueError(
            f"`configuration` must be one of {tuple(CONFIGURATIONS)}. "
            f"Received: configuration={configuration!r}"
        )


def make_loss(configuration):
    """Makes the loss that a configuration trains with.

    Args:
        configuration: `"paper"` or `"base"`.

    Returns:
        A `JointLoss`.
    """
    return JointLoss(**_LOSSES[configuration])
