"""Geometry of arrays: positions, pairs, angles, delays, presets, files."""

import json

import numpy as np
import pytest

from keras_avssan.arrays import MicrophoneArray
from keras_avssan.data.starss23.microphone_pair import MicrophonePair
from keras_avssan.simulation import azimuth_of

pytestmark = pytest.mark.backend_agnostic

SQUARE = [(0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1)]


def unit(azimuth, elevation=0.0):
    azimuth, elevation = np.radians(azimuth), np.radians(elevation)
    return np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )


def test_positions_are_a_frozen_copy_in_three_dimensions():
    given = np.array(SQUARE)
    array = MicrophoneArray(given)
    given[0] = 7.0
    assert len(array) == 4 and array.positions.dtype == "float64"
    np.testing.assert_array_equal(array.positions, [(x, y, 0.0) for x, y in SQUARE])
    with pytest.raises(ValueError, match="read-only"):
        array.positions[0] = 0.0


def test_equal_arrays_have_the_same_positions_and_baffle():
    array = MicrophoneArray(SQUARE, "one")
    assert array == MicrophoneArray(SQUARE, "another")
    assert hash(array) == hash(MicrophoneArray(SQUARE))
    assert array != MicrophoneArray(SQUARE[::-1]) and array != SQUARE
    assert array != MicrophoneArray(SQUARE, baffle="rigid")


def test_pairs_by_spacing():
    array = MicrophoneArray(SQUARE)
    sides, diagonals = [[0, 1], [0, 3], [1, 2], [2, 3]], [[0, 2], [1, 3]]
    assert array.pairs().tolist() == sorted(sides + diagonals)
    assert array.pairs(max_spacing=0.2).tolist() == sides
    assert array.pairs(0.25, 0.3).tolist() == diagonals
    assert array.pairs(0.3).shape == (0, 2)
    # As a message rounds them.
    diagonal = round(0.2 * np.sqrt(2), 6)
    assert array.pairs(diagonal, diagonal).tolist() == diagonals
    assert array.pairs(0.2000005, 0.2000005).tolist() == sides
    assert len(MicrophoneArray([(0, 0), (0.002, 0)]).pairs()) == 1
    np.testing.assert_allclose(array.spacings(diagonals), 0.2 * np.sqrt(2))


def test_angles_are_those_of_the_rooms():
    """As `azimuth_of` of the simulation has them, for any pair and direction."""
    rng = np.random.default_rng(0)
    array = MicrophoneArray(rng.uniform(-0.1, 0.1, (5, 3)))
    pairs = array.pairs()
    directions = rng.normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    found = array.angles(pairs, directions)
    for pair, angles in zip(pairs, found, strict=True):
        microphones = array.positions[pair]
        middle = microphones.mean(axis=0)
        np.testing.assert_allclose(angles, azimuth_of(middle + directions, microphones))


def test_a_rotated_array_sees_turned_directions():
    array = MicrophoneArray(SQUARE[:3])
    pairs = array.pairs()
    np.testing.assert_allclose(
        array.rotated(50).angles(pairs, [unit(80, 10)]), array.angles(pairs, [unit(30, 10)])
    )
    assert array.rotated(50).rotated(-50).positions == pytest.approx(array.positions)


def test_responses_are_the_delays_of_plane_waves():
    array = MicrophoneArray(SQUARE)
    hertz = np.array([100.0, 1000.0, 3000.0])
    found = array.responses([unit(45), unit(200, 30)], hertz)
    assert found.shape == (2, 4, 3)
    lead = array.positions @ unit(200, 30) / 343.0
    np.testing.assert_allclose(found[1], np.exp(2j * np.pi * lead[:, None] * hertz))
    # Microphone 0 is in the direction of 45 degrees: it leads.
    assert np.angle(found[0, 0, 0]) > 0 > np.angle(found[0, 2, 0])


