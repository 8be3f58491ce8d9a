"""Running a localiser over planned scenes."""

import json
import os
import tempfile
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from keras_avssan.data.scene_batches import SceneBatches
from keras_avssan.doa.grid import GRID_DEGREES
from keras_avssan.evaluation.scoring import SceneScores, bootstrap_interval

PROMPTS = ("picture", "constant")
_ROWS = {
    "selection": ("selection", "%"),
    "mae": ("MAE", "°"),
    "acc_5deg": ("ACC@5°", "%"),
    "acc_10deg": ("ACC@10°", "%"),
    "acc_20deg": ("ACC@20°", "%"),
    "selected_mae": ("MAE when selected", "°"),
    "nearest_acc_5deg": ("within 5° of either source", "%"),
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Outcome of `evaluate_localizer`.

    Args:
        scores: `SceneScores` of all scenes.
        target_classes: Class of the target of every scene, a tuple.
        interferer_classes: Class of the interferer of every scene, a tuple.
        settings: What was run: split, number of scenes, SNR, seed, duration, prompt.
    """

    scores: SceneScores
    target_classes: tuple[str, ...]
    interferer_classes: tuple[str, ...]
    settings: dict

    def summary(self):
        """All results as a dict that JSON can hold: means, intervals, blind choice, classes."""
        per_scene = self.scores.per_scene()
        means = self.scores.means()
        classes = np.array(self.target_classes)
        return {
            "settings": self.settings,
            "scores": {
                name: None
                if np.isnan(means[name])
                else {"mean": means[name], "interval": list(bootstrap_interval(values))}
                for name, values in per_scene.items()
            },
            "blind_choice": self.scores.blind_choice(),
            "per_class": {
                name: {
                    "scenes": int(np.sum(classes == name)),
                    "selection": float(np.mean(per_scene["selection"][classes == name])),
                    "mae": float(np.mean(per_scene["mae"][classes == name])),
                }
                for name in sorted(set(self.target_classes))
            },
        }

    def table(self, label="model"):
        """The scores as a Markdown table, with 95 % intervals, beside the blind choice."""
        summary = self.summary()
        lines = [f"| score | {label} | 95 % interval | blind choice |", "|---|---|---|---|"]
        for name, (title, unit) in _ROWS.items():
            score, blind = summary["scores"][name], summary["blind_choice"].get(name)
            mean = "–" if score is None else _format(score["mean"], unit)
            low_high = (
                "–"
                if score is None
                else " – ".join(_format(bound, unit) for bound in score["interval"])
            )
            blind = "–" if blind is None else _format(blind, unit)
            lines.append(f"| {title} | {mean} | {low_high} | {blind} |")
        return "\n".join(lines)

    def save(self, path):
        """Writes `summary()` as JSON; the file appears whole or not at all.

        Args:
            path: Path of the file.
        """
        folder = os.path.dirname(os.path.abspath(path))
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".json")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(self.summary(), file, indent=2)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def evaluate_localizer(
    model, plan, num_scenes, *, start=0, batch_size=32, prompt="picture", progress=True
):
    """Scores a model on the scenes of a plan.

    Every picture is embedded once. The scenes depend on the plan alone, so two models, or two
    runs, hear the same.

    Args:
        model: An `AVSSAN`.
        plan: `keras_avssan.data.ScenePlan`.
        num_scenes: Number of scenes.
        start: Index of the first scene.
        batch_size: Scenes a run.
        prompt: `"picture"`, or `"constant"`: every scene is asked for with the same prompt, the
            mean over all pictures, so that the prompt tells nothing.
        progress: Whether a progress bar is shown.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: If `prompt` is unknown or `num_scenes` is not positive.

    Example:
        >>> evaluation = evaluate_localizer(model, plan, num_scenes=1000)
        >>> print(evaluation.table())
    """
    if prompt not in PROMPTS:
        raise ValueError(f"`prompt` must be one of {PROMPTS}. Received: prompt={prompt!r}")
    embeddings = embed_pictures(model, plan, progress=progress)
    if prompt == "constant":
        mean = np.mean(list(embeddings.values()), axis=0)
        embeddings = dict.fromkeys(embeddings, mean)
    batches = SceneBatches(
        plan,
        num_scenes,
        batch_size,
        start=start,
        prompt="embedding",
        prompt_embeddings=embeddings,
    )
    truth, estimates = [], []
    for index in tqdm(range(len(batches)), desc="scenes", unit="batch", disable=not progress):
        inputs, labels = batches[index]
        posterior = np.asarray(model.predict_on_batch(inputs)["doa"])
        estimates.append(GRID_DEGREES[np.argmax(posterior, axis=-1)])
        truth.append((labels["azimuth"], labels["interferer_azimuth"]))
    azimuth, interferer_azimuth = (np.concatenate(part) for part in zip(*truth, strict=True))
    scenes = [plan[index] for index in range(start, start + num_scenes)]
    return Evaluation(
        SceneScores(azimuth, interferer_azimuth, np.concatenate(estimates)),
        tuple(scene.target.class_name for scene in scenes),
        tuple(scene.interferer.class_name for scene in scenes),
        {
            "scenes": num_scenes,
            "split": plan.split,
            "snr_db": plan.snr,
            "seed": plan.seed,
            "duration_s": plan.duration,
            "classes": list(plan.classes),
            "rooms": len(plan.bank),
            "prompt": prompt,
        },
    )


def embed_pictures(model, plan, batch_size=32, progress=True):
    """Embeds every picture that a plan may ask with, once.

    Args:
        model: An `AVSSAN` with an image encoder.
        plan: `keras_avssan.data.ScenePlan`.
        batch_size: Pictures a run.
        progress: Whether a progress bar is shown.

    Returns:
        Dict from picture id to embedding (d_V,), as `data.make_dataset` takes it.
    """
    size = model.backbone.image_size
    pictures = plan.pictures
    embeddings = {}
    starts = range(0, len(pictures), batch_size)
    for start in tqdm(starts, desc="pictures", unit="batch", disable=not progress):
        chunk = pictures[start : start + batch_size]
        images = np.stack([plan.catalog.load_image(picture, size) for picture in chunk])
        vectors = model.embed_prompts(images, batch_size)
        embeddings.update({p.id: v for p, v in zip(chunk, vectors, strict=True)})
    return embeddings


def _format(value, unit):
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.1f}°"
