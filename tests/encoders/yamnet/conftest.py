"""References for YAMNet: an independent network in PyTorch, and random weights for both."""

import importlib
import importlib.util
import os
import pathlib
import sys
import types

import numpy as np
import pytest

from keras_avssan.encoders.converters import convert_yamnet

WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


def make_arrays(seed=0, num_classes=521, divisor=1):
    """Arrays as a checkpoint has them, with values that keep differences between inputs.

    The batch normalisation of the array `i` follows the convolution `i - 1`.
    """
    rng = np.random.default_rng(seed)
    arrays, channels = {}, 1
    for i, width in enumerate(width // divisor for width in WIDTHS):
        kernels = [("kernel", (3, 3, channels, width))]
        if i:
            kernels = [
                ("depthwise_kernel", (3, 3, channels, 1)),
                ("kernel", (1, 1, channels, width)),
            ]
        for name, shape in kernels:
            count = channels if name == "depthwise_kernel" else width
            fan_in = np.prod(shape) / count
            place = len({key.split("/")[0] for key in arrays})
            arrays[f"{place}/{name}"] = rng.normal(0, np.sqrt(2 / fan_in), shape)
            arrays[f"{place + 1}/beta"] = rng.normal(0, 0.1, count)
            arrays[f"{place + 1}/moving_mean"] = rng.normal(0, 0.1, count)
            arrays[f"{place + 1}/moving_variance"] = rng.uniform(0.5, 1.5, count)
        channels = width
    arrays["54/kernel"] = rng.normal(0, 0.3, (channels, num_classes)) / np.sqrt(channels)
    arrays["54/bias"] = rng.normal(0, 0.1, num_classes)
    return {name: array.astype("float32") for name, array in arrays.items()}


@pytest.fixture(scope="session")
def arrays():
    """Arrays of a network of the published size."""
    return make_arrays()


@pytest.fixture(scope="session")
def npz(arrays, tmp_path_factory):
    """The same in a file."""
    path = tmp_path_factory.mktemp("yamnet") / "yamnet.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def encoder(npz):
    """One encoder for the tests that do not change it."""
    return convert_yamnet(npz)


@pytest.fixture(scope="session")
def torch_network():
    """Class of the network of torch-vggish-yamnet; its front end, by torchaudio, is not needed."""
    pytest.importorskip("torch")
    if importlib.util.find_spec("torch_vggish_yamnet") is None:
        pytest.skip("not installed: pip install --no-deps torch-vggish-yamnet")
    if importlib.util.find_spec("torchaudio") is not None:
        return importlib.import_module("torch_vggish_yamnet.yamnet.model").YAMNet
    transforms = types.ModuleType("torchaudio.transforms")
    transforms.MelSpectrogram = object
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torchaudio", types.ModuleType("torchaudio"))
        patch.setitem(sys.modules, "torchaudio.transforms", transforms)
        sys.modules["torchaudio"].transforms = transforms
        return importlib.import_module("torch_vggish_yamnet.yamnet.model").YAMNet


@pytest.fixture(scope="session")
def reference(torch_network, arrays):
    """The independent network with the same weights."""
    import torch

    network = torch_network()
    values = list(arrays.values())
    state = {}
    for name, old in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        value = np.ones(old.shape, "float32") if name.endswith("bn.weight") else values.pop(0)
        if value.ndim == 4:  # depthwise kernels have their channels third
            value = value.transpose((2, 3, 0, 1) if value.shape[3] == 1 else (3, 2, 0, 1))
        state[name] = torch.from_numpy(np.ascontiguousarray(value.T if value.ndim == 2 else value))
    assert not values
    network.load_state_dict(state, strict=False)
    return network.eval()


@pytest.fixture(scope="session")
def reference_log_mel():
    """`reference_log_mel(audio)` of one recording in float64, (frames, 64), by torchvggish."""
    pytest.importorskip("torch")
    if importlib.util.find_spec("torchvggish") is None:
        pytest.skip("torchvggish is not installed: pip install --no-deps torchvggish")
    if importlib.util.find_spec("resampy") is None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "resampy", types.ModuleType("resampy"))
            features = importlib.import_module("torchvggish.mel_features")
    else:
        features = importlib.import_module("torchvggish.mel_features")

    def log_mel(audio):
        return features.log_mel_spectrogram(
            np.asarray(audio, "float64"),
            audio_sample_rate=16000,
            log_offset=0.001,
            window_length_secs=0.025,
            hop_length_secs=0.010,
            num_mel_bins=64,
            lower_edge_hertz=125.0,
            upper_edge_hertz=7500.0,
        )

    return log_mel


@pytest.fixture(scope="session")
def published():
    """An encoder with the weights of the file that AVSSAN_YAMNET names, such as a wheel."""
    path = os.environ.get("AVSSAN_YAMNET")
    if not path or not pathlib.Path(path).exists():
        pytest.skip("no weights: set AVSSAN_YAMNET to a file that `convert_yamnet` reads")
    return convert_yamnet(path)
