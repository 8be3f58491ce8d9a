"""Band attention by class."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import scipy.stats

from keras_avssan._internal.one_line import count, names, one_line
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.evaluation.examples import plan_embeddings, run_scenes, spectral_power
from keras_avssan.evaluation.scoring import nan_mean
from keras_avssan.models.av_ssan.av_ssan_backbone import BAND_ATTENTION

# A patch this far (-120 dB) below the loudest one is silent.
_SILENCE = 1e-12


@dataclass(frozen=True, eq=False)
class ClassBandAttention:
    """Band attention of a model, averaged over the scenes prompted with each class.

    Args:
        classes: Names of the classes, a tuple of length C.
        num_scenes: Number of scenes prompted with each class, array of shape (C,).
        attention: Dict from band type to the mean weight β of its patches, shape (C, n).
        energy: Dict from band type to the mean share of the target's own energy that lies in each
            patch, shape (C, n); NaN where the target is silent in all scenes.
        agreement: Dict from band type to the mean rank correlation over the patches of a scene
            between β and how much louder the target is there than the interferer, shape (C,): 1
            where louder patches always weigh more, 0 where the two are independent, NaN where all
            patches weigh the same.
        band_weights: Mean weight α of the band types over time, shape (C, bands).
        bands: Names of the band types, a tuple.
        sampling_rate: Sampling rate in hertz.

    Example:
        >>> result = class_band_attention(model, plan, num_scenes=500)
        >>> dict(zip(result.classes, result.attention["fine"].argmax(axis=1)))
        {'bird': 11, 'drum': 0}
    """

    classes: tuple[str, ...]
    num_scenes: np.ndarray
    attention: dict[str, np.ndarray]
    energy: dict[str, np.ndarray]
    agreement: dict[str, np.ndarray]
    band_weights: np.ndarray
    bands: tuple[str, ...]
    sampling_rate: int

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{count(len(self.classes), 'class', 'classes')} ({names(self.classes)})",
            count(int(np.sum(self.num_scenes)), "scene"),
            f"bands {'/'.join(self.bands)}",
        )


def class_band_attention(
    model: keras.Model,
    plan: ScenePlan,
    num_scenes: int,
    *,
    start: int = 0,
    batch_size: int = 32,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> ClassBandAttention:
    """Averages the weights of patches and band types over the scenes prompted with each class.

    Args:
        model: An `AVSSAN`.
        plan: `keras_avssan.data.ScenePlan`; prompts are pictures, whatever its `prompt_kinds`.
        num_scenes: Number of scenes.
        start: Index of the first scene.
        batch_size: Scenes a run.
        prompt_embeddings: Dict from picture id to embedding, shape (dimensions,). By default the
            model's own encoder computes them.
        progress: Whether a progress bar is shown.

    Returns:
        A `ClassBandAttention`; a class without scenes is left out.

    Raises:
        ValueError: If `num_scenes` is not positive, the model has no image encoder and no
            embeddings are given, or plan and model differ in sampling rate or microphone spacing.
        TypeError: If the model has no bands.

    Example:
        >>> result = class_band_attention(model, plan, num_scenes=500)
        >>> plot_class_band_attention(result).savefig("bands.png")

    Reference:
        AV-SSAN, Figure 3 and equations (7) and (8).
    """
    bands = getattr(getattr(model, "backbone", None), "bands", None)
    if bands is None:
        raise TypeError(f"`model` must attend to bands, as AVSSAN. Received: model={model!r}")
    embeddings = plan_embeddings(model, plan, prompt_embeddings, progress)
    measured: dict[str, list[dict[Any, Any]]] = defaultdict(list)
    for scene, sources, outputs in run_scenes(
        model, plan, num_scenes, embeddings, start=start, batch_size=batch_size, progress=progress
    ):
        measured[scene.target.class_name].append(_measure(sources, outputs))
    classes = tuple(name for name in plan.classes if name in measured)
    means = [_mean(measured[name]) for name in classes]
    by_band = {
        key: {band: np.stack([mean[key, band] for mean in means]) for band in bands}
        for key in ("attention", "energy", "agreement")
    }
    return ClassBandAttention(
        classes,
        np.array([len(measured[name]) for name in classes]),
        **by_band,
        band_weights=np.stack([mean["band_weights"] for mean in means]),
        bands=tuple(bands),
        sampling_rate=plan.sampling_rate,
    )


def patch_energy(spectrogram: np.ndarray, num_patches: int) -> np.ndarray:
    """Energy (n,) of a sound, by its spectrogram (T, F, 4), in each patch of a band type.

    It is summed over all frames; bins that fill no whole patch do not count.
    """
    energy = spectral_power(spectrogram).sum(axis=0)
    width = len(energy) // num_patches
    patches: np.ndarray = energy[: num_patches * width].reshape(num_patches, width)
    return patches.sum(axis=-1)


def band_agreement(
    attention: np.ndarray, target_energy: np.ndarray, interferer_energy: np.ndarray
) -> float:
    """Spearman's correlation over patches between weights β and the target's share of the energy.

    NaN if either is the same in all patches.
    """
    total = target_energy + interferer_energy
    # Only rounding errors are left there: in silence the two are equally loud.
    silent = total <= _SILENCE * np.max(total)
    share = np.where(silent, 0.5, target_energy / np.where(silent, 1.0, total))
    ranks = scipy.stats.rankdata([attention, share], axis=1)
    if np.any(np.ptp(ranks, axis=1) == 0):
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def _measure(sources: tuple[np.ndarray, ...], outputs: dict[str, np.ndarray]) -> dict[Any, Any]:
    """Numbers of one scene, by name and band type."""
    measured: dict[Any, Any] = {"band_weights": outputs["band_weights"].mean(axis=0)}
    for name in (name for name in outputs if name.startswith(BAND_ATTENTION)):
        band, attention = name.removeprefix(BAND_ATTENTION), outputs[name]
        target, interferer = (patch_energy(source, len(attention)) for source in sources)
        measured["attention", band] = attention
        total = target.sum()
        measured["energy", band] = target / total if total > 0 else np.full(len(target), np.nan)
        measured["agreement", band] = band_agreement(attention, target, interferer)
    return measured


def _mean(scenes: list[dict[Any, Any]]) -> dict[Any, Any]:
    """Mean of every number over scenes; an agreement or energy that is NaN does not count."""
    values = {key: np.array([scene[key] for scene in scenes], "float64") for key in scenes[0]}
    return {key: np.apply_along_axis(nan_mean, 0, value)[()] for key, value in values.items()}
