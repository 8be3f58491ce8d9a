"""Evaluation of a localiser on segments of real rooms."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_avssan._internal.checks import check_choice, check_integer
from keras_avssan._internal.types import DirectionModel
from keras_avssan.data.starss23.segment_prompts import SegmentPrompts
from keras_avssan.data.starss23.starss23 import STARSS23
from keras_avssan.doa.grid import check_finite
from keras_avssan.evaluation.evaluate_localizer import strongest_direction
from keras_avssan.evaluation.evaluation_result import Evaluation
from keras_avssan.evaluation.heading import given_spacing
from keras_avssan.evaluation.scoring import SceneScores
from keras_avssan.evaluation.training_overlap import picture_overlap
from keras_avssan.models.microphones import check_spacing
from keras_avssan.models.prompt_embeddings import embed_plan, takes_prompt

SEGMENT_PROMPTS = ("picture", "text", "constant")


def evaluate_segments(
    model: DirectionModel,
    prompts: SegmentPrompts,
    *,
    prompt: str = "picture",
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    decode: Callable[[np.ndarray, np.ndarray], np.ndarray] = strongest_direction,
    microphone_spacing: float | None = None,
    on_overlap: str = "mark",
    batch_size: int = 8,
    progress: bool = True,
) -> Evaluation:
    """Scores a model on segments of STARSS23.

    The head `doa_form="srp"` and the methods of `keras_avssan.classical` take the spacing of the
    recorded pair as an input, so that a model trained with another one can be scored; other heads
    and networks have the spacing of their training.

    MAE and accuracies are over all segments. Selection, and what depends on it, is over the
    segments with an interferer of another class: whether the estimate is nearer to the target
    than to the most active interferer.

    Args:
        model: A `keras_avssan.models.Localizer` such as `AVSSAN`, or a method of
            `keras_avssan.classical`.
        prompts: `keras_avssan.data.SegmentPrompts`: segments, and the pictures of their prompts.
        prompt: Kind of the prompts: `"picture"`, `"text"` (the name of STARSS23's class), or
            `"constant"`: every segment is prompted with the mean of all pictures, which carries no
            information.
        prompt_embeddings: Dict from the id of every picture of `prompts` to its embedding, for
            models without an image encoder; by default the model's encoder computes them.
        text_embeddings: Dict from class to the embedding of its name, likewise.
        decode: Function from posteriors to estimates, see `evaluate_localizer`.
        microphone_spacing: Spacing in metres that the head assumes; by default that of the data
            set, `STARSS23.microphone_spacing`.
        on_overlap: What happens if pictures of the prompts were in the training of the model, see
            `evaluate_localizer`.
        batch_size: Segments a run.
        progress: Whether a progress bar is shown.

    Returns:
        An `Evaluation`; an interferer's class is `None` in segments without interferers.

    Raises:
        ValueError: If `prompt` is unknown, `batch_size` or the spacing is not positive, the data
            set is in the FOA format or at another sampling rate than the model, the model's
            head cannot take the spacing and has another one, the model was trained on the
            pictures, with `on_overlap="error"`, or a posterior is not finite.

    Example:
        >>> prompts = SegmentPrompts(STARSS23("STARSS23"), PictureFolders("pictures"), "map.csv")
        >>> print(evaluate_segments(model, prompts).table())
    """
    check_choice("prompt", prompt, SEGMENT_PROMPTS)
    batch_size = check_integer("batch_size", batch_size, least=1)
    dataset = prompts.dataset
    spacing = dataset.microphone_spacing if microphone_spacing is None else microphone_spacing
    _check(model, dataset, spacing)
    pictures = prompts.pictures if prompt != "text" else ()
    overlap = picture_overlap(model, prompts.catalog, pictures, on_overlap)
    embeddings = _embeddings(model, prompts, prompt, prompt_embeddings, text_embeddings, progress)
    estimates = []
    starts = range(0, len(prompts.segments), batch_size)
    for start in tqdm(starts, desc="segments", unit="batch", disable=not progress):
        batch = prompts.segments[start : start + batch_size]
        inputs = {
            "audio": np.stack([dataset.load_audio(segment) for segment in batch]),
            "prompt_embedding": np.stack([embeddings[segment.id] for segment in batch]),
            "microphone_spacing": np.full(len(batch), spacing, "float32"),
        }
        posterior = check_finite(
            model.predict_on_batch(inputs)["doa"], [f"segment {segment.id}" for segment in batch]
        )
        estimates.append(decode(posterior, np.array([segment.azimuth for segment in batch])))
    return Evaluation(
        SceneScores(
            np.array([segment.azimuth for segment in prompts.segments]),
            np.array([segment.interferer_azimuth for segment in prompts.segments]),
            np.concatenate(estimates),
        ),
        tuple(segment.class_name for segment in prompts.segments),
        tuple(
            segment.interferers[0].class_name if segment.interferers else None
            for segment in prompts.segments
        ),
        {
            "segments": len(prompts.segments),
            "recordings": len(dataset.recordings),
            "split": dataset.split,
            "pair": dataset.pair.name,
            "microphone_spacing_m": float(dataset.microphone_spacing),
            **given_spacing(microphone_spacing),
            "duration_s": prompts.segments[0].duration,
            "seed": prompts.seed,
            "classes": {name: list(prompts.class_map[name]) for name in prompts.classes},
            "left_out": {**dataset.left_out, "class without pictures": prompts.without_pictures},
            "prompt": prompt,
            "training_overlap": overlap,
        },
    )


def _check(model: DirectionModel, dataset: STARSS23, spacing: float) -> None:
    if dataset.format != "mic":
        raise ValueError(
            "`format` must be 'mic', because the channels of 'foa' have no time differences. "
            f"Received: format={dataset.format!r}"
        )
    backbone: Any = getattr(model, "backbone", model)
    if dataset.sampling_rate != backbone.sampling_rate:
        raise ValueError(
            f"`sampling_rate` of the data set must be that of the model, {backbone.sampling_rate} "
            f"Hz. Received: sampling_rate={dataset.sampling_rate}"
        )
    check_spacing(model, spacing)


def _embeddings(
    model: DirectionModel,
    prompts: SegmentPrompts,
    prompt: str,
    pictures: Mapping[str, np.ndarray] | None,
    texts: Mapping[str, np.ndarray] | None,
    progress: bool,
) -> dict[str, np.ndarray]:
    """Maps the id of each segment to the embedding of its prompt."""
    pictures, texts = embed_plan(
        model, prompts, (prompt,), pictures=pictures, texts=texts, progress=progress
    )
    if prompt == "text" and takes_prompt(model):
        assert texts is not None
        return {segment.id: texts[segment.class_name] for segment in prompts.segments}
    return {segment.id: pictures[prompts.picture(segment).id] for segment in prompts.segments}
