"""Several prompts for one recording, which share what depends on the recording alone."""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.types import Tensor
from keras_avssan.data.media.recordings import spacing_input
from keras_avssan.doa.grid import check_finite
from keras_avssan.models.fitting.torch_steps import TorchSteps
from keras_avssan.models.localizer_preprocessor import LocalizerPreprocessor, pair_prompts
from keras_avssan.models.microphones import check_spacing
from keras_avssan.models.prompting import PROJECTED, read_prompts
from keras_avssan.models.prompts import split_prompts

_BATCH_SIZE = 32
# Outputs that are used of several prompts; a mask for each is large, and is left on the device.
_KEPT = ("doa", "presence", "candidate_weights", "candidate_evidence")

Arrays: TypeAlias = dict[str, np.ndarray]


class NetworkPart(TorchSteps, keras.Model):
    """Runs a method of a task's network by `predict_on_batch`, compiled as the task is."""

    def __init__(
        self, model: Any, method: str, kept: Sequence[str] | None = None, **options: Any
    ) -> None:
        super().__init__(dtype="float32", autocast=False)
        self.backbone = model.backbone
        self._method, self._kept, self._options = method, kept, options
        self.built = True
        self.compile(run_eagerly=model.run_eagerly, jit_compile=model.jit_compile)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        outputs = getattr(self.backbone, self._method)(inputs, **self._options)
        return {name: outputs[name] for name in self._kept or outputs if name in outputs}


def network_part(
    model: Any, method: str, kept: Sequence[str] | None = None, **options: Any
) -> NetworkPart:
    """The part of a task's network, made at the first request and after a change of `compile`."""
    # Not an attribute that Keras tracks: its layers are those of the task.
    parts = model.__dict__.setdefault("_network_parts", {})
    name = (method, *sorted(options.items()))
    state = (id(model.backbone), model.run_eagerly, model.jit_compile)
    if name not in parts or parts[name][0] != state:
        parts[name] = (state, NetworkPart(model, method, kept, **options))
    return parts[name][1]


def shares_recordings(model: Any) -> bool:
    """Whether several prompts for one recording share a run of a task's network."""
    # Not where a subclass of the user's has a `call` of its own.
    usual = type(model).call.__qualname__ == "Localizer.call"
    usual = usual and type(model.preprocessor).call is LocalizerPreprocessor.call
    return usual and getattr(model.backbone, "shares_recordings", False)


def answer_prompts(
    model: Any,
    audio: Any,
    prompt: Any,
    sampling_rate: int | None,
    channels: tuple[int, int] | None,
    microphone_spacing: float | ArrayLike | None,
) -> tuple[Arrays, np.ndarray]:
    """Outputs of the network for each scene, and the recordings, one of which may serve all."""
    recordings, prompts = _read(model, audio, prompt, sampling_rate, channels)
    if len(prompts) == 1:
        inputs = pair_prompts(recordings, prompts[0])
        check_spacing(model, inputs.get("microphone_spacing"))
        inputs |= spacing_input(microphone_spacing, len(inputs["audio"]))
        return model._predict(inputs), inputs["audio"]
    spacing = spacing_input(microphone_spacing, len(prompts)).get("microphone_spacing")
    own = [one.pop("microphone_spacing") for one in prompts if "microphone_spacing" in one]
    if own and spacing is None:
        spacing = np.concatenate(own)
        check_spacing(model, spacing)
    return answer_each(model, recordings, prompts, spacing), recordings


def _read(
    model: Any,
    audio: Any,
    prompt: Any,
    sampling_rate: int | None,
    channels: tuple[int, int] | None,
) -> tuple[np.ndarray, list[Arrays]]:
    """Recordings, and the prompts: each by itself for one recording, else as one batch."""
    recordings = model.preprocessor.without_prompt(audio, sampling_rate, channels)["audio"]
    return recordings, read_each(model, len(recordings), prompt, sampling_rate)


def read_each(
    model: Any, num_recordings: int, prompt: Any, sampling_rate: int | None
) -> list[Arrays]:
    """Prompts as arrays: each by itself for one recording, else as one batch."""
    preprocessor = model.preprocessor
    read = partial(
        read_prompts, preprocessor=preprocessor, sampling_rate=sampling_rate, model=model
    )
    if num_recordings > 1:
        return [read(prompt)]
    if not isinstance(prompt, dict):
        prompts, _ = split_prompts(prompt, preprocessor.prompt_dim)
        return [read([one]) for one in prompts]
    arrays = read(prompt)
    rows = range(len(next(iter(arrays.values()))))
    return [{name: array[[row]] for name, array in arrays.items()} for row in rows]


def answer_each(
    model: Any, recording: np.ndarray, prompts: Sequence[Arrays], spacing: np.ndarray | None = None
) -> Arrays:
    """Outputs for one recording (1, samples, 2) and each of the prompts, with its spacing."""
    same = spacing is None or len(set(spacing.tolist())) == 1
    if len(prompts) > 1 and same and shares_recordings(model):
        parts = _answer_together(model, recording, prompts, spacing)
    else:
        given = (
            [{}] * len(prompts)
            if spacing is None
            else [{"microphone_spacing": one} for one in spacing[:, None]]
        )
        parts = [
            model._predict({"audio": recording, **one, **further})
            for one, further in zip(prompts, given, strict=True)
        ]
    outputs = {
        name: np.concatenate([np.asarray(part[name]) for part in parts])
        for name in _KEPT
        if name in parts[0]
    }
    check_finite(outputs["doa"], [f"`prompt[{k}]`" for k in range(len(prompts))])
    return outputs


def _answer_together(
    model: Any, recording: np.ndarray, prompts: Sequence[Arrays], spacing: np.ndarray | None
) -> list[Arrays]:
    """Outputs of several prompts in parts: the recording runs through the network once a part."""
    return answer_projected(model, recording, project_prompts(model, prompts), spacing)


def answer_projected(
    model: Any, recording: np.ndarray, projected: np.ndarray, spacing: np.ndarray | None = None
) -> list[Arrays]:
    """The same for prompts that are projections (prompts, D)."""
    select = network_part(model, "connect", _KEPT)
    parts = []
    for start in range(0, len(projected), _BATCH_SIZE):
        inputs = {"audio": recording, PROJECTED: projected[start : start + _BATCH_SIZE]}
        if spacing is not None:
            inputs["microphone_spacing"] = spacing[start : start + _BATCH_SIZE]
        parts.append(select.predict_on_batch(inputs))
    return parts


def project_prompts(model: Any, prompts: Sequence[Arrays]) -> np.ndarray:
    """Projections (prompts, D) of prompts, those of the same kind and shape together."""
    project = network_part(model, "project_prompts")
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, one in enumerate(prompts):
        form = tuple(sorted((name, array.shape) for name, array in one.items()))
        groups.setdefault(form, []).append(index)
    rows: dict[int, np.ndarray] = {}
    for indices in groups.values():
        for start in range(0, len(indices), _BATCH_SIZE):
            chunk = indices[start : start + _BATCH_SIZE]
            together = [prompts[index] for index in chunk]
            inputs = {name: np.concatenate([one[name] for one in together]) for name in together[0]}
            found = np.asarray(project.predict_on_batch(inputs)[PROJECTED])
            rows.update(zip(chunk, found, strict=True))
    return np.stack([rows[index] for index in range(len(prompts))])
