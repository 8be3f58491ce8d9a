"""`ExportedLocalizer`, a model that was exported, in the runtime of its format."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_avssan._internal.one_line import one_line
from keras_avssan.data.media.channel_pair import confidence
from keras_avssan.data.media.recordings import check_spacings, spacing_input
from keras_avssan.doa.grid import GRID_DEGREES, check_finite
from keras_avssan.models.localizer_preprocessor import LocalizerPreprocessor, pair_prompts
from keras_avssan.models.microphones import SAME_SPACING
from keras_avssan.models.prompting import read_prompts
from keras_avssan.models.prompts import split_prompts

_BATCH_SIZE = 32
# Kinds of prompts by the input of the file that takes them.
_KINDS = {"images": "picture", "prompt_embedding": "embedding", "prompt_audio": "recording"}


class ExportedLocalizer:
    """Runs a file of `Localizer.export`; made by `load_exported`.

    Args:
        run: Function from the inputs by name to the outputs by name, dicts of NumPy arrays.
        settings: What the file says of its model.

    Call arguments:
        inputs: Dict of NumPy arrays, the inputs by name.

    Returns:
        Dict of NumPy arrays, the outputs by name.

    Raises:
        ValueError: If an input is missing, unknown or has another shape than the file takes.
        TypeError: If `inputs` is not a dict.

    Attributes:
        settings: Dict of `sampling_rate` in hertz, `microphone_spacing` in metres, `inputs`, the
            shape of each input, in which `None` is any size, `outputs`, their names, and what
            reads recordings and prompts. Empty for a file of an earlier version.

    Example:
        >>> exported = load_exported("model.onnx")
        >>> theta, presence = exported.localize("mix.wav", embedding, return_presence=True)
        >>> posterior = exported({"audio": audio, "prompt_embedding": embedding[None]})["doa"]
    """

    def __init__(
        self,
        run: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
        settings: Mapping[str, Any],
    ) -> None:
        self._run = run
        self.settings = dict(settings)

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if not isinstance(inputs, Mapping):
            raise TypeError(
                "`inputs` must be a dict of arrays, the inputs by name. "
                f"Received: inputs of type {type(inputs).__name__}"
            )
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        arrays = {
            name: array.astype("float32") if array.dtype == "float64" else array
            for name, array in arrays.items()
        }
        shapes = self.settings.get("inputs")
        if shapes is not None:
            _check_arrays(arrays, shapes)
        return self._run(arrays)

    def __repr__(self) -> str:
        inputs = self.settings.get("inputs", {})
        shapes = [f"{name} {tuple(shape)}" for name, shape in inputs.items()]
        return one_line(self, *shapes, *self.settings.get("outputs", ()))

    def localize(
        self,
        audio: Any,
        prompt: Any = None,
        sampling_rate: int | None = None,
        return_confidence: bool = False,
        channels: tuple[int, int] | None = None,
        microphone_spacing: Any = None,
        *,
        return_presence: bool = False,
    ) -> Any:
        """Estimates the direction of the prompted sound, as `Localizer.localize` does.

        Args:
            audio: Two-microphone recording: a file, an array (samples, 2) or (batch, samples, 2),
                or a list of files or arrays.
            prompt: A prompt of the kind that the file was exported for: an embedding
                (`prompt="embedding"`), as `AVSSAN.embed_prompts` and `embed_texts` make them; a
                picture (`prompt="images"`) or a recording (`prompt="recording"`), as file or array;
                a batch, or a list of one kind. Files of promptless networks ignore it.
            sampling_rate: Sampling rate in hertz of arrays; the model's if not given.
            return_confidence: Whether the posterior probability within 5° is returned too.
            channels: Which two channels of recordings with more of them are the microphones,
                counted from 0.
            microphone_spacing: Distance between the microphones in metres, one or one for each
                recording, where the file has an input for it; the model's if not given.
            return_presence: Whether the presence is returned too, of networks with candidates.

        Returns:
            float32 array of azimuths in degrees, shape (batch,), or a tuple of it, the confidence
            and the presence, as requested.

        Raises:
            ValueError: If a recording or prompt is unusable, of another kind or another duration
                than those that the file takes; if the file lacks the settings, or an output that is
                needed.
            TypeError: If a recording or prompt is of a kind that no file takes.

        Example:
            >>> theta = exported.localize("mix.wav", embedding)
        """
        for name, wanted in (("doa", True), ("presence", return_presence)):
            if wanted and name not in self.settings.get("outputs", ()):
                self._refuse_output(name)
        inputs = self._preprocess(audio, prompt, sampling_rate, channels)
        recordings = inputs["audio"]
        inputs |= self._spacing(microphone_spacing, len(recordings))
        outputs = self._predict(inputs)
        check_finite(outputs["doa"], [f"`audio[{k}]`" for k in range(len(recordings))])
        found = [GRID_DEGREES[np.argmax(outputs["doa"], axis=-1)]]
        if return_confidence:
            found.append(confidence(outputs["doa"], recordings))
        if return_presence:
            found.append(outputs["presence"])
        return found[0] if len(found) == 1 else tuple(found)

    def _refuse_output(self, name: str) -> None:
        if not self.settings:
            raise ValueError(
                "`localize` needs the settings that `export` writes into files, which this file of "
                "an earlier version lacks: export the model again, or call the object with a dict "
                "of arrays. Received: a file without settings"
            )
        raise ValueError(
            f"`outputs` of the file must hold {name!r}: export a model that has it, with it. "
            f"Received: outputs={self.settings['outputs']}"
        )

    def _preprocess(
        self, audio: Any, prompt: Any, sampling_rate: int | None, channels: tuple[int, int] | None
    ) -> dict[str, np.ndarray]:
        """Brings recordings and prompts to the shapes of the file's inputs."""
        inputs = self.settings["inputs"]
        size = self.settings["image_size"] if "images" in inputs else None
        preprocessor = LocalizerPreprocessor(
            self.settings["sampling_rate"],
            size,
            self.settings["prompt_dim"],
            **self.settings["reading"],
        )
        arrays = preprocessor.without_prompt(audio, sampling_rate, channels)
        self._check_length(arrays["audio"])
        taken = [name for name in _KINDS if name in inputs]
        others = sorted(set(inputs) - {"audio", "microphone_spacing", *taken[:1]})
        if others:
            raise ValueError(
                "`localize` fills the input `audio` and one of a prompt; call the object with a "
                f"dict of arrays for a file with others. Received: inputs={sorted(inputs)}"
            )
        if not taken:
            return arrays
        (name,) = taken
        _check_kinds(prompt, _KINDS[name], self.settings["prompt_dim"])
        prompts = read_prompts(prompt, preprocessor, sampling_rate)
        if name == "prompt_audio":
            prompts = {name: self._repeated(prompts[name])}
        return pair_prompts(arrays["audio"], prompts)

    def _check_length(self, audio: np.ndarray) -> None:
        """Refuses another duration than the one that a file is fixed to."""
        samples = self.settings["inputs"]["audio"][1]
        if samples in (None, audio.shape[1]):
            return
        rate = self.settings["sampling_rate"]
        raise ValueError(
            f"`audio` must last {samples / rate:g} s, the `duration` that the file was exported "
            f"for. Received: {audio.shape[1] / rate:g} s"
        )

    def _repeated(self, prompts: np.ndarray) -> np.ndarray:
        """Recordings as prompts, repeated to the duration that a file is fixed to."""
        samples = self.settings["inputs"]["prompt_audio"][1]
        if samples is None:
            return prompts
        if prompts.shape[1] > samples:
            rate = self.settings["sampling_rate"]
            raise ValueError(
                f"`prompt` must not be longer than {samples / rate:g} s, the `duration` that the "
                f"file was exported for. Received: {prompts.shape[1] / rate:g} s"
            )
        return np.stack([np.resize(prompt, samples) for prompt in prompts])

    def _spacing(self, microphone_spacing: Any, count: int) -> dict[str, np.ndarray]:
        """The input of the spacing, where the file has one; refuses another one elsewhere."""
        own = self.settings["microphone_spacing"]
        if "microphone_spacing" in self.settings["inputs"]:
            given = own if microphone_spacing is None else microphone_spacing
            return spacing_input(given, count)
        if microphone_spacing is not None and own is not None:
            spacings = check_spacings(microphone_spacing)
            if np.any(np.abs(spacings - own) > SAME_SPACING):
                raise ValueError(
                    f"The spacing must be the {own} m of the model: the file has no input "
                    "`microphone_spacing`, which an `input_signature` adds. "
                    f"Received: microphone_spacing={microphone_spacing!r}"
                )
        return {}

    def _predict(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the file batch by batch, of the size that it is fixed to."""
        count, fixed = len(inputs["audio"]), self.settings["inputs"]["audio"][0]
        size = fixed or min(count, _BATCH_SIZE)
        parts: dict[str, list[np.ndarray]] = {}
        for start in range(0, count, size):
            rows = np.arange(start, start + size)
            rows = np.minimum(rows, count - 1) if fixed else rows[rows < count]
            outputs = self._run({name: array[rows] for name, array in inputs.items()})
            for name in {"doa", "presence"} & set(outputs):
                parts.setdefault(name, []).append(outputs[name])
        return {name: np.concatenate(arrays)[:count] for name, arrays in parts.items()}


def _check_arrays(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, Any]) -> None:
    """Refuses arrays by other names or of other shapes than a file takes."""
    if set(arrays) != set(shapes):
        raise ValueError(
            f"`inputs` must hold {sorted(shapes)}, the inputs of the file. "
            f"Received: inputs={sorted(arrays)}"
        )
    for name, shape in shapes.items():
        found = arrays[name].shape
        fits = len(found) == len(shape) and all(
            wanted in (None, size) for wanted, size in zip(shape, found, strict=True)
        )
        if not fits:
            known = ", ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(
                f"`inputs[{name!r}]` must have shape ({known}). Received: shape {found}"
            )


def _check_kinds(prompt: Any, wanted: str, prompt_dim: int | None) -> None:
    """Refuses prompts of another kind than the one that a file takes."""
    if prompt is None:
        raise ValueError(f"`prompt` must be of the kind {wanted!r}. Received: prompt=None")
    if isinstance(prompt, dict):
        raise TypeError(
            "`prompt` must not be a dict: call the object with a dict of all inputs. "
            f"Received: prompt with keys {sorted(prompt)}"
        )
    kinds = split_prompts(prompt, prompt_dim)[1]
    if set(kinds) != {wanted}:
        raise ValueError(
            f"`prompt` must be of the kind {wanted!r}, which the file was exported for; words and "
            "several prompts are embedded by the model, `embed_texts` and `embed_prompts`. "
            f"Received: prompt of kinds {kinds}"
        )
