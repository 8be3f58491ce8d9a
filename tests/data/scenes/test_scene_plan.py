import dataclasses
import pickle
from collections import Counter

import numpy as np
import pytest

from keras_avssan.data import ClassFolders, ScenePlan, SyntheticClasses

pytestmark = pytest.mark.backend_agnostic


def test_a_scene_is_a_function_of_seed_and_index(catalog, bank, plan):
    again = ScenePlan(catalog, bank, split="train", seed=5, duration=0.5, snr=(-5.0, 5.0))
    assert plan[7] == again[7] == pickle.loads(pickle.dumps(plan))[np.int64(7)]
    assert plan[7] != plan[8]
    assert plan[7] != dataclasses.replace(plan, seed=6)[7]
    assert plan[7].index == 7


def test_scenes_keep_the_rules(plan, bank):
    for scene in (plan[i] for i in range(300)):
        assert scene.target.class_name != scene.interferer.class_name
        assert scene.picture.class_name == scene.target.class_name
        assert {scene.target.split, scene.interferer.split, scene.picture.split} == {"train"}
        assert scene.target_slot != scene.interferer_slot
        assert scene.azimuth == bank.azimuths[scene.room, scene.target_slot]
        assert scene.interferer_azimuth == bank.azimuths[scene.room, scene.interferer_slot]
        assert -5 <= scene.snr <= 5
        assert scene.num_samples == 8000
        assert 0 <= scene.target_offset <= scene.target.num_samples - 8000


def test_a_clip_as_long_as_the_scene_begins_with_it(catalog, bank):
    length = SyntheticClasses().clips[0].num_samples
    plan = ScenePlan(catalog, bank, split="train", duration=length / 16000)
    scenes = [plan[i] for i in range(5)]
    assert {scene.target.num_samples for scene in scenes} == {length}
    assert {(scene.target_offset, scene.interferer_offset) for scene in scenes} == {(0, 0)}


def test_everything_is_drawn_evenly(plan):
    scenes = [plan[i] for i in range(2000)]
    for attribute in ("target", "interferer"):
        counts = Counter(getattr(scene, attribute).class_name for scene in scenes)
        assert len(counts) == 8
        assert min(counts.values()) > 190 and max(counts.values()) < 310
    assert len({(s.room, s.target_slot, s.interferer_slot) for s in scenes}) == 5 * 4 * 3
    assert len({scene.picture for scene in scenes}) == len(plan.pictures)
    assert abs(np.mean([scene.snr for scene in scenes])) < 0.3


def test_classes_are_even_however_many_clips_they_have(folder, bank):
    folder.files("dog", clips=12, pictures=2)
    folder.files("bell", clips=1, pictures=2)
    plan = ScenePlan(ClassFolders(folder.root), bank, split=None)
    targets = Counter(plan[i].target.class_name for i in range(400))
    assert 160 < targets["bell"] < 240


def test_a_prompt_never_comes_from_the_clips_instance(folder, bank):
    for name in ("dog", "bell"):
        for number in range(2):
            folder.clip(f"{name}/video{number}.wav")
            folder.picture(f"{name}/video{number}.jpg")
    plan = ScenePlan(ClassFolders(folder.root), bank, split=None)
    scenes = [plan[i] for i in range(100)]
    assert len({(scene.target, scene.picture) for scene in scenes}) == 4
    assert all(scene.target.instance != scene.picture.instance for scene in scenes)


def test_a_class_whose_only_picture_is_the_clips_own_is_left_out(folder, bank):
    for name in ("dog", "bell", "rain"):
        folder.files(name, clips=2, pictures=2)
    folder.clip("siren/video.wav")
    folder.picture("siren/video.jpg")
    catalog = ClassFolders(folder.root, allow_single_picture=True)
    assert "siren" in catalog.classes
    assert ScenePlan(catalog, bank, split=None).classes == ("bell", "dog", "rain")


def test_a_fixed_snr_changes_nothing_else(plan):
    fixed = dataclasses.replace(plan, snr=10.0)
    for index in range(20):
        assert fixed[index].snr == 10.0
        assert dataclasses.replace(fixed[index], snr=plan[index].snr) == plan[index]


def test_splits_draw_different_scenes(catalog, bank):
    train, val = (ScenePlan(catalog, bank, split=split) for split in ("train", "val"))
    assert not {c.id for i in range(50) for c in (train[i].target, train[i].interferer)} & {
        c.id for i in range(50) for c in (val[i].target, val[i].interferer)
    }
    assert [train[i].room for i in range(20)] != [val[i].room for i in range(20)]


def test_rooms_can_be_kept_apart(catalog, bank):
    train, val = (ScenePlan(catalog, bank, rooms=rooms) for rooms in ((0, 3), (3, 5)))
    assert {train[i].room for i in range(60)} == {0, 1, 2}
    assert {val[i].room for i in range(60)} == {3, 4}


