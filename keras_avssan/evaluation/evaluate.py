"""Running a localiser over planned scenes."""

import json
import os
import tempfile
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from keras_avssan.data.embeddings import embed_class_names, embed_pictures
from keras_avssan.data.scene_batches import SceneBatches
from keras_avssan.data.scene_plan import PROMPT_KINDS
from keras_avssan.doa.grid import GRID_DEGREES
from keras_avssan.evaluation.scoring import SceneScores, bootstrap_interval, nan_mean

PROMPTS = (*PROMPT_KINDS, "constant")
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
    """Outcome of `evaluate_localizer` or of `evaluate_segments`.

    Args:
        scores: `SceneScores` of all scenes.
        target_classes: Class of the target of every scene, a tuple.
        interferer_classes: Class of the interferer of every scene, a tuple; `None` where a scene
            has none.
        settings: What was run: split, number of scenes, SNR, seed, duration, prompt.
    """

    scores: SceneScores
    target_classes: tuple[str, ...]
    interferer_classes: tuple[str | None, ...]
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
            "blind_choice": {
                name: _or_none(value) for name, value in self.scores.blind_choice().items()
            },
            "per_class": {
                name: {
                    "scenes": int(np.sum(classes == name)),
                    "selection": _or_none(nan_mean(per_scene["selection"][classes == name])),
                    "mae": nan_mean(per_scene["mae"][classes == name]),
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
        prompt: What asks: `"picture"`, `"text"` (the name of the class), `"recording"` (another
            recording of the class), or `"constant"`: every scene is asked for with the same
            prompt, the mean over all pictures, so that the prompt tells nothing.
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
    plan = replace(plan, prompt_kinds=("picture" if prompt == "constant" else prompt,))
    batches = SceneBatches(
        plan,
        num_scenes,
        batch_size,
        start=start,
        prompt="embedding",
        prompt_embeddings=embeddings,
        text_embeddings=embed_class_names(model, plan) if prompt == "text" else None,
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


def _or_none(value):
    """A number as JSON has it, which knows no NaN."""
    return None if np.isnan(value) else value


def _format(value, unit):
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.1f}°"
