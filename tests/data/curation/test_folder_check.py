"""What is in a folder of classes, what is wrong with it, and splits that keep copies together."""

import json
import shutil

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.data import ClassFolders, check_folders, find_leaks, write_metadata
from keras_avssan.data.catalogs.metadata_csv import FileRow, deal_splits

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture
def mixed(folder):
    """Two classes in order, but for one of each kind of trouble."""
    for name in ("bell", "dog"):
        folder.files(name, clips=4, pictures=0)
        for number in range(4):
            patches = np.random.default_rng(number + 10 * len(name)).integers(0, 256, (6, 6, 3))
            image = Image.fromarray(np.uint8(patches)).resize((40, 30))
            image.save(folder.root / name / f"picture{number}.png")
    root = folder.root
    folder.clip("dog/high.wav", rate=48000, channels=2, seconds=0.25)
    soundfile.write(root / "dog/silent.wav", 1e-5 * np.ones(8000), 16000, subtype="FLOAT")
    whole = (root / "dog/sound0.wav").read_bytes()
    (root / "dog/truncated.wav").write_bytes(whole[: len(whole) // 2])
    (root / "dog/noise.png").write_bytes(b"no picture")
    (root / "dog/empty.wav").write_bytes(b"")
    shutil.copy(root / "dog/sound1.wav", root / "dog/renamed.wav")
    shutil.copy(root / "dog/picture1.png", root / "bell/picture1-again.png")
    (root / "dog/notes.txt").write_text("read me")
    (root / "deeper/still").mkdir(parents=True)
    shutil.copy(root / "dog/sound1.wav", root / "deeper/still/a.wav")
    return folder


def test_everything_that_is_wrong_is_named(mixed):
    report = check_folders(mixed.root)
    problems = {file.path: file.problem for file in report.problems}
    assert set(problems) == {
        f"dog/{n}" for n in ("empty.wav", "noise.png", "silent.wav", "truncated.wav")
    }
    assert problems["dog/silent.wav"] == "near-silent: -100 dB"
    assert "truncated" in problems["dog/truncated.wav"]
    assert "'noise.png' cannot be read" in problems["dog/noise.png"]
    assert str(mixed.root) not in "".join(problems.values())
    copies = {(copy.first, copy.second): copy for copy in report.copies}
    assert set(copies) == {
        ("dog/renamed.wav", "dog/sound1.wav"),
        ("bell/picture1-again.png", "dog/picture1.png"),
    }
    assert [copy.same_class for copy in report.copies] == [True, False]
    assert {copy.reason for copy in report.copies} == {"identical"}
    assert report.ignored == ("deeper/still/a.wav", "dog/notes.txt")


def test_files_are_described(mixed):
    report = check_folders(mixed.root)
    files = {file.path: file for file in report.files}
    high = files["dog/high.wav"]
    assert (high.sampling_rate, high.channels, high.seconds) == (48000, 2, 0.25)
    assert high.level == pytest.approx(-20, abs=0.5)  # noise of 0.1
    assert (files["dog/picture1.png"].height, files["dog/picture1.png"].width) == (30, 40)
    dog = report.counts()["dog"]
    assert {key: dog[key] for key in ("clips", "pictures", "unusable", "copied")} == {
        "clips": 6,
        "pictures": 4,
        "unusable": 4,
        "copied": 3,
    }
    assert dog["sampling_rates"] == [16000, 48000]
    assert dog["min_seconds"] == 0.25
    assert dog["seconds"] == pytest.approx(5 * 0.6 + 0.25)
    assert json.loads(json.dumps(report.to_dict()))["classes"]["dog"] == dog


def test_the_table_says_it(mixed):
    table = check_folders(mixed.root).table()
    row = next(line for line in table.splitlines() if line.startswith("dog"))
    assert row.split() == ["dog", "6", "4", "4", "3", "0.25", "3.2", "16000,", "48000"]
    assert "dog/renamed.wav  dog/sound1.wav: identical (1.00)" in table
    assert "identical (1.00, in two classes)" in table
    assert table.splitlines()[-1].endswith("2 pairs of copies, 1 of them in two classes")


def test_metadata_keeps_copies_in_one_split(mixed):
    (mixed.root / "dog/sound2.wav").unlink()
    quieter, rate = soundfile.read(mixed.root / "bell/sound2.wav")
    soundfile.write(mixed.root / "dog/sound9.ogg", 0.4 * quieter, rate)
    report = check_folders(mixed.root)
    for seed in range(6):
        path = write_metadata(report, seed=seed, path=mixed.root / f"seed{seed}.csv")
        catalog = ClassFolders.from_csv(path)
        assert find_leaks(catalog) == []
        items = {item.id: item for item in (*catalog.clips, *catalog.pictures)}
        assert items["dog/sound9.ogg"].split == items["bell/sound2.wav"].split
        assert items["bell/picture1-again.png"].split == items["dog/picture1.png"].split
        assert set(items) == {file.path for file in report.usable}
    # Without the table some seed parts them: it is what keeps them together.
    parted = []
    for file in report.problems:
        (mixed.root / file.path).unlink()
    for seed in range(6):
        parted += find_leaks(ClassFolders(mixed.root, seed=seed))
    assert parted


def test_metadata_is_read_by_the_folder_and_never_replaced(mixed):
    report = check_folders(mixed.root)
    path = write_metadata(report, splits=(0.5, 0.5, 0), seed=1)
    assert path == mixed.root / "metadata.csv"
    assert ClassFolders(mixed.root).splits == ("train", "val")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"may hold other splits.*metadata\.csv"):
        write_metadata(report, seed=2)
    assert path.read_bytes() == before
    # The table is not among what a later check finds, and nothing else was left behind.
    assert check_folders(mixed.root).ignored == report.ignored


def test_metadata_of_nothing_usable_is_refused(folder):
    folder.files("dog", clips=2, pictures=0)
    with pytest.raises(ValueError, match="must have a class with both"):
        write_metadata(check_folders(folder.root))
    assert not (folder.root / "metadata.csv").exists()


def test_several_workers_report_the_same(mixed):
    assert check_folders(mixed.root, workers=2) == check_folders(mixed.root)


def test_what_is_no_folder_of_classes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="root.*nowhere"):
        check_folders(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="Received: root=.*without classes"):
        check_folders(tmp_path)


def test_an_instance_of_two_classes_is_dealt_once():
    rows = [
        FileRow(f"{name}/{k}.{suffix}", name, kind, "shared" if k == 7 else f"{name}/{k}{suffix}")
        for name in ("bell", "dog", "cow")
        for k in range(10)
        for suffix, kind in (("wav", "audio"), ("png", "image"))
    ]
    for seed in range(5):
        dealt = deal_splits(rows, {"train": 0.6, "val": 0.2, "test": 0.2}, seed)
        assert [row.path for row in dealt] == [row.path for row in rows]
        assert len({row.split for row in dealt if row.instance == "shared"}) == 1
        counts = [sum(row.split == split for row in dealt) for split in ("train", "val", "test")]
        assert counts == pytest.approx([36, 12, 12], abs=4)


def test_real_folders_are_in_order(real_data, tmp_path):
    for name in ("cricket", "dog", "monkey"):
        shutil.copytree(real_data / name, tmp_path / name)
    report = check_folders(tmp_path)
    assert not report.problems
    assert all(copy.same_class for copy in report.copies)
    assert report.counts()["dog"]["clips"] == 6
