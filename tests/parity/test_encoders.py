"""The same weights of an audio encoder give the same under TensorFlow, PyTorch and JAX."""

import numpy as np
import pytest

from keras_avssan.encoders import SoundEffectsCNN, VGGish, YAMNet

ENCODERS = {
    "VGGish": lambda: VGGish(filters=(4, 6, 8, 10), hidden_dim=24),
    "SoundEffectsCNN": lambda: SoundEffectsCNN((4, 6, 8, 10)),
    "YAMNet": lambda: YAMNet(0.25),
    "YAMNet, densely": lambda: YAMNet(0.25, stage=12, average_bands=False, implementation="conv"),
}


def draw(rng, shape):
    """A weight that keeps differences between inputs; those of normalisations are positive."""
    if len(shape) == 1:
        return rng.uniform(0.2, 1.0, shape)
    depthwise = len(shape) == 4 and shape[-1] == 1
    return rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:2] if depthwise else shape[:-1]))


@pytest.fixture(scope="module")
def predictions(run_under_each_backend, tmp_path_factory):
    """Arrays of the installed backends: `predictions[backend]["<number>/<name>"]`."""
    folder, rng = tmp_path_factory.mktemp("encoders"), np.random.default_rng(0)
    for number, make in enumerate(ENCODERS.values()):
        encoder = make()
        encoder.set_weights([draw(rng, weight.shape) for weight in encoder.get_weights()])
        encoder.save_to_preset(str(folder / str(number)))
    audio = 0.1 * rng.normal(size=(2, 20000))
    np.savez(folder / "recordings.npz", audio=audio.astype("float32"))
    presets = [folder / str(number) for number in range(len(ENCODERS))]
    return run_under_each_backend(
        "predict_encoders.py", folder, folder / "recordings.npz", *presets
    )


@pytest.mark.parametrize("name", ENCODERS)
def test_embeddings(name, both_backends, predictions):
    number = list(ENCODERS).index(name)
    first, second = (predictions[backend][f"{number}/embeddings"] for backend in both_backends)
    assert np.ptp(first, axis=(0, 1)).max() > 1e-3  # equal embeddings would agree with anything
    np.testing.assert_allclose(second, first, atol=1e-4 * np.abs(first).max(), rtol=0)


@pytest.mark.parametrize("name", [name for name in ENCODERS if "YAMNet" in name])
def test_class_scores(name, both_backends, predictions):
    number = list(ENCODERS).index(name)
    first, second = (predictions[backend][f"{number}/scores"] for backend in both_backends)
    assert np.ptp(first) > 1e-3
    np.testing.assert_allclose(second, first, atol=1e-3, rtol=0)  # of logits up to a hundred
