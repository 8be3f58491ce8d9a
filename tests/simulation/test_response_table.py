"""Banks of sound files that a CSV table lists."""

import csv
import warnings

import numpy as np
import pytest
import soundfile

from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = pytest.mark.backend_agnostic

RATE = 8000


@pytest.fixture(scope="module")
def simulated():
    ranges = RoomRanges(t60=(0.2, 0.25), distance=(0.7, 1.5))
    arguments = {"sampling_rate": RATE, "max_duration": 0.05, "progress": False}
    return RIRBank.build(2, seed=5, sources_per_room=3, ranges=ranges, **arguments)


def write(folder, rows, bank=None):
    """A table of these rows, with the responses that they name."""
    folder.mkdir(exist_ok=True)
    with open(folder / "responses.csv", "w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    for room in range(0 if bank is None else 2):
        for source in range(3):
            samples = bank.rirs[room, source].T
            soundfile.write(folder / f"{room}-{source}.wav", samples, RATE, subtype="FLOAT")
    return folder


def rows_of(bank, positions):
    rows = []
    for room in range(2):
        for source in range(3):
            row = {"file": f"{room}-{source}.wav", "room": f"room {room}", "t60": bank.t60[room]}
            if positions:
                places = {"source": bank.sources[room, source]}
                places |= {f"microphone{k + 1}": bank.microphones[room, k] for k in range(2)}
                row |= {
                    f"{thing}_{axis}": place[k]
                    for thing, place in places.items()
                    for k, axis in enumerate("xyz")
                }
                names = ("room_length", "room_width", "room_height")
                row |= dict(zip(names, bank.room_sizes[room], strict=True))
            else:
                row |= {"azimuth": bank.azimuths[room, source], "distance": ""}
            rows.append(row)
    return rows


def imported(path, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return RIRBank.from_folder(path, **{"sampling_rate": RATE, **settings})


def test_positions_give_the_simulated_bank(tmp_path, simulated):
    folder = write(tmp_path / "rooms", rows_of(simulated, True), simulated)
    bank = imported(folder / "responses.csv")
    for row in range(2):
        order = np.argsort(simulated.azimuths[row])
        np.testing.assert_array_equal(bank.rirs[row], simulated.rirs[row][order])
        for name in ("azimuths", "sources"):
            expected = getattr(simulated, name)[row][order]
            np.testing.assert_allclose(getattr(bank, name)[row], expected, atol=1e-3)
    for name in ("t60", "room_sizes", "microphones"):
        np.testing.assert_allclose(getattr(bank, name), getattr(simulated, name), atol=1e-5)
    np.testing.assert_array_equal(bank.groups, [0, 1])


def test_azimuths_do_without_positions(tmp_path, simulated):
    folder = write(tmp_path / "rooms", rows_of(simulated, False), simulated)
    bank = imported(folder, microphone_spacing=0.2)
    np.testing.assert_allclose(bank.azimuths, np.sort(simulated.azimuths), atol=1e-3)
    assert bank.microphone_spacing == 0.2
    np.testing.assert_allclose(np.linalg.norm(bank.sources, axis=-1), 1, rtol=1e-5)
    assert np.isnan(bank.room_sizes).all()
    with pytest.raises(ValueError, match="`microphone_spacing` must be given in metres"):
        imported(folder)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("azimuth", "left", "numbers in the column `azimuth`. Received: .*'left' in line 3"),
        ("azimuth", "190", "`azimuth` is from 0 to 180. Received: .*azimuth=190 in line 3"),
        ("azimuth", "", "numbers in the column `azimuth`. Received: .*azimuth='' in line 3"),
        ("distance", "-1", "`distance` is positive. Received: .*distance=-1 in line 3"),
        ("file", "none.wav", "'.*none.wav', in line 3, cannot be read"),
        ("file", "mono.wav", "two channels.*'.*mono.wav', in line 3, of 1 channels"),
        ("file", "fast.wav", "one sampling rate. Received: .* 8000 Hz in line 2 and 16000 Hz in"),
    ],
)
def test_errors_name_the_line(tmp_path, simulated, column, value, message):
    rows = rows_of(simulated, False)
    rows[1][column] = value
    folder = write(tmp_path / "rooms", rows, simulated)
    soundfile.write(folder / "mono.wav", np.ones(8), RATE)
    soundfile.write(folder / "fast.wav", np.ones((8, 2)), 2 * RATE)
    with pytest.raises(ValueError, match=message):
        imported(folder, microphone_spacing=0.2)


POSITIONS = [
    f"{thing}_{axis}" for thing in ("source", "microphone1", "microphone2") for axis in "xyz"
]


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ((1, 1, 1, 0, 0, 0, 0, 0, 0), "0.001 to 5 m apart.* with 0 m"),
        ((900, 900, 0, 100, 0, 0, -100, 0, 0), "positions are in metres. Received: .* with 200 m"),
        ((0, 0, 0, 0.1, 0, 0, -0.1, 0, 0), "with a source in the middle of the pair"),
    ],
)
def test_places_that_no_recording_has(tmp_path, simulated, positions, message):
    row = dict(zip(POSITIONS, positions, strict=True))
    folder = write(tmp_path / "rooms", [{"file": "0-0.wav", **row}], simulated)
    with pytest.raises(ValueError, match=f"`path` must have .*{message}"):
        imported(folder)


