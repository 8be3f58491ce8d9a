"""Changes of recordings, microphones, prompts: off they change nothing, on only what they say."""

import dataclasses
import pickle

import numpy as np
import pytest
import scipy.signal

from keras_avssan.data import ScenePlan, make_dataset, render_scenes
from keras_avssan.data.scenes.augmentation import EQUALISER_HERTZ, Augmentation
from keras_avssan.data.scenes.rendering import MIX_RMS, crop_clip, load_dry_scenes
from keras_avssan.data.scenes.scene_batches import SceneBatches
from keras_avssan.layers import SceneRenderer

pytestmark = pytest.mark.backend_agnostic

OPTIONS = {
    "swap_channels": True,
    "speed": (0.85, 1.15),
    "equalise": 6.0,
    "sensor_noise": (10.0, 30.0),
    "num_interferers": 2,
}


@pytest.fixture
def scenes(plan):
    return [plan[index] for index in range(60)]


def varied(plan, **options):
    plan = dataclasses.replace(plan, **options)
    return plan, [plan[index] for index in range(60)]


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_changes_nothing_else(plan, scenes, name):
    _, changed = varied(plan, **{name: OPTIONS[name]})
    for scene, other in zip(scenes, changed, strict=True):
        # The first two sources of the one as they are in the other.
        pairs = zip(other.sources, scene.sources, strict=False)
        sources = tuple(
            dataclasses.replace(source, azimuth=plain.azimuth, augmentation=None)
            for source, plain in pairs
        )
        undone = {"sources": sources, "swapped": False, "sensor_noise": None}
        assert dataclasses.replace(other, **undone) == scene
    assert any(scene != other for scene, other in zip(scenes, changed, strict=True))
    again = pickle.loads(pickle.dumps(dataclasses.replace(plan, **{name: OPTIONS[name]})))
    assert again[17] == changed[17]


def test_options_do_not_disturb_each_other(plan):
    _, together = varied(plan, **OPTIONS)
    for name, field in [("speed", "speed"), ("equalise", "equaliser")]:
        _, alone = varied(plan, **{name: OPTIONS[name], "num_interferers": 2})
        for one, other in zip(alone, together, strict=True):
            for first, second in zip(one.augmentations, other.augmentations, strict=True):
                assert getattr(first, field) == getattr(second, field)
    _, alone = varied(plan, swap_channels=True)
    assert [s.swapped for s in alone] == [s.swapped for s in together]


def test_swapped_microphones_hear_the_mirrored_scene(plan, scenes):
    plan, swapped = varied(plan, swap_channels=True)
    assert 18 < sum(scene.swapped for scene in swapped) < 42
    original, mirrored = render_scenes(plan, scenes), render_scenes(plan, swapped)
    for row, scene in enumerate(swapped):
        if scene.swapped:
            for name in ("azimuth", "interferer_azimuth"):
                np.testing.assert_allclose(
                    mirrored[name][row], 180 - original[name][row], rtol=1e-6
                )
        step = -1 if scene.swapped else 1
        for name in ("audio", "target", "interferer"):
            np.testing.assert_allclose(
                mirrored[name][row], original[name][row][:, ::step], atol=1e-6
            )


def test_speed_moves_a_tone_and_keeps_the_length():
    rate, length = 16000, 8000
    for speed in (0.85, 1.0, 1.15):
        change = Augmentation(speed=speed)
        tone = np.sin(2 * np.pi * 1000 * np.arange(change.num_samples(length)) / rate)
        changed = change.apply(tone.astype("float32"), length, rate)
        assert changed.shape == (length,) and changed.dtype == np.float32
        spectrum = np.abs(np.fft.rfft(changed * np.hanning(length)))
        assert abs(np.argmax(spectrum) * rate / length - 1000 * speed) <= rate / length
        assert np.abs(changed[-200:]).max() > 0.9  # sounds to the end


def test_equaliser_has_its_gains_at_its_frequencies():
    rate, length = 16000, 16000
    gains = (3.0, -6.0, 0.0, 6.0, -3.0, 5.0, -2.0, 1.0)
    time = np.arange(length) / rate
    change = Augmentation(equaliser=gains)
    for hertz, gain in list(zip(EQUALISER_HERTZ, gains, strict=True))[:-1]:
        tone = np.sin(2 * np.pi * hertz * time).astype("float32")
        changed = change.apply(tone, length, rate)
        middle = slice(4000, 12000)
        phasor = np.exp(-2j * np.pi * hertz * time[middle])
        ratio = np.sum(changed[middle] * phasor) / np.sum(tone[middle] * phasor)
        assert abs(20 * np.log10(abs(ratio)) - gain) < 0.2
        assert abs(np.angle(ratio)) < 0.02
    click = np.zeros(length, "float32")
    click[-100] = 1.0
    assert np.abs(change.apply(click, length, rate)[:4000]).max() < 1e-3  # does not come round


