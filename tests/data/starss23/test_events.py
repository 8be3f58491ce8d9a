"""Annotation files with five and with six columns."""

import numpy as np
import pytest

from keras_avssan.data.starss23.annotations import read_events

pytestmark = pytest.mark.backend_agnostic


def test_six_columns(tmp_path):
    path = tmp_path / "mix.csv"
    path.write_text("0,1,0,-90,10,250\n0,8,0,30,-5,181\n12,1,2,-91,10,249\n")
    events = read_events(path)
    assert events.frame.tolist() == [0, 0, 12]
    assert events.class_index.tolist() == [1, 8, 1]
    assert events.source.tolist() == [0, 0, 2]
    assert events.azimuth.tolist() == [-90, 30, -91]
    assert events.elevation.tolist() == [10, -5, 10]
    np.testing.assert_allclose(events.distance, [2.5, 1.81, 2.49])


def test_five_columns(tmp_path):
    path = tmp_path / "mix.csv"
    path.write_bytes(b"3,12,1,180,0\r\n")
    events = read_events(path)
    assert (len(events), events.frame[0], events.class_index[0], events.azimuth[0]) == (
        1,
        3,
        12,
        180,
    )
    assert np.isnan(events.distance).all()


def test_no_rows(tmp_path):
    path = tmp_path / "mix.csv"
    path.write_text("")
    assert len(read_events(path)) == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2,3,4", "line 2.*5 or 6 columns.*Received: 4"),
        ("1,2,3,4,5,6,7", "Received: 7"),
        ("frame,class,source,azimuth,elevation", "expected numbers"),
        ("1,13,0,0,0", "`class`.*0 to 12.*13"),
        ("-1,0,0,0,0", "`frame`"),
        ("0.5,0,0,0,0", "`frame` must be a whole number"),
        ("1,0,0,nan,0", "`azimuth`"),
        ("1,0,0,0,95", "`elevation`.*95"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, message):
    path = tmp_path / "mix.csv"
    path.write_text(f"0,0,0,0,0\n{row}\n")
    with pytest.raises(ValueError, match=rf"mix\.csv.*{message}"):
        read_events(path)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"must be an existing file. Received: path=.*none\.csv"):
        read_events(tmp_path / "none.csv")
    (tmp_path / "mix.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ValueError, match=r"mix\.csv"):
        read_events(tmp_path / "mix.csv")