def test_silent_responses_and_lines_of_another_length(tmp_path, simulated):
    rows = [{"file": f"0-{k}.wav", "azimuth": 30} for k in range(2)]
    folder = write(tmp_path / "rooms", rows, simulated)
    soundfile.write(folder / "0-1.wav", np.stack([np.ones(8), np.zeros(8)], axis=1), RATE)
    with pytest.raises(ValueError, match="with 1 of 4 responses of zeros"):
        imported(folder, microphone_spacing=0.2)
    (folder / "responses.csv").write_text("file,azimuth\n0-0.wav,30,5\n")  # a decimal comma
    with pytest.raises(
        ValueError, match="`path`: table .*responses.csv', line 2: expected 2 cells"
    ):
        imported(folder, microphone_spacing=0.2)
    for path in (None, 3):
        with pytest.raises(TypeError, match="`path` must be a path. Received: path="):
            imported(path)


def test_tables_without_what_is_needed(tmp_path, simulated):
    with pytest.raises(FileNotFoundError, match="`path` must be a CSV table, or a folder with"):
        imported(tmp_path)
    folder = write(tmp_path / "rooms", [{"sound": "a.wav"}])
    with pytest.raises(ValueError, match=r"`path`: table .* lacks the column.s. \['file'\]"):
        imported(folder)
    (folder / "responses.csv").write_text("file,azimuth\n")
    with pytest.raises(ValueError, match="a CSV table of one row or more"):
        imported(folder)
    write(folder, [{"file": "a.wav"}])
    with pytest.raises(ValueError, match="positions .* or a column `azimuth`"):
        imported(folder)
    with pytest.raises(TypeError, match="tolerance"):
        imported(folder, tolerance=0.1)


def test_two_columns_of_one_name(tmp_path, simulated):
    folder = write(tmp_path / "rooms", rows_of(simulated, False), simulated)
    for head in ("file,azimuth,azimuth", "file,azimuth,Azimuth "):
        (folder / "responses.csv").write_text(f"{head}\n0-0.wav,30,60\n")
        with pytest.raises(ValueError, match=r"has the column\(s\) \['azimuth'\] twice"):
            imported(folder, microphone_spacing=0.2)


def test_a_room_has_one_size(tmp_path, simulated):
    rows = rows_of(simulated, True)
    rows[1]["room_width"] = float(rows[0]["room_width"]) + 0.5
    folder = write(tmp_path / "rooms", rows, simulated)
    message = "one size of each room. Received: .* with room_width=.* in line 2 and .* in line 3"
    with pytest.raises(ValueError, match=f"{message}, both of the room 'room 0'"):
        imported(folder)
    # The size of a room may stand in one of its lines; that of another room is another one.
    for row in (rows[0], rows[1], rows[5]):
        row["room_width"] = ""
    bank = imported(write(folder, rows, simulated))
    np.testing.assert_allclose(bank.room_sizes, simulated.room_sizes, atol=1e-5)
    rows[3]["room_height"] = -2
    with pytest.raises(ValueError, match="`room_height` is positive. Received: .* in line 5"):
        imported(write(folder, rows, simulated))


def test_a_file_stands_in_one_line(tmp_path, simulated):
    rows = rows_of(simulated, False)
    rows[4]["file"] = "./0-1.wav"
    folder = write(tmp_path / "rooms", rows, simulated)
    with pytest.raises(ValueError, match="file='./0-1.wav' in the lines 3 and 6"):
        imported(folder, microphone_spacing=0.2)


def test_a_line_lacks_nothing(tmp_path, simulated):
    rows = rows_of(simulated, False)
    file, rows[2]["file"] = rows[2]["file"], " "
    folder = write(tmp_path / "rooms", rows, simulated)
    with pytest.raises(ValueError, match="a sound file in each line. .*file='' in line 4"):
        imported(folder, microphone_spacing=0.2)
    rows[2]["file"] = file
    for wrong in (0, -0.3):
        for row in rows:
            row["t60"] = 0.4
        rows[1]["t60"] = wrong
        folder = write(folder, rows, simulated)
        with pytest.raises(ValueError, match=f"`t60` is positive.*t60={wrong} in line 3"):
            imported(folder, microphone_spacing=0.2)


def test_tables_of_spreadsheets(tmp_path, simulated):
    """Semicolons, capitals and empty lines, which errors count."""
    folder = write(tmp_path / "rooms", rows_of(simulated, False), simulated)
    expected = imported(folder, microphone_spacing=0.2)
    lines = (folder / "responses.csv").read_text().replace(",", ";").splitlines()
    table = "\r\n".join([lines[0].upper(), "", *lines[1:]])
    (folder / "responses.csv").write_bytes(table.encode("utf-16"))
    found = imported(folder, microphone_spacing=0.2)
    np.testing.assert_array_equal(found.rirs, expected.rirs)
    np.testing.assert_array_equal(found.azimuths, expected.azimuths)
    (folder / "responses.csv").write_text(table + "\r\nnone.wav;room 1;;30;")
    with pytest.raises(ValueError, match="none.wav', in line 9, cannot be read"):
        imported(folder, microphone_spacing=0.2)
