from collections import Counter

import numpy as np
import pytest

from keras_avssan.data import ClassFolders, ScenePlan

pytestmark = pytest.mark.backend_agnostic


def splits_by(items, attribute):
    """Dict from an attribute's value to the set of splits it occurs in."""
    splits = {}
    for item in items:
        splits.setdefault(getattr(item, attribute), set()).add(item.split)
    return splits


def test_splits_never_share_a_file_or_an_instance(folder):
    for name in ("dog", "bell"):
        for number in range(10):
            folder.clip(f"{name}/video{number}.wav", seconds=0.05)
            folder.picture(f"{name}/video{number}.jpg")
        folder.files(name, clips=10, pictures=10)
    catalog = ClassFolders(folder.root)
    both = (*catalog.clips, *catalog.pictures)
    assert len(both) == 80
    assert all(len(splits) == 1 for splits in splits_by(both, "instance").values())
    for kind in (catalog.clips, catalog.pictures):
        counts = Counter((item.class_name, item.split) for item in kind)
        for name in ("dog", "bell"):
            assert [counts[name, split] for split in ("train", "val", "test")] == [14, 3, 3]


@pytest.mark.parametrize("seed", range(5))
def test_every_split_gets_one_of_three_instances(folder, seed):
    folder.files("dog", clips=3, pictures=3)
    catalog = ClassFolders(folder.root, seed=seed)
    for kind in (catalog.clips, catalog.pictures):
        assert sorted(item.split for item in kind) == ["test", "train", "val"]


def test_splits_depend_on_the_seed_alone(folder):
    folder.files("dog", clips=12, pictures=12)
    first, again, other = (ClassFolders(folder.root, seed=seed) for seed in (1, 1, 2))
    assert first.clips == again.clips
    assert first.clips != other.clips


def test_splits_of_one_class_do_not_depend_on_the_others(folder):
    folder.files("dog", clips=6, pictures=6)
    folder.files("bell", clips=6, pictures=6)
    assert (
        ClassFolders(folder.root, classes=["dog"]).clips
        == ClassFolders(folder.root).select(classes=["dog"]).clips
    )


def test_shares_of_splits_are_kept(folder):
    folder.files("dog", clips=10, pictures=10)
    catalog = ClassFolders(folder.root, splits=(0.0, 0.5, 0.5))
    assert Counter(clip.split for clip in catalog.clips) == {"val": 5, "test": 5}
    for wrong in ((1, 0), (-1, 1, 1), (0, 0, 0), (np.nan, 1, 1)):
        with pytest.raises(ValueError, match="splits"):
            ClassFolders(folder.root, splits=wrong)


def test_metadata_is_honoured(folder):
    folder.files("sounds", clips=3, pictures=4)
    rows = [(f"sounds/sound{k}.wav", "dog", s) for k, s in enumerate(["train", "val"])]
    rows += [(f"sounds/picture{k}.png", "dog", "train") for k in range(2)]
    rows += [(f"sounds/picture{k}.png", "dog", "val") for k in range(2, 4)]
    folder.metadata(rows)
    catalog = ClassFolders(folder.root)
    assert catalog.classes == ("dog",)
    assert [(c.id, c.split) for c in catalog.clips] == [(r[0], r[2]) for r in rows[:2]]
    assert [(p.id, p.split) for p in catalog.pictures] == [(r[0], r[2]) for r in rows[2:]]


