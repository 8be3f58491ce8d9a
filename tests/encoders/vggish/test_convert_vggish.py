"""VGGish from checkpoints that are written as the published ones are."""

import os
import sys

import numpy as np
import pytest
from keras import ops

from keras_avssan.encoders import VGGish
from keras_avssan.encoders.converters import convert_vggish_tensorflow, convert_vggish_torch

NAMES = (
    "vggish/conv1",
    "vggish/conv2",
    "vggish/conv3/conv3_1",
    "vggish/conv3/conv3_2",
    "vggish/conv4/conv4_1",
    "vggish/conv4/conv4_2",
    "vggish/fc1/fc1_1",
    "vggish/fc1/fc1_2",
    "vggish/fc2",
)


def run(encoder, audio):
    return ops.convert_to_numpy(encoder(audio))


@pytest.fixture(scope="module")
def variables(tiny):
    """Random variables of a small network, by their names in the published checkpoint."""
    rng = np.random.default_rng(0)
    first, second, third, fourth = tiny["filters"]
    channels = [1, first, second, third, third, fourth, fourth]
    kernels = [(3, 3, *pair) for pair in zip(channels, channels[1:], strict=False)]
    hidden = tiny["hidden_dim"]
    kernels += [(24 * fourth, hidden), (hidden, hidden), (hidden, 128)]
    found = {}
    for name, shape in zip(NAMES, kernels, strict=True):
        scale = np.sqrt(2.0 / np.prod(shape[:-1]))
        found[f"{name}/weights"] = (scale * rng.normal(size=shape)).astype("float32")
        found[f"{name}/biases"] = (0.1 * rng.normal(size=shape[-1])).astype("float32")
    return found


@pytest.fixture(scope="module")
def expected(variables, tiny, sounds):
    """Embeddings of the same weights, set directly."""
    encoder = VGGish(**tiny)
    encoder.set_weights(list(variables.values()))
    return run(encoder, sounds)


@pytest.fixture(scope="module")
def pca():
    rng = np.random.default_rng(1)
    return {
        "pca_eigen_vectors": (rng.normal(size=(128, 128)) / 8).astype("float32"),
        "pca_means": rng.normal(size=(128, 1)).astype("float32"),
    }


@pytest.fixture
def pca_path(pca, tmp_path):
    np.savez(tmp_path / "vggish_pca_params.npz", **pca)
    return tmp_path / "vggish_pca_params.npz"


def whiten(embeddings, pca):
    centred = embeddings - pca["pca_means"].reshape(-1)
    return np.clip(centred @ pca["pca_eigen_vectors"].T, -2.0, 2.0)


# --- TensorFlow -----------------------------------------------------------------------------


@pytest.fixture
def write_checkpoint(tmp_path):
    """`write_checkpoint(variables, version)` writes a checkpoint as TensorFlow 1 did."""
    tf = pytest.importorskip("tensorflow")

    def write(variables, version=1):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            for name, value in variables.items():
                tf.compat.v1.get_variable(name, initializer=value, use_resource=False)
            session.run(tf.compat.v1.global_variables_initializer())
            saver = tf.compat.v1.train.Saver(write_version=version)
            return saver.save(session, str(tmp_path / "vggish_model.ckpt"))

    return write


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("version", [1, 2])  # the published file has the first format
def test_tensorflow_checkpoint(version, write_checkpoint, variables, expected, tiny, sounds):
    encoder = convert_vggish_tensorflow(write_checkpoint(variables, version), **tiny)
    np.testing.assert_array_equal(run(encoder, sounds), expected)
    assert expected.min() < 0 and expected.std(axis=(0, 1)).max() > 0.1
    assert not encoder.trainable_variables


@pytest.mark.backend_agnostic
def test_folder_of_a_tensorflow_checkpoint(write_checkpoint, variables, expected, tiny, sounds):
    write_checkpoint(variables, 2)
    folder = write_checkpoint(variables, 2).rpartition("/")[0]
    np.testing.assert_array_equal(run(convert_vggish_tensorflow(folder, **tiny), sounds), expected)


@pytest.mark.backend_agnostic
def test_arguments_reach_the_network(write_checkpoint, variables, expected, tiny, sounds):
    path = write_checkpoint(variables)
    encoder = convert_vggish_tensorflow(path, activation="relu", trainable=True, **tiny)
    np.testing.assert_array_equal(run(encoder, sounds), np.maximum(expected, 0.0))
    assert len(encoder.trainable_variables) == 18


