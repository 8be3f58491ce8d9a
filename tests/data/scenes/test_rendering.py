import dataclasses
import pickle

import numpy as np
import pytest
import scipy.signal

from keras_avssan.data import Catalog, Clip, Picture, ScenePlan, render_scene, render_scenes
from keras_avssan.data.scenes.rendering import crop_clip
from keras_avssan.simulation import RIRBank, RoomRanges, build_bank

pytestmark = pytest.mark.backend_agnostic


class GivenAudio(Catalog):
    """Two classes with one given recording each, and two grey pictures a class."""

    def __init__(self, dog, bell):
        self._audio = {"dog": np.float32(dog), "bell": np.float32(bell)}
        clips = [Clip(n, n, f"{n}-clip", "train", len(x)) for n, x in self._audio.items()]
        pictures = [Picture(n, f"{n}{k}", f"{n}{k}", "train") for n in self._audio for k in (0, 1)]
        super().__init__(clips, pictures)

    def read_clip(self, clip):
        return self._audio[clip.id].copy()

    def read_picture(self, picture, size):
        return np.full((*size, 3), 0.5, "float32")


def noise(seconds, seed=0):
    return np.random.default_rng(seed).standard_normal(round(16000 * seconds))


def test_shapes_types_and_level(plan):
    for index in range(10):
        rendered = render_scene(plan, index)
        for name in ("audio", "target", "interferer"):
            assert rendered[name].shape == (8000, 2)
            assert rendered[name].dtype == np.float32
            assert np.isfinite(rendered[name]).all()
        np.testing.assert_allclose(np.sqrt((rendered["audio"] ** 2).mean()), 0.1, rtol=1e-4)
        assert rendered["picture"] == plan[index].picture


def test_the_mix_is_target_plus_interferer(plan):
    rendered = render_scene(plan, 3)
    np.testing.assert_array_equal(rendered["audio"], rendered["target"] + rendered["interferer"])


def test_the_snr_holds_over_both_channels(plan):
    for index in range(30):
        rendered = render_scene(plan, index)
        target, interferer = (
            np.sum(rendered[name].astype("float64") ** 2) for name in ("target", "interferer")
        )
        assert abs(10 * np.log10(target / interferer) - plan[index].snr) < 0.01


def test_the_convolution_is_linear_and_from_sample_zero(plan, bank):
    scene = plan[4]
    rendered = render_scene(plan, scene)
    dry = crop_clip(plan, scene.target, scene.target_offset).astype("float64")
    for channel in range(2):
        rir = bank.rirs[scene.room, scene.target_slot, channel]
        expected = scipy.signal.convolve(dry, rir, method="direct")[:8000]
        actual = rendered["target"][:, channel]
        gain = actual @ expected / (expected @ expected)
        assert gain > 0
        np.testing.assert_allclose(actual, gain * expected, atol=1e-6)


def test_both_channels_get_one_gain(plan, bank):
    scene = plan[4]
    rendered = render_scene(plan, scene)
    dry = crop_clip(plan, scene.interferer, scene.interferer_offset).astype("float64")
    gains = []
    for channel in range(2):
        wet = np.convolve(dry, bank.rirs[scene.room, scene.interferer_slot, channel])[:8000]
        gains.append(rendered["interferer"][:, channel] @ wet / (wet @ wet))
    np.testing.assert_allclose(gains[0], gains[1], rtol=1e-5)


def test_labels_are_the_banks_directions(plan, bank):
    for index in range(20):
        scene, rendered = plan[index], render_scene(plan, index)
        assert rendered["azimuth"] == bank.azimuths[scene.room, scene.target_slot]
        assert rendered["interferer_azimuth"] == bank.azimuths[scene.room, scene.interferer_slot]


def test_many_scenes_at_once_are_the_same_scenes(plan):
    scenes = [plan[i] for i in range(11)]
    together = render_scenes(plan, scenes)
    for index, scene in enumerate(scenes):
        alone = render_scene(plan, scene)
        for name, values in together.items():
            np.testing.assert_array_equal(values[index], alone[name])


def test_impulse_responses_may_be_longer_than_the_scene(catalog, bank):
    plan = ScenePlan(catalog, bank, duration=0.03)
    assert render_scene(plan, 0)["audio"].shape == (480, 2)


