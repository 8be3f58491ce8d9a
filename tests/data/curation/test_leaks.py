"""Copies planted in two splits are found, whatever was done to them; different things are not."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import soxr
from PIL import Image, ImageEnhance

from keras_avssan.data import Catalog, ClassFolders, Clip, Picture, SyntheticClasses, find_leaks
from keras_avssan.data.curation.fingerprints import sound_landmarks, waveform_similarity

pytestmark = pytest.mark.backend_agnostic

RATE = 16000
ORIGINAL = "dog/original"


def sound(number, seconds=3.0):
    """Bursts of noise of many colours and lengths: no two numbers give the same."""
    rng = np.random.default_rng(number)
    size = round(seconds * RATE)
    samples = 0.001 * rng.standard_normal(size)
    for start in rng.integers(0, size - 2000, 12):
        burst = rng.standard_normal(2000) * np.exp(-np.arange(2000) / rng.uniform(100, 800))
        tone = np.sin(2 * np.pi * rng.uniform(200, 5000) / RATE * np.arange(2000))
        samples[start : start + 2000] += 0.1 * burst * tone
    # What 16 bits hold, so that a file without loss gives it back.
    return np.float32(np.rint(samples * 2**15) / 2**15)


def picture(number):
    """Patches of colour: no two numbers give the same."""
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype="uint8")
    return Image.fromarray(coarse).resize((200, 150), Image.Resampling.BICUBIC)


@pytest.fixture
def splits(tmp_path):
    """A folder of five different sounds and pictures, of which one is in `train`."""

    class Splits:
        def __init__(self):
            self.rows = []
            (tmp_path / "dog").mkdir()
            for number in range(5):
                split = "val" if number else "train"
                stem = f"dog/other{number}" if number else ORIGINAL
                self.sound(f"{stem}.wav", sound(number), split)
                self.picture(f"{stem}.png", picture(number), split)

        def sound(self, path, samples, split, **options):
            soundfile.write(tmp_path / path, samples, options.pop("rate", RATE), **options)
            self.rows.append(f"{path},dog,{split}")

        def picture(self, path, image, split, **options):
            image.save(tmp_path / path, **options)
            self.rows.append(f"{path},dog,{split}")

        def leaks(self):
            table = tmp_path / "table.csv"
            table.write_text("path,class,split\n" + "\n".join(self.rows))
            return find_leaks(ClassFolders.from_csv(table))

    return Splits()


def test_different_things_are_no_leaks(splits):
    assert splits.leaks() == []


def sound_copies():
    original = sound(0)
    rng = np.random.default_rng(99)
    hiss = 0.02 * np.sqrt(np.mean(original**2)) * rng.standard_normal(len(original))
    return {
        "renamed.wav": (original, {}, "identical"),
        "lossless.flac": (original, {}, "identical"),
        "quieter.wav": (0.3 * original, {}, "near-duplicate"),
        "inverted.wav": (-original, {}, "near-duplicate"),
        "vorbis.ogg": (original, {}, "near-duplicate"),
        "layer3.mp3": (original, {}, "near-duplicate"),
        "cut.wav": (original[RATE // 10 :], {}, "near-duplicate"),
        "half.wav": (original[len(original) // 2 :], {}, "near-duplicate"),
        "hissing.wav": (original + hiss, {}, "near-duplicate"),
        "resampled.wav": (soxr.resample(original, RATE, 44100), {"rate": 44100}, "near-duplicate"),
        "all.ogg": (0.2 * original[1777:-900], {}, "near-duplicate"),
    }


@pytest.mark.parametrize("name", sound_copies())
def test_a_copied_sound_is_found(splits, name):
    samples, options, reason = sound_copies()[name]
    splits.sound(f"dog/{name}", samples, "val", **options)
    (leak,) = splits.leaks()
    assert {leak.first.id, leak.second.id} == {f"{ORIGINAL}.wav", f"dog/{name}"}
    assert (leak.kind, leak.reason) == ("clip", reason)
    assert leak.similarity > 0.9


def picture_copies():
    original = picture(0)
    cut = original.crop((3, 2, 197, 148))
    return {
        "renamed.png": (original, {}, "identical"),
        "lossless.webp": (original, {"lossless": True}, "identical"),
        "compressed.jpg": (original, {"quality": 40}, "near-duplicate"),
        "small.png": (original.resize((80, 60)), {}, "near-duplicate"),
        "flat.png": (ImageEnhance.Contrast(original).enhance(0.7), {}, "near-duplicate"),
        "cut.jpg": (cut, {"quality": 80}, "near-duplicate"),
    }


@pytest.mark.parametrize("name", picture_copies())
def test_a_copied_picture_is_found(splits, name):
    image, options, reason = picture_copies()[name]
    splits.picture(f"dog/{name}", image, "val", **options)
    (leak,) = splits.leaks()
    assert {leak.first.id, leak.second.id} == {f"{ORIGINAL}.png", f"dog/{name}"}
    assert (leak.kind, leak.reason) == ("picture", reason)
    assert leak.similarity >= 0.9


def test_copies_in_one_split_are_no_leaks(splits):
    splits.sound("dog/again.wav", sound(0), "train")
    splits.picture("dog/again.png", picture(0), "train")
    assert splits.leaks() == []


def test_a_sound_of_another_pitch_is_another(splits):
    splits.sound("dog/slower.wav", soxr.resample(sound(0), RATE, 20000), "val")
    assert splits.leaks() == []


class Silent(Catalog):
    """Different lengths of silence and noise, in two splits, with a shared instance."""

    def __init__(self):
        clips = [Clip("dog", str(k), "rex", "train", 16000) for k in range(2)]
        clips += [Clip("dog", "short", "toby", "val", 15999)]
        pictures = [Picture("dog", "p", "rex", "val"), Picture("dog", "q", "rex", "val")]
        super().__init__(clips, pictures)

    def read_clip(self, clip):
        return np.zeros(clip.num_samples, "float32")

    def read_picture(self, picture, size):
        return np.full((*size, 3), picture.id == "p", "float32")


def test_a_shared_instance_is_a_leak_and_silence_is_none():
    (leak,) = find_leaks(Silent())
    assert (leak.reason, leak.first.id, leak.second.id) == ("same instance", "0", "p")
    assert str(leak).split()[:4] == ["picture", "same", "instance", "1.00"]


def test_built_in_sounds_and_pictures_differ():
    assert find_leaks(SyntheticClasses(("dog", "rain"), instances_per_class=10)) == []


@pytest.mark.extensive
def test_several_workers_find_the_same():
    catalog = SyntheticClasses(("dog",), instances_per_class=12)
    last = replace(catalog.clips[-1], split="train")
    first = replace(catalog.clips[-1], split="val")
    catalog._clips = (*catalog.clips[:-1], last, first)
    assert find_leaks(catalog) == find_leaks(catalog, workers=2) != []


def test_waveforms_are_compared_where_they_overlap():
    rng = np.random.default_rng(0)
    long, other = rng.standard_normal((2, 8000)).astype("float32")
    assert waveform_similarity(long, long[3000:]) == pytest.approx(1, abs=1e-5)
    assert waveform_similarity(long[3000:], long) == pytest.approx(1, abs=1e-5)
    # Half of the second is the end of the first, half is something else.
    halves = np.concatenate([long[-2000:], other[:2000]])
    assert waveform_similarity(long, halves) == pytest.approx(1, abs=1e-5)
    assert waveform_similarity(long, other) < 0.1
    mixed = long + other
    assert waveform_similarity(long, mixed) == pytest.approx(0.5**0.5, abs=0.02)
    assert waveform_similarity(np.zeros(100, "float32"), long) == 0


def test_landmarks_of_nothing_are_none():
    assert sound_landmarks(np.zeros(16000, "float32")).shape == (0, 2)
    assert sound_landmarks(np.zeros(1, "float32")).shape == (0, 2)


def test_real_splits_are_apart(real_data):
    catalog = ClassFolders(real_data, classes=["cricket", "dog", "monkey", "rain"])
    assert find_leaks(catalog) == []
