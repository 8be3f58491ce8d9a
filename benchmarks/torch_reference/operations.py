"""Counts the operations and bytes of a step, and measures what the machine can do of both."""

import math
import time
from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Operations(TorchDispatchMode):
    """Notes floating-point operations and bytes of every kernel that runs within it.

    Operations are those of matrix products, convolutions, attention (a multiplication and an
    addition are two) and Fourier transforms; bytes are the kernels' inputs and outputs. Views are
    left out.
    """

    def __init__(self):
        super().__init__()
        self.kernels = []  # name, operations, bytes

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        output = function(*arguments, **(keywords or {}))
        inputs = _tensors((arguments, keywords))
        outputs = _tensors(output)
        storages = {_address(tensor) for tensor in inputs}
        written = [tensor for tensor in outputs if _address(tensor) not in storages]
        if written or function._schema.is_mutable:
            size = sum(tensor.numel() * tensor.element_size() for tensor in inputs + outputs)
            name = str(function._overloadpacket).removeprefix("aten.")
            flops = _flops(function, arguments, keywords or {}, output)
            self.kernels.append((name, flops, size))
        return output

    @property
    def flops(self):
        """Floating-point operations of all kernels."""
        return sum(flops for _, flops, _ in self.kernels)

    @property
    def bytes(self):
        """Bytes that all kernels read and write."""
        return sum(size for _, _, size in self.kernels)

    def largest(self, count=12):
        """Kernels by name with the most bytes: (name, calls, operations, bytes)."""
        calls, flops, sizes = Counter(), Counter(), Counter()
        for name, own_flops, size in self.kernels:
            calls[name] += 1
            flops[name] += own_flops
            sizes[name] += size
        return [(name, calls[name], flops[name], size) for name, size in sizes.most_common(count)]

    def least_seconds(self, flops_per_second, bytes_per_second):
        """Seconds of all kernels, one after the other, each at the machine's limits."""
        return sum(
            max(flops / flops_per_second, size / bytes_per_second)
            for _, flops, size in self.kernels
        )


def _tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _address(tensor):
    return tensor.untyped_storage().data_ptr()


def _flops(function, arguments, keywords, output):
    packet = function._overloadpacket
    name = str(packet)
    if "scaled_dot_product" in name:
        # Two products forward; five backward, for one of them is computed again.
        first = 1 if "backward" in name else 0
        query, key = arguments[first], arguments[first + 1]
        return (10 if first else 4) * query.numel() * key.shape[-2]
    if "_fft_" in name:
        length = max(arguments[0].shape[-1], output.shape[-1])
        return round(2.5 * math.log2(length) * max(arguments[0].numel(), output.numel()))
    if packet in flop_registry:
        return flop_registry[packet](*arguments, **keywords, out_val=output)
    return 0


def machine_limits(device, dtype, repeats=5):
    """Measured operations and bytes a second: matrix products, and copies between two arrays.

    Args:
        device: Name of the device.
        dtype: Data type of the matrices.
        repeats: Runs, of which the fastest counts.

    Returns:
        Tuple of operations a second and bytes a second, read and written together.
    """
    on_gpu = device != "cpu"
    size = 8192 if on_gpu else 2048
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    source = torch.zeros(2**28 if on_gpu else 2**25, device=device)
    target = torch.zeros_like(source)
    product = _fastest(lambda: torch.matmul(left, right), repeats)
    copy = _fastest(lambda: target.copy_(source), repeats)
    return 2 * size**3 / product, 2 * source.numel() * source.element_size() / copy


def _fastest(function, repeats):
    times = []
    for _ in range(repeats + 1):
        synchronize()
        started = time.perf_counter()
        function()
        synchronize()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def synchronize():
    """Waits for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
