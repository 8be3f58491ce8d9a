"""Steps of a model that run as recorded graphs, once they have run as they are."""

import types
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from operator import itemgetter
from typing import Any

import keras
import numpy as np
import torch

from keras_avssan._internal.torch_graphs.recorder import Recorder
from keras_avssan._internal.torch_graphs.shortened import drop_copies, with_prepared_weights

# Shapes of inputs for which graphs are kept; of recordings of ever new lengths, none is.
_MAX_GRAPHS = 16
# Whose code is known to do the same in every run, apart from what settings and tensors say.
_TRUSTED = frozenset({"keras", "keras_avssan", "keras_hub", "torch"})
_UNSEEN: Any = object()
_MAX_SEEN = 1024  # numbers of an array whose values are compared
_OPAQUE = (keras.layers.Lambda, keras.layers.TorchModuleWrapper)
_KINDS: tuple[Any, ...] = (keras.Layer, keras.Loss, keras.Metric)
_KINDS += (keras.constraints.Constraint, keras.regularizers.Regularizer)
_CODE = (types.FunctionType, types.MethodType)
_SETTINGS = frozenset({bool, int, float, str, type(None), *_CODE})
# Methods that Keras or this library wraps in single parts, and that no step calls.
_WRAPPED = frozenset({"build", "load_own_variables", "quantize"})
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_DTYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.int32, torch.int64})


class RecordedSteps:
    """Runs functions of a model; repeats them as graphs where they do the same as before.

    The first call with inputs of some shapes runs the function, the second one also records what
    it does, and further ones run the recorded operations alone, without the layers' Python: the
    same operations in the same order, so the same numbers, gradients and changes of variables.
    Where anything else could matter, the function itself runs: code of the user's, hooks, random
    numbers, control flow that depends on numbers. Other settings of a part begin a new recording.
    """

    def __init__(self, parts: Iterable[Any], compiled: bool = False) -> None:
        self.parts = tuple(parts)
        self.compiled = compiled
        self.problems: dict[str, str] = {}  # by the name of a step that cannot be recorded
        self._graphs: OrderedDict[Hashable, _Graph | None] = OrderedDict()
        self._attributes = [vars(part) for part in self.parts]
        self._hooks = [one[name] for one in self._attributes for name in _HOOKS if name in one]
        self._watched: list[tuple[Callable[[Any], Any], Callable[[Any], Any], dict[str, Any]]] = []
        self._settings: list[Any] = []
        self._held: list[Any] = []  # keeps the identities of what was seen from being used again
        self.is_trusted()

    def is_trusted(self) -> bool:
        """Whether all parts do the same in every run with the same settings; checks new ones."""
        if self._settings != self._current_settings():
            self._watched = [one for held in self._attributes for one in _watched_in(held)]
            self._held = [get(held) for get, _, held in self._watched]
            self._settings = self._current_settings()
            self._graphs.clear()
            reason = next(filter(None, map(_reason, self.parts)), None)
            self.problems = {} if reason is None else {"all": reason}
        return "all" not in self.problems

    def _current_settings(self) -> list[Any]:
        """What is seen of the attributes of each part, and how many there are."""
        try:
            values = [see(get(attributes)) for get, see, attributes in self._watched]
        except KeyError:  # an attribute was deleted
            values = []
        return [*values, *map(len, self._attributes)]

    def __call__(
        self,
        name: str,
        function: Callable[[Any], Any],
        inputs: Any,
        variables: Callable[[], Iterable[keras.Variable]],
    ) -> Any:
        """Outputs of a function, named `name`, for nested inputs."""
        if not self.is_trusted() or name in self.problems:
            return function(inputs)
        leaves: list[torch.Tensor] = []
        form = _flatten(inputs, leaves)
        if form is None or torch.is_autocast_enabled(_device().type) or any(self._hooks):
            return function(inputs)
        # One tensor in two places is one input of a graph; those of inference have no versions.
        if len(set(map(id, leaves))) < len(leaves) or torch.is_inference_mode_enabled():
            return function(inputs)
        key = (name, form, str(_device()), torch.is_grad_enabled(), keras.config.epsilon())
        graph = self._graphs.get(key, _UNSEEN)
        if graph is _UNSEEN:
            self._keep(key, None)
            return function(_rebuild(form, leaves))
        self._keep(key, graph)  # as the latest one
        if graph is not None and graph.is_current():
            return graph(leaves)
        used = list(variables())
        if {id(one._value) for one in used}.intersection(map(id, leaves)):
            return function(inputs)
        return self._record(key, function, leaves, used)

    def _record(
        self,
        key: Any,
        function: Callable[[Any], Any],
        leaves: list[torch.Tensor],
        variables: Iterable[keras.Variable],
    ) -> Any:
        recorder = Recorder(leaves, variables)
        with recorder:
            outputs = function(_rebuild(key[1], leaves))
        results: list[torch.Tensor] = []
        form = _flatten(outputs, results)
        module = None if form is None else recorder.finish(results)
        if module is None or form is None:
            self.problems[key[0]] = recorder.problem or "an output is not a tensor"
        elif self._settings == self._current_settings():
            used = [(one, _state_of(one)) for one in recorder.variables.values()]
            drop_copies(module)
            run = module if torch.is_grad_enabled() else with_prepared_weights(module)
            if self.compiled:
                run = torch.compile(module, dynamic=False)
            self._keep(key, _Graph(run, form, used))
        return outputs

    def _keep(self, key: Hashable, graph: "_Graph | None") -> None:
        self._graphs.pop(key, None)  # other threads may have taken it
        self._graphs[key] = graph
        while len(self._graphs) > _MAX_GRAPHS:
            self._graphs.popitem(last=False)