def test_recordings_are_changed_within_the_ranges(plan):
    _, scenes = varied(plan, speed=(0.8, 1.25), equalise=4.0)
    changes = [change for scene in scenes for change in scene.augmentations]
    speeds = np.array([change.speed for change in changes])
    gains = np.array([change.equaliser for change in changes])
    assert len(changes) == 120 and len(set(speeds)) == 120
    assert 0.8 <= speeds.min() < 0.85 and 1.2 < speeds.max() <= 1.25
    assert abs(np.log(speeds).mean()) < 0.04
    assert gains.shape == (120, 8) and -4 <= gains.min() < -3.8 and 3.8 < gains.max() <= 4


def test_the_changed_recording_is_what_the_room_is_given(plan, bank):
    plan, scenes = varied(plan, speed=(0.85, 1.15), equalise=6.0, swap_channels=True)
    scene = next(scene for scene in scenes if scene.swapped)
    change = scene.augmentations[0]
    length = change.num_samples(8000)
    crop = crop_clip(plan, scene.target, scene.target_offset, length)
    assert crop.shape == (length,)
    dry = change.apply(crop, 8000, 16000)
    rir = bank.rirs[scene.room, scene.target_slot, 1]
    expected = scipy.signal.convolve(dry.astype("float64"), rir)[:8000]
    rendered = render_scenes(plan, [scene])["target"][0, :, 0]
    gain = rendered @ expected / (expected @ expected)
    np.testing.assert_allclose(rendered, gain * expected, atol=1e-5)


def test_levels_of_noise_fill_their_range(plan):
    levels = [scene.sensor_noise for scene in varied(plan, sensor_noise=(10.0, 30.0))[1]]
    assert min(levels) >= 10.0 and max(levels) <= 30.0
    assert max(levels) - min(levels) > 10.0


def test_sensor_noise_has_its_level_and_is_white(plan, scenes):
    noisy, changed = varied(plan, sensor_noise=20.0)
    clean, rendered = render_scenes(plan, scenes), render_scenes(noisy, changed)
    np.testing.assert_array_equal(rendered["target"], clean["target"])
    noise = (rendered["audio"] - clean["audio"]).astype("float64")
    level = 20 * np.log10(np.sqrt(np.square(noise).mean(axis=1)) / MIX_RMS)
    np.testing.assert_allclose(level, -20, atol=0.4)
    correlation = np.einsum("nt,nt->n", noise[..., 0], noise[..., 1])
    assert np.abs(correlation / np.square(noise).sum(axis=1).mean(axis=1)).max() < 0.05
    assert np.abs(np.mean(noise[:, 1:] * noise[:, :-1]) / np.mean(noise**2)) < 0.01
    alone = render_scenes(noisy, changed[5:6])["audio"][0]
    np.testing.assert_array_equal(alone, rendered["audio"][5])


def test_further_interferers_are_different_and_equally_loud(plan, bank):
    plan, scenes = varied(plan, num_interferers=3)
    for scene in scenes:
        assert len({source.clip.class_name for source in scene.sources}) == 4
        assert len({source.slot for source in scene.sources}) == 4
        assert all(s.azimuth == bank.azimuths[scene.room, s.slot] for s in scene.sources)
        apart = [abs(azimuth - scene.azimuth) for azimuth in scene.interferer_azimuths]
        assert abs(scene.nearest_interferer_azimuth - scene.azimuth) == min(apart)
    rendered = render_scenes(plan, scenes[:5])
    np.testing.assert_allclose(np.sqrt((rendered["audio"] ** 2).mean(axis=(1, 2))), 0.1, rtol=1e-4)
    for row, scene in enumerate(scenes[:5]):
        single = dataclasses.replace(scene, sources=scene.sources[:2])
        pair = render_scenes(dataclasses.replace(plan, num_interferers=1), [single])
        gain = np.vdot(rendered["target"][row], pair["target"][0]) / np.vdot(
            pair["target"][0], pair["target"][0]
        )
        rest = rendered["interferer"][row] - gain * pair["interferer"][0]
        target = np.sum(rendered["target"][row].astype("float64") ** 2)
        others = np.sum(rest.astype("float64") ** 2)
        # Two independent sounds of the level of the first interferer.
        assert abs(10 * np.log10(target / others) - scene.snr + 10 * np.log10(2)) < 1.0


def test_further_interferers_keep_their_distance(catalog, bank):
    plan = ScenePlan(catalog, bank, min_separation=25.0, num_interferers=2)
    for scene in (plan[index] for index in range(60)):
        azimuths = sorted(source.azimuth for source in scene.sources)
        assert np.diff(azimuths).min() >= 25.0


