"""The trained weights of aisfx, against the package's own network and post-processing."""

import importlib
import zipfile

import keras
import numpy as np
import pytest
import soundfile
import soxr
from keras import ops

from keras_avssan.encoders.converters import aisfx as converter
from keras_avssan.encoders.converters.aisfx import convert_aisfx

torch = pytest.importorskip("torch", reason="reading a PyTorch checkpoint needs PyTorch")

CHECKPOINT = "aisfx/models/checkpoint.pth"


@pytest.fixture(scope="module")
def package():
    """The package itself; installed by `pip install --no-deps aisfx`."""
    return pytest.importorskip("aisfx", reason="aisfx is not installed")


@pytest.fixture(scope="module")
def reference(package):
    """Function of the package's own network: spectrogram (T, 96) → embeddings (t, 512)."""
    inference = importlib.import_module("aisfx.inference")
    network = importlib.import_module("aisfx.models.cnn2d").EmbeddingNet("max", 3, 1, 64)
    with torch.serialization.safe_globals(_integers()):
        state, _ = torch.load(inference.get_path_modelWeights(), weights_only=True)
    prefix = "embedding_net."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if prefix in k})
    network.eval()

    def embed(spectrogram):
        spectrogram = inference.spectrogram_normalize(spectrogram)
        blocks = inference.blocking(spectrogram, 100, 50, drop_partial_block=False)
        with torch.no_grad():
            return network(torch.Tensor(blocks)).numpy()

    return embed


