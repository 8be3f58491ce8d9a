"""Pictures for segments, by a map of classes."""

from collections import Counter

import pytest

from keras_avssan.data import STARSS23, PictureFolders, SegmentPrompts
from keras_avssan.data.starss23.segment_prompts import read_class_map

pytestmark = pytest.mark.backend_agnostic

BELLS = {"bell": ["church_bell", "bicycle_bell"], "telephone": "phone"}


@pytest.fixture
def dataset(writer, sound):
    """Twelve segments with a bell, one with a telephone, two with knocking."""
    rings = [sound("bell", 0, 120, 45)]
    others = [sound("telephone", 120, 130, 45), sound("knock", 130, 150, 45)]
    writer.recording(sounds=rings + others, seconds=15.0)
    return STARSS23(writer.root, duration=1.0)


def test_pictures_are_of_the_mapped_classes(dataset, pictures):
    prompts = SegmentPrompts(dataset, PictureFolders(pictures), BELLS)
    drawn = Counter((s.class_name, prompts.picture(s).class_name) for s in prompts.segments)
    assert set(drawn) == {
        ("bell", "church_bell"),
        ("bell", "bicycle_bell"),
        ("telephone", "phone"),
    }
    assert drawn["telephone", "phone"] == 1
    assert prompts.classes == ("telephone", "bell")
    assert len(prompts.pictures) == 9


def test_classes_without_pictures_are_counted(dataset, pictures):
    prompts = SegmentPrompts(dataset, PictureFolders(pictures), BELLS)
    assert prompts.without_pictures == {"knock": 2}
    assert len(prompts.segments) == 13
    assert "13 segments have a prompt." in prompts.report()
    assert "no picture: knock (2)" in prompts.report()
    assert dataset.report() in prompts.report()


def test_pictures_are_a_function_of_seed_and_segment(dataset, writer, pictures):
    catalog = PictureFolders(pictures)
    draws = [
        [prompts.picture(segment).id for segment in prompts.segments]
        for prompts in (SegmentPrompts(dataset, catalog, BELLS, seed=seed) for seed in (0, 0, 1))
    ]
    assert draws[0] == draws[1] != draws[2]
    fewer = STARSS23(writer.root, duration=1.0, classes=["telephone"])
    again = SegmentPrompts(fewer, catalog, BELLS)
    assert [again.picture(s).id for s in again.segments] == [
        picture
        for picture, segment in zip(draws[0], dataset.segments, strict=False)
        if segment.class_name == "telephone"
    ]


def test_shards_of_pictures_share_none(dataset, pictures):
    catalog = PictureFolders(pictures)
    first, second = (
        {picture.id for picture in SegmentPrompts(dataset, catalog, BELLS, shard=shard).pictures}
        for shard in ((0, 2), (1, 2))
    )
    assert not first & second
    assert len(first) == 6 and len(second) == 3  # of three in each of three folders
    assert first | second == {picture.id for picture in catalog.pictures}


@pytest.mark.parametrize("shard", [(2, 2), (0, 0), (-1, 2), 1, (0, 1, 2), [0, 2]])
def test_bad_shards(dataset, pictures, shard):
    with pytest.raises(ValueError, match=r"`shard.*Received: shard"):
        SegmentPrompts(dataset, PictureFolders(pictures), BELLS, shard=shard)


def test_draws_differ_and_repeat(dataset, pictures):
    prompts = SegmentPrompts(dataset, PictureFolders(pictures), BELLS)
    draws = [
        [prompts.picture(segment, draw=draw).id for segment in prompts.segments]
        for draw in (0, 1, 2, 1)
    ]
    assert draws[1] == draws[3] and draws[0] != draws[1] != draws[2]
    assert draws[0] == [prompts.picture(segment).id for segment in prompts.segments]


