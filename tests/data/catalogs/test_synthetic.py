import numpy as np
import pytest

from keras_avssan.data import SyntheticClasses
from keras_avssan.data.catalogs.synthetic_pictures import PICTURE_CLASSES
from keras_avssan.data.catalogs.synthetic_sounds import SOUND_CLASSES, synthesize_sound

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture(scope="module")
def synthetic():
    return SyntheticClasses(instances_per_class=20, seed=1)


def log_spectrum_statistics(audio):
    """Mean and deviation of 24 log band energies, and how they change from frame to frame."""
    frames = np.lib.stride_tricks.sliding_window_view(audio, 512)[::256]
    power = np.abs(np.fft.rfft(frames * np.hanning(512))) ** 2
    edges = np.unique(np.geomspace(2, 256, 25).astype(int))
    bands = np.log(np.add.reduceat(power, edges, axis=1) + 1e-4)
    return np.concatenate([bands.mean(0), bands.std(0), np.abs(np.diff(bands, axis=0)).mean(0)])


def small_picture(pixels):
    """Edges on a coarse grid: where there is something to see, whatever its colour."""
    grey = pixels.mean(axis=-1)
    edges = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    return edges[:60, :60].reshape(10, 6, 10, 6).mean(axis=(1, 3)).ravel()


def nearest_centroid_accuracy(features, labels, train):
    """Share of the items not in `train` that are nearest to the centroid of their own class."""
    features = (features - features[train].mean(0)) / (features[train].std(0) + 1e-9)
    names = np.unique(labels)
    centroids = np.stack([features[train & (labels == name)].mean(0) for name in names])
    nearest = np.linalg.norm(features[~train, None] - centroids, axis=-1).argmin(1)
    return np.mean(names[nearest] == labels[~train])


def test_every_sound_class_has_its_pictures():
    assert len(SOUND_CLASSES) >= 6
    assert SOUND_CLASSES == PICTURE_CLASSES == SyntheticClasses().classes


def test_every_instance_is_different_and_finite(synthetic):
    audio = np.stack([synthetic.load_audio(clip) for clip in synthetic.clips])
    assert audio.dtype == np.float32 and audio.shape == (8 * 20, 32000)
    assert np.isfinite(audio).all()
    np.testing.assert_allclose(np.sqrt((audio**2).mean(1)), 0.1, rtol=1e-4)
    similarity = np.abs(audio @ audio.T) / (32000 * 0.1**2)
    assert (similarity - np.eye(len(audio))).max() < 0.9


def test_every_picture_is_different_and_in_range(synthetic):
    pictures = np.stack([synthetic.load_image(picture, 32) for picture in synthetic.pictures])
    assert pictures.dtype == np.float32 and pictures.shape == (8 * 20, 32, 32, 3)
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert len(np.unique(pictures.reshape(len(pictures), -1), axis=0)) == len(pictures)


@pytest.mark.parametrize("class_name", SOUND_CLASSES)
def test_no_half_second_is_silent(class_name):
    for instance in range(20):
        audio = synthesize_sound(class_name, np.random.default_rng([7, instance]))
        energy = np.cumsum(audio.astype("float64") ** 2)
        windows = np.sqrt((energy[8000:] - energy[:-8000]) / 8000)
        assert windows.min() > 0.03, (instance, windows.min())


def test_instances_depend_on_seed_class_and_number_alone(synthetic):
    again = SyntheticClasses(["siren", "dog"], instances_per_class=5, seed=1)
    other = SyntheticClasses(["siren", "dog"], instances_per_class=5, seed=2)
    for clip in again.clips:
        same = next(c for c in synthetic.clips if c.id == clip.id)
        np.testing.assert_array_equal(again.load_audio(clip), synthetic.load_audio(same))
        assert np.abs(other.load_audio(clip) - again.load_audio(clip)).max() > 0.01
    for picture in again.pictures:
        same = next(p for p in synthetic.pictures if p.id == picture.id)
        np.testing.assert_array_equal(again.load_image(picture, 16), synthetic.load_image(same, 16))


def test_splits_are_disjoint_and_have_their_shares(synthetic):
    for items in (synthetic.clips, synthetic.pictures):
        split_of = {item.instance: item.split for item in items}
        assert len(split_of) == len(items)
        for name in synthetic.classes:
            splits = [item.split for item in items if item.class_name == name]
            assert [splits.count(s) for s in ("train", "val", "test")] == [14, 3, 3]
    assert not {c.instance for c in synthetic.clips} & {p.instance for p in synthetic.pictures}


def test_few_instances_still_reach_the_splits():
    catalog = SyntheticClasses(["dog", "bell"], instances_per_class=3)
    assert [clip.split for clip in catalog.clips] == ["train", "val", "test"] * 2


def test_sounds_of_unseen_instances_are_told_apart(synthetic):
    features = np.stack([log_spectrum_statistics(synthetic.load_audio(c)) for c in synthetic.clips])
    labels = np.array([clip.class_name for clip in synthetic.clips])
    train = np.array([clip.split == "train" for clip in synthetic.clips])
    assert nearest_centroid_accuracy(features, labels, train) > 0.8


def test_sounds_overlap_in_frequency(synthetic):
    """No class has a band of its own: a third of its power lies where others sound too."""
    spectra = {}
    for name in synthetic.classes:
        clips = [clip for clip in synthetic.clips if clip.class_name == name][:10]
        power = [np.abs(np.fft.rfft(synthetic.load_audio(clip))) ** 2 for clip in clips]
        bands = np.mean(power, axis=0)[1:].reshape(32, 500).sum(1)
        spectra[name] = bands / bands.sum()
    for name, bands in spectra.items():
        others = np.mean([spectra[other] for other in spectra if other != name], axis=0)
        assert np.minimum(bands, others).sum() > 0.15, name


def test_pictures_of_unseen_instances_are_told_apart(synthetic):
    pictures = synthetic.pictures
    features = np.stack([small_picture(synthetic.load_image(p, 64)) for p in pictures])
    labels = np.array([picture.class_name for picture in pictures])
    train = np.array([picture.split == "train" for picture in pictures])
    assert nearest_centroid_accuracy(features, labels, train) > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ["dog", "tiger"]}, "bell.*Received: .*'tiger'"),
        ({"instances_per_class": 1}, "instances_per_class"),
        ({"pictures_per_class": 0}, "pictures_per_class"),
        ({"seed": -1}, "seed"),
        ({"duration": 0.1}, "duration"),
        ({"sampling_rate": 8000}, "sampling_rate"),
        ({"splits": (0.5, 0.5)}, "splits"),
        ({"cache_bytes": -1}, "cache_bytes"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SyntheticClasses(**arguments)
