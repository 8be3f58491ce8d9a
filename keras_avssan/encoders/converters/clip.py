"""Converter of CLIP checkpoints in Hugging Face's format."""

import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import safetensors
import safetensors.numpy

from keras_avssan._internal.checks import path_of
from keras_avssan._internal.start_up.hub import keras_hub
from keras_avssan._internal.types import PathLike
from keras_avssan.encoders.clip_encoder import CLIP_MEAN, CLIP_STD, CLIPEncoder
from keras_avssan.encoders.clip_tokenizer import CLIPTextTokenizer
from keras_avssan.encoders.converters.comparison import compare_shapes, listed

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
# Configurations leave out what equals the defaults of `transformers`.
_TEXT_DEFAULTS = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_VISION_DEFAULTS = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_PROJECTION_DIM = 512
_ACTIVATIONS = ("quick_gelu", "gelu")
# Older checkpoints hold these counters, which are not weights.
_IGNORED = {"text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"}
_MAX_NAMES = 10  # of tensors, in an error


class _Target(NamedTuple):
    """Variable of a tensor, its shape in the checkpoint, its axes in the variable's order."""

    variable: keras.Variable
    shape: tuple[int, ...]
    axes: tuple[int, ...]


def convert_clip_huggingface(
    folder: PathLike, load_weights: bool = True, dtype: Any = None, **kwargs: Any
) -> CLIPEncoder:
    """Converts a CLIP model in the format of Hugging Face, `openai/clip-vit-base-patch32` for one.

    KerasHub's text encoder adds 1e-6 to the variance in its last normalisation while the
    checkpoints add 1e-5: at a variance of one, a relative difference of 5e-6.

    Args:
        folder: Path of a folder with `config.json` and `model.safetensors` (in one file, or in
            parts with an index). The tokenizer comes from `vocab.json` and `merges.txt`, or from
            `tokenizer.json`; without them the encoder takes pictures only. Mean and standard
            deviation come from `preprocessor_config.json` where there is one.
        load_weights: Whether weights are loaded; they are random if `False`.
        dtype: Data type or precision policy of the backbone.
        **kwargs: Further arguments of `CLIPEncoder`.

    Returns:
        A `CLIPEncoder`.

    Raises:
        TypeError: If `folder` is not a path.
        ValueError: If a file is missing or unreadable, the configuration is not one of CLIP, or
            the tensors are not those of the configuration; the message names all that are
            missing, extra or of a wrong shape.

    Example:
        >>> encoder = convert_clip_huggingface("clip-vit-base-patch32")
        >>> encoder.save_to_preset("clip_preset")
    """
    folder = pathlib.Path(path_of("folder", folder))
    _check_files(folder, load_weights)
    config = _read_config(folder)
    backbone = _make_backbone(*config, dtype)
    _assign_positions(backbone)
    if load_weights:
        _load_weights(backbone, folder)
    tokenizer = _read_tokenizer(folder, backbone.text_encoder.max_sequence_length)
    mean, std = _read_normalisation(folder)
    return CLIPEncoder(backbone, tokenizer, **{"mean": mean, "std": std, **kwargs})


def _read_json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"`folder` must hold {path.name} as a JSON file ({error}). "
            f"Received: folder='{path.parent}'"
        ) from error


def _check_files(folder: pathlib.Path, load_weights: bool) -> None:
    wanted = ["config.json"]
    if load_weights and not (folder / _INDEX).is_file():
        wanted.append(_WEIGHTS)
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"`folder` must hold {' and '.join(wanted)}. "
            f"Received: folder='{folder}' without {', '.join(missing)}"
        )


