"""NumPy twins of Keras layers, computed from the layers' own weights."""

import types

import numpy as np
import pytest
from keras import ops
from scipy.special import erf


def softmax(x, axis=-1):
    x = np.exp(x - x.max(axis=axis, keepdims=True))
    return x / x.sum(axis=axis, keepdims=True)


def relu(x):
    return np.maximum(x, 0.0)


def gelu(x):
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def array(variable):
    return ops.convert_to_numpy(variable).astype("float64")


def dense(layer, x):
    return x @ array(layer.kernel) + array(layer.bias)


def layer_norm(layer, x):
    x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-3)
    return x * array(layer.gamma) + array(layer.beta)


def convolve(layer, x):
    """A convolution over time with zeros beyond both ends: (time, inputs) → (time, filters)."""
    kernel = array(layer.kernel)
    half = len(kernel) // 2
    padded = np.pad(x, [(half, half), (0, 0)])
    taps = [padded[i : i + len(x)] @ kernel[i] for i in range(len(kernel))]
    return np.sum(taps, axis=0) + array(layer.bias)


def attention(layer, x):
    """Multi-head self-attention of one sequence (time, features)."""
    query, key, value = (
        np.einsum("td,dhe->hte", x, array(part.kernel)) + array(part.bias)[:, None]
        for part in (layer.query_dense, layer.key_dense, layer.value_dense)
    )
    weights = softmax(query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1]))
    output = layer.output_dense
    return np.einsum("hte,hed->td", weights @ value, array(output.kernel)) + array(output.bias)


@pytest.fixture(scope="session")
def twin():
    """NumPy implementations of Keras layers."""
    return types.SimpleNamespace(
        array=array,
        attention=attention,
        convolve=convolve,
        dense=dense,
        gelu=gelu,
        layer_norm=layer_norm,
        relu=relu,
        sigmoid=sigmoid,
        softmax=softmax,
    )


@pytest.fixture(scope="session")
def randomize():
    """Gives every weight of a layer a random value, so that each has an effect."""

    def fill(layer, seed=0, scale=0.3):
        rng = np.random.default_rng(seed)
        layer.set_weights([scale * rng.normal(size=w.shape) for w in layer.get_weights()])
        return layer

    return fill


@pytest.fixture
def rng():
    return np.random.default_rng(0)