@pytest.mark.parametrize("options", [{"num_interferers": 2}, {"swap_channels": True}, OPTIONS])
def test_the_device_renders_the_same(plan, options):
    plan, scenes = varied(plan, **{**options, "sensor_noise": None})
    host, dry = render_scenes(plan, scenes[:4]), load_dry_scenes(plan, scenes[:4])
    audio, target = (
        np.asarray(x) for x in SceneRenderer()(dry["dry_audio"], dry["rirs"], dry["snr"])
    )
    np.testing.assert_allclose(audio, host["audio"], atol=1e-5)
    np.testing.assert_allclose(target, host["target"], atol=1e-5)
    for name in ("azimuth", "interferer_azimuth"):
        np.testing.assert_array_equal(dry[name], host[name])


def test_batches_of_several_interferers_have_the_shapes_they_name(plan):
    plan = dataclasses.replace(plan, num_interferers=2)
    for render in ("host", "device"):
        batches = SceneBatches(plan, 4, 2, render=render)
        for part, shapes in zip(batches[0], batches.shapes, strict=True):
            assert {name: (None, *array.shape[1:]) for name, array in part.items()} == shapes


def test_the_device_refuses_sensor_noise(plan):
    noisy = dataclasses.replace(plan, sensor_noise=20.0)
    with pytest.raises(ValueError, match='`sensor_noise`.*render="host"'):
        make_dataset(noisy, 4, render="device", loader="grain")
    with pytest.raises(ValueError, match="`sensor_noise`"):
        load_dry_scenes(noisy, [noisy[0]])


def test_an_interferer_of_the_same_class_is_another_instance(plan, scenes):
    _, changed = varied(plan, same_class_interferer=0.5)
    same = [scene.target.class_name == scene.interferer.class_name for scene in changed]
    assert 18 < sum(same) < 42
    for scene, other in zip(scenes, changed, strict=True):
        assert other.target.instance != other.interferer.instance
        clip = {"clip": scene.interferer, "offset": scene.interferer_offset}
        interferer = dataclasses.replace(other.sources[1], **clip)
        assert dataclasses.replace(other, sources=(other.sources[0], interferer)) == scene


def test_what_is_absent_is_not_in_the_mix(plan, scenes):
    kinds = ("picture", "text", "recording")
    prompted, changed = varied(plan, absent=True, num_interferers=2, prompt_kinds=kinds)
    for scene, other in zip(scenes, changed, strict=True):
        present = {source.clip.class_name for source in other.sources}
        assert other.picture.class_name not in present and len(present) == 3
        assert other.reference.class_name == other.picture.class_name
        assert (other.target, other.interferer) == (scene.target, scene.interferer)
    embeddings = {p.id: np.zeros(2) for p in plan.pictures}
    words = {name: np.full(2, row) for row, name in enumerate(plan.classes)}
    texts = dataclasses.replace(prompted, prompt_kinds=("text",))
    inputs, _ = SceneBatches(
        texts, 5, prompt="embedding", prompt_embeddings=embeddings, text_embeddings=words
    )[0]
    expected = [plan.classes.index(texts[index].picture.class_name) for index in range(5)]
    np.testing.assert_array_equal(inputs["prompt_embedding"][:, 0], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": 1.1}, "`speed`"),
        ({"speed": (1.2, 0.9)}, "`speed`"),
        ({"speed": (0.0, 1.0)}, "`speed`"),
        ({"equalise": -1.0}, "`equalise`"),
        ({"equalise": np.nan}, "`equalise`"),
        ({"sensor_noise": (20.0, 10.0)}, "`sensor_noise`"),
        ({"sensor_noise": np.inf}, "`sensor_noise`"),
        ({"num_interferers": 0}, "`num_interferers`"),
        (
            {"num_interferers": 4},
            "`num_interferers` .* less than the 4 source positions",
        ),
        ({"num_interferers": 2, "min_separation": 90.1}, "3 source positions.*min_separation"),
        ({"same_class_interferer": 1.5}, "`same_class_interferer`"),
    ],
)
def test_wrong_options_are_refused(catalog, bank, options, message):
    with pytest.raises(ValueError, match=message):
        ScenePlan(catalog, bank, **options)


def test_too_few_classes_or_recordings_are_refused(catalog, bank, folder):
    three = catalog.select(classes=["dog", "bell", "rain"])
    assert ScenePlan(three, bank, num_interferers=2)[0].further_interferers
    with pytest.raises(ValueError, match="needs 4 classes.*has 3"):
        ScenePlan(three, bank, num_interferers=2, absent=True)
    with pytest.raises(ValueError, match="needs 3 classes.*has 2"):
        ScenePlan(catalog.select(classes=["dog", "bell"]), bank, absent=True)


def test_an_augmentation_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="`speed`"):
        Augmentation(speed=-1.0)
    with pytest.raises(ValueError, match="`equaliser`.*8 gains"):
        Augmentation(equaliser=(1.0, 2.0))
