"""Recordings read within tf.data; `make test-tfio` runs this file with tensorflow-io too."""

import keras
import numpy as np
import pytest
import soundfile

from keras_avssan.data import make_audio_dataset, read_audio, read_audio_tf

pytestmark = pytest.mark.backend_agnostic

tf = pytest.importorskip("tensorflow")


def tfio_loads():
    try:
        import tensorflow_io  # noqa: F401
    except Exception:
        return False
    return True


DECODERS = ["soundfile", "tfio"] if tfio_loads() else ["soundfile"]
# File name → rate, channels, subtype.
FILES = {
    "plain.wav": (16000, 1, "PCM_16"),
    "stereo.wav": (44100, 2, "PCM_16"),
    "fine.wav": (16000, 1, "PCM_24"),
    "float.wav": (48000, 1, "FLOAT"),
    "plain.flac": (16000, 1, "PCM_16"),
    "stereo.flac": (44100, 2, "PCM_16"),
    "fine.flac": (16000, 2, "PCM_24"),
    "vorbis.ogg": (16000, 1, "VORBIS"),
    "layer.mp3": (44100, 1, "MPEG_LAYER_III"),
}


def write(path, rate=16000, channels=1, subtype="PCM_16", seconds=0.4):
    rng = np.random.default_rng(rate)
    samples = 0.2 * rng.standard_normal((round(seconds * rate), channels))
    soundfile.write(path, samples, rate, subtype=subtype)
    return str(path)


def read_in_graph(path, rate=16000, decoder="auto"):
    dataset = tf.data.Dataset.from_tensors(str(path))
    return next(iter(dataset.map(lambda name: read_audio_tf(name, rate, decoder=decoder)))).numpy()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", FILES)
def test_the_samples_are_those_of_read_audio(tmp_path, name, decoder):
    path = write(tmp_path / name, *FILES[name])
    expected = read_audio(path)
    expected = expected if expected.ndim == 1 else expected.mean(axis=1)
    actual = read_in_graph(path, decoder=decoder)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", ["plain.wav", "plain.flac", "vorbis.ogg"])
def test_truncated_files_are_refused(tmp_path, name, decoder):
    path = tmp_path / name
    write(path, *FILES[name], seconds=2.0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(tf.errors.OpError):
        read_in_graph(path, decoder=decoder)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"fLaC", b"no audio at all" * 9])
def test_what_is_no_audio_is_refused(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    for decoder in DECODERS:
        with pytest.raises(tf.errors.OpError):
            read_in_graph(tmp_path / "a.wav", decoder=decoder)


@pytest.mark.skipif(tfio_loads(), reason="tensorflow-io is there")
def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ImportError, match="tensorflow-io"):
        read_audio_tf("a.flac", decoder="tfio")


@pytest.mark.parametrize("arguments", [{"decoder": "magic"}, {"sampling_rate": 0}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        read_audio_tf("a.wav", **arguments)


@pytest.fixture
def files(tmp_path):
    """Nine recordings of unlike length and kind, and a number for each."""
    names = list(FILES)
    paths = [write(tmp_path / n, *FILES[n], seconds=0.2 + 0.05 * i) for i, n in enumerate(names)]
    return paths, list(range(len(paths)))


def batches_of(dataset, count=None):
    return [keras.tree.map_structure(np.asarray, batch) for batch in dataset.take(count or -1)]


def test_recordings_are_cut_or_repeated(files):
    batches = batches_of(make_audio_dataset(*files, batch_size=4, duration=0.4))
    assert [audio.shape for audio, _ in batches] == [(4, 6400), (4, 6400), (1, 6400)]
    audio = np.concatenate([audio for audio, _ in batches])
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), files[1])
    for path, decoded in zip(files[0], audio, strict=True):
        expected = read_audio(path)
        expected = expected if expected.ndim == 1 else expected.mean(axis=1)
        np.testing.assert_allclose(decoded, np.resize(expected, 6400), atol=1e-6)


@pytest.mark.parametrize("cache", [False, True])
def test_the_order_follows_from_the_seed(files, cache):
    def order(seed, num_workers, rounds=3):
        dataset = make_audio_dataset(
            *files, 3, shuffle=True, seed=seed, repeat=True, cache=cache, num_workers=num_workers
        )
        labels = [labels for _, labels in batches_of(dataset, 3 * rounds)]
        return np.concatenate(labels).reshape(rounds, -1)

    first = order(1, 1)
    np.testing.assert_array_equal(order(1, 3), first)
    np.testing.assert_array_equal(np.sort(first, axis=1), [files[1]] * 3)
    assert (first[0] != first[1]).any() and (order(2, 1) != first).any()


@pytest.mark.parametrize("in_file", [False, True])
def test_a_cache_reads_every_file_once(files, tmp_path, in_file):
    cache = tmp_path / "cache" if in_file else True
    dataset = make_audio_dataset(files[0], batch_size=9, cache=cache)
    (first,) = batches_of(dataset)
    for path in files[0]:
        (tmp_path / path).unlink()
    if in_file:  # the next run finds it too
        dataset = make_audio_dataset(files[0], batch_size=9, cache=cache)
    (second,) = batches_of(dataset)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"paths": []}, "`paths`"),
        ({"labels": [1, 2]}, "`labels`"),
        ({"labels": [0.5]}, "`labels`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"duration": 0.0}, "`duration`"),
        ({"num_workers": 0}, "`num_workers`"),
        ({"seed": -1}, "`seed`"),
    ],
)
def test_wrong_dataset_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_audio_dataset(**{"paths": ["a.wav"], **arguments})