@pytest.mark.backend_agnostic
def test_checkpoint_of_a_network_trained_further(
    write_checkpoint, variables, expected, tiny, sounds
):
    """A layer on top, the state of an optimizer and the step are ignored."""
    others = {
        "mylayer/fc1/weights": np.ones((128, 3), "float32"),
        "global_step": np.array(7, "int64"),
        "vggish/conv1/weights/Adam": np.zeros((3, 3, 1, 4), "float32"),
    }
    encoder = convert_vggish_tensorflow(write_checkpoint({**variables, **others}), **tiny)
    np.testing.assert_array_equal(run(encoder, sounds), expected)


@pytest.mark.backend_agnostic
def test_pca_parameters(write_checkpoint, variables, expected, tiny, sounds, pca, pca_path):
    encoder = convert_vggish_tensorflow(write_checkpoint(variables), pca_path, **tiny)
    np.testing.assert_allclose(run(encoder, sounds), whiten(expected, pca), atol=1e-4)
    raw = convert_vggish_tensorflow(
        write_checkpoint(variables), pca_path, postprocess=False, **tiny
    )
    np.testing.assert_array_equal(run(raw, sounds), expected)


@pytest.mark.backend_agnostic
def test_wrong_variables_are_all_named(write_checkpoint, variables, tiny):
    wrong = dict(variables)
    del wrong["vggish/fc2/biases"]
    wrong["vggish/conv5/weights"] = np.zeros(3, "float32")
    wrong["vggish/conv2/weights"] = np.zeros((5, 5, 4, 6), "float32")
    with pytest.raises(ValueError, match="`checkpoint_path`") as caught:
        convert_vggish_tensorflow(write_checkpoint(wrong), **tiny)
    message = str(caught.value)
    assert "Missing: vggish/fc2/biases." in message
    assert "Unexpected: vggish/conv5/weights." in message
    assert "Wrong shapes: vggish/conv2/weights (5, 5, 4, 6) in place of (3, 3, 4, 6)." in message


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["vggish/fc2/biases", "vggish/conv1/weights"])
def test_one_missing_variable_is_enough(name, write_checkpoint, variables, tiny):
    rest = {key: value for key, value in variables.items() if key != name}
    with pytest.raises(ValueError, match=f"Missing: {name}\\.$"):
        convert_vggish_tensorflow(write_checkpoint(rest), **tiny)


@pytest.mark.backend_agnostic
def test_another_layer_of_the_network_is_refused(write_checkpoint, variables, tiny):
    more = {**variables, "vggish/conv5/weights": np.zeros(3, "float32")}
    with pytest.raises(ValueError, match="Unexpected: vggish/conv5/weights\\.$"):
        convert_vggish_tensorflow(write_checkpoint(more), **tiny)


@pytest.mark.backend_agnostic
def test_checkpoint_of_something_else(write_checkpoint, tiny):
    others = {f"resnet/block_{i:02}": np.zeros(1, "float32") for i in range(25)}
    with pytest.raises(ValueError, match=r"Missing: vggish.* Unexpected: .* and 5 more\."):
        convert_vggish_tensorflow(write_checkpoint(others), **tiny)


@pytest.mark.backend_agnostic
def test_files_that_are_no_checkpoint(tmp_path, tiny):
    pytest.importorskip("tensorflow")
    with pytest.raises(FileNotFoundError, match="`checkpoint_path`.*nothing.ckpt"):
        convert_vggish_tensorflow(tmp_path / "nothing.ckpt", **tiny)
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    with pytest.raises(ValueError, match="`checkpoint_path`.*text.ckpt"):
        convert_vggish_tensorflow(tmp_path / "text.ckpt", **tiny)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="`checkpoint_path`.*empty"):
        convert_vggish_tensorflow(tmp_path / "empty", **tiny)


@pytest.mark.backend_agnostic
def test_without_tensorflow_the_extra_is_named(tmp_path, tiny, monkeypatch):
    (tmp_path / "vggish_model.ckpt").touch()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match=r"needs TensorFlow: `pip install tensorflow`"):
        convert_vggish_tensorflow(tmp_path / "vggish_model.ckpt", **tiny)


@pytest.mark.backend_agnostic
def test_pca_files_that_do_not_fit(write_checkpoint, variables, tiny, pca, tmp_path):
    path = write_checkpoint(variables)
    with pytest.raises(FileNotFoundError, match="`pca_params_path`"):
        convert_vggish_tensorflow(path, tmp_path / "nothing.npz", **tiny)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match="`pca_params_path`"):
        convert_vggish_tensorflow(path, tmp_path / "text.npz", **tiny)
    np.savez(tmp_path / "other.npz", pca_means=pca["pca_means"][:5], more=np.zeros(2))
    with pytest.raises(ValueError, match="`pca_params_path`") as caught:
        convert_vggish_tensorflow(path, tmp_path / "other.npz", **tiny)
    assert "Missing: pca_eigen_vectors." in str(caught.value)
    assert "Unexpected: more." in str(caught.value)
    assert "Wrong shapes: pca_means (5,) in place of (128,)." in str(caught.value)


