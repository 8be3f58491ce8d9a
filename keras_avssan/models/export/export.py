"""Export of localisers to TensorFlow, ONNX, LiteRT, PyTorch and OpenVINO, by backend."""

import contextlib
import importlib.util
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from keras_avssan._internal.types import PathLike, Tensor
from keras_avssan.encoders.sound_effects_spectrogram import SoundEffectsSpectrogram
from keras_avssan.encoders.vggish.vggish_spectrogram import VGGishSpectrogram
from keras_avssan.encoders.yamnet.yamnet_spectrogram import YAMNetSpectrogram
from keras_avssan.layers.stereo_stft import StereoSTFT
from keras_avssan.models.export.settings import FILE, FOLDER, KEY, describe
from keras_avssan.models.export.signature import (
    Signature,
    check_free_duration,
    checked_signature,
    make_signature,
)

# Suffix of a format's file; a SavedModel is a folder.
SUFFIXES = {
    "tf_saved_model": "",
    "onnx": ".onnx",
    "litert": ".tflite",
    "torch": ".pt2",
    "openvino": ".xml",
}
# Layers that have the Fourier transform as a convolution, too.
_FRONT_ENDS = (StereoSTFT, SoundEffectsSpectrogram, VGGishSpectrogram, YAMNetSpectrogram)
# Outputs of a network that serve its training.
_INTERNAL = ("prompt_semantics", "similarity")
_ONNX_OPSET = 18
# Durations of the recordings that a model of any duration is traced with; they must differ, for
# PyTorch not to take them for one.
_TRACED_SECONDS = {"audio": 1.0, "prompt_audio": 1.5}
_TRACED_BATCH = 2  # PyTorch treats a batch of one as a constant


def export_localizer(
    model: Any,
    filepath: PathLike,
    format: str = "tf_saved_model",
    verbose: bool | None = None,
    input_signature: Any = None,
    prompt: str | None = None,
    duration: float | None = None,
    outputs: Sequence[str] | None = None,
    **kwargs: Any,
) -> None:
    """Writes the network of a localiser; `Localizer.export` describes the arguments."""
    filepath = pathlib.Path(filepath)
    write = _writer(format)
    _check_path(filepath, format)
    _check_precision(model, format)
    if input_signature is None:
        input_signature = make_signature(model, prompt, duration, format)
    signature = checked_signature(input_signature)
    check_free_duration(model, signature)
    names = _output_names(model, outputs)
    network = _Network(model.backbone, names, describe(model, signature, names))
    with tempfile.TemporaryDirectory(prefix=".export-", dir=filepath.parent) as folder:
        # Partial files stay in this folder, and are removed with it.
        draft = pathlib.Path(folder) / filepath.name
        with convolutional_front_ends(model):
            write(network, draft, signature, kwargs)
        for part in pathlib.Path(folder).iterdir():
            _replace(part, filepath.with_name(part.name))
    if verbose is None or verbose:
        print(f"saved {filepath}")


@contextlib.contextmanager
def convolutional_front_ends(model: keras.Model) -> Iterator[None]:
    """Lets all front ends of a model use convolutions in the context."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, _FRONT_ENDS)]
    before = [layer.implementation for layer in layers]
    for layer in layers:
        layer.implementation = "conv"
    try:
        yield
    finally:
        for layer, implementation in zip(layers, before, strict=True):
            layer.implementation = implementation


class _Network(keras.Model):
    """A backbone for inference, with the requested outputs; `settings` go into the file."""

    def __init__(self, backbone: keras.Model, names: Sequence[str], settings: str) -> None:
        super().__init__(name=backbone.name, dtype="float32")
        self.autocast = False
        self.backbone = backbone
        self.names = names
        self.settings = settings
        self.built = True

    def call(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        outputs = self.backbone(inputs, training=False)
        return {name: outputs[name] for name in self.names}


# --- arguments -------------------------------------------------------------------------------


def _writer(format: str) -> Callable[..., None]:
    """The function that writes a format under this process's backend."""
    if format not in SUFFIXES:
        raise ValueError(f"`format` must be one of {tuple(SUFFIXES)}. Received: format={format!r}")
    backend = keras.config.backend()
    if (backend, format) not in _WRITERS:
        others = [name for name, other in _WRITERS if other == format]
        here = [other for name, other in _WRITERS if name == backend]
        raise ValueError(
            f"The backend {backend!r} does not write format={format!r}. Save the model with "
            f"`save_to_preset` and export it in a process with KERAS_BACKEND={others[0]}, or take "
            f"one of the formats {here} here. Received: format={format!r}"
        )
    write, packages = _WRITERS[backend, format]
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"format={format!r} under the backend {backend!r} needs the packages {missing}: "
            f"pip install {' '.join(missing)}"
        )
    return write


