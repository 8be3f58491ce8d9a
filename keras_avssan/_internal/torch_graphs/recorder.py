"""Records what a function does with tensors, as a graph that computes the same."""

from collections.abc import Callable, Iterable
from typing import Any
from weakref import ReferenceType, ref

import keras
import numpy as np
import torch
from torch import fx
from torch.overrides import TorchFunctionMode

# What is read of a tensor without its numbers: the same in every run with the same shapes.
_STATIC_ATTRIBUTES = frozenset(
    "device dtype grad_fn is_cpu is_cuda is_leaf is_meta is_mps is_quantized is_sparse is_xpu "
    "itemsize layout names nbytes ndim requires_grad shape".split()
)
_STATIC_METHODS = frozenset(
    "__hash__ __len__ can_cast dim element_size get_device is_complex is_contiguous is_conj "
    "is_floating_point is_neg is_same_size is_signed ndimension nelement numel promote_types "
    "result_type size storage_offset stride".split()
)
# What draws numbers, or has none yet. An operation with a generator of its own is not recorded.
_RANDOM = tuple(
    "bernoulli cauchy dropout empty exponential geometric log_normal multinomial normal poisson "
    "rand rrelu uniform".split()
)
_PYTHON = (bool, int, float, complex, str, type(None), type(...))
_PLAIN = (*_PYTHON, torch.dtype, torch.device, torch.layout, torch.memory_format)


