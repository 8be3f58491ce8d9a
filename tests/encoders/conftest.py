"""References for pretrained encoders: torchvggish, and a front end in NumPy."""

import importlib
import importlib.util
import sys
import types

import numpy as np
import pytest

_FRAME, _HOP, _BANDS, _RATE = 2048, 1024, 96, 44100
TINY = {"filters": (4, 6, 8, 10), "hidden_dim": 24}


@pytest.fixture(scope="session")
def torchvggish():
    """The package; the resampler that it imports is not needed for audio at 16 kHz."""
    pytest.importorskip("torch")
    if importlib.util.find_spec("torchvggish") is None:
        pytest.skip("torchvggish is not installed: pip install --no-deps torchvggish")
    if importlib.util.find_spec("resampy") is not None:
        return importlib.import_module("torchvggish")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "resampy", types.ModuleType("resampy"))
        return importlib.import_module("torchvggish")


def make_features(filters):
    """The convolutions as torchvggish stacks them."""
    from torch import nn

    first, second, third, fourth = filters
    widths = [first, "pool", second, "pool", third, third, "pool", fourth, fourth, "pool"]
    layers, inputs = [], 1
    for width in widths:
        if width == "pool":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
    return nn.Sequential(*layers)


def make_embeddings(flat_dim, hidden_dim, embedding_dim):
    """The dense layers as torchvggish stacks them."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(flat_dim, hidden_dim),
        nn.ReLU(),
        nn.Linear(hidden_dim, hidden_dim),
        nn.ReLU(),
        nn.Linear(hidden_dim, embedding_dim),
        nn.ReLU(),
    )


def give_random_weights(network, seed=0):
    """Weights that keep differences between inputs, for embeddings of about one."""
    import torch

    noise = np.random.default_rng(seed).standard_normal(100_003, "float32")  # enough, and quick
    state = {}
    for name, value in network.state_dict().items():
        fan_in = np.prod(value.shape[1:]) if value.ndim > 1 else 200.0
        scale = np.sqrt(2.0 / fan_in) * (0.1 if name.startswith("embeddings.4") else 1.0)
        state[name] = torch.from_numpy(np.resize(noise * np.float32(scale), tuple(value.shape)))
    network.load_state_dict(state, assign=True)
    return network.eval()


@pytest.fixture(scope="session")
def tiny():
    """Arguments of a `VGGish` that is quick."""
    return TINY


@pytest.fixture(scope="session")
def make_reference(torchvggish):
    """`make_reference(filters, hidden_dim)` makes torchvggish's network in a smaller size."""
    import torch

    def make(filters=TINY["filters"], hidden_dim=TINY["hidden_dim"], embedding_dim=128):
        with torch.device("meta"):  # nothing is initialised twice
            network = torchvggish.torchvggish.VGG(make_features(filters), False)
            network.embeddings = make_embeddings(6 * 4 * filters[-1], hidden_dim, embedding_dim)
        return give_random_weights(network)

    return make


@pytest.fixture(scope="session")
def make_full_reference(torchvggish):
    """`make_full_reference()` makes torchvggish's network as it is."""

    import torch

    def make():
        with torch.device("meta"):
            layers = torchvggish.torchvggish.make_layers()
            network = torchvggish.torchvggish.VGG(layers, False)
        return give_random_weights(network)

    return make


@pytest.fixture(scope="session")
def reference_examples(torchvggish):
    """`reference_examples(audio)` cuts one recording into log-mel examples, (t, 96, 64)."""

    def examples(audio):
        audio = np.asarray(audio, "float64")
        return torchvggish.vggish_input.waveform_to_examples(audio, 16000, return_tensor=False)

    return examples


@pytest.fixture(scope="session")
def reference_embeddings(reference_examples):
    """`reference_embeddings(network, audio)` embeds one recording, (t, d)."""
    import torch

    def embed(network, audio):
        examples = torch.from_numpy(reference_examples(audio).astype("float32"))
        with torch.no_grad():
            return network(examples[:, None]).numpy()

    return embed


@pytest.fixture(scope="session")
def sounds():
    """Made-up recordings of 3 s: a tone above noise, a chirp that fades, clicks in silence."""
    rng = np.random.default_rng(0)
    t = np.arange(48000) / 16000
    clicks = np.zeros_like(t)
    clicks[[9000, 15400, 40000]] = 0.9
    tone = 0.5 * np.sin(2 * np.pi * 440 * t) + 0.01 * rng.normal(size=t.size)
    chirp = np.sin(2 * np.pi * (200 + 1000 * t) * t) * np.exp(-t)
    return np.stack([tone, chirp, clicks]).astype("float32")


def _mel(hertz):
    return 2595.0 * np.log10(1.0 + hertz / 700.0)


def _bands():
    """Triangles over mel with a sum of one, (bins, bands)."""
    edges = np.linspace(0.0, _mel(_RATE / 2), _BANDS + 2)
    bins = _mel(np.fft.rfftfreq(_FRAME, 1 / _RATE))
    weights = [np.interp(bins, edges[i : i + 3], [0.0, 1.0, 0.0]) for i in range(_BANDS)]
    return np.stack([weight / weight.sum() for weight in weights], axis=1)


def sound_effects_spectrogram(audio):
    """Spectrogram (frames, 96) of one recording at 44.1 kHz, before it is normalised.

    It follows Essentia, whose settings the package aisfx names: frames centred on multiples of
    the hop until one reaches the end, a symmetric window, power, bands of unit sum, a shifted
    logarithm. Essentia 2.1b6 itself gives the same within 1e-4.
    """
    frames = 1 + int(np.ceil(len(audio) / _HOP))
    padded = np.pad(np.asarray(audio, "float64"), (_FRAME // 2, _FRAME))
    cut = np.stack([padded[k * _HOP : k * _HOP + _FRAME] for k in range(frames)])
    window = np.sin(np.pi * np.arange(_FRAME) / (_FRAME - 1)) ** 2
    power = np.abs(np.fft.rfft(cut * window, axis=1)) ** 2
    return np.log10(1.0 + 1e4 * power @ _bands())


@pytest.fixture(scope="session", name="sound_effects_spectrogram")
def sound_effects_spectrogram_fixture():
    """`sound_effects_spectrogram(audio)` of a recording at 44.1 kHz, in NumPy."""
    return sound_effects_spectrogram
