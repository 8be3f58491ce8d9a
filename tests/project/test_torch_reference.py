"""The plain PyTorch network computes what the Keras model computes."""

import importlib
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.encoders import LogMelEncoder

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.backend_agnostic

SCRIPTS = pathlib.Path(__file__).parents[2] / "benchmarks"
DIM, PROMPT_DIM, FILTERS = 8, 6, (4, 6)


@pytest.fixture(scope="module")
def reference():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("torch_reference")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    encoder = LogMelEncoder(filters=FILTERS, name="log_mel_encoder")
    model = AVSSAN(dim=DIM, mlp_dim=16, prompt_dim=PROMPT_DIM, audio_encoder=encoder)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        # Biases and gains, too, should be none that hide a mistake.
        noise = 0.1 * rng.normal(size=weight.shape)
        weight.assign(np.array(ops.convert_to_numpy(weight)) + np.abs(noise))
    return model


@pytest.fixture(scope="module")
def network(reference, model):
    network = reference.AVSSAN(PROMPT_DIM, DIM, 16, FILTERS)
    network.load_state_dict(reference.state_dict_from_keras(arrays(model)), strict=False)
    return network


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    audio = rng.normal(size=(3, 4000, 2))
    return {
        "audio": audio.astype("float32"),
        "target": (0.5 * audio + 0.1 * rng.normal(size=audio.shape)).astype("float32"),
        "prompt_embedding": rng.normal(size=(3, PROMPT_DIM)).astype("float32"),
        "azimuth": np.array([20.0, 90.0, 171.0], "float32"),
    }


def arrays(model):
    return {weight.path: ops.convert_to_numpy(weight) for weight in model.weights}


def split(batch):
    x = {name: ops.convert_to_tensor(batch[name]) for name in ("audio", "prompt_embedding")}
    y = {name: ops.convert_to_tensor(batch[name]) for name in ("azimuth", "target")}
    return x, y


def tensors(batch):
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def close(ours, theirs, tolerance=1e-5):
    """Within a share of the largest value."""
    ours, theirs = (np.asarray(part) for part in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def test_every_weight_is_brought_over(reference, model, network):
    state = reference.state_dict_from_keras(arrays(model))
    missing = set(network.state_dict()) - set(state)
    assert all(name.endswith("num_batches_tracked") for name in missing)
    assert sum(array.numel() for array in state.values()) == sum(
        np.prod(weight.shape) for weight in model.weights
    )


@pytest.mark.parametrize("training", [False, True])
def test_outputs_agree(model, network, batch, training):
    expected = model(split(batch)[0], training=training)
    inputs = tensors(batch)
    with torch.no_grad():
        found = network.train(training)(inputs["audio"], inputs["prompt_embedding"])
    for name in ("doa", "mask", "band_weights", "prompt_semantics"):
        close(found[name], ops.convert_to_numpy(expected[name]))
    for band, beta in found["band_attention"].items():
        close(beta, ops.convert_to_numpy(expected[f"band_attention_{band}"]))
    masked = torch.view_as_real(found["masked"]).permute(0, 3, 2, 1, 4).flatten(3)
    close(masked, ops.convert_to_numpy(expected["masked_spectrogram"]))


def test_losses_agree(reference, model, network, batch):
    x, y = split(batch)
    expected = model.compute_loss(x, y, model(x, training=True), training=True)
    network.train()
    inputs = tensors(batch)
    outputs = network(inputs["audio"], inputs["prompt_embedding"])
    found = reference.training_loss(network, outputs, inputs)
    close(found.detach(), ops.convert_to_numpy(expected))


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch differentiates both")
def test_gradients_agree(reference, model, network, batch):
    x, y = split(batch)
    model.zero_grad()
    model.compute_loss(x, y, model(x, training=True), training=True).backward()
    gradients = {
        weight.path: np.zeros(weight.shape) if weight.value.grad is None else weight.value.grad
        for weight in model.weights
    }
    gradients = {path: np.asarray(gradient) for path, gradient in gradients.items()}
    expected = reference.state_dict_from_keras(gradients)
    network.train().zero_grad()
    inputs = tensors(batch)
    outputs = network(inputs["audio"], inputs["prompt_embedding"])
    reference.training_loss(network, outputs, inputs).backward()
    largest = max(gradient.abs().max() for gradient in expected.values())
    for name, parameter in network.named_parameters():
        np.testing.assert_allclose(
            parameter.grad, expected[name], rtol=1e-3, atol=1e-5 * float(largest), err_msg=name
        )


def test_steps_of_training_agree(reference, model, batch):
    """Losses of three steps: gradients are clipped and weights updated alike."""
    network = reference.AVSSAN(PROMPT_DIM, DIM, 16, FILTERS).train()
    network.load_state_dict(reference.state_dict_from_keras(arrays(model)), strict=False)
    optimizer = reference.make_optimizer(network)
    found = [float(reference.training_step(network, optimizer, tensors(batch))) for _ in range(3)]
    before = model.get_weights()
    model.compile()
    expected = []
    for _ in range(3):
        model.reset_metrics()
        logs = model.train_on_batch(*split(batch), return_dict=True)
        expected.append(float(logs["loss"]))
    model.set_weights(before)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert found[2] < found[0]