class Recorder(TorchFunctionMode):
    """While active, records every operation of PyTorch in a graph.

    The operations are those that Python calls, above automatic differentiation, so the graph has
    the gradients of the function. `problem` says what kept it from being recorded, if anything.
    """

    def __init__(self, inputs: Iterable[torch.Tensor], variables: Iterable[keras.Variable]) -> None:
        super().__init__()
        self.problem: str | None = None
        self.variables: dict[int, keras.Variable] = {}  # those used, by the id of their tensor
        self._all = {id(one._value): one for one in variables}
        self._graph = fx.Graph()
        self._tensors: dict[str, torch.Tensor] = {}  # that the graph holds, by name
        self._known: dict[int, tuple[ReferenceType[torch.Tensor], fx.Node, bool]] = {}
        # Tensors that are the same in every run, kept alive, with their versions.
        self._constants: dict[int, torch.Tensor] = {}
        self._used: list[tuple[torch.Tensor, int]] = []
        self._trained: dict[int, bool] = {}  # whether the arguments of a call have a gradient
        self._enabled: bool | None = None  # whether gradients are, at the end of the graph
        for index, tensor in enumerate(inputs):
            self._add(tensor, self._graph.placeholder(f"input_{index}"))

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        args, kwargs = _map((args, kwargs or {}), keras.Variable, lambda one: one.value)
        if self.problem is None:  # before an operation in place can change it
            self._trained = {id(one): one.requires_grad for one in _tensors_in((args, kwargs))}
        result = func(*args, **kwargs)
        if self.problem is None:
            try:
                self._record(func, args, kwargs, result)
            except _NotRecordedError as error:
                self.problem = str(error)
        return result

    def finish(self, outputs: Iterable[torch.Tensor]) -> fx.GraphModule | None:
        """The graph, a function of the inputs that returns a tuple; `None` after a problem."""
        self._trained = {}
        try:
            nodes = tuple(self._node(tensor) for tensor in outputs)
        except _NotRecordedError as error:
            self.problem = self.problem or str(error)
        if any(tensor._version != version for tensor, version in self._used):
            self.problem = self.problem or "a constant was changed"
        if self.problem is not None:
            return None
        self._graph.output(nodes)
        return fx.GraphModule(self._tensors, self._graph)

    def _record(self, func: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        tensors = _tensors_in((args, kwargs))
        name = getattr(func, "__name__", str(func))
        if name in ("__get__", "__set__", "__delete__"):
            attribute = func.__self__.__name__
            if name == "__get__" and attribute in _STATIC_ATTRIBUTES:
                return
            if name != "__get__":
                raise _NotRecordedError(f"`{attribute}` of a tensor was set")
            func, args = getattr, (*args, attribute)
        if name in ("_set_grad_enabled", "set_grad_enabled"):
            return
        outputs = [result] if isinstance(result, torch.Tensor) else result
        changes, random = changes_in_place(func, kwargs), draws_numbers(func)
        if all(id(tensor) in self._constants for tensor in tensors) and not random:
            for tensor in _tensors_in(outputs):
                self._constants[id(tensor)] = tensor
            return
        if name in _STATIC_METHODS and not _tensors_in(outputs):
            return
        changed = _tensors_in((args[:1], kwargs.get("out"))) if changes else []
        if any(id(tensor) in self._constants for tensor in changed):
            raise _NotRecordedError(f"`{name}` changes a constant")
        if not changes and any(result is tensor for tensor in tensors):
            return  # nothing was to be done, as of a tensor that is on the device already
        sequence = isinstance(outputs, list | tuple)
        if not (changes and result is None) and not (
            sequence and outputs and all(isinstance(one, torch.Tensor) for one in outputs)
        ):
            raise _NotRecordedError(f"`{name}` reads numbers of a tensor")
        self._add_call(func, args, kwargs, result)

    def _add_call(self, func: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        nodes = self._argument(args), self._argument(kwargs)
        if torch.is_grad_enabled() != self._enabled:
            self._enabled = torch.is_grad_enabled()
            self._graph.call_function(torch._C._set_grad_enabled, (self._enabled,))
        node = self._graph.call_function(func, *nodes)
        if isinstance(result, torch.Tensor):
            self._add(result, node)
        elif result is not None:
            for index, tensor in enumerate(result):
                self._add(tensor, self._graph.call_function(_item, (node, index)))

    def _add(self, tensor: torch.Tensor, node: fx.Node) -> None:
        if id(tensor) not in self._all:
            self._known[id(tensor)] = (ref(tensor), node, tensor.requires_grad)

    def _argument(self, value: Any) -> Any:
        """An argument as the graph takes it."""
        if isinstance(value, torch.Tensor):
            return self._node(value)
        if isinstance(value, dict):
            return {key: self._argument(one) for key, one in value.items()}
        if isinstance(value, list | tuple):  # those with names become plain ones
            parts = [self._argument(one) for one in value]
            return parts if isinstance(value, list) else tuple(parts)
        if isinstance(value, slice):
            return slice(*map(self._argument, (value.start, value.stop, value.step)))
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, _PLAIN):
            raise _NotRecordedError(f"an argument is of {type(value)}")
        return value

    def _node(self, tensor: torch.Tensor) -> fx.Node:
        """The node of a tensor: an input, a result, a variable's value or a constant."""
        key = id(tensor)
        if key in self._all:
            self.variables[key] = self._all[key]
        elif key in self._constants:
            self._used.append((tensor, tensor._version))
        else:
            alive = self._known[key][0]() if key in self._known else None
            if alive is None or alive is not tensor:
                raise _NotRecordedError("a tensor comes from outside")
            _, node, requires_grad = self._known[key]
            trained = self._trained.get(key, tensor.requires_grad)
            if requires_grad != trained:  # of an operation with its own gradient
                raise _NotRecordedError("the gradient of a tensor was redefined")
            return node
        self._tensors[f"tensor_{key}"] = tensor
        return self._graph.get_attr(f"tensor_{key}")


def changes_in_place(func: Any, kwargs: dict[str, Any]) -> bool:
    """Whether an operation changes its first argument, or `out`."""
    name = getattr(func, "__name__", "")
    if name.startswith("__"):
        return name == "__setitem__" or name.startswith("__i") and name != "__invert__"
    return name.endswith("_") or "out" in kwargs


def draws_numbers(func: Any) -> bool:
    """Whether an operation draws random numbers, or returns memory as it is."""
    return any(getattr(func, "__name__", "").startswith(one) for one in _RANDOM)


class _NotRecordedError(Exception):
    """An operation that a graph cannot repeat."""


def _item(values: Any, index: int) -> Any:
    return values[index]


def _map(value: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """Nested lists, tuples and dicts with a function of their parts of a kind."""
    if isinstance(value, kind):
        return function(value)
    if type(value) in (list, tuple):
        return type(value)(_map(one, kind, function) for one in value)
    if type(value) is dict:
        return {key: _map(one, kind, function) for key, one in value.items()}
    return value


def _tensors_in(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, slice):
        value = [value.start, value.stop, value.step]
    if isinstance(value, list | tuple):
        return [tensor for one in value for tensor in _tensors_in(one)]
    return []