def _check_path(filepath: pathlib.Path, format: str) -> None:
    suffix = SUFFIXES[format]
    if suffix and filepath.suffix != suffix:
        raise ValueError(
            f"`filepath` must end in {suffix!r} for format={format!r}. "
            f"Received: filepath={str(filepath)!r}"
        )
    if not filepath.parent.is_dir():
        raise ValueError(
            f"`filepath` must lie in a folder that exists. Received: filepath={str(filepath)!r}"
        )
    is_model = (filepath / "saved_model.pb").exists()
    if filepath.is_dir() and (suffix or (any(filepath.iterdir()) and not is_model)):
        raise ValueError(
            "`filepath` must not be a folder that holds something else. "
            f"Received: filepath={str(filepath)!r}"
        )


def _check_precision(model: Any, format: str) -> None:
    policy = model.backbone.dtype_policy
    if policy.compute_dtype != "float32":
        raise ValueError(
            f"format={format!r} needs a model that computes in float32: make one of the same "
            "arguments with dtype='float32' and give it the weights, "
            f"`new.set_weights(model.get_weights())`. Received: dtype={policy.name!r}"
        )


def _output_names(model: Any, outputs: Sequence[str] | None) -> list[str]:
    """Sorted names of the outputs to write."""
    names = sorted(set(model.backbone.output) - set(_INTERNAL))
    if outputs is None:
        return names
    if isinstance(outputs, str) or not outputs or set(outputs) - set(names):
        raise ValueError(f"`outputs` must be a list of {names}. Received: outputs={outputs!r}")
    return sorted(set(outputs))


def _replace(source: pathlib.Path, target: pathlib.Path) -> None:
    """Moves a file or folder to its final place, and replaces an older one."""
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


# --- one function a backend and format -------------------------------------------------------


def _write_saved_model(
    network: _Network, path: pathlib.Path, signature: Signature, options: dict[str, Any]
) -> None:
    archive = keras.export.ExportArchive()
    archive.track_and_add_endpoint("serve", network, [signature], **options)
    archive.write_out(str(path), verbose=False)
    (path / FOLDER).mkdir(exist_ok=True)
    (path / FOLDER / FILE).write_text(network.settings, "utf-8")


def _write_saved_model_from_jax(
    network: _Network, path: pathlib.Path, signature: Signature, options: dict[str, Any]
) -> None:
    """Omits gradients, which JAX cannot write for free shapes."""
    settings = {"with_gradient": False, **options.pop("jax2tf_kwargs", {})}
    _write_saved_model(network, path, signature, {"jax2tf_kwargs": settings, **options})


def _write_litert(
    network: _Network, path: pathlib.Path, signature: Signature, options: dict[str, Any]
) -> None:
    keras.Model.export(
        network, str(path), format="litert", verbose=False, input_signature=[signature], **options
    )
    # Behind the network, as metadata of LiteRT stands there.
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE, network.settings)


