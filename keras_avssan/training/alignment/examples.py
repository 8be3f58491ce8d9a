"""Embeddings of sounds and prompts by class, from which the alignment learns."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from keras_avssan._internal.checks import check_integer
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.models.prompt_embeddings import embed_class_names, embed_pictures
from keras_avssan.training.alignment.extracted_sounds import embed_extracted

if TYPE_CHECKING:
    from keras_avssan.data.catalogs.catalog import Catalog, Clip

_BATCH_SIZE = 32
_MOST_SECONDS = 10.0  # of a recording
_LEAST_SECONDS = 1.0  # of a window of a recording; shorter recordings are repeated


def check_alignable(model: Any) -> None:
    """Refuses models in which prompts and sounds have no common space, or change in training."""
    backbone = getattr(model, "backbone", None)
    bridge = getattr(backbone, "bridge", None)
    if not getattr(bridge, "return_similarity", False):
        raise ValueError(
            "`model` must compare prompts with sounds, as `AVSSAN` does with `visual_prompt` and "
            "`semantic_audio`; only such a model has the two projections that are aligned. "
            f"Received: model={model!r}"
        )
    for name in ("audio_encoder", "image_encoder"):
        encoder = getattr(backbone, name)
        if encoder is not None and encoder.trainable:
            raise ValueError(
                f"`model` must have a frozen `{name}`, because its embeddings are computed once: "
                f"set `model.backbone.{name}.trainable = False`. Received: {name}={encoder!r} "
                "with trainable=True"
            )


def sound_examples(
    model: Any, plan: ScenePlan, *, scenes: int = 256, progress: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Embeds sounds of a plan by the frozen audio encoder of a model.

    The sounds are all recordings that scenes may play, each the mean over its first 10 s, and the
    targets of the first scenes alone in their rooms, each at unit power. Of a network with
    candidates they are, in place of these targets, the sounds that its extractor extracts from the
    scenes at the azimuths of target and first interferer, with an error of 2 degrees: what the
    network will compare with prompts.

    Args:
        model: `keras_avssan.models.AVSSAN` with a frozen audio encoder.
        plan: `keras_avssan.data.ScenePlan`.
        scenes: Number of scenes of the plan that give further sounds; 0 for recordings alone.
        progress: Whether progress bars are shown.

    Returns:
        Tuple of float32 embeddings, shape (n, d_A), and the indices of their classes in
        `plan.classes`, shape (n,).

    Raises:
        ValueError: If the model has no frozen audio encoder or compares no prompts with sounds,
            or an embedding is not finite.

    Example:
        >>> embeddings, classes = sound_examples(model, plan, scenes=100)
        >>> align_prompts(model, plan, sounds=(embeddings, classes))
    """
    check_alignable(model)
    check_plan(plan)
    scenes = check_integer("scenes", scenes)
    numbers = {name: number for number, name in enumerate(plan.classes)}
    embeddings = [embed_recordings(model, plan.catalog, plan.clips, progress)]
    classes = [numbers[clip.class_name] for clip in plan.clips]
    if scenes:
        extracts = hasattr(model.backbone, "candidates")
        embed = embed_extracted if extracts else _embed_targets
        embeddings.append(embed(model, plan, scenes, progress))
        for index in range(scenes):
            sources = plan[index].sources[: 2 if extracts else 1]
            classes += [numbers[source.clip.class_name] for source in sources]
    return check_vectors("sounds", np.concatenate(embeddings)), np.array(classes)


def embed_recordings(
    model: Any, catalog: "Catalog", clips: "Sequence[Clip]", progress: bool = True
) -> np.ndarray:
    """Embeds recordings at unit power: means over time, float32 (clips, d_A)."""
    rate = catalog.sampling_rate
    shortest = round(rate * _LEAST_SECONDS)
    windows = [_windows(catalog.load_audio(clip), rate, shortest) for clip in clips]
    vectors = _embed_audio(
        model, (one for part in windows for one in part), sum(map(len, windows)), progress
    )
    ends = np.cumsum([len(part) for part in windows])[:-1]
    return np.stack([np.mean(part, axis=0) for part in np.split(vectors, ends)])


def _windows(samples: np.ndarray, rate: int, length: int) -> np.ndarray:
    """Windows (windows, length, 1) that cover the beginning of a recording of unit power."""
    samples = _unit_power(samples[: round(rate * _MOST_SECONDS)])
    if len(samples) < length:
        return np.resize(samples, (1, length, 1))
    count = math.ceil(len(samples) / length)
    starts = np.linspace(0, len(samples) - length, count).round().astype(int)
    return np.stack([samples[start : start + length] for start in starts])[..., None]


def _embed_targets(model: Any, plan: ScenePlan, scenes: int, progress: bool) -> np.ndarray:
    """Embeddings of the targets of scenes, alone in their rooms, (scenes, d_A)."""

    def targets() -> Iterator[np.ndarray]:
        for start in range(0, scenes, _BATCH_SIZE):
            indices = range(start, min(start + _BATCH_SIZE, scenes))
            rendered = render_scenes(plan, [plan[i] for i in indices], interferer_alone=False)
            yield from map(_unit_power, rendered["target"])

    return _embed_audio(model, targets(), scenes, progress)


