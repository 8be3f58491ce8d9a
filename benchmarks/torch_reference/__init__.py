"""AV-SSAN, configuration `base`, in plain PyTorch: what the library's speed is measured against.

Written as a PyTorch programmer would, without Keras: `nn.Module`s, `torch.stft`, complex spectra,
channels first, fused attention, fused AdamW. `state_dict_from_keras` brings the weights of a Keras
model over; with them both compute the same outputs, losses and gradients.
"""

from torch_reference.network import AVSSAN
from torch_reference.training import make_optimizer, training_loss, training_step
from torch_reference.weights import state_dict_from_keras

__all__ = [
    "AVSSAN",
    "make_optimizer",
    "state_dict_from_keras",
    "training_loss",
    "training_step",
]
