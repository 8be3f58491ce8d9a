"""Banks of SOFA files: simulated responses come back, and each kind of error has a message."""

import pathlib
import warnings

import numpy as np
import pytest

from keras_avssan.simulation import RIRBank, RoomRanges
from keras_avssan.simulation.measured.direct_path import lead

pytestmark = pytest.mark.backend_agnostic

HERE = pathlib.Path(__file__).parent
RATE = 8000


@pytest.fixture(scope="module")
def simulated():
    ranges = RoomRanges(t60=(0.2, 0.25), distance=(0.7, 1.5), spacing=0.2)
    return RIRBank.build(
        2,
        seed=5,
        sources_per_room=4,
        ranges=ranges,
        sampling_rate=RATE,
        max_duration=0.08,
        progress=False,
    )


def imported(path, **settings):
    """The bank of a file, whose direct paths must agree with its positions."""
    settings = {"microphone_spacing": 0.2, "sampling_rate": RATE} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return RIRBank.from_sofa(path, **settings)


def cut(simulated):
    """The first 12 ms with noise that does not decay."""
    responses = 0.0015 * np.random.default_rng(0).standard_normal((4, 4, 96))
    responses[:, 1::2] += simulated.rirs[0][..., :96]
    return responses


def assert_equals_room(bank, simulated, row, order):
    np.testing.assert_array_equal(bank.rirs[0], simulated.rirs[row][order])
    np.testing.assert_allclose(bank.azimuths[0], simulated.azimuths[row][order], atol=0.01)
    np.testing.assert_allclose(bank.sources[0], simulated.sources[row][order], atol=1e-5)
    np.testing.assert_allclose(bank.microphones[0], simulated.microphones[row], atol=1e-5)
    np.testing.assert_allclose(bank.room_sizes[0], simulated.room_sizes[row], atol=1e-5)


@pytest.mark.parametrize("convention", ["SingleRoomSRIR", "SingleRoomDRIR", "GeneralFIR"])
def test_a_simulated_room_comes_back(tmp_path, simulated, room_as_sofa, convention):
    for row in range(2):
        bank = imported(room_as_sofa(tmp_path / "room.sofa", simulated, row, convention), t60=0.2)
        order = np.argsort(simulated.azimuths[row])
        assert_equals_room(bank, simulated, row, order)
        assert bank.measured.all() and bank.formula == "measured"
        assert bank.microphone_spacing == 0.2
        assert bank.room(0).azimuths == pytest.approx(bank.azimuths[0], abs=0.01)


def test_several_files_are_several_rooms(tmp_path, simulated, room_as_sofa):
    paths = [room_as_sofa(tmp_path / f"{row}.sofa", simulated, row) for row in range(2)]
    bank = imported(paths, sources_per_room=2)
    assert bank.rirs.shape == (4, 2, 2, 640)
    np.testing.assert_array_equal(bank.groups, [0, 0, 1, 1])
    # Each row has sources from both ends: the first and third, then the second and fourth.
    np.testing.assert_allclose(
        bank.azimuths[:2], np.sort(simulated.azimuths[0])[[[0, 2], [1, 3]]], atol=0.01
    )
    with pytest.raises(ValueError, match="at least 3 rooms"):
        bank.part("train")
    three = imported([*paths, paths[0]], sources_per_room=2)
    assert [three.part(name) for name in ("train", "validation", "test")] == [
        (0, 2),
        (2, 4),
        (4, 6),
    ]


def test_emitters_of_several_loudspeakers(tmp_path, simulated, room_as_sofa):
    """The emitters are the sources; before version 1 they come before the samples, then last."""
    sources = simulated.sources[0]
    for axis in (2, 3):
        responses = np.zeros((1, 4, 4, 640))
        responses[0, 1::2] = np.moveaxis(simulated.rirs[0], 0, 1)
        path = room_as_sofa(
            tmp_path / "room.sofa",
            simulated,
            convention="MultiSpeakerBRIR",
            Data_IR=np.moveaxis(responses, 2, axis),
            SourcePosition=[(1, 0, 0)],
            EmitterPosition=(sources - [1, 0, 0])[:, :, None],
        )
        bank = imported(path, baffle="open")
        assert_equals_room(bank, simulated, 0, np.argsort(simulated.azimuths[0]))


