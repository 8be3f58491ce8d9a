"""How many threads PyTorch simulates with."""

import contextlib
import threading
from collections.abc import Iterator

import keras
from keras import ops

_LOCK = threading.Lock()
_entered = 0  # threads that simulate at present
_number = 1  # what PyTorch had before the first of them


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limits PyTorch to one thread for each operation; other backends stay as they are.

    The operations of a room are so short that threads wait for each other most of the time.
    """
    global _entered, _number
    if keras.config.backend() != "torch":
        yield
        return
    import torch

    with _LOCK:
        if not _entered:
            _number = torch.get_num_threads()
        _entered += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _LOCK:
            _entered -= 1
            torch.set_num_threads(_number)


def default_workers() -> int:
    """Rooms that are simulated at a time: PyTorch's number of threads on a CPU, otherwise one."""
    if keras.config.backend() != "torch":
        return 1
    import torch

    on_cpu = ops.zeros(()).device.type == "cpu"
    return torch.get_num_threads() if on_cpu else 1