class _Graph:
    """A recorded function of a list of tensors, with the variables that it reads and changes."""

    def __init__(
        self, run: Callable[..., Any], form: Any, variables: list[tuple[Any, tuple[Any, ...]]]
    ) -> None:
        self._run, self._form, self._variables = run, form, variables

    def is_current(self) -> bool:
        """Whether the variables have the tensors that they had, and are trained as they were."""
        return all(
            now is before
            for one, state in self._variables
            for now, before in zip(_state_of(one), state, strict=True)
        )

    def __call__(self, leaves: list[torch.Tensor]) -> Any:
        with torch.set_grad_enabled(torch.is_grad_enabled()):  # which the graph switches
            return _rebuild(self._form, self._run(*leaves))


def parts_of(*roots: Any) -> list[Any]:
    """What takes part in a step: models, losses, metrics, an optimizer, and what they hold."""
    found: dict[int, Any] = {}
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list | tuple):
            waiting.extend(one.values() if isinstance(one, dict) else one)
        elif not isinstance(one, str | None) and id(one) not in found:
            found[id(one)] = one
            if isinstance(one, keras.Layer):
                waiting.extend(one._flatten_layers())
            held = vars(one).values() if isinstance(one, (keras.Optimizer, *_KINDS)) else ()
            waiting.extend(part for part in held if isinstance(part, _KINDS))
    return list(found.values())


def _reason(part: Any) -> str | None:
    """Why a part is not trusted to do the same in every run, or `None` where it is."""
    cls = part if isinstance(part, _CODE) else type(part)
    if (cls.__module__ or "").split(".")[0] not in _TRUSTED or isinstance(part, _OPAQUE):
        return f"{cls.__module__}.{cls.__qualname__} is not a part of Keras or this library"
    for name, value in vars(part).items():
        if not callable(value) or isinstance(value, (type, *_KINDS)) or name in _WRAPPED:
            continue  # those of Keras's kinds are parts themselves
        # An instance with `__call__`, or a `functools.partial`, is of the module of its class.
        owner = value if isinstance(value, _CODE) else type(value)
        module = (getattr(owner, "__module__", None) or "").split(".")[0]
        replaced = isinstance(value, _CODE) and callable(getattr(cls, name, None))
        if module not in _TRUSTED or replaced:
            return f"`{name}` of {cls.__qualname__} is a function from outside"
    return None


def _watched_in(attributes: dict[str, Any]) -> list[tuple[Any, Any, dict[str, Any]]]:
    """How to get and to see the settings of a part: values, containers, and other objects."""
    names = [n for n in attributes if n[:1] != "_" or n in ("_trainable", "_dtype_policy")]
    kinds: dict[Any, list[str]] = {tuple: [], _contents: [], _identities: []}
    for name in names:
        value = attributes[name]
        if type(value) in _SETTINGS or isinstance(value, np.generic):
            kinds[tuple].append(name)
        elif isinstance(value, (list, tuple, dict, np.ndarray, torch.Tensor)):
            kinds[_contents].append(name)
        else:
            kinds[_identities].append(name)
    # With two names `itemgetter` returns a tuple.
    return [(itemgetter(*some, some[0]), see, attributes) for see, some in kinds.items() if some]


def _identities(values: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(map(id, values))


def _contents(value: Any) -> Any:
    """What can be compared of a container or an array."""
    if isinstance(value, dict):
        return tuple((str(key), _contents(one)) for key, one in value.items())
    if type(value) in (list, tuple):
        return tuple(map(_contents, value))
    if isinstance(value, np.ndarray):
        return id(value), value.tobytes() if value.size <= _MAX_SEEN else None
    if isinstance(value, torch.Tensor):
        return id(value), value._version
    return value if type(value) in _SETTINGS or isinstance(value, np.generic) else id(value)


def _state_of(variable: Any) -> tuple[Any, ...]:
    """What a graph holds of a variable."""
    return variable._value, variable.trainable, variable.constraint, variable.regularizer


def _device() -> torch.device:
    return torch.device(keras.src.backend.torch.core.get_device())


def _flatten(value: Any, leaves: list[torch.Tensor]) -> Any:
    """Adds the tensors of a nested value to `leaves`; returns its form, or `None` for others.

    A form says where they are and describes them: dtype, shape and order in memory.
    """
    if isinstance(value, np.ndarray) and value.dtype in (np.float32, np.int32, np.int64):
        value = keras.ops.convert_to_tensor(value)
    if isinstance(value, keras.KerasTensor):
        return None
    if isinstance(value, torch.Tensor):
        leaves.append(value)
        known = value.dtype in _DTYPES and not value.is_meta
        form = (value.dtype, value.shape, value.stride(), value.device, value.requires_grad)
        return ("tensor", form) if known else None
    if value is None:
        return ("none", None)
    if type(value) is dict:
        parts = {key: _flatten(one, leaves) for key, one in value.items()}
        return None if None in parts.values() else ("dict", tuple(parts.items()))
    if type(value) in (list, tuple):
        forms = tuple(_flatten(one, leaves) for one in value)
        return None if None in forms else (type(value).__name__, forms)
    return None


def _rebuild(form: Any, leaves: Iterable[torch.Tensor]) -> Any:
    """The nested value of a form, with other tensors."""
    return _rebuild_part(form, iter(leaves))


def _rebuild_part(form: Any, leaves: Any) -> Any:
    kind, parts = form
    if kind == "tensor":
        return next(leaves)
    if kind == "none":
        return None
    if kind == "dict":
        return {key: _rebuild_part(part, leaves) for key, part in parts}
    built = [_rebuild_part(part, leaves) for part in parts]
    return built if kind == "list" else tuple(built)