def _integers():
    scalar = np.int64(0).__reduce__()[0]
    return [(scalar, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Int64DType]


@pytest.fixture(scope="module")
def encoder(package):
    return convert_aisfx(peak=None)


def random_state(seed=0):
    """Entries as the checkpoint has them, with random values."""
    rng = np.random.default_rng(seed)
    state, channels = {}, 1
    for block, filters in enumerate((64, 128, 256, 512), start=1):
        for number in (1, 2):
            name = f"embedding_net.conv_block{block}."
            state[f"{name}conv{number}.weight"] = rng.normal(size=(filters, channels, 3, 3))
            for entry in ("weight", "bias", "running_mean", "running_var"):
                state[f"{name}bn{number}.{entry}"] = rng.uniform(size=filters)
            state[f"{name}bn{number}.num_batches_tracked"] = np.array(5)
            channels = filters
    state["fc.0.0.weight"] = rng.normal(size=(3, 3))
    return {k: torch.tensor(v, dtype=torch.float32) for k, v in state.items()}


def save(state, path):
    torch.save((state, {"set": (np.int64(0), 3)}), path)
    return path


def assert_holds(encoder, state):
    for i, (convolution, norm) in enumerate(zip(encoder.convolutions, encoder.norms, strict=True)):
        name, number = f"embedding_net.conv_block{i // 2 + 1}.", i % 2 + 1
        kernel = ops.convert_to_numpy(convolution.kernel)
        expected = state[f"{name}conv{number}.weight"].numpy()
        np.testing.assert_array_equal(kernel[1, 2, -1], expected[:, -1, 1, 2])
        entries = ("weight", "bias", "running_mean", "running_var")
        for entry, variable in zip(entries, norm.weights, strict=True):
            np.testing.assert_array_equal(
                ops.convert_to_numpy(variable), state[f"{name}bn{number}.{entry}"].numpy()
            )


@pytest.mark.one_backend
def test_reads_a_checkpoint_and_a_wheel(tmp_path):
    state = random_state()
    path = save(state, tmp_path / "checkpoint.pth")
    wheel = tmp_path / "aisfx-0.1.2-py2.py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(path, CHECKPOINT)
    assert_holds(convert_aisfx(path), state)
    encoder = convert_aisfx(str(wheel), hop_seconds=1.0, trainable=True)
    assert_holds(encoder, state)
    assert encoder.hop_seconds == pytest.approx(1.0, abs=0.012)
    assert len(encoder.trainable_variables) == 24


@pytest.mark.one_backend
def test_network_is_that_of_the_package(encoder, reference):
    spectrogram = np.random.default_rng(0).uniform(0, 9, size=(180, 96)).astype("float32")
    examples = encoder.get_layer("cut")(spectrogram[None] / np.float32(9.457798957824707))[0]
    folded = encoder.get_layer("fold").output
    network = keras.Model(folded, encoder.get_layer("unfold").input[0])
    output = ops.convert_to_numpy(network(examples[..., None]))
    expected = reference(spectrogram)
    assert output.shape == expected.shape == (3, 512)
    assert np.std(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(output, expected, atol=1e-4, rtol=1e-4)


def assert_agrees(encoder, reference, spectrogram, audio):
    """From audio at 16 kHz to embeddings: the reference behind our resampler, and behind soxr."""
    audio = audio.astype("float32")
    output = ops.convert_to_numpy(encoder(audio[None]))[0]
    expected = reference(spectrogram(ops.convert_to_numpy(encoder.resampler(audio[None]))[0]))
    assert output.shape == expected.shape
    np.testing.assert_allclose(output, expected, atol=1e-4)
    # Resamplers differ just below 8 kHz, and at abrupt ends.
    other = reference(spectrogram(soxr.resample(audio, 16000, 44100, "VHQ")))
    lengths = np.linalg.norm(output, axis=1) * np.linalg.norm(other, axis=1)
    assert (np.sum(output * other, axis=1) / lengths).min() > 0.999


@pytest.mark.one_backend
def test_made_up_sound_end_to_end(encoder, reference, sound_effects_spectrogram):
    times = np.arange(16000) / 16000
    chirp = 0.7 * np.sin(2 * np.pi * (300 + 1500 * times) * times) * np.exp(-2 * times)
    assert_agrees(encoder, reference, sound_effects_spectrogram, chirp)


@pytest.mark.one_backend
def test_real_sound_end_to_end(encoder, reference, sound_effects_spectrogram, real_data):
    for name in ("dog", "bell"):
        path = sorted((real_data / name).glob("*.ogg"))[0]
        audio, rate = soundfile.read(path)
        assert rate == 16000
        assert_agrees(encoder, reference, sound_effects_spectrogram, audio[:48000])


@pytest.mark.backend_agnostic
def test_a_wrong_checkpoint_is_described_in_one_message(tmp_path):
    state = random_state()
    del state["embedding_net.conv_block1.bn2.bias"]
    state["embedding_net.conv_block5.conv1.weight"] = torch.zeros(1)
    state["embedding_net.conv_block2.conv1.weight"] = torch.zeros(128, 64, 5, 5)
    with pytest.raises(ValueError, match="`source`") as caught:
        convert_aisfx(save(state, tmp_path / "checkpoint.pth"))
    message = str(caught.value)
    assert "missing: embedding_net.conv_block1.bn2.bias" in message
    assert "extra: embedding_net.conv_block5.conv1.weight" in message
    assert "wrong shape: embedding_net.conv_block2.conv1.weight (128, 64, 5, 5)" in message


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 no archive"])
def test_a_file_of_another_kind_is_refused(content, tmp_path):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="`source`"):
        convert_aisfx(path)


@pytest.mark.backend_agnostic
def test_a_wheel_of_another_package_is_refused(tmp_path):
    path = tmp_path / "other.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(ValueError, match="`source`"):
        convert_aisfx(path)


@pytest.mark.backend_agnostic
def test_no_code_of_a_checkpoint_runs(tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save((random_state(), Harmful(tmp_path / "harm")), path)
    with pytest.raises(ValueError, match="`source`"):
        convert_aisfx(path)
    assert not (tmp_path / "harm").exists()


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        import os

        return os.mkdir, (self.path,)


@pytest.mark.backend_agnostic
def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere.whl"):
        convert_aisfx(tmp_path / "nowhere.whl")


@pytest.mark.backend_agnostic
def test_says_how_to_install_the_package(monkeypatch):
    monkeypatch.setattr(converter.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps aisfx"):
        convert_aisfx()