def test_sources_can_be_kept_apart(catalog, bank):
    plan = ScenePlan(catalog, bank, min_separation=40.0)
    scenes = [plan[i] for i in range(100)]
    assert min(abs(s.azimuth - s.interferer_azimuth) for s in scenes) >= 40.0
    assert len({scene.room for scene in scenes}) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"duration": 0.0}, "duration"),
        ({"duration": np.nan}, "duration"),
        ({"snr": (5.0, -5.0)}, "snr"),
        ({"snr": np.inf}, "snr"),
        ({"snr": (0.0, 1.0, 2.0)}, "snr"),
        ({"split": "dev"}, "split.*train.*dev"),
        ({"rooms": (0, 6)}, "rooms.*5 rooms"),
        ({"rooms": (3, 3)}, "rooms"),
        ({"min_separation": 181.0}, "min_separation"),
        ({"min_separation": "40"}, "min_separation"),
        ({"duration": "1"}, "duration"),
        ({"rooms": 3}, "rooms"),
        ({"rooms": ("0", "3")}, "rooms"),
        ({"rooms": (0, 2.5)}, "rooms"),
        ({"snr": "5"}, "snr"),
        ({"snr": ((0,), (1, 2))}, "snr"),
        ({"sensor_noise": -700.0}, "sensor_noise.*from -200 to 200"),
        ({"sensor_noise": True}, "sensor_noise"),
        ({"speed": "fast"}, "speed"),
        ({"equalise": "6"}, "equalise"),
        ({"same_class_interferer": "1"}, "same_class_interferer"),
        ({"num_interferers": "2"}, "num_interferers"),
        ({"prompt_kinds": 3}, "prompt_kinds"),
        ({"reference_split": "dev"}, "reference_split.*dev"),
        ({"absent": "no"}, "absent"),
    ],
)
def test_wrong_arguments_are_refused(catalog, bank, arguments, message):
    with pytest.raises(ValueError, match=message):
        ScenePlan(catalog, bank, **arguments)


def test_a_negative_index_is_refused(plan):
    with pytest.raises(IndexError, match="-1"):
        plan[-1]


def test_one_class_or_another_sampling_rate_is_refused(catalog, bank):
    with pytest.raises(ValueError, match="two classes"):
        ScenePlan(catalog.select(classes=["dog"]), bank)
    with pytest.raises(ValueError, match="32000 Hz.*16000 Hz"):
        ScenePlan(SyntheticClasses(instances_per_class=3, sampling_rate=32000), bank)


def test_what_asks_changes_nothing_else(plan):
    every = dataclasses.replace(plan, prompt_kinds=("picture", "text", "recording"))
    kinds = []
    for index in range(60):
        scene, other = plan[index], every[index]
        assert scene.prompt_kind == "picture" and scene.reference is None
        drawn = {"prompt_kind": "picture", "reference": None, "reference_offset": 0}
        assert dataclasses.replace(other, **drawn) == scene
        kinds.append(other.prompt_kind)
    assert min(kinds.count(kind) for kind in every.prompt_kinds) > 8


def test_a_reference_is_another_recording_of_the_class(plan):
    prompted = dataclasses.replace(plan, prompt_kinds=("recording",))
    for scene in map(prompted.__getitem__, range(60)):
        assert scene.reference.class_name == scene.target.class_name
        assert scene.reference.instance != scene.target.instance
        assert scene.reference.split == plan.split
        assert 0 <= scene.reference_offset < scene.reference.num_samples
    other = dataclasses.replace(prompted, reference_split="val")
    assert {other[index].reference.split for index in range(20)} == {"val"}


def test_a_class_with_a_single_recording_needs_another_split(folder, bank):
    for name in ("dog", "bell"):
        folder.files(name, clips=2, pictures=3)
    rows = [
        [f"{name}/sound{i}.wav", name, split]
        for name in ("dog", "bell")
        for i, split in enumerate(("train", "val"))
    ]
    rows += [
        [f"{name}/picture{i}.png", name, split]
        for name in ("dog", "bell")
        for i, split in enumerate(("train", "val", "val"))
    ]
    folder.metadata(rows)
    catalog = ClassFolders(folder.root)
    with pytest.raises(ValueError, match="no recording in the split 'val'.*`reference_split`"):
        ScenePlan(catalog, bank, split="val", duration=0.5, prompt_kinds=("recording",))
    plan = ScenePlan(
        catalog,
        bank,
        split="val",
        duration=0.5,
        prompt_kinds=("recording",),
        reference_split="train",
    )
    assert plan[0].reference.split == "train"


@pytest.mark.parametrize("kinds", ["picture", (), ("picture", "smell")])
def test_unknown_prompt_kinds_are_refused(kinds, plan):
    with pytest.raises(ValueError, match="`prompt_kinds`"):
        dataclasses.replace(plan, prompt_kinds=kinds)


def test_whole_floats_are_the_integers_that_they_are(catalog, bank):
    plan = ScenePlan(catalog, bank, seed=2.0, num_interferers=2.0, rooms=[0.0, 3.0])
    assert plan[3] == ScenePlan(catalog, bank, seed=2, num_interferers=2, rooms=(0, 3))[3]
    assert (plan.seed, plan.num_interferers, plan.rooms) == (2, 2, (0, 3))


@pytest.mark.parametrize("name", ["catalog", "bank"])
def test_paths_in_place_of_catalog_or_bank_are_refused(name, catalog, bank):
    with pytest.raises(TypeError, match=f"`{name}` must be an? .*Received: {name}='rooms'"):
        ScenePlan(**{"catalog": catalog, "bank": bank, name: "rooms"})
