"""The part of AV-SSAN's network that extracts sounds at candidate directions."""

from typing import TYPE_CHECKING, Any

from keras_avssan._internal.checks import check_choice, check_integer
from keras_avssan._internal.types import Tensor
from keras_avssan.layers.extraction.class_prototypes import ClassPrototypes
from keras_avssan.layers.extraction.prompt_fusion import PromptFusion
from keras_avssan.layers.extraction.source_candidates import CHOICES, SourceCandidates
from keras_avssan.models.av_ssan.extracted_evidence import STEPS, ExtractedEvidence

if TYPE_CHECKING:
    from keras_avssan.models.av_ssan.av_ssan_backbone import AVSSANBackbone


def add_candidates(backbone: "AVSSANBackbone") -> None:
    """Adds the layers of `num_candidates`, beyond the paper; none where it is 0."""
    settings = backbone.settings
    for name, choices in CHOICES.items():
        check_choice(f"candidate_{name}", settings[f"candidate_{name}"], choices)
    check_integer("extractor_filters", settings["extractor_filters"], 1)
    if not settings["num_candidates"]:
        if settings["num_prototypes"]:
            raise ValueError(
                "`num_prototypes` must be 0 where `num_candidates` is 0. "
                f"Received: num_prototypes={settings['num_prototypes']}"
            )
        return
    _check(settings, backbone.audio_encoder)
    backbone.candidates = SourceCandidates(
        settings["num_candidates"],
        settings["extractor_filters"],
        settings["microphone_spacing"],
        settings["sampling_rate"],
        settings["candidate_search"],
        settings["candidate_masks"],
        settings["candidate_posteriors"],
        name="candidates",
    )
    rate = settings["sampling_rate"] / settings["hop_length"]
    backbone.evidence = ExtractedEvidence(
        backbone.audio_encoder, backbone.bridge, rate, name="evidence"
    )
    if settings["num_prototypes"]:
        backbone.prototypes = ClassPrototypes(settings["num_prototypes"], name="prototypes")
    learned = settings["candidate_search"] == "learned"
    backbone.fusion = PromptFusion(use_strength=learned, name="fusion")


def weigh_candidates(
    backbone: "AVSSANBackbone",
    audio: Tensor,
    spectrogram: Tensor,
    spacing: Tensor | None,
    outputs: dict[str, Tensor],
    shared: bool = False,
) -> dict[str, Tensor]:
    """The outputs with the posterior of the candidates as `doa`."""
    if shared and spacing is not None:
        spacing = spacing[:1]  # that of the recording, which all prompts are for
    azimuths, masks, posteriors, strengths = backbone.candidates(spectrogram, spacing)
    semantics = outputs["prompt_semantics"]
    if backbone.settings["num_prototypes"]:
        semantics = backbone.prototypes(semantics)
    evidence = backbone.evidence(audio, masks, semantics)
    doa, weights, presence = backbone.fusion(
        evidence, azimuths, posteriors, outputs["doa"], outputs["similarity"], strengths
    )
    return {
        **outputs,
        "doa": doa,
        "mixture_doa": outputs["doa"],
        "candidate_azimuths": azimuths,
        "candidate_strengths": strengths,
        "candidate_evidence": evidence,
        "candidate_weights": weights,
        "presence": presence,
    }


def _check(settings: Any, audio_encoder: Any) -> None:
    """Refuses networks whose prompts and sounds cannot be compared."""
    count = settings["num_candidates"]
    for name in ("visual_prompt", "semantic_audio"):
        if not settings[name]:
            raise ValueError(
                f"`num_candidates` must be 0 where `{name}` is off. "
                f"Received: num_candidates={count!r}, {name}={settings[name]!r}"
            )
    missing = [step for step in STEPS if not hasattr(audio_encoder, step)]
    if missing:
        raise ValueError(
            "`audio_encoder` must have magnitudes that a mask can be applied to, as `YAMNet` has, "
            f"where `num_candidates` is above 0; it lacks {missing}. "
            f"Received: audio_encoder={audio_encoder!r}"
        )