# --- PyTorch --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state(variables):
    """The same weights by the names and in the order of torchvggish."""
    torch = pytest.importorskip("torch")
    numbers = [0, 3, 6, 8, 11, 13]
    names = [*(f"features.{i}" for i in numbers), *(f"embeddings.{i}" for i in (0, 2, 4))]
    found = {}
    for ours, theirs in zip(NAMES, names, strict=True):
        kernel = variables[f"{ours}/weights"]
        kernel = np.moveaxis(kernel, (-1, -2), (0, 1))
        found[f"{theirs}.weight"] = torch.tensor(np.ascontiguousarray(kernel))
        found[f"{theirs}.bias"] = torch.tensor(variables[f"{ours}/biases"])
    return found


@pytest.mark.one_backend
def test_torch_state_dict_gives_the_same_as_tensorflow_names(state, expected, tiny, sounds):
    encoder = convert_vggish_torch(state, activation=None, **tiny)
    np.testing.assert_array_equal(run(encoder, sounds), expected)


@pytest.mark.backend_agnostic
def test_torch_file_has_the_activation_of_its_origin(state, expected, tiny, sounds, tmp_path):
    import torch

    torch.save(state, tmp_path / "vggish.pth")
    encoder = convert_vggish_torch(tmp_path / "vggish.pth", **tiny)
    np.testing.assert_array_equal(run(encoder, sounds), np.maximum(expected, 0.0))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("source", ["state", "npz", "pth"])
def test_torch_pca_parameters(source, state, expected, tiny, sounds, pca, pca_path, tmp_path):
    import torch

    tensors = {name: torch.tensor(value) for name, value in pca.items()}
    path = None
    if source == "state":
        state = {**state, **{f"pproc.{name}": value for name, value in tensors.items()}}
    elif source == "npz":
        path = pca_path
    else:
        path = tmp_path / "vggish_pca_params.pth"
        torch.save(tensors, path)
    encoder = convert_vggish_torch(state, path, activation=None, **tiny)
    np.testing.assert_allclose(run(encoder, sounds), whiten(expected, pca), atol=1e-4)


@pytest.mark.backend_agnostic
def test_wrong_torch_names_are_all_named(state, tiny):
    import torch

    wrong = dict(state)
    del wrong["features.13.bias"]
    wrong["classifier.weight"] = torch.zeros(2)
    wrong["embeddings.4.weight"] = torch.zeros(64, 24)
    with pytest.raises(ValueError, match="`path_or_state_dict`") as caught:
        convert_vggish_torch(wrong, **tiny)
    message = str(caught.value)
    assert "Missing: features.13.bias." in message
    assert "Unexpected: classifier.weight." in message
    assert "Wrong shapes: embeddings.4.weight (64, 24) in place of (128, 24)." in message


@pytest.mark.backend_agnostic
def test_torch_files_that_do_not_fit(state, tiny, tmp_path):
    import torch

    with pytest.raises(FileNotFoundError, match="`path_or_state_dict`"):
        convert_vggish_torch(tmp_path / "nothing.pth", **tiny)
    (tmp_path / "text.pth").write_text("no tensors")
    with pytest.raises(ValueError, match="`path_or_state_dict`"):
        convert_vggish_torch(tmp_path / "text.pth", **tiny)
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(ValueError, match=r"`path_or_state_dict`.*Tensor"):
        convert_vggish_torch(tmp_path / "tensor.pth", **tiny)
    with pytest.raises(TypeError, match=r"`path_or_state_dict`.*int"):
        convert_vggish_torch(5, **tiny)
    with pytest.raises(ValueError, match="`postprocess=True`.*`pca_params_path`"):
        convert_vggish_torch(state, postprocess=True, **tiny)
    broken = {**state, "pproc.pca_means": torch.zeros(128)}
    with pytest.raises(ValueError, match=r"`path_or_state_dict`.*Missing: pca_eigen_vectors"):
        convert_vggish_torch(broken, **tiny)


class Creates:
    """An object whose unpickling makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.backend_agnostic
def test_files_that_would_run_code_are_refused(tiny, tmp_path):
    import torch

    torch.save({"features.0.weight": Creates(tmp_path / "made")}, tmp_path / "objects.pth")
    with pytest.raises(ValueError, match="`path_or_state_dict`"):
        convert_vggish_torch(tmp_path / "objects.pth", **tiny)
    assert not (tmp_path / "made").exists()