def _read_config(folder: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Configurations of both encoders, with defaults, and the dimension of the embeddings."""
    config = _read_json(folder / "config.json")
    if config.get("model_type") != "clip":
        raise ValueError(
            "`folder` must hold a CLIP model (`model_type` 'clip' in config.json). "
            f"Received: folder='{folder}' with model_type={config.get('model_type')!r}"
        )
    # The `_dict` forms are an older spelling that takes precedence if both are present.
    text, vision = (
        {**defaults, **(config.get(key) or {}), **(config.get(f"{key}_dict") or {})}
        for key, defaults in (("text_config", _TEXT_DEFAULTS), ("vision_config", _VISION_DEFAULTS))
    )
    _check_supported(text, vision)
    return text, vision, config.get("projection_dim", _PROJECTION_DIM)


def _check_supported(text: dict[str, Any], vision: dict[str, Any]) -> None:
    for part, config in (("text_config", text), ("vision_config", vision)):
        if config["hidden_act"] not in _ACTIVATIONS:
            raise ValueError(
                f"`hidden_act` in the {part} of config.json must be one of {_ACTIVATIONS}. "
                f"Received: hidden_act={config['hidden_act']!r}"
            )
        if not math.isclose(config["layer_norm_eps"], 1e-5):
            raise ValueError(
                f"`layer_norm_eps` in the {part} of config.json must be 1e-5. "
                f"Received: layer_norm_eps={config['layer_norm_eps']!r}"
            )
    if vision["num_channels"] != 3:
        raise ValueError(
            "`num_channels` in the vision_config of config.json must be 3. "
            f"Received: num_channels={vision['num_channels']!r}"
        )


def _make_backbone(
    text: dict[str, Any], vision: dict[str, Any], projection_dim: int, dtype: Any
) -> keras.Model:
    return keras_hub.models.CLIPBackbone(
        vision_encoder=keras_hub.models.CLIPVisionEncoder(
            patch_size=vision["patch_size"],
            image_shape=(vision["image_size"], vision["image_size"], 3),
            data_format="channels_last",
            dtype=dtype,
            **_transformer_arguments(vision),
        ),
        text_encoder=keras_hub.models.CLIPTextEncoder(
            vocabulary_size=text["vocab_size"],
            embedding_dim=text["hidden_size"],
            max_sequence_length=text["max_position_embeddings"],
            dtype=dtype,
            **_transformer_arguments(text),
        ),
        projection_dim=projection_dim,
        dtype=dtype,
    )


def _transformer_arguments(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "hidden_dim": config["hidden_size"],
        "num_layers": config["num_hidden_layers"],
        "num_heads": config["num_attention_heads"],
        "intermediate_dim": config["intermediate_size"],
        "intermediate_activation": config["hidden_act"],
    }


def _assign_positions(backbone: keras.Model) -> None:
    """Numbers the patches: a new backbone has zeros there, and no checkpoint sets them."""
    position_ids = backbone.vision_encoder.embedding.position_ids
    position_ids.assign(np.arange(position_ids.shape[-1])[None])


def _load_weights(backbone: keras.Model, folder: pathlib.Path) -> None:
    targets = _targets(backbone)
    tensors = _read_tensors(folder)
    _check_tensors(tensors, targets, folder)
    for name, target in targets.items():
        value = tensors[name].astype("float32").transpose(target.axes)
        target.variable.assign(value.reshape(target.variable.shape))


def _read_tensors(folder: pathlib.Path) -> dict[str, np.ndarray]:
    names = [_WEIGHTS]
    if (folder / _INDEX).is_file():
        names = sorted(set(_read_json(folder / _INDEX)["weight_map"].values()))
    tensors = {}
    for name in names:
        try:
            tensors.update(safetensors.numpy.load_file(folder / name))
        except (OSError, safetensors.SafetensorError) as error:
            raise ValueError(
                f"`folder` must hold {name} as safetensors ({error}). Received: folder='{folder}'"
            ) from error
    return {name: tensor for name, tensor in tensors.items() if name not in _IGNORED}


def _check_tensors(
    tensors: dict[str, np.ndarray], targets: dict[str, _Target], folder: pathlib.Path
) -> None:
    """Raises one ValueError that names all wrong tensors."""
    found = {name: tensor.shape for name, tensor in tensors.items()}
    expected = {name: target.shape for name, target in targets.items()}
    missing, extra, wrong = compare_shapes(found, expected)
    problems = {
        "missing": missing,
        "extra": extra,
        "of a wrong shape": [f"{name} {found[name]}, expected {expected[name]}" for name in wrong],
    }
    if any(problems.values()):
        details = "; ".join(
            f"{kind}: {listed(names, _MAX_NAMES)}" for kind, names in problems.items() if names
        )
        raise ValueError(
            "`folder` must hold the tensors that its config.json implies. "
            f"Received: folder='{folder}' with tensors {details}"
        )


def _targets(backbone: keras.Model) -> dict[str, _Target]:
    """The tensors of a checkpoint, by name."""
    vision, text = backbone.vision_encoder, backbone.text_encoder
    return {
        "logit_scale": _as_is(backbone.clip_head.logit_scale),
        "vision_model.embeddings.class_embedding": _as_is(vision.embedding.class_embedding),
        "vision_model.embeddings.patch_embedding.weight": _convolution(
            vision.embedding.patch_embedding.kernel
        ),
        "vision_model.embeddings.position_embedding.weight": _as_is(
            vision.embedding.position_embedding.embeddings
        ),
        **_layer_norm(vision.pre_layer_norm, "vision_model.pre_layrnorm"),
        **_transformer(vision.encoder_layers, "vision_model.encoder.layers"),
        **_layer_norm(vision.layer_norm, "vision_model.post_layernorm"),
        **_dense(backbone.vision_projection, "visual_projection"),
        "text_model.embeddings.token_embedding.weight": _as_is(
            text.embedding.token_embedding.embeddings
        ),
        "text_model.embeddings.position_embedding.weight": _as_is(
            text.embedding.position_embedding.position_embeddings
        ),
        **_transformer(text.encoder_layers, "text_model.encoder.layers"),
        **_layer_norm(text.layer_norm, "text_model.final_layer_norm"),
        **_dense(backbone.text_projection, "text_projection"),
    }


def _transformer(blocks: Sequence[keras.Layer], name: str) -> dict[str, _Target]:
    targets: dict[str, _Target] = {}
    for i, block in enumerate(blocks):
        attention, prefix = block.attention, f"{name}.{i}"
        targets |= {
            **_layer_norm(block.layer_norm_1, f"{prefix}.layer_norm1"),
            **_dense(attention.query_dense, f"{prefix}.self_attn.q_proj"),
            **_dense(attention.key_dense, f"{prefix}.self_attn.k_proj"),
            **_dense(attention.value_dense, f"{prefix}.self_attn.v_proj"),
            **_dense(attention.output_dense, f"{prefix}.self_attn.out_proj"),
            **_layer_norm(block.layer_norm_2, f"{prefix}.layer_norm2"),
            **_dense(block.dense_1, f"{prefix}.mlp.fc1"),
            **_dense(block.dense_2, f"{prefix}.mlp.fc2"),
        }
    return targets


def _layer_norm(layer: keras.Layer, name: str) -> dict[str, _Target]:
    return {f"{name}.weight": _as_is(layer.gamma), f"{name}.bias": _as_is(layer.beta)}


def _dense(layer: keras.Layer, name: str) -> dict[str, _Target]:
    """Checkpoints hold kernels as (outputs, inputs), without an axis of heads."""
    kernel, bias = layer.kernel, layer.bias
    outputs = kernel.shape[-1] if bias is None else math.prod(bias.shape)
    inputs = math.prod(kernel.shape) // outputs
    targets = {f"{name}.weight": _Target(kernel, (outputs, inputs), (1, 0))}
    if bias is not None:
        targets[f"{name}.bias"] = _Target(bias, (outputs,), (0,))
    return targets


def _convolution(kernel: keras.Variable) -> _Target:
    height, width, inputs, outputs = kernel.shape
    return _Target(kernel, (outputs, inputs, height, width), (2, 3, 1, 0))


def _as_is(variable: keras.Variable) -> _Target:
    shape = tuple(variable.shape)
    return _Target(variable, shape, tuple(range(len(shape))))


def _read_tokenizer(folder: pathlib.Path, length: int) -> CLIPTextTokenizer | None:
    """Makes the tokenizer from whichever of the two forms is present."""
    vocabulary, merges, whole = (
        folder / name for name in ("vocab.json", "merges.txt", "tokenizer.json")
    )
    present = [path.is_file() for path in (vocabulary, merges)]
    if all(present):
        return CLIPTextTokenizer.from_files(vocabulary, merges, length)
    if whole.is_file():
        model = _read_json(whole)["model"]
        rules = [rule if isinstance(rule, str) else " ".join(rule) for rule in model["merges"]]
        return CLIPTextTokenizer(rules, model["vocab"], length)
    if any(present):
        missing = merges if present[0] else vocabulary
        raise ValueError(
            "`folder` must hold both vocab.json and merges.txt, or neither. "
            f"Received: folder='{folder}' without {missing.name}"
        )
    return None


def _read_normalisation(folder: pathlib.Path) -> tuple[Sequence[float], Sequence[float]]:
    path = folder / "preprocessor_config.json"
    config = _read_json(path) if path.is_file() else {}
    return config.get("image_mean", CLIP_MEAN), config.get("image_std", CLIP_STD)
