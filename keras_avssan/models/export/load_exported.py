"""Running of exported localisers, each format in its own runtime."""

import pathlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from keras_avssan._internal.types import PathLike
from keras_avssan.models.export.export import SUFFIXES

# From the inputs by name to the outputs by name.
_Runner: TypeAlias = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def load_exported(
    filepath: PathLike, num_threads: int | None = None
) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Loads a file of `Localizer.export`; neither the model nor its backend is needed.

    The runtime depends on the file's suffix: `.onnx` ONNX Runtime, `.tflite` LiteRT, `.pt2`
    PyTorch, `.xml` OpenVINO, a folder TensorFlow.

    Args:
        filepath: The file or folder.
        num_threads: Threads of ONNX Runtime, LiteRT and OpenVINO; the default of each if not
            given.

    Returns:
        A function from a dict of NumPy arrays, the inputs by name, to such a dict of the outputs.

    Raises:
        ValueError: If there is no such file or its suffix is unknown.

    Example:
        >>> run = load_exported("model.onnx")
        >>> posterior = run({"audio": audio, "prompt_embedding": embedding})["doa"]
    """
    filepath = pathlib.Path(filepath)
    formats = {suffix: format for format, suffix in SUFFIXES.items() if suffix}
    if (filepath / "saved_model.pb").exists():
        format = "tf_saved_model"
    elif filepath.is_file() and filepath.suffix in formats:
        format = formats[filepath.suffix]
    else:
        raise ValueError(
            f"`filepath` must be a SavedModel or end in one of {[*formats]}, and exist. "
            f"Received: filepath={str(filepath)!r}"
        )
    return _LOADERS[format](str(filepath), num_threads)


def _load_saved_model(path: str, num_threads: int | None) -> _Runner:
    import tensorflow as tf

    served = tf.saved_model.load(path)

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = served.serve({name: tf.constant(array) for name, array in inputs.items()})
        return {name: output.numpy() for name, output in outputs.items()}

    return run


def _load_onnx(path: str, num_threads: int | None) -> _Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or 0
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def _load_litert(path: str, num_threads: int | None) -> _Runner:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=num_threads)
    runner = interpreter.get_signature_runner()
    return lambda inputs: {name: np.array(array) for name, array in runner(**inputs).items()}


def _load_torch_program(path: str, num_threads: int | None) -> _Runner:
    import torch

    network = torch.export.load(path).module()

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            outputs = network({name: torch.as_tensor(array) for name, array in inputs.items()})
        return {name: output.numpy() for name, output in outputs.items()}

    return run


def _load_openvino(path: str, num_threads: int | None) -> _Runner:
    import openvino

    # On processors that have it, OpenVINO would compute in bfloat16, which changes the outputs.
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if num_threads is not None:
        options["INFERENCE_NUM_THREADS"] = num_threads
    network = openvino.Core().compile_model(path, "CPU", options)

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = network(inputs)
        return {port.get_any_name(): np.array(outputs[port]) for port in network.outputs}

    return run


_LOADERS: dict[str, Callable[[str, int | None], _Runner]] = {
    "tf_saved_model": _load_saved_model,
    "onnx": _load_onnx,
    "litert": _load_litert,
    "torch": _load_torch_program,
    "openvino": _load_openvino,
}
