"""Runs exported localisers, each format in its own runtime."""

import pathlib
from collections.abc import Callable

import numpy as np

from keras_avssan._internal.types import PathLike, Tensor
from keras_avssan.models.export.export import SUFFIXES


def load_exported(filepath: PathLike, num_threads: int | None = None) -> Callable[[dict], dict]:
    """Loads a file of `Localizer.export`; neither the model nor its backend is needed.

    The runtime is told from the file's ending: `.onnx` ONNX Runtime, `.tflite` LiteRT, `.pt2`
    PyTorch, `.xml` OpenVINO, a folder TensorFlow.

    Args:
        filepath: The file or folder.
        num_threads: Threads of ONNX Runtime, LiteRT and OpenVINO; theirs to decide if not given.

    Returns:
        A function from a dict of NumPy arrays, the inputs by name, to such a dict of the outputs.

    Raises:
        ValueError: If there is no such file or its ending is unknown.

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


def _load_saved_model(path: PathLike, num_threads: int):
    import tensorflow as tf

    served = tf.saved_model.load(path)

    def run(inputs: Tensor):
        outputs = served.serve({name: tf.constant(array) for name, array in inputs.items()})
        return {name: output.numpy() for name, output in outputs.items()}

    return run


def _load_onnx(path: PathLike, num_threads: int):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or 0
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def _load_litert(path: PathLike, num_threads: int):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=num_threads)
    runner = interpreter.get_signature_runner()
    return lambda inputs: {name: np.array(array) for name, array in runner(**inputs).items()}


def _load_torch_program(path: PathLike, num_threads: int):
    import torch

    network = torch.export.load(path).module()

    def run(inputs: Tensor):
        with torch.inference_mode():
            outputs = network({name: torch.as_tensor(array) for name, array in inputs.items()})
        return {name: output.numpy() for name, output in outputs.items()}

    return run


def _load_openvino(path: PathLike, num_threads: int):
    import openvino

    # On processors that have it, OpenVINO would compute in bfloat16, which moves the answer.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    if num_threads is not None:
        options["INFERENCE_NUM_THREADS"] = num_threads
    network = openvino.Core().compile_model(path, "CPU", options)

    def run(inputs: Tensor):
        outputs = network(inputs)
        return {port.get_any_name(): np.array(outputs[port]) for port in network.outputs}

    return run


_LOADERS = {
    "tf_saved_model": _load_saved_model,
    "onnx": _load_onnx,
    "litert": _load_litert,
    "torch": _load_torch_program,
    "openvino": _load_openvino,
}