def _unit_power(samples: np.ndarray) -> np.ndarray:
    """Samples with a root mean square of one; silence stays silent."""
    power = np.mean(np.square(samples, dtype="float64"))
    return (samples / np.sqrt(power + 1e-10)).astype("float32")


def _embed_audio(model: Any, audio: Iterable[np.ndarray], count: int, progress: bool) -> np.ndarray:
    """Embeds recordings of one length, (samples, channels) each: (recordings, d_A)."""
    network, vectors, batch = None, [], []
    bar = tqdm(total=count, desc="sounds", unit="sound", disable=not progress)
    for number, samples in enumerate(audio, start=1):
        batch.append(samples)
        if len(batch) < _BATCH_SIZE and number < count:
            continue
        if network is None:
            network = _audio_network(model.backbone, samples.shape)
        filled = np.zeros((_BATCH_SIZE, *samples.shape), "float32")  # one shape is compiled once
        filled[: len(batch)] = batch
        vectors.append(np.asarray(network.predict_on_batch(filled))[: len(batch)])
        bar.update(len(batch))
        batch = []
    bar.close()
    return np.concatenate(vectors).astype("float32")


def _audio_network(backbone: Any, shape: Sequence[int]) -> keras.Model:
    """From recordings of a shape to the means over time of the audio encoder's embeddings."""
    audio = keras.Input(tuple(shape), dtype="float32")
    embeddings = backbone.audio_encoder(ops.mean(audio, axis=-1))
    return keras.Model(audio, ops.mean(ops.cast(embeddings, "float32"), axis=1))


@dataclass(frozen=True, eq=False)
class PromptExamples:
    """Embeddings of pictures (n, views, d_V) and their classes (n,), and of words (classes, w).

    `words_are_projected` says whether words pass a projection of the encoder before the bridge.
    """

    pictures: np.ndarray
    classes: np.ndarray
    words: np.ndarray | None
    words_are_projected: bool


def prompt_examples(
    model: Any,
    plan: ScenePlan,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> PromptExamples:
    """Embeds pictures, each with its mirror image, and class names where the model reads words."""
    check_plan(plan)
    if prompt_embeddings is None:
        views = [
            embed_pictures(model, plan, progress=progress, mirrored=mirrored)
            for mirrored in (False, True)
        ]
    else:
        views = [dict(prompt_embeddings)]
    numbers = {name: number for number, name in enumerate(plan.classes)}
    ids = [picture.id for picture in plan.pictures]
    pictures = np.stack([rows_of("prompt_embeddings", view, ids) for view in views], axis=1)
    words, projected = None, False
    if text_embeddings is not None or model.backbone.reads_words:
        words, projected = embed_words(model, plan, text_embeddings)
    return PromptExamples(
        check_vectors("pictures", pictures),
        np.array([numbers[picture.class_name] for picture in plan.pictures]),
        words,
        projected,
    )


def embed_words(
    model: Any, plan: ScenePlan, text_embeddings: Mapping[str, np.ndarray] | None
) -> tuple[np.ndarray, bool]:
    """Embeds class names, (classes, d); and whether a projection of the encoder follows."""
    projected = text_embeddings is None and own_projection(model) is not None
    if projected:
        names = [name.replace("_", " ") for name in plan.classes]
        words = model.backbone.image_encoder.embed_sentences(names)
    else:
        by_name = embed_class_names(model, plan) if text_embeddings is None else text_embeddings
        words = rows_of("text_embeddings", by_name, plan.classes)
    return check_vectors("words", words), projected


def rows_of(name: str, by_key: Mapping[str, np.ndarray], keys: Sequence[str]) -> np.ndarray:
    """Embeddings (keys, d) of the argument `name`; a ValueError if it lacks one."""
    missing = [key for key in keys if key not in by_key]
    if missing:
        raise ValueError(
            f"`{name}` must hold all {len(keys)} of the plan, and lacks {missing[0]!r}. "
            f"Received: len({name})={len(by_key)}"
        )
    return np.stack([by_key[key] for key in keys])


def check_plan(plan: Any, name: str = "plan") -> None:
    """Raises a TypeError for what is no plan, the argument `name`."""
    if not isinstance(plan, ScenePlan):
        raise TypeError(f"`{name}` must be a ScenePlan. Received: {name}={plan!r}")


def own_projection(model: Any) -> Any:
    """The projection of the words of a `PictureTextEncoder`; `None` for other encoders."""
    return getattr(model.backbone.image_encoder, "text_projection", None)


def check_vectors(name: str, vectors: np.ndarray) -> np.ndarray:
    """Refuses embeddings that are not finite; returns them in float32."""
    vectors = np.asarray(vectors, "float32")
    if not np.isfinite(vectors).all():
        raise ValueError(
            f"The embeddings of the {name} must be finite. "
            f"Received: {int(np.sum(~np.isfinite(vectors)))} values that are not"
        )
    return vectors
