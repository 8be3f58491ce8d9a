"""Running of exported localisers, each format in its own runtime."""

import pathlib
import zipfile
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from keras_avssan._internal.checks import check_integer, path_of
from keras_avssan._internal.types import PathLike
from keras_avssan.models.export.export import SUFFIXES
from keras_avssan.models.export.exported_localizer import ExportedLocalizer
from keras_avssan.models.export.settings import FILE, FOLDER, KEY, parse

# From the inputs by name to the outputs by name, and the text of the settings.
_Runner: TypeAlias = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
_Loaded: TypeAlias = tuple[_Runner, str | None]


def load_exported(filepath: PathLike, num_threads: int | None = None) -> ExportedLocalizer:
    """Loads a file of `Localizer.export`; neither the model nor its backend is needed.

    The runtime depends on the file's suffix: `.onnx` ONNX Runtime, `.tflite` LiteRT, `.pt2`
    PyTorch, `.xml` OpenVINO, a folder TensorFlow.

    Args:
        filepath: The file or folder.
        num_threads: Threads of ONNX Runtime, LiteRT and OpenVINO; the default of each if not
            given.

    Returns:
        An `ExportedLocalizer`: called with a dict of NumPy arrays, the inputs by name, it returns
        such a dict of the outputs; `localize` takes recordings and prompts as a model does.

    Raises:
        ValueError: If there is no such file, its suffix is unknown, or it is damaged, of another
            format or of a later version; if `num_threads` is not a positive integer.
        TypeError: If `filepath` is not a path.
        ImportError: If the runtime is not installed.

    Example:
        >>> exported = load_exported("model.onnx")
        >>> theta = exported.localize("mix.wav", embedding)
        >>> posterior = exported({"audio": audio, "prompt_embedding": embedding})["doa"]
    """
    filepath = pathlib.Path(path_of("filepath", filepath))
    if num_threads is not None:
        num_threads = check_integer("num_threads", num_threads, least=1)
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
    try:
        run, text = _LOADERS[format](str(filepath), num_threads)
        settings = parse(text)
    except ImportError:
        raise
    except Exception as error:  # each runtime has its own
        raise ValueError(
            f"`filepath` must be a whole file of `export`, of the format {format!r} and no later "
            f"version of this library: {str(error).strip()}. Received: filepath={str(filepath)!r}"
        ) from error
    return ExportedLocalizer(run, settings)


def _load_saved_model(path: str, num_threads: int | None) -> _Loaded:
    import tensorflow as tf

    served = tf.saved_model.load(path)
    settings = pathlib.Path(path) / FOLDER / FILE

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = served.serve({name: tf.constant(array) for name, array in inputs.items()})
        return {name: output.numpy() for name, output in outputs.items()}

    return run, settings.read_text("utf-8") if settings.exists() else None


def _load_onnx(path: str, num_threads: int | None) -> _Loaded:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or 0
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    settings = session.get_modelmeta().custom_metadata_map.get(KEY)
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True)), settings


def _load_litert(path: str, num_threads: int | None) -> _Loaded:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=num_threads)
    runner = interpreter.get_signature_runner()
    settings = None
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if FILE in archive.namelist():
                settings = archive.read(FILE).decode()
    return (
        lambda inputs: {name: np.array(array) for name, array in runner(**inputs).items()},
        settings,
    )


def _load_torch_program(path: str, num_threads: int | None) -> _Loaded:
    import torch

    settings = {FILE: ""}
    network = torch.export.load(path, extra_files=settings).module()

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            outputs = network({name: torch.as_tensor(array) for name, array in inputs.items()})
        return {name: output.numpy() for name, output in outputs.items()}

    return run, settings[FILE]


def _load_openvino(path: str, num_threads: int | None) -> _Loaded:
    import openvino

    # On processors that have it, OpenVINO would compute in bfloat16, which changes the outputs.
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if num_threads is not None:
        options["INFERENCE_NUM_THREADS"] = num_threads
    core = openvino.Core()
    model = core.read_model(path)
    settings = model.get_rt_info([KEY]).value if model.has_rt_info([KEY]) else None
    network = core.compile_model(model, "CPU", options)

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = network(inputs)
        return {port.get_any_name(): np.array(outputs[port]) for port in network.outputs}

    return run, settings


_LOADERS: dict[str, Callable[[str, int | None], _Loaded]] = {
    "tf_saved_model": _load_saved_model,
    "onnx": _load_onnx,
    "litert": _load_litert,
    "torch": _load_torch_program,
    "openvino": _load_openvino,
}