def test_splits_of_pictures_are_those_of_the_table(dataset, pictures):
    (pictures / "metadata.csv").write_text(
        "path,class,split\n"
        "phone/picture0.png,phone,train\nphone/picture1.png,phone,val\n"
        "church_bell/picture0.png,church_bell,train\n"
    )
    catalog = PictureFolders(pictures)
    assert set(catalog.splits) == {"train", "val", "all"}
    prompts = SegmentPrompts(dataset, catalog, BELLS, split="val")
    assert [picture.id for picture in prompts.pictures] == ["phone/picture1.png"]
    assert prompts.without_pictures == {"bell": 12, "knock": 2}


def test_a_map_from_a_file(dataset, pictures, tmp_path):
    path = tmp_path / "map.csv"
    path.write_text(
        "class,pictures,note\nbell,church_bell,\nbell, bicycle_bell,old\ntelephone,phone,\n"
    )
    assert read_class_map(path) == {
        "bell": ["church_bell", "bicycle_bell"],
        "telephone": ["phone"],
    }
    catalog = PictureFolders(pictures)
    from_file, from_dict = (
        SegmentPrompts(dataset, catalog, class_map) for class_map in (path, BELLS)
    )
    assert from_file.class_map == from_dict.class_map
    assert from_file.segments == from_dict.segments


def test_without_a_map_names_are_compared(dataset, pictures):
    (pictures / "phone").rename(pictures / "telephone")
    prompts = SegmentPrompts(dataset, PictureFolders(pictures))
    assert prompts.classes == ("telephone",)
    assert prompts.without_pictures == {"bell": 12, "knock": 2}


@pytest.mark.parametrize(
    ("class_map", "message"),
    [
        ({"gong": "phone"}, r"'bell'.*Received: class_map=\('gong',\)"),
        ({"bell": "gong"}, r"'church_bell'.*Received: class_map=\('gong',\)"),
        ({"bell": []}, r"`class_map` must name one or more of .* Received: class_map=\(\)"),
        ({"door": "phone"}, "must have pictures of one of .*Received: pictures of"),
        (None, "must have pictures of one of .*Received: pictures of"),
        ("none.csv", r"must be an existing file. Received: class_map=.*none\.csv"),
    ],
)
def test_bad_maps(dataset, pictures, class_map, message):
    with pytest.raises(ValueError, match=message):
        SegmentPrompts(dataset, PictureFolders(pictures), class_map)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,picture\nbell,phone\n", "lacks the column.*pictures"),
        ("class,pictures\nbell,\n", "line 2"),
    ],
)
def test_bad_files(tmp_path, text, message):
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_class_map(tmp_path / "map.csv")


def test_other_bad_arguments(dataset, pictures):
    with pytest.raises(ValueError, match="`split`.*all.*'train'"):
        SegmentPrompts(dataset, PictureFolders(pictures), BELLS, split="train")
    with pytest.raises(ValueError, match="`seed`"):
        SegmentPrompts(dataset, PictureFolders(pictures), BELLS, seed=-1)


def test_a_folder_of_pictures(pictures, tmp_path):
    (pictures / "phone" / "ring.wav").write_bytes(b"not looked at")
    (pictures / ".embeddings").mkdir()
    (pictures / ".embeddings" / "kept.png").write_bytes(b"not looked at")
    catalog = PictureFolders(pictures)
    assert catalog.classes == ("bicycle_bell", "church_bell", "phone")
    assert (len(catalog.pictures), catalog.clips, catalog.splits) == (9, (), ("all",))
    assert catalog.load_image(catalog.pictures[0], 32).shape == (32, 32, 3)
    for root in (tmp_path / "none", tmp_path / "STARSS23"):
        with pytest.raises(ValueError, match=root.name):
            PictureFolders(root)


def test_real_photographs_ask(dataset, real_data):
    catalog = PictureFolders(real_data)
    name = catalog.classes[0]
    prompts = SegmentPrompts(dataset, catalog, {"bell": name})
    picture = prompts.picture(prompts.segments[0])
    assert picture.class_name == name
    image = catalog.load_image(picture, 64)
    assert image.shape == (64, 64, 3) and image.std() > 0