def test_spherical_coordinates_and_delays(tmp_path, write_sofa):
    """A source 2 m away at 60 degrees of azimuth and 30 of elevation, its delays in samples."""
    delays = np.array([[3.0, 5.5]])
    response = np.zeros((1, 2, 64))
    response[..., 8] = 1
    content = {
        "Data.IR": response,
        "Data.SamplingRate": [RATE],
        "Data.Delay": delays,
        "SourcePosition": [(60, 30, 2)],
        "ListenerPosition": [(0, 0, 0)],
        "ReceiverPosition": [[(0.1), (0), (0)], [(-0.1), (0), (0)]],
    }
    content["ReceiverPosition"] = np.array(content["ReceiverPosition"])[:, :, None]
    path = write_sofa(tmp_path / "a.sofa", content, "GeneralFIR", spherical=["SourcePosition"])
    bank = imported(path, microphone_spacing=None)
    expected = 2 * np.array([3**0.5 / 4, 0.75, 0.5])
    np.testing.assert_allclose(bank.sources[0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(bank.azimuths[0, 0], np.degrees(np.arccos(3**0.5 / 4)), atol=0.01)
    first, second = bank.rirs[0, 0]
    assert first.argmax() == 11 and first.max() == pytest.approx(1)
    # Half a sample: the two samples around it are equal, and the gain is that of before.
    assert second[13] == pytest.approx(second[14], abs=1e-6)
    assert second.sum() == pytest.approx(1, abs=0.02)


def test_resampled_responses_have_the_gain_of_those_simulated(tmp_path, room_as_sofa):
    arguments = {"seed": 5, "sources_per_room": 1, "max_duration": 0.05, "progress": False}
    ranges = RoomRanges(t60=(0.2, 0.25), distance=(0.7, 1.5))
    low, high = (
        RIRBank.build(1, ranges=ranges, sampling_rate=rate, **arguments) for rate in (8000, 16000)
    )
    bank = imported(room_as_sofa(tmp_path / "room.sofa", high))
    assert bank.rirs.shape == low.rirs.shape and bank.sampling_rate == 8000
    frequencies = np.fft.rfftfreq(1024, 1 / 8000)
    ours, reference = (abs(np.fft.rfft(one.rirs[0, 0], 1024)) for one in (bank, low))
    band = (frequencies > 300) & (frequencies < 2500)
    levels = 10 * np.log10(np.mean(ours[:, band] ** 2) / np.mean(reference[:, band] ** 2))
    assert abs(levels) < 0.2  # dB


def test_the_reverberation_time_is_measured_or_given(tmp_path, simulated, room_as_sofa):
    time = np.arange(4000) / RATE
    noise = np.random.default_rng(0).standard_normal((4, 4, 4000)) * 10 ** (-3 * time / 0.3)
    noise[..., 0] += 5
    # The direct path, a click, is at all receivers at a time: that disagrees with the positions.
    path = room_as_sofa(tmp_path / "a.sofa", simulated, Data_IR=noise)
    with pytest.warns(UserWarning, match="disagrees"):
        bank = RIRBank.from_sofa(path, microphone_spacing=0.2, sampling_rate=RATE)
    assert bank.t60[0] == pytest.approx(0.3, rel=0.05)
    short = room_as_sofa(tmp_path / "a.sofa", simulated, Data_IR=cut(simulated))
    assert np.isnan(imported(short).t60).all()
    assert imported(short, t60=0.22).t60.tolist() == [pytest.approx(0.22)]


def test_unknown_sizes_and_times_are_kept(tmp_path, simulated, room_as_sofa):
    path = room_as_sofa(
        tmp_path / "a.sofa", simulated, RoomCornerA=None, RoomCornerB=None, Data_IR=cut(simulated)
    )
    bank = imported(path, max_duration=0.01)
    assert bank.rirs.shape[-1] == 80
    bank.save(tmp_path / "bank.npz")
    loaded = RIRBank.load(tmp_path / "bank.npz")
    assert np.isnan(loaded.room_sizes).all() and np.isnan(loaded.t60).all()
    np.testing.assert_array_equal(loaded.rirs, bank.rirs)
    np.testing.assert_array_equal(loaded.measured, [True])
    with pytest.raises(ValueError, match="`row` must be a room of known size"):
        loaded.room(0)
    assert "measured" in repr(loaded)


def test_swapped_microphones_are_warned_of_with_the_numbers(tmp_path, simulated, room_as_sofa):
    swapped = np.asarray(simulated.rirs[0])[:, ::-1]
    responses = np.zeros((4, 4, 640))
    responses[:, 1::2] = swapped
    path = room_as_sofa(tmp_path / "a.sofa", simulated, Data_IR=responses)
    with pytest.warns(UserWarning) as caught:
        RIRBank.from_sofa(path, microphone_spacing=0.2, sampling_rate=RATE)
    (warning,) = caught
    message = str(warning.message)
    assert warning.filename == __file__
    distances = np.linalg.norm(
        simulated.sources[0][:, None] - simulated.microphones[0], axis=-1
    ).astype("float64")
    leads = 1e3 * (distances[:, 1] - distances[:, 0]) / 343
    wrong = np.count_nonzero(2 * abs(leads) > 0.25 * 1e3 * 0.2 / 343)
    worst = leads[np.argmax(abs(leads))]
    assert f"in {wrong} of 4 responses" in message
    assert f"by the positions by {worst:.3f} ms" in message


@pytest.mark.parametrize("delay", [-3.0, 0.0, 1.25, 4.5])
def test_lead_of_the_direct_path(delay):
    time = np.arange(200)
    pair = np.stack([np.sinc(time - 50), np.sinc(time - 50 - delay)])
    pair[:, 90:] += 0.5 * np.random.default_rng(0).standard_normal((2, 110))
    assert lead(pair, RATE, 0.2 / 343) == pytest.approx(delay / RATE, abs=0.07 / RATE)


# ---- Errors


@pytest.mark.parametrize(
    ("convention", "changes", "settings", "message"),
    [
        ("FreeFieldDirectivityTF", {}, {}, "conventions SingleRoomSRIR.* of convention 'FreeField"),
        (None, {}, {}, "of no SOFAConventions"),
        (
            "GeneralFIR",
            {"SourcePosition": None},
            {},
            "must hold positions: it lacks SourcePosition",
        ),
        ("GeneralFIR", {"Data_IR": None}, {}, "must hold responses: it lacks Data.IR"),
        (
            "GeneralFIR",
            {"SourcePosition": [(0, 0, 0)], "ListenerPosition": [(0, 0, 0)]},
            {},
            "must hold positions of the sources",
        ),
        (
            "GeneralFIR",
            {"ReceiverPosition": np.zeros((4, 3, 1))},
            {},
            "must hold positions of the receivers",
        ),
        ("GeneralFIR", {}, {"microphone_spacing": 0.15}, "`microphone_spacing` must be within"),
        ("GeneralFIR", {}, {"microphone_spacing": None}, "must be given for the 4 receivers"),
        ("GeneralFIR", {}, {"microphone_spacing": -0.1}, "must be a positive distance"),
        (
            "GeneralFIR",
            {"Data_SamplingRate": [8000, 8000, 8000, 16000]},
            {},
            "one sampling rate. Received: .* with 8000 to 16000 Hz",
        ),
        (
            "GeneralFIR",
            {"SourcePosition": np.ones((3, 3))},
            {},
            "4 measurements and 3 of SourcePos",
        ),
        ("GeneralFIR", {"Data_IR": np.float64(1)}, {}, r"numbers in Data.IR.* of shape \(\)"),
        ("GeneralFIR", {"Data_SamplingRate": np.zeros(0)}, {}, "numbers in Data.SamplingRate"),
        ("GeneralFIR", {"RoomCornerA": np.zeros((0, 3))}, {}, "numbers in RoomCornerA"),
        ("GeneralFIR", {"Data_IR": np.zeros((4, 4, 8))}, {}, "other than zero.* 8 of 8 responses"),
        ("GeneralFIR", {"Data_Delay": np.full((1, 4), 1e12)}, {}, "with a delay of 1e.12"),
        (
            "GeneralFIR",
            {"ReceiverPosition": 1e3 * np.array([(0.1, 0, 0), (-0.1, 0, 0)])[:, :, None]}
            | {"Data_IR": np.ones((4, 2, 8)), "Data_Delay": np.zeros((1, 2))},
            {"microphone_spacing": None},
            "0.001 to 5 m apart; positions are in metres. Received: .* with 200 m",
        ),
        ("GeneralFIR", {"Data_IR": np.ones((4, 3, 8))}, {}, "its 4 receivers and 1 emitters"),
        (
            "GeneralFIR",
            {"Data_Delay": -np.ones((1, 4))},
            {},
            "delays of zero to 1048576 samples. Received: .* of -1",
        ),
        ("GeneralFIR", {"SourcePosition": np.full((4, 3), np.nan)}, {}, "finite positions"),
        ("GeneralFIR", {}, {"sampling_rate": 16000}, "at most the 8000 Hz of file="),
        ("GeneralFIR", {}, {"sources_per_room": 5}, "`sources_per_room` must be at most 4"),
        ("GeneralFIR", {}, {"baffle": "soft"}, "`baffle` must be one of"),
        ("GeneralFIR", {}, {"t60": 0}, "`t60` must be a positive time"),
        ("GeneralFIR", {}, {"max_pairs": 0}, "`max_pairs` must be an integer of at least 1"),
    ],
)
def test_errors(tmp_path, simulated, room_as_sofa, convention, changes, settings, message):
    path = room_as_sofa(tmp_path / "a.sofa", simulated, 0, convention, **changes)
    with pytest.raises(ValueError, match=message):
        imported(path, **settings)


def test_damaged_and_missing_files(tmp_path, simulated, room_as_sofa):
    path = room_as_sofa(tmp_path / "a.sofa", simulated)
    data = path.read_bytes()
    for part in (data[: len(data) // 2], b"", b"text"):
        path.write_bytes(part)
        with pytest.raises(ValueError, match=r"`file` must be a whole SOFA file: .*a\.sofa"):
            imported(path)
    with pytest.raises(FileNotFoundError, match="`file` must be an existing SOFA file"):
        imported(tmp_path / "none.sofa")


@pytest.mark.parametrize("variable", ["Data.IR", "Data.Delay", "SourcePosition"])
@pytest.mark.parametrize("kind", ["group", "text", "type"])
def test_variables_that_are_no_numbers(tmp_path, simulated, room_as_sofa, variable, kind):
    h5py = pytest.importorskip("h5py")
    path = room_as_sofa(tmp_path / "a.sofa", simulated)
    with h5py.File(path, "a") as file:
        del file[variable]
        if kind == "group":
            file.create_group(variable)
        else:
            file[variable] = ["left"] if kind == "text" else np.dtype("float64")
    with pytest.raises(ValueError, match=f"hold numbers in {variable}. Received: .*a.sofa"):
        imported(path)


@pytest.mark.parametrize(
    ("file", "error"), [([], ValueError), (3, TypeError), (None, TypeError), ([3], TypeError)]
)
def test_files_that_are_no_paths(file, error):
    with pytest.raises(error, match="`file` must be (a|one) path.*Received: file="):
        imported(file)


def test_leads_of_responses_that_are_shorter_than_the_way_between_the_microphones():
    pair = np.zeros((2, 16))
    pair[:, 4] = 1
    assert lead(pair, RATE, 5.5 / 343) == 0


# ---- Files of other programs


@pytest.mark.parametrize("name", ["sofar_general_fir", "sofar_multi_speaker_brir"])
def test_files_of_another_writer(name):
    """Written by sofar, from spherical or from emitters' cartesian coordinates."""
    bank = imported(
        HERE / f"files/{name}.sofa", sampling_rate=16000, microphone_spacing=0.2, baffle="open"
    )
    azimuth, elevation, distance = np.array([(90, 10, 2), (30, 0, 1.5), (140, -5, 1)]).T
    expected = np.degrees(np.arccos(np.cos(np.radians(elevation)) * np.sin(np.radians(azimuth))))
    np.testing.assert_allclose(bank.azimuths, [[10, expected[2], 60]], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(bank.sources[0], axis=-1), [2, 1, 1.5], rtol=1e-5)
    # The clicks of both microphones, to a sample.
    peaks = bank.rirs[0].argmax(axis=-1)
    leads = np.cos(np.radians(bank.azimuths[0])) * 0.2 / 343 * 16000
    np.testing.assert_allclose(peaks[:, 1] - peaks[:, 0], leads, atol=1.1)
    assert bank.rirs.max() > 0.8


def test_a_head_has_the_spacing_of_a_rigid_sphere():
    """KEMAR: the ears are 0.18 m apart, and heard as free microphones further apart."""
    path = HERE / "files/kemar_horizontal.sofa"
    bank = imported(path, microphone_spacing=None, sampling_rate=16000, sources_per_room=8)
    assert bank.rirs.shape[:3] == (9, 8, 2) and bank.microphone_spacing == pytest.approx(
        0.217, abs=1e-3
    )
    # Source at the left of the front: 0 degrees is beside the left ear, which leads and is louder.
    left = bank.azimuths < 40
    energies = np.sum(np.square(bank.rirs), axis=-1)
    assert left.any() and (energies[left][:, 0] > 3 * energies[left][:, 1]).all()
    assert bank.t60.max() < 0.05  # no room
    with pytest.warns(UserWarning, match=r"in \d+ of 72 responses of .* Check .* `baffle`"):
        RIRBank.from_sofa(path, baffle="open", sources_per_room=8)


def test_a_listener_for_each_measurement(tmp_path, simulated, room_as_sofa):
    """Its places make rows; four of one source each, where the pair was moved."""
    path = room_as_sofa(tmp_path / "a.sofa", simulated)
    same = imported(path)
    centre = same.microphones[0].mean(axis=0)
    again = room_as_sofa(tmp_path / "a.sofa", simulated, ListenerPosition=np.tile(centre, (4, 1)))
    np.testing.assert_allclose(imported(again).azimuths, same.azimuths, atol=1e-3)
    moved = np.tile(centre, (4, 1)) + 0.02 * np.arange(4)[:, None]
    apart = imported(room_as_sofa(tmp_path / "a.sofa", simulated, ListenerPosition=moved))
    assert apart.rirs.shape == (4, 1, 2, 640) and apart.groups.tolist() == [0, 0, 0, 0]
