"""Random generators that belong to no model."""

import sys

import numpy as np


def read_random_state():
    """The states of PyTorch's generators, from which Keras' dropout draws under PyTorch.

    Other backends draw from the generators of the model alone.

    Returns:
        List of uint8 arrays, one a device; empty where PyTorch is not in use.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states += torch.cuda.get_rng_state_all()
    return [np.array(state.cpu().numpy()) for state in states]


def restore_random_state(states):
    """Brings PyTorch's generators to states.

    Args:
        states: What `read_random_state` returned, here or on a machine with other devices.
    """
    torch = sys.modules.get("torch")
    if torch is None or not states:
        return
    first, *others = (torch.from_numpy(np.array(state)) for state in states)
    torch.set_rng_state(first)
    for device, state in zip(range(torch.cuda.device_count()), others, strict=False):
        torch.cuda.set_rng_state(state, device)
