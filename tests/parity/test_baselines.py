"""The same weights of every baseline give the same answers under TensorFlow, PyTorch and JAX."""

import keras
import numpy as np
import pytest

from keras_avssan.models import baselines

# Each small, with every part that it has.
SIZES = {
    "SELDNet": {"filters": 8, "recurrent_dim": 8, "hidden_dim": 8},
    "GCCMLP": {"hidden_dim": 32},
    "FNSSL": {"hidden_dim": 8, "num_blocks": 2, "frequency_stride": 8},
    "MLPAVC": {"hidden_dim": 32},
    "AVMLP": {"hidden_dim": 32},
    "DGB": {"hidden_dim": 32},
    "AVST": {"dim": 16, "mlp_dim": 32},
    "AVSELD": {"filters": (4, 8, 8, 16), "visual_dim": 16, "num_layers": 1, "num_heads": 2,
               "ffn_dim": 32, "kernel_size": 5},
    "CMAF": {"dim": 16, "ffn_dim": 32, "hidden_dim": 32},
}  # fmt: skip
PROMPT_DIM = 6


@pytest.fixture(scope="module")
def inputs():
    """Four scenes of half a second: noise with a delay, asked for by noise."""
    rng = np.random.default_rng(0)
    source = rng.normal(size=(4, 8010))
    audio = 0.1 * np.stack([source[:, 5:8005], source[:, :8000]], axis=-1)
    return {
        "audio": audio.astype("float32"),
        "prompt_embedding": rng.normal(size=(4, PROMPT_DIM)).astype("float32"),
    }


@pytest.fixture(scope="module")
def predictions(inputs, run_under_each_backend, tmp_path_factory):
    """Arrays of the installed backends: `predictions[backend][name]`."""
    folder = tmp_path_factory.mktemp("baselines")
    presets = []
    for name, sizes in SIZES.items():
        keras.utils.set_random_seed(0)
        model = getattr(baselines, name)(prompt_dim=PROMPT_DIM, **sizes)
        # Away from weights that are zero or one at first.
        model.set_weights([0.9 * weight + 0.02 for weight in model.get_weights()])
        presets.append(str(folder / name))
        model.save_to_preset(presets[-1])
    np.savez(folder / "scenes.npz", **inputs)
    stored = run_under_each_backend("predict_baselines.py", folder, folder / "scenes.npz", *presets)
    return {
        backend: {name: arrays[str(number)] for number, name in enumerate(SIZES)}
        for backend, arrays in stored.items()
    }


def test_every_baseline_is_covered():
    assert set(SIZES) == set(baselines.__all__) - {"Baseline", "BaselineBackbone"}


@pytest.mark.parametrize("name", SIZES)
def test_posterior(name, both_backends, predictions):
    first, second = (predictions[backend][name] for backend in both_backends)
    assert np.ptp(first, axis=1).min() > 1e-4  # a flat posterior would agree with anything
    print(f"largest difference of the posterior: {np.abs(second - first).max():.1e}")  # with -rP
    np.testing.assert_allclose(second, first, atol=1e-5, rtol=0)