def _write_torch_program(
    network: _Network, path: pathlib.Path, signature: Signature, options: dict[str, Any]
) -> None:
    import torch

    program = _traced(network, signature, options)
    torch.export.save(program, str(path), extra_files={FILE: network.settings})


def _write_onnx(
    network: _Network, path: pathlib.Path, signature: Signature, options: dict[str, Any]
) -> None:
    import torch

    options = {"opset_version": _ONNX_OPSET, **options}
    program = torch.onnx.export(
        _traced(network, signature, {}),
        dynamo=True,
        input_names=list(signature),
        output_names=network.names,
        verbose=False,
        **options,
    )
    program.model.metadata_props[KEY] = network.settings
    program.save(str(path))


def _write_openvino(
    network: _Network, path: pathlib.Path, signature: Signature, options: dict[str, Any]
) -> None:
    """Converts from another format, which keeps names and free shapes."""
    import openvino

    through = "onnx" if keras.config.backend() == "torch" else "tf_saved_model"
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / f"model{SUFFIXES[through]}"
        _writer(through)(network, file, signature, {})
        converted = openvino.convert_model(str(file))
        converted.set_rt_info(network.settings, [KEY])
        openvino.save_model(converted, str(path), **{"compress_to_fp16": False, **options})


def _traced(network: _Network, signature: Signature, options: dict[str, Any]) -> Any:
    """Program of `torch.export` in which batch and duration stay free."""
    import torch

    inputs, free = {}, {}
    for name, spec in signature.items():
        seconds = _TRACED_SECONDS.get(name, 0.0)
        traced = (_TRACED_BATCH, round(seconds * network.backbone.sampling_rate))
        shape = [traced[axis] if size is None else size for axis, size in enumerate(spec.shape)]
        inputs[name] = keras.ops.ones(shape, spec.dtype)
        free[name] = {
            axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(spec.shape) if size is None
        }
    options = {"dynamic_shapes": ((free,),), "strict": False, **options}
    program = torch.export.export(network, (inputs,), **options)
    _drop_guards(program)
    _drop_idle_operations(program)
    return program


def _drop_guards(program: Any) -> None:
    """Removes checks that refuse sizes of one, which the operations take, and slow down loading."""
    from torch.utils._sympy.value_ranges import ValueRanges

    program._guards_code = []
    for size, values in program.range_constraints.items():
        program.range_constraints[size] = ValueRanges(_TRACED_BATCH, values.upper)


def _drop_idle_operations(program: Any) -> None:
    """Removes operations that change nothing: moves to the same device, idle squeezes.

    With the moves, half of all, saving takes minutes; ONNX refuses the squeezes.
    """
    import torch

    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target == torch.ops.aten._assert_tensor_metadata.default:
            graph.erase_node(node)
        elif node.target == torch.ops.aten.to.dtype_layout:
            source = node.args[0]
            keeps_type = node.meta["val"].dtype == source.meta["val"].dtype
            if keeps_type and not any(user.op == "output" for user in node.users):
                node.replace_all_uses_with(source)
                graph.erase_node(node)
        elif node.target == torch.ops.aten.squeeze.dim:
            source = node.args[0]
            if node.meta["val"].ndim == source.meta["val"].ndim:
                node.replace_all_uses_with(source)
                graph.erase_node(node)
    program.graph_module.recompile()


_WRITERS: dict[tuple[str, str], tuple[Callable[..., Any], tuple[str, ...]]] = {
    ("tensorflow", "tf_saved_model"): (_write_saved_model, ()),
    ("jax", "tf_saved_model"): (_write_saved_model_from_jax, ("tensorflow",)),
    ("torch", "onnx"): (_write_onnx, ("onnx", "onnxscript")),
    ("tensorflow", "litert"): (_write_litert, ()),
    ("torch", "torch"): (_write_torch_program, ()),
    ("tensorflow", "openvino"): (_write_openvino, ("openvino",)),
    ("torch", "openvino"): (_write_openvino, ("onnx", "onnxscript", "openvino")),
}
