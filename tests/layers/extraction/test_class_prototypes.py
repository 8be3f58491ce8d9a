"""Attention of prompts to prototypes, against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.layers import ClassPrototypes


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def run(layer, prompts):
    return ops.convert_to_numpy(layer(ops.convert_to_tensor(prompts.astype("float32"))))


@pytest.fixture
def prompts(rng):
    return rng.normal(size=(4, 6))


@pytest.fixture
def layer(rng):
    layer = ClassPrototypes(3, scale=4.0, gain=0.7)
    layer.build((None, 6))
    layer.prototypes.assign(rng.normal(size=(3, 6)))  # of any length
    return layer


def test_is_its_definition(layer, prompts, twin):
    prototypes = unit(twin.array(layer.prototypes))
    weights = twin.softmax(4.0 * unit(prompts) @ prototypes.T)
    expected = unit(prompts) + 0.7 * weights @ prototypes
    np.testing.assert_allclose(run(layer, prompts), expected, atol=1e-5)
    np.testing.assert_allclose(run(layer, 9.0 * prompts), expected, atol=1e-5)


def test_a_prompt_comes_nearer_to_the_prototype_that_it_resembles(layer, prompts, twin):
    prototypes = unit(twin.array(layer.prototypes))
    near = unit(prototypes + 0.3 * unit(prompts[:3]))
    moved = unit(run(layer, near))
    before, after = (np.sum(x * prototypes, axis=-1) for x in (near, moved))
    assert (after > before).all() and after.max() < 1.0


def test_without_prototypes_a_prompt_keeps_its_direction(prompts):
    layer = ClassPrototypes(3)
    np.testing.assert_allclose(run(layer, prompts), unit(prompts), atol=1e-6)
    assert not layer.trainable_weights and len(layer.weights) == 1


def test_silent_prompts_are_finite(layer):
    assert np.isfinite(run(layer, np.zeros((1, 6)))).all()


@pytest.mark.backend_agnostic
def test_bad_arguments(layer):
    with pytest.raises(ValueError, match="`num_prototypes` must .*Received: num_prototypes=0"):
        ClassPrototypes(0)
    for name in ("scale", "gain"):
        with pytest.raises(ValueError, match=rf"`{name}` must .*Received: {name}=-1"):
            ClassPrototypes(2, **{name: -1.0})
    with pytest.raises(ValueError, match=r"`semantics` must have shape .*\(4, 7\)"):
        run(layer, np.zeros((4, 7)))
    with pytest.raises(ValueError, match=r"`semantics` must have a known dimension D.*None"):
        ClassPrototypes(2).build((None, None))
