"""Embeddings of the sounds that an extractor extracts at the true directions of scenes."""

from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from keras_avssan._internal.types import Tensor
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.data.scenes.scene_plan import ScenePlan

_BATCH_SIZE = 8
_JITTER = 2.0  # degrees, standard deviation


def embed_extracted(model: Any, plan: ScenePlan, scenes: int, progress: bool) -> np.ndarray:
    """Embeds target and first interferer of scenes, as extracted: (2 * scenes, d_A)."""
    network = _network(model.backbone, plan.num_samples)
    vectors = []
    starts = range(0, scenes, _BATCH_SIZE)
    for start in tqdm(starts, desc="extracted sounds", unit="batch", disable=not progress):
        drawn = [plan[start + i] for i in range(_BATCH_SIZE)]  # one shape is compiled once
        audio = render_scenes(plan, drawn, interferer_alone=False)["audio"]
        azimuths = []
        for scene in drawn:
            error = plan.generator(scene.index, "extracted").normal(0.0, _JITTER, 2)
            true = np.array([source.azimuth for source in scene.sources[:2]])
            azimuths.append(np.clip(true + error, 0.0, 180.0))
        inputs = {"audio": audio, "azimuths": np.array(azimuths, "float32")}
        vectors.append(np.asarray(network.predict_on_batch(inputs)))
    merged = np.concatenate(vectors)[:scenes]
    return merged.reshape(2 * scenes, -1).astype("float32")


def _network(backbone: Any, samples: int) -> keras.Model:
    """From scenes and two azimuths to the embeddings of what is extracted there."""
    inputs = {
        "audio": keras.Input((samples, 2), dtype="float32", name="audio"),
        "azimuths": keras.Input((2,), dtype="float32", name="azimuths"),
    }
    return keras.Model(inputs, _Extracted(backbone)(inputs))


class _Extracted(keras.layers.Layer):
    """The layers of a network from its scenes to the embeddings of extracted sounds."""

    def __init__(self, backbone: Any) -> None:
        super().__init__(name="extracted", dtype="float32", trainable=False)
        self._parts = (backbone,)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        (backbone,) = self._parts
        audio = backbone.level(inputs["audio"])
        masks = backbone.candidates.extract(backbone.stft(audio), inputs["azimuths"])
        return backbone.evidence.average(audio, masks)
