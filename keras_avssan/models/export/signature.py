"""Shapes and types of the inputs that an exported file takes."""

from typing import Any, TypeAlias

import keras

from keras_avssan._internal.checks import check_positive_number
from keras_avssan.encoders.yamnet.yamnet_spectrogram import YAMNetSpectrogram

# Shapes and types of the inputs by name.
Signature: TypeAlias = dict[str, keras.InputSpec]
# Argument `prompt` of an export, and the input that it adds.
PROMPTS = {"images": "images", "embedding": "prompt_embedding", "recording": "prompt_audio"}
# With free shapes LiteRT would need operations of TensorFlow, which its runtime lacks.
_FIXED_FORMATS = ("litert",)
# Inputs of recordings, whose second axis is the samples.
_RECORDED = ("audio", "prompt_audio")


def make_signature(
    model: Any, prompt: str | None, duration: float | None, format: str
) -> Signature:
    """Shapes of the inputs; batch and, unless `duration` is given, samples are free."""
    samples: int | None = None
    batch: int | None = None
    if format in _FIXED_FORMATS:
        batch = 1
        if duration is None:
            raise ValueError(
                f"format={format!r} has no free shapes: give the `duration` of the recordings in "
                "seconds. Received: duration=None"
            )
    if duration is not None:
        check_positive_number("duration", duration, "time in seconds")
        samples = round(duration * model.backbone.sampling_rate)
    signature = {"audio": keras.InputSpec("float32", shape=(batch, samples, 2), name="audio")}
    if prompt is None:
        prompt = "embedding" if model.backbone.image_encoder is None else "images"
    if prompt not in PROMPTS:
        raise ValueError(f"`prompt` must be one of {tuple(PROMPTS)}. Received: prompt={prompt!r}")
    if model.backbone.visual_prompt:
        name = PROMPTS[prompt]
        shape = _prompt_shape(model.backbone, prompt, samples)
        signature[name] = keras.InputSpec("float32", shape=(batch, *shape), name=name)
    return signature


def _prompt_shape(backbone: Any, prompt: str, samples: int | None) -> tuple[int | None, ...]:
    if prompt == "embedding":
        return (backbone.prompt_dim,)
    if prompt == "recording":
        if getattr(backbone, "audio_encoder", None) is None:
            raise ValueError(
                "`prompt` must be 'images' or 'embedding': the model has no audio encoder for a "
                "recording as prompt. Received: prompt='recording'"
            )
        return (samples,)
    if backbone.image_encoder is None:
        raise ValueError(
            "`prompt` must be 'embedding': the model has no image encoder. "
            "Received: prompt='images'"
        )
    return (*backbone.image_size, 3)


def checked_signature(signature: Any) -> Signature:
    """The signature as a dict of `InputSpec` with names; only batch and samples may be free."""
    if isinstance(signature, (list, tuple)) and len(signature) == 1:
        signature = signature[0]
    if not isinstance(signature, dict) or "audio" not in signature:
        raise ValueError(
            "`input_signature` must be a dict of `keras.InputSpec` with `audio`, or a list of one. "
            f"Received: input_signature={signature!r}"
        )
    for name, spec in signature.items():
        free = [axis for axis, size in enumerate(spec.shape) if size is None]
        if set(free) - ({0, 1} if name in _RECORDED else {0}):
            raise ValueError(
                "Only the batch and the samples of `audio` and `prompt_audio` may be None in "
                "`input_signature`. "
                f"Received: input_signature[{name!r}].shape={spec.shape}"
            )
    return {
        name: keras.InputSpec(spec.dtype or "float32", shape=spec.shape, name=name)
        for name, spec in sorted(signature.items())
    }


def check_free_duration(model: Any, signature: Signature) -> None:
    """Refuses a free duration where a backend would make a constant of it, or cannot trace it."""
    recorded = [signature[name] for name in _RECORDED if name in signature]
    if all(spec.shape[1] is not None for spec in recorded):
        return
    backend = keras.config.backend()
    layers = model._flatten_layers()
    found: set[type] = {type(layer) for layer in layers}
    for unable, forms, part in (
        (("jax",), (YAMNetSpectrogram,), "`YAMNet`"),
        (("torch", "jax"), (keras.layers.RNN,), "recurrent layers"),
    ):
        if backend in unable and any(issubclass(one, forms) for one in found):
            raise ValueError(
                f"The duration of recordings must be fixed where a network with {part} is exported "
                f"under the backend {backend!r}: give the `duration` in seconds, or save the model "
                "with `save_to_preset` and export it in a process with KERAS_BACKEND=tensorflow. "
                "Received: duration=None"
            )