def test_a_long_clip_is_cropped_and_a_short_one_repeated(bank):
    plan = ScenePlan(GivenAudio(noise(2), noise(0.3)), bank, duration=1.0)
    long_clip, short_clip = plan.catalog.clips
    audio = plan.catalog.load_audio(long_clip)
    np.testing.assert_array_equal(crop_clip(plan, long_clip, 700), audio[700:16700])
    repeated = crop_clip(plan, short_clip, 50)
    np.testing.assert_array_equal(
        repeated, np.tile(plan.catalog.load_audio(short_clip), 5)[50:16050]
    )


@pytest.mark.parametrize("seconds", [0.8, 3.0])
def test_a_silent_crop_gives_way_to_the_loudest_part(bank, seconds):
    quiet = np.zeros(round(16000 * seconds))
    quiet[-1000:] = noise(1)[:1000]
    plan = ScenePlan(GivenAudio(quiet, noise(1.0)), bank, duration=0.25)
    clip = plan.catalog.clips[0]
    crop = crop_clip(plan, clip, 100)
    assert np.square(crop).sum() > 500
    np.testing.assert_array_equal(crop, crop_clip(plan, clip, 3000))
    for index in range(10):
        target = render_scene(plan, index)["target"]
        assert np.isfinite(target).all() and np.abs(target).max() > 0.01


def test_a_crop_that_ends_as_the_sound_begins_counts_as_silent(bank):
    late = np.zeros(16000)
    late[4000 - 30 : 8000] = 1.0
    plan = ScenePlan(GivenAudio(late, noise(1.0)), bank, duration=0.25)
    assert crop_clip(plan, plan.catalog.clips[0], 0)[:2000].any()


def test_a_silent_clip_is_refused(bank):
    plan = ScenePlan(GivenAudio(np.zeros(16000), noise(1.0)), bank, duration=0.5)
    with pytest.raises(ValueError, match="silent .* Received: clip.id='dog'"):
        render_scene(plan, 0)


def test_a_bank_of_silence_is_refused(plan, bank):
    deaf = dataclasses.replace(bank, rirs=np.zeros_like(bank.rirs))
    with pytest.raises(
        ValueError, match=r"does not reach.* Received: silence from source\(s\) \[0, 1\]"
    ):
        render_scene(dataclasses.replace(plan, bank=deaf), 0)


def test_the_nearer_microphone_hears_the_source_first(catalog):
    """With a simulated bank, the delay between the channels agrees with the label."""
    ranges = RoomRanges(t60=(0.2, 0.25), distance=(0.5, 1.0))
    real = RIRBank.build(3, seed=0, ranges=ranges, max_duration=0.02, progress=False)
    plan = ScenePlan(catalog.select(classes=["rain", "drum"]), real, duration=0.5)
    seen = 0
    for index in range(40):
        rendered = render_scene(plan, index)
        lag_of_first = np.cos(np.radians(rendered["azimuth"])) * 0.2 / 343 * 16000
        if abs(lag_of_first) < 3:
            continue
        first, second = rendered["target"].T
        correlation = scipy.signal.correlate(second, first, mode="full")[8000 - 11 : 8000 + 10]
        lag = np.argmax(correlation) - 10
        assert np.sign(lag) == np.sign(lag_of_first)
        seen += 1
    assert seen > 10


@pytest.mark.parametrize("copied", [False, True])
def test_scenes_from_a_folder_of_rooms_are_those_from_memory(catalog, tmp_path, copied):
    settings = dict(sources_per_room=3, max_duration=0.02, progress=False)
    in_memory = RIRBank.build(5, seed=1, **settings)
    build_bank(tmp_path / "rooms", 5, seed=1, rooms_per_shard=2, **settings)
    bank = RIRBank.load(tmp_path / "rooms")
    # As a process that loads data in the background has it.
    bank = pickle.loads(pickle.dumps(bank)) if copied else bank
    expected, plan = (
        ScenePlan(catalog, rooms, seed=2, duration=0.3, rooms=(1, 5), min_separation=10.0)
        for rooms in (in_memory, bank)
    )
    scenes = [plan[index] for index in range(12)]
    assert scenes == [expected[index] for index in range(12)]
    assert {scene.room for scene in scenes} >= {1, 3, 4}  # one of each shard
    rendered, wanted = render_scenes(plan, scenes), render_scenes(expected, scenes)
    for name in rendered:
        np.testing.assert_array_equal(rendered[name], wanted[name])