def test_metadata_may_name_kind_and_instance(folder):
    folder.files("dog", clips=1, pictures=2)
    columns = ("path", "class", "split", "kind", "instance", "license")
    folder.metadata(
        [
            ("dog/sound0.wav", "dog", "train", "audio", "rex", "CC0"),
            ("dog/picture0.png", "dog", "train", "image", "rex", "CC0"),
            ("dog/picture1.png", "dog", "train", "image", "", "CC0"),
        ],
        columns,
    )
    catalog = ClassFolders(folder.root)
    assert catalog.clips[0].instance == catalog.pictures[0].instance == "rex"
    assert catalog.pictures[1].instance == "dog/picture1"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("dog/none.wav", "dog", "train"),
            "line 4: .* existing file. Received: path='dog/none.wav'",
        ),
        (("dog/sound0.wav", "dog", "dev"), "line 4.*split.*'dev'"),
        (("dog/notes.txt", "dog", "train"), "line 4: `kind` must be audio or image"),
        (("", "dog", "train"), "line 4: `path` must not be empty"),
        (("dog/sound0.wav", "", "train"), "class"),
        (("dog/picture0.png", "dog", "train"), "line 4: .* once. Received: path=.*, as in line 2"),
        (
            ("dog/picture0.jpg", "dog", "val"),
            "instance 'dog/picture0' must .*split='val', and 'train' in line 2",
        ),
    ],
)
def test_wrong_metadata_is_refused(folder, row, message):
    folder.files("dog", clips=1, pictures=2)
    folder.picture("dog/picture0.jpg")
    (folder.root / "dog/notes.txt").write_text("read me")
    folder.metadata([*((f"dog/picture{k}.png", "dog", "train") for k in range(2)), row])
    with pytest.raises(ValueError, match=message):
        ClassFolders(folder.root)


def test_metadata_without_its_columns_is_refused(folder):
    folder.files("dog", clips=1, pictures=2)
    folder.metadata([("dog/sound0.wav", "dog")], columns=("path", "class"))
    with pytest.raises(ValueError, match="split"):
        ClassFolders(folder.root)


def test_a_single_picture_is_refused_unless_allowed(folder, bank):
    folder.files("dog", clips=4, pictures=1)
    folder.files("bell", clips=4, pictures=2)
    with pytest.raises(ValueError, match=r"allow_single_picture.*\['dog'\]"):
        ClassFolders(folder.root)
    catalog = ClassFolders(folder.root, allow_single_picture=True)
    assert catalog.classes == ("bell", "dog")
    plan = ScenePlan(catalog, bank, split=None)
    assert {plan[i].target.class_name for i in range(20)} == {"bell", "dog"}


def test_a_folder_without_usable_class_is_refused(folder):
    with pytest.raises(ValueError, match="root"):
        ClassFolders(folder.root)
    folder.files("silent", clips=0, pictures=3)
    folder.files("unseen", clips=3, pictures=0)
    folder.clip(".hidden/a.wav")
    folder.picture(".hidden/a.png")
    with pytest.raises(ValueError, match="no usable class"):
        ClassFolders(folder.root)


def test_unknown_and_incomplete_classes_are_refused(folder):
    folder.files("dog", clips=3, pictures=3)
    folder.files("silent", clips=0, pictures=3)
    assert ClassFolders(folder.root).classes == ("dog",)
    with pytest.raises(ValueError, match="dog.*Received: .*'tiger'"):
        ClassFolders(folder.root, classes=["tiger"])
    with pytest.raises(ValueError, match="'silent'.*no audio"):
        ClassFolders(folder.root, classes=["silent"])


def test_damaged_files_are_named(folder):
    folder.files("dog", clips=3, pictures=3)
    path = folder.root / "dog" / "sound1.wav"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"sound1\.wav.*truncated"):
        ClassFolders(folder.root)
    path.write_bytes(content)
    (folder.root / "dog" / "picture1.png").write_bytes(b"no picture")
    catalog = ClassFolders(folder.root)
    with pytest.raises(ValueError, match=r"picture1\.png"):
        for picture in catalog.pictures:
            catalog.load_image(picture, 16)


def test_clips_become_mono_at_the_catalogs_rate(folder):
    path = folder.clip("dog/a.wav", rate=44100, channels=2)
    folder.files("dog", clips=0, pictures=2)
    catalog = ClassFolders(folder.root)
    audio = catalog.load_audio(catalog.clips[0])
    assert audio.shape == (catalog.clips[0].num_samples,) == (9600,)
    assert audio.dtype == np.float32
    assert path.is_file()


