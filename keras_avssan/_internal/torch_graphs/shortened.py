"""Recorded graphs without what is done twice: the same numbers in less time."""

from typing import Any

import numpy as np
import torch
from torch import fx

from keras_avssan._internal.torch_graphs.recorder import changes_in_place, draws_numbers

_PARTS = 8  # of a tensor, summed separately: a sum does not change with the order of numbers
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


def drop_copies(module: fx.GraphModule) -> None:
    """Removes copies in another order of memory that are only copied once more.

    Before a convolution Keras brings pictures to channels first, and then back to channels last.
    """
    for node in list(module.graph.nodes):
        if _is_copy(node) and len(node.users) == 1:
            (user,) = node.users
            if _is_copy(user) and user.args[0] is node and user.kwargs:
                node.replace_all_uses_with(node.args[0])
                module.graph.erase_node(node)
    module.recompile()


def _is_copy(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target is torch.Tensor.contiguous


def with_prepared_weights(module: fx.GraphModule) -> Any:
    """A graph whose operations on weights alone run only after weights have changed.

    Of a graph without gradients on the CPU; others stay as they are.
    """
    alone: set[fx.Node] = set()
    for node in module.graph.nodes:
        drawn = node.op == "call_function" and draws_numbers(node.target)
        inner = bool(node.all_input_nodes) and not drawn and node.op == "call_function"
        if node.op == "get_attr" or inner and alone.issuperset(node.all_input_nodes):
            alone.add(node)
        elif node.op == "call_function" and changes_in_place(node.target, node.kwargs):
            if alone.intersection(node.all_input_nodes[:1]):
                return module  # it would change what is prepared
    tensors = [getattr(module, node.target) for node in alone if node.op == "get_attr"]
    if not tensors or any(tensor.device.type != "cpu" or tensor.is_sparse for tensor in tensors):
        return module
    return _PreparedGraph(module, alone, tensors)


class _PreparedGraph:
    """Two graphs: of the weights alone, and of the inputs and what the first one returns."""

    def __init__(
        self, module: fx.GraphModule, alone: set[fx.Node], tensors: list[torch.Tensor]
    ) -> None:
        first, second = fx.Graph(), fx.Graph()
        copied: dict[fx.Node, fx.Node] = {}
        placed: dict[fx.Node, fx.Node] = {}
        nodes = list(module.graph.nodes)
        results = [one for one in nodes if one in alone and not alone.issuperset(one.users)]
        for node in nodes:
            if node in alone:
                copied[node] = first.node_copy(node, copied.__getitem__)
            elif node.op == "placeholder":
                placed[node] = second.node_copy(node, placed.__getitem__)
        for number, node in enumerate(results):
            placed[node] = second.placeholder(f"prepared_{number}")
        for node in nodes:
            if node not in alone and node.op != "placeholder":
                placed[node] = second.node_copy(node, placed.__getitem__)
        first.output(tuple(copied[node] for node in results))
        self._prepare, self._run = fx.GraphModule(module, first), fx.GraphModule({}, second)
        self._prepared: tuple[Any, ...] = ()
        self._tensors = tensors
        self._state: list[tuple[int, int, tuple[int, ...]]] = []

    def __call__(self, *inputs: torch.Tensor) -> Any:
        # What changes `tensor.data` in place leaves the version as it is: the sums show it.
        state = [(one._version, one.data_ptr(), _sums_of_bits(one)) for one in self._tensors]
        if state != self._state:
            self._prepared, self._state = self._prepare(), state
        return self._run(*inputs, *self._prepared)


def _sums_of_bits(tensor: torch.Tensor) -> tuple[int, ...]:
    """Sums over the parts of a tensor, the bits of its numbers read as whole numbers."""
    numbers = tensor.detach().view(_BITS[tensor.element_size()]).numpy()
    if numbers.size % _PARTS or not numbers.flags.c_contiguous:
        return (int(numbers.sum()),)
    numbers = numbers.reshape(_PARTS, -1)
    if numbers.nbytes % (8 * _PARTS) == 0:
        numbers = numbers.view(np.int64)  # half as many
    return tuple(numbers.sum(axis=1).tolist())