def test_starss23_is_one_geometry():
    array = MicrophoneArray.from_preset("starss23")
    pairs = {"M1-M4": (0, 3), "M2-M3": (1, 2)}
    for name, (first, second) in pairs.items():
        pair = MicrophonePair(name)
        assert pair.channels == (first, second)
        np.testing.assert_array_equal(array.positions[[first, second]], pair.positions)
        # On the rigid sphere delays are longer; there the level pair is fitted in its plane alone.
        (spacing,) = array.spacings([(first, second)])
        assert spacing == pytest.approx(pair.spacing, rel=0.05)
        assert spacing > 1.1 * array.distances([(first, second)])[0]
    np.testing.assert_allclose(
        array.responses([unit(20, 10)], [500.0, 2000.0])[0, [0, 3]],
        MicrophonePair("M1-M4").responses(20, 10, np.array([500.0, 2000.0])),
    )


@pytest.mark.parametrize(
    ("preset", "spacings"),
    [
        ("respeaker_4", [0.05747] * 4 + [0.08127] * 2),
        ("respeaker_usb_4", [0.0457] * 4 + [0.0646] * 2),
        ("respeaker_6", [0.0463] * 6 + [0.0802] * 6 + [0.0926] * 3),
    ],
)
def test_circles_of_microphones(preset, spacings):
    array = MicrophoneArray.from_preset(preset)
    assert array.name == preset and not array.positions[:, 2].any()
    found = np.sort(array.spacings(array.pairs()))
    np.testing.assert_allclose(found, spacings, atol=1e-4)
    angles = np.degrees(np.arctan2(*array.positions[:, 1::-1].T))
    assert (np.diff(np.unwrap(angles, period=360)) > 0).all(), "counter-clockwise"