def test_real_folders(real_data, bank):
    catalog = ClassFolders(real_data, classes=["dog", "rain", "violin"])
    assert catalog.splits == ("train", "val")
    assert len(catalog.clips) == 6 + 9 + 9
    for clip in catalog.clips:
        audio = catalog.load_audio(clip)
        assert abs(len(audio) - clip.num_samples) <= 1
        assert 0.1 < np.abs(audio).max() < 1.5
    plan = ScenePlan(catalog, bank, split="val", min_separation=5.0)
    for scene in (plan[i] for i in range(20)):
        assert {scene.target.split, scene.interferer.split, scene.picture.split} == {"val"}
        assert catalog.load_image(scene.picture, 32).shape == (32, 32, 3)


def test_real_metadata_is_complete(real_data):
    catalog = ClassFolders(real_data)
    assert len(catalog.classes) == 50
    both = (*catalog.clips, *catalog.pictures)
    assert all(len(splits) == 1 for splits in splits_by(both, "id").values())
    for split in ("train", "val"):
        assert len(catalog.select(split=split).classes) == 50


def test_a_csv_anywhere_names_files_anywhere(folder, tmp_path):
    folder.files("dog", clips=2, pictures=2)
    elsewhere = folder.clip("../elsewhere/bark.wav")
    table = tmp_path / "lists" / "dogs.csv"
    table.parent.mkdir()
    paths = ["dog/sound0.wav", "dog/../dog/sound1.wav", "dog/picture0.png", "dog/picture1.png"]
    rows = [f"{path},hound,train" for path in [*paths, elsewhere.resolve()]]
    table.write_text("\n".join(["path,class,split", *rows]))
    catalog = ClassFolders.from_csv(table, folder.root)
    assert catalog.classes == ("hound",)
    assert {clip.id for clip in catalog.clips} == {
        "dog/sound0.wav",
        "dog/sound1.wav",
        elsewhere.resolve().as_posix(),
    }
    assert all(len(catalog.load_audio(clip)) == 9600 for clip in catalog.clips)
    assert catalog.load_image(catalog.pictures[0], 8).shape == (8, 8, 3)


def test_a_csv_without_splits_is_dealt_by_seed_and_written_down(folder, tmp_path):
    folder.files("dog", clips=9, pictures=9)
    table, dealt = folder.root / "table.csv", tmp_path / "dealt.csv"
    files = sorted(path.name for path in (folder.root / "dog").iterdir())
    table.write_text("\n".join(["path,class", *(f"dog/{name},dog" for name in files)]))
    catalog = ClassFolders.from_csv(table, seed=4)
    assert catalog.splits == ("test", "train", "val")
    assert catalog.clips == ClassFolders(folder.root, seed=4).clips
    assert catalog.clips != ClassFolders.from_csv(table, seed=5).clips
    catalog.to_csv(dealt)
    again = ClassFolders.from_csv(dealt, folder.root, seed=5)
    assert (again.clips, again.pictures) == (catalog.clips, catalog.pictures)
    catalog.to_csv(folder.root / "metadata.csv")
    assert ClassFolders(folder.root, seed=6).clips == catalog.clips


def test_a_csv_that_is_wrong_is_refused(folder, tmp_path):
    folder.files("dog", clips=1, pictures=2)
    with pytest.raises(ValueError, match=r"metadata.*none\.csv"):
        ClassFolders.from_csv(tmp_path / "none.csv")
    table = tmp_path / "table.csv"
    table.write_text("path,class\ndog/sound0.wav,dog\n")
    with pytest.raises(ValueError, match=r"table\.csv.* existing file.*sound0\.wav"):
        ClassFolders.from_csv(table)
    with pytest.raises(ValueError, match=r"table\.csv' with no usable class"):
        ClassFolders.from_csv(table, folder.root)
    table.write_text("file,class\ndog/sound0.wav,dog\n")
    with pytest.raises(ValueError, match="path"):
        ClassFolders.from_csv(table, folder.root)
