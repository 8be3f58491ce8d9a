"""The prompt of AV-SSAN's network as its semantic bridge takes it."""

from typing import TYPE_CHECKING

from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.models.prompting import EMBEDDED, PROJECTED, embed_inputs

if TYPE_CHECKING:
    from keras_avssan.models.av_ssan.av_ssan_backbone import AVSSANBackbone


def bridge_prompt(
    backbone: "AVSSANBackbone", inputs: dict[str, Tensor], audio: Tensor
) -> dict[str, Tensor]:
    """The prompt as arguments of the bridge: projections, an embedding, a recording, or both."""
    if PROJECTED in inputs:
        return {"prompt": inputs[PROJECTED], "shared": True}
    if not backbone.visual_prompt:
        return {"prompt": audio[:, :1, 0]}
    if "prompt_audio" not in inputs:
        return {"prompt": embed_inputs(backbone, inputs)}
    reference = _embed_reference(backbone, inputs["prompt_audio"])
    if not set(EMBEDDED) & set(inputs):
        return {"prompt": ops.zeros_like(reference[:, 0]), "reference": reference}
    weight = inputs.get("prompt_audio_weight")
    return {
        "prompt": embed_inputs(backbone, inputs),
        "reference": reference,
        "reference_weight": 0.5 * ops.ones_like(audio[:, 0, 0]) if weight is None else weight,
    }


def _embed_reference(backbone: "AVSSANBackbone", recording: Tensor) -> Tensor:
    """Embeddings (batch, t, d_A) of recordings that are the prompt."""
    assert backbone.audio_encoder is not None
    return backbone.audio_encoder(backbone.level(recording[..., None])[..., 0])
