"""CSV files as spreadsheets write them, in every place where the library reads one."""

import numpy as np
import pytest

from keras_avssan._internal.tables.csv_files import read_csv_table
from keras_avssan.data import ClassFolders, VGGSound
from keras_avssan.data.starss23.annotations import read_events
from keras_avssan.data.starss23.segment_prompts import read_class_map

pytestmark = pytest.mark.backend_agnostic

TABLE = [["path", "class", "note"], ["a.wav", "dog", "old"], ["b, c.wav", "bell", ""]]
EXPECTED = [
    (2, {"path": "a.wav", "class": "dog", "note": "old"}),
    (3, {"path": "b, c.wav", "class": "bell", "note": ""}),
]


def text(rows, separator=",", end="\n"):
    quoted = [[f'"{c}"' if "," in c or separator in c else c for c in row] for row in rows]
    return end.join([*(separator.join(row) for row in quoted), ""])


WRITTEN = {
    "commas": text(TABLE).encode(),
    "semicolons": text(TABLE, ";").encode("utf-8-sig"),
    "tabs": text(TABLE, "\t", "\r\n").encode(),
    "Excel's UTF-16": text(TABLE, "\t", "\r\n").encode("utf-16"),
    "UTF-16 of the other order": b"\xfe\xff" + text(TABLE).encode("utf-16-be"),
    "old Macs": text(TABLE, ";", "\r").encode(),
    "capitals and spaces": text([["Path ", " CLASS", "Note"], *TABLE[1:]]).encode(),
    "empty columns and rows": text(
        [[*row, "", ""] for row in TABLE] + [[""] * 5, [""] * 5]
    ).encode(),
    "short rows": text([*TABLE[:2], TABLE[2][:2]]).encode(),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_a_table_is_the_same_in_every_form(form, tmp_path):
    (tmp_path / "t.csv").write_bytes(WRITTEN[form])
    rows = read_csv_table(tmp_path / "t.csv", "'t.csv'", ("path", "class"))
    known = [(line, {k: v for k, v in row.items() if k}) for line, row in rows]
    assert known == EXPECTED


def test_the_separator_that_excel_names(tmp_path):
    (tmp_path / "t.csv").write_text("sep=|\npath|class\na.wav|dog\n")
    rows = read_csv_table(tmp_path / "t.csv", "'t.csv'", ("path", "class"))
    assert rows == [(3, {"path": "a.wav", "class": "dog"})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "path,class\na.wav,Glöckchen\n".encode("latin-1"),
            "t.csv', line 2.*0xf6 after .*a.wav,Gl",
        ),
        (b"PK\x03\x04" + bytes(50), r"t.csv' is a spreadsheet.*Received: .* b'PK\\x03"),
        (
            b"path;Class;CLASS\na;b;c\n",
            r"t.csv' has the column\(s\) \['class'\] twice. Received: columns=",
        ),
        (b"file;class\na;b\n", r"lacks the column\(s\) \['path'\]. Received: columns=\['file'"),
        (
            b"path,class\na.wav,big, old dog\n",
            "line 2: expected 2 cells; .* in quotes. Received: 3",
        ),
        (
            b'path,class\na.wav,"dog\nb.wav,cat\n',
            "line 3: not a row of CSV: .*Received: 'b.wav,cat'",
        ),
        ("path,class\n".encode("utf-16-le"), "t.csv', line 1: expected text in UTF-8; .*: a NUL"),
        (b"", r"lacks the column\(s\) \['class', 'path'\]"),
    ],
)
def test_what_is_no_table_is_named_with_its_line(content, message, tmp_path):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_csv_table(tmp_path / "t.csv", "'t.csv'", ("path", "class"))


def test_metadata_from_a_spreadsheet(folder):
    folder.files("dog", clips=2, pictures=2)
    rows = [
        [f"dog\\{n}{k}.{e}", "dog", "Train"]
        for n, e in (("sound", "wav"), ("picture", "png"))
        for k in (0, 1)
    ]
    content = text([["Path", "Class", "Split"], *rows], ";", "\r\n")
    (folder.root / "metadata.csv").write_bytes(content.encode("utf-16"))
    catalog = ClassFolders(folder.root)
    assert [clip.id for clip in catalog.clips] == ["dog/sound0.wav", "dog/sound1.wav"]
    assert [picture.split for picture in catalog.pictures] == ["train", "train"]
    assert catalog.clips[0].instance == "dog/sound0"


def test_every_other_reader_takes_them(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("Class;Pictures\r\nbell;church bell\r\n".encode("utf-8-sig"))
    assert read_class_map(path) == {"bell": ["church bell"]}
    path.write_bytes("-0_abc;10;people eating, crisps;Train\r\n".encode("utf-16"))
    [video] = VGGSound(path, tmp_path).videos
    assert (video.start_second, video.label, video.split) == (10, "people eating, crisps", "train")
    path.write_bytes(b"0\t1\t0\t-90\t10\t250\r\n")
    assert read_events(path).azimuth.tolist() == [-90]
    for read in (read_class_map, read_events, lambda path: VGGSound(path, tmp_path)):
        path.write_bytes(b"0,1,0\n0,1,\xe9\n")
        with pytest.raises(ValueError, match="t.csv', line 2.*0xe9"):
            read(path)


@pytest.mark.parametrize(
    "positions",
    [
        [(0.5, -0.5, 0.70711), (0.0, 1.0, 0.0)],  # of length one, as DCASE's Cartesian form
        [(0.6, 0.8, 0.0), (-0.8, 0.6, 0.0)],
        [(1.5, -2.0, 0.3)],  # metres
        [(30.0, 10.0, 150.0), (30.0, 10.0, -0.2)],
    ],
)
def test_cartesian_columns_are_not_read_as_degrees(positions, tmp_path):
    rows = [f"{frame},1,0,{x},{y},{z}" for frame, (x, y, z) in enumerate(positions)]
    (tmp_path / "mix.csv").write_text("\n".join(rows))
    with pytest.raises(ValueError, match=r"mix\.csv' must hold azimuth.*look like x, y, z"):
        read_events(tmp_path / "mix.csv")


@pytest.mark.parametrize(
    "positions", [[(1, 0, 0)], [(0, 0, 120)], [(3, -2, 50), (1, 1, 9)], [(5, 0, 0)], [(90, 5, 1)]]
)
def test_polar_columns_near_zero_are_degrees(positions, tmp_path):
    rows = [f"{frame},1,0,{a},{e},{d}" for frame, (a, e, d) in enumerate(positions)]
    (tmp_path / "mix.csv").write_text("\n".join(rows))
    np.testing.assert_array_equal(
        read_events(tmp_path / "mix.csv").azimuth, np.array(positions)[:, 0]
    )
