"""The same rooms have the same impulse responses under TensorFlow, PyTorch and JAX."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def responses(run_under_each_backend, tmp_path_factory):
    return run_under_each_backend("simulate_rooms.py", tmp_path_factory.mktemp("rooms"))


@pytest.mark.parametrize("rooms", ["images", "tail", "six walls and patterns"])
def test_impulse_responses(rooms, both_backends, responses):
    first, second = (responses[backend][rooms] for backend in both_backends)
    assert first.shape[:3] == (2, 2, 2)
    assert abs(first).max(axis=-1).min() > 1e-3
    print(f"largest difference of {rooms}: {np.abs(second - first).max():.1e}")  # with -rP
    np.testing.assert_allclose(second, first, atol=1e-5, rtol=0)
    np.testing.assert_allclose(second, first, atol=5e-5 * abs(first).max(), rtol=0)
