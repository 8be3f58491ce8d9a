"""The table as it is published, and the videos beside it."""

import hashlib

import pytest

from keras_avssan.data import VGGSound

pytestmark = pytest.mark.backend_agnostic

TABLE = """\
---g-f_I2yQ,1,people marching,test
--0PQM4-hqg,30,waterfall burbling,train
-0_abc,000010,"people eating, crisps",train
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "videos").mkdir()

    def write(text, **options):
        (tmp_path / "table.csv").write_text(text, **options)
        return tmp_path / "table.csv", tmp_path / "videos"

    return write


def test_reads_the_published_form(write):
    csv, root = write(TABLE)
    (root / "--0PQM4-hqg_000030.mp4").touch()
    vggsound = VGGSound(csv, root)
    first, second, third = vggsound.videos
    assert (first.youtube_id, first.start_second) == ("---g-f_I2yQ", 1)
    assert (first.label, first.split) == ("people marching", "test")
    assert third.label == "people eating, crisps"
    assert third.file_name == "-0_abc_000010.mp4"
    assert vggsound.path(second) == root / "--0PQM4-hqg_000030.mp4"
    assert vggsound.missing == (first, third)
    assert vggsound.classes == ("people eating, crisps", "people marching", "waterfall burbling")
    assert vggsound.checksum == hashlib.sha256(TABLE.encode()).hexdigest()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_byte_order_marks_and_empty_lines_are_no_rows(write, encoding):
    vggsound = VGGSound(*write("\n" + TABLE.replace("\n", "\n\n"), encoding=encoding))
    assert len(vggsound.videos) == 3


def test_some_classes(write):
    vggsound = VGGSound(*write(TABLE), classes=["people eating, crisps"])
    assert [video.start_second for video in vggsound.videos] == [10]
    with pytest.raises(ValueError, match=r"Received: classes=\('whistling',\)"):
        VGGSound(*write(TABLE), classes=["whistling"])


def test_a_row_that_comes_again_is_set_aside(write):
    vggsound = VGGSound(*write(TABLE + "--0PQM4-hqg,30,rain,test\n--0PQM4-hqg,31,rain,test\n"))
    assert [video.label for video in vggsound.repeated] == ["rain"]
    assert [video.start_second for video in vggsound.videos] == [1, 30, 10, 31]


@pytest.mark.parametrize(
    "row, message",
    [
        ("abc,10,rain", "line 4: expected .*youtube_id,start_second,label,split. Received: 3"),
        ("abc,10,people eating, crisps,train", "line 4.*Received: 5 columns"),
        ("../abc,10,rain,train", "line 4: `youtube_id` must consist of .*'../abc'"),
        (",10,rain,train", "line 4: `youtube_id` must"),
        (
            "abc,-1,rain,train",
            "line 4: `start_second` must be a whole .* Received: start_second='-1'",
        ),
        ("abc,1.5,rain,train", "line 4: `start_second` must"),
        ("abc,10,,train", "line 4: `label` must not be empty"),
        ("abc,10,rain,val", "line 4: `split` must be one of .* Received: split='val'"),
    ],
)
def test_wrong_rows_are_named(write, row, message):
    with pytest.raises(ValueError, match=message):
        VGGSound(*write(TABLE + row + "\n"))


def test_what_is_not_there_is_named(write, tmp_path):
    csv, root = write("")
    with pytest.raises(ValueError, match="`csv` must have rows"):
        VGGSound(csv, root)
    with pytest.raises(ValueError, match="`csv` must be an existing file"):
        VGGSound(tmp_path / "other.csv", root)
    with pytest.raises(ValueError, match="`root` must be an existing folder"):
        VGGSound(csv, tmp_path / "other")