def test_every_preset_is_an_array():
    for preset in MicrophoneArray.presets():
        assert preset in repr(MicrophoneArray.from_preset(preset))
    with pytest.raises(
        ValueError, match="`preset` must be one of starss23, .*Received: .*'kinect'"
    ):
        MicrophoneArray.from_preset("kinect")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": [(0.1, 0.0)]}, r"`positions` must have shape.*Received: .*\(1, 2\)"),
        ({"positions": [(0.1,), (0.2,)]}, r"`positions` must have shape.*\(2, 1\)"),
        ({"positions": "circle"}, "`positions` must have shape.*'circle'"),
        ({"positions": [(0.0, 0.0), (np.nan, 0.0)]}, "`positions` must be finite"),
        (
            {"positions": [(0.1, 0.0), (0.0, 0.1), (0.1, 0.0)]},
            r"different places.*microphones 0 and 2 both at \[0.1, 0.0, 0.0\]",
        ),
        ({"positions": [(100, 0), (-100, 0)]}, "at most 10 m apart; .* 200 m apart"),
        ({"positions": [(1e300, 0), (-1e300, 0)]}, "at most 10 m apart; .* inf m apart"),
        ({"positions": SQUARE, "baffle": "head"}, "`baffle` must be one of.*'head'"),
        (
            {"positions": [(0.1, 0.0), (0.0, 0.2)], "baffle": "rigid"},
            "`positions` must be on one sphere.*0.1–0.2 m",
        ),
        (
            {"positions": [(0.0009, 0.0), (-0.0009, 0.0)], "baffle": "rigid"},
            "`positions` must be on one sphere.*0.0009 m",
        ),
    ],
)
def test_bad_arrays_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MicrophoneArray(**arguments)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "x,y\n0.1,0\n-0.1,0\n"),
        ("a.csv", "0.1, 0\n-0.1, 0\n\n"),
        ("a.csv", "X;Y\n0.1;0\n-0.1;0\n"),
        ("a.csv", "sep=\t\n0.1\t0\n-0.1\t0\n"),
        ("a.CSV", "X,Y,Z\n0.1,0,0\n-0.1,0,0\n"),
        ("a.json", "[[0.1, 0], [-0.1, 0]]"),
        ("a.json", '{"positions": [[0.1, 0, 0], [-0.1, 0, 0]], "name": "a"}'),
    ],
)
def test_files_of_positions(name, text, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    array = MicrophoneArray.from_file(path)
    assert array == MicrophoneArray([(0.1, 0.0), (-0.1, 0.0)]) and array.name == "a"


def test_files_of_spreadsheets_and_their_names(tmp_path):
    path = tmp_path / "array.csv"
    path.write_text("x,y\n0.1,0\n-0.1,0\n", encoding="utf-8-sig")
    assert MicrophoneArray.from_file(path).name == "array"
    path = tmp_path / "array.json"
    path.write_text('{"positions": [[0.1, 0], [-0.1, 0]], "name": "board"}')
    assert MicrophoneArray.from_file(path).name == "board"


def test_a_file_may_name_the_baffle(tmp_path):
    path = tmp_path / "sphere.json"
    starss23 = MicrophoneArray.from_preset("starss23")
    path.write_text(json.dumps({"positions": starss23.positions.tolist(), "baffle": "rigid"}))
    assert MicrophoneArray.from_file(path) == starss23


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "0.1,0\n", "`path` must end in one of .csv, .json"),
        ("a.csv", "a,b\n0.1,0\n", r"must have the columns x, y.*\['a', 'b'\]"),
        ("a.csv", "x,y,x\n0.1,0,0.1\n", r"must have the columns x, y.*\['x', 'y', 'x'\]"),
        ("a.csv", "0,1;0\n-0,1;0\n", "numbers, x, y and z in metres with decimal points"),
        ("a.csv", "0.1,,0\n-0.1,0.1,0\n", r"rows of two or three numbers.*\['0.1', '', '0'\]"),
        ("a.csv", "0.1,0\n0.1\n", r"rows of two or three numbers.*\['0.1'\]"),
        ("a.csv", "0.1,0\n0.1,left\n", "rows of two or three numbers.*left"),
        ("a.csv", "", r"a.csv' holds no array.*`positions` must have shape"),
        ("a.csv", "0.1,0\n0.1,0\n", r"a.csv' holds no array.*different places"),
        ("a.csv", "x,y\n40,0\n-40,0\n0,40\n", "a.csv' holds no array.*not in .*millimetres"),
        ("a.json", "[", "a.json' must be JSON"),
        ("a.json", 10**5 * "[", "a.json' must be JSON"),
        ("a.json", "3", "must hold a list of positions.*int"),
        ("a.json", '{"places": []}', r"must hold a list of positions.*\['places'\]"),
        ("a.json", '{"positions": [[0, 0]]}', "holds no array.*two microphones or more"),
    ],
)
def test_unusable_files_are_named(name, text, message, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        MicrophoneArray.from_file(path)


def test_empty_cells_at_the_end_of_rows_are_left_out(tmp_path):
    for heading in ("", "x,y,\n", "\ufeffx;y;;\n"):
        rows = heading + "0.1,0,,\n-0.1,0,\n0,0.1\n"
        (tmp_path / "a.csv").write_text(rows.replace(",", ";" if ";" in heading else ","))
        found = MicrophoneArray.from_file(tmp_path / "a.csv")
        np.testing.assert_array_equal(found.positions[:, :2], [[0.1, 0], [-0.1, 0], [0, 0.1]])


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
def test_a_folder_is_no_file_of_positions(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=f"`path` must be a file .*{name}', a folder"):
        MicrophoneArray.from_file(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.csv"):
        MicrophoneArray.from_file(tmp_path / "none.csv")


def test_other_arguments_are_checked():
    array = MicrophoneArray(SQUARE)
    with pytest.raises(ValueError, match="`azimuth` must be a number"):
        array.rotated("left")
    for centre in ((1.0, 2.0), "corner", (1.0, (2.0, 3.0))):
        with pytest.raises(ValueError, match="`centre` must be a position"):
            array.placed(centre)
    with pytest.raises(ValueError, match="`preset` must be one of"):
        MicrophoneArray.from_preset(["starss23"])
