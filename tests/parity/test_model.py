"""The same weights give the same answers under TensorFlow, PyTorch and JAX.

A model of the default size is trained a few steps and saved once, under the backend of this
process; processes of their own load it under each backend that is installed.
"""

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder, YAMNet

CONFIGURATIONS = ["base", "paper", "steered", "learned"]
WITH_CANDIDATES = CONFIGURATIONS[2:]  # by their search
CANDIDATES = {"num_candidates": 2, "extractor_filters": 8, "num_prototypes": 3}


@pytest.fixture(scope="module")
def inputs():
    """Two scenes of a second: noise from two directions, with pictures of noise."""
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(2, 2, 16010))
    left = sources[:, 0, 5:16005] + sources[:, 1, :16000]
    right = sources[:, 0, :16000] + sources[:, 1, 7:16007]
    audio = 0.1 * np.stack([left, right], axis=-1)
    images = rng.uniform(size=(2, 64, 64, 3))
    return {"audio": audio.astype("float32"), "images": images.astype("float32")}


@pytest.fixture(scope="module")
def labels(inputs):
    return {
        "azimuth": np.array([40.0, 130.0], "float32"),
        "target": 0.5 * inputs["audio"],
        "interferer_azimuth": np.array([120.0, np.nan], "float32"),
    }


@pytest.fixture(scope="module")
def presets(inputs, labels, tmp_path_factory):
    """Folder of a model by configuration, its weights all moved by training."""
    folders = {}
    for configuration in CONFIGURATIONS:
        keras.utils.set_random_seed(0)
        arguments = {"image_encoder": ConvImageEncoder(), "audio_encoder": LogMelEncoder()}
        if configuration in WITH_CANDIDATES:
            encoder = YAMNet(0.25, stage=6)
            arguments |= {"audio_encoder": encoder, **CANDIDATES, "candidate_search": configuration}
        else:
            arguments["configuration"] = configuration
        model = AVSSAN(**arguments, compile=False)
        model.compile(run_eagerly=True)
        for _ in range(3):
            model.train_on_batch(inputs, labels)
        if configuration in WITH_CANDIDATES:  # which no gradient trains
            shape = model.backbone.prototypes.prototypes.shape
            model.backbone.prototypes.prototypes.assign(np.random.default_rng(1).normal(size=shape))
        folders[configuration] = str(tmp_path_factory.mktemp("presets") / configuration)
        model.save_to_preset(folders[configuration])
    return folders


@pytest.fixture(scope="module")
def predictions(inputs, labels, presets, run_under_each_backend, tmp_path_factory):
    """Arrays of the installed backends: `predictions[backend]["<configuration>/<name>"]`."""
    folder = tmp_path_factory.mktemp("predictions")
    scenes = {f"inputs/{key}": array for key, array in inputs.items()}
    scenes |= {f"labels/{key}": array for key, array in labels.items()}
    np.savez(folder / "scenes.npz", **scenes)
    stored = run_under_each_backend(
        "predict_preset.py", folder, folder / "scenes.npz", *presets.values()
    )
    return {backend: _named(arrays, list(presets)) for backend, arrays in stored.items()}


def _named(arrays, names):
    """Names of configurations in place of their numbers."""
    parts = {name: name.split("/", maxsplit=1) for name in arrays}
    return {f"{names[int(parts[name][0])]}/{parts[name][1]}": arrays[name] for name in arrays}


@pytest.fixture
def pair(both_backends, predictions):
    """Predictions of two backends."""
    return tuple(predictions[backend] for backend in both_backends)


def of(predictions, configuration, prefix):
    start = f"{configuration}/{prefix}"
    return {key: array for key, array in predictions.items() if key.startswith(start)}


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_weights_are_the_same_bit_for_bit(configuration, pair):
    first, second = (of(predictions, configuration, "weights/") for predictions in pair)
    assert list(first) == list(second)
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_posterior(configuration, pair):
    first, second = (predictions[f"{configuration}/doa"] for predictions in pair)
    assert np.ptp(first, axis=1).min() > 1e-4  # a flat posterior would agree with anything
    print(f"largest difference of the posterior: {np.abs(second - first).max():.1e}")  # with -rP
    np.testing.assert_allclose(second, first, atol=1e-5, rtol=0)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_step_of_training(configuration, pair):
    first, second = (of(predictions, configuration, "step/") for predictions in pair)
    largest = max(np.abs(change).max() for change in first.values())
    assert largest > 1e-3
    for key in first:
        np.testing.assert_allclose(second[key], first[key], atol=1e-3 * largest, rtol=0.01)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_mask(configuration, pair):
    first, second = (predictions[f"{configuration}/mask"] for predictions in pair)
    assert np.ptp(first) > 0.01
    np.testing.assert_allclose(second, first, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("outputs", "count"), [("band_", 4), ("similarity", 1)])
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_band_weights_and_similarity(configuration, outputs, count, pair):
    first, second = (of(predictions, configuration, outputs) for predictions in pair)
    assert len(first) == count
    for key in first:
        np.testing.assert_allclose(second[key], first[key], atol=1e-4, rtol=0)


@pytest.mark.parametrize("search", WITH_CANDIDATES)
def test_candidates(search, pair):
    first, second = (of(predictions, search, "candidate_") for predictions in pair)
    assert len(first) == 4
    for key in first:
        np.testing.assert_allclose(second[key], first[key], atol=1e-4, rtol=0)
    azimuths, evidence = (first[f"{search}/candidate_{n}"] for n in ("azimuths", "evidence"))
    assert np.ptp(azimuths, axis=1).min() > 10 and np.ptp(evidence) > 1e-3
    strengths = first[f"{search}/candidate_strengths"]
    assert (np.ptp(strengths) > 0) == (search == "learned")
    np.testing.assert_allclose(second[f"{search}/candidate_strengths"], strengths, atol=1e-6)
    first, second = (predictions[f"{search}/presence"] for predictions in pair)
    np.testing.assert_allclose(second, first, atol=1e-4, rtol=0)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_loading_changes_nothing(configuration, presets, inputs, predictions):
    """Another process under the same backend predicts what this one predicts."""
    loaded = AVSSAN.from_preset(presets[configuration])
    posterior = np.asarray(loaded.predict_on_batch(inputs)["doa"])
    other = predictions[keras.backend.backend()][f"{configuration}/doa"]
    np.testing.assert_allclose(other, posterior, atol=1e-6, rtol=0)
