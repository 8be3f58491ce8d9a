"""Banks whose microphones, sources and absorption vary, against independent values."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import signal

from keras_avssan.simulation import RIRBank, RoomRanges, azimuth_of, build_bank, reverberation_time
from keras_avssan.simulation.absorption import eyring_decay_time
from keras_avssan.simulation.bank.room_variation import BANDS, join_bands

RANGES = RoomRanges(t60=(0.2, 0.25), distance=(0.7, 1.5))
RATE = 16000


def build(num_rooms=2, max_duration=0.03, sources_per_room=2, **varied):
    return RIRBank.build(
        num_rooms,
        seed=3,
        sources_per_room=sources_per_room,
        max_duration=max_duration,
        ranges=dataclasses.replace(RANGES, **varied),
        progress=False,
    )


@pytest.fixture(scope="module")
def plain():
    return build()


def direct(bank, gains=1.0):
    """Largest sample of each response, times the distance: the level of the direct path."""
    distances = np.linalg.norm(bank.sources[:, :, None] - bank.microphones[:, None], axis=-1)
    return abs(bank.rirs).max(axis=-1) * distances


@pytest.mark.backend_agnostic
def test_nothing_varies_by_default(plain):
    for name in ("band_absorption", "microphone_gains", "microphone_phases"):
        assert getattr(plain, name) is None
    assert plain.microphone_offsets is None and plain.source_orientations is None


def test_a_gain_error_is_the_level_difference_of_the_direct_path(plain):
    bank = build(gain_error=3.0)
    assert abs(bank.microphone_gains).max() <= 3 and np.ptp(bank.microphone_gains) > 0.5
    levels = 20 * np.log10(np.abs(bank.rirs).max(axis=-1) / np.abs(plain.rirs).max(axis=-1))
    np.testing.assert_allclose(levels, np.repeat(bank.microphone_gains[:, None], 2, 1), atol=1e-3)
    np.testing.assert_array_equal(bank.sources, plain.sources)


def test_a_phase_error_is_the_phase_between_the_channels(plain):
    bank = build(phase_error=40.0)
    spectra, before = (np.fft.rfft(one.rirs, 2048) for one in (bank, plain))
    band = slice(128, 900)  # 1 to 7 kHz
    turned = np.sum((spectra * before.conj())[..., band], axis=-1)
    np.testing.assert_allclose(
        np.degrees(np.angle(turned)), np.repeat(bank.microphone_phases[:, None], 2, 1), atol=2
    )
    assert np.ptp(bank.microphone_phases) > 10


def test_a_position_error_moves_the_direct_path(plain):
    bank = build(position_error=0.03)
    np.testing.assert_array_equal(bank.microphones, plain.microphones)
    assert 0.01 < abs(bank.microphone_offsets).max() <= 0.03
    moved = bank.microphones + bank.microphone_offsets
    for room in range(2):
        for source in range(2):
            distances = np.linalg.norm(bank.sources[room, source] - moved[room], axis=-1)
            peaks = abs(bank.rirs[room, source])[..., : round(2.0 / 343 * RATE)].argmax(axis=-1)
            np.testing.assert_allclose(peaks, distances / 343 * RATE, atol=0.6)


@pytest.mark.parametrize(("pattern", "share"), [("cardioid", 0.5), ("subcardioid", 0.75)])
def test_a_directional_source_has_the_gain_of_its_pattern(plain, pattern, share):
    bank = build(source_pattern=pattern, source_turn=90.0)
    centre = bank.microphones.mean(axis=1)[:, None]
    to_pair = bank.microphones[:, None] - bank.sources[:, :, None]
    to_pair = to_pair / np.linalg.norm(to_pair, axis=-1, keepdims=True)
    cosine = np.sum(bank.source_orientations[:, :, None] * to_pair, axis=-1)
    first = [first_peak(one) for one in (bank, plain)]
    np.testing.assert_allclose(first[0] / first[1], share + (1 - share) * cosine, atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(bank.source_orientations, axis=-1), 1, rtol=1e-5)
    # The turn is horizontal, by 90 degrees at most: seen from above, it points towards the pair.
    flat = (bank.source_orientations * (centre - bank.sources))[..., :2].sum(axis=-1)
    assert (flat > -1e-6).all() and np.ptp(cosine) > 0.05


def first_peak(bank):
    """The largest sample around the direct path."""
    distances = np.linalg.norm(bank.sources[:, :, None] - bank.microphones[:, None], axis=-1)
    place = np.round(distances / 343 * RATE).astype(int)[..., None] + np.arange(-1, 2)
    values = np.take_along_axis(bank.rirs, place, axis=-1)
    return np.take_along_axis(values, abs(values).argmax(axis=-1)[..., None], axis=-1)[..., 0]


def test_one_factor_for_all_bands_is_another_absorption(plain):
    """The bands sum to what a simulation with that absorption gives."""
    bank = build(absorption_factor=(0.8, 0.8))
    np.testing.assert_allclose(bank.band_absorption, 0.8 * bank.absorption[:, :1] * np.ones(7))
    np.testing.assert_array_equal(bank.absorption, plain.absorption)
    from keras import ops

    from keras_avssan.simulation import simulate_rirs

    for row in range(2):
        expected = simulate_rirs(
            bank.room_sizes[row],
            bank.sources[row],
            bank.microphones[row],
            absorption=float(bank.band_absorption[row, 0]),
            duration=0.03,
        )
        expected = ops.convert_to_numpy(expected)
        np.testing.assert_allclose(bank.rirs[row], expected, atol=1e-5 * abs(expected).max())


@pytest.mark.one_backend
def test_absorption_by_band_gives_the_decay_of_each_band():
    """T20 in octave bands is near Eyring's time of the band's absorption."""
    factors = ((0.6, 0.6),) * 4 + ((1.5, 1.5),) * 3
    ranges = RoomRanges(
        length=(5, 5.2), width=(4, 4.2), height=(3, 3.2), t60=(0.3, 0.3), absorption_factor=factors
    )
    bank = RIRBank.build(2, seed=0, sources_per_room=2, ranges=ranges, progress=False)
    assert bank.rirs.shape[-1] == round(0.3 / 0.6 * RATE)
    ratios = []
    for band in (2, 5):  # whose neighbours absorb as much
        centre = BANDS[band]
        sections = signal.butter(
            4, (centre / 2**0.5, centre * 2**0.5), "bandpass", fs=RATE, output="sos"
        )
        filtered = signal.sosfilt(sections, bank.rirs.astype("float64"))
        measured = np.nanmedian(reverberation_time(filtered, RATE, decay=20, high_pass=None))
        expected = eyring_decay_time(bank.room_sizes, bank.band_absorption[:, band]).mean()
        ratios.append(measured / expected)
    np.testing.assert_allclose(ratios, 1, atol=0.3)
    assert ratios[0] == pytest.approx(ratios[1], rel=0.15)


@pytest.mark.backend_agnostic
def test_bands_sum_to_one_and_keep_their_centres():
    """A click in all bands comes back; one band alone has its centre's gain of one."""
    click = np.zeros((7, 512))
    click[:, 100] = 1
    np.testing.assert_allclose(join_bands(click, RATE), click[0], atol=1e-6)
    for band, centre in enumerate(BANDS[1:], 1):
        alone = click * (np.arange(7) == band)[:, None]
        spectrum = abs(np.fft.rfft(join_bands(alone, RATE), 4096))
        frequencies = np.fft.rfftfreq(4096, 1 / RATE)
        assert np.interp(centre, frequencies, spectrum) == pytest.approx(1, abs=0.05)
        assert np.interp(centre / 2, frequencies, spectrum) < 0.05


def test_options_do_not_change_one_another(plain):
    both = build(gain_error=3.0, phase_error=20.0, position_error=0.01)
    np.testing.assert_array_equal(both.microphone_gains, build(gain_error=3.0).microphone_gains)
    np.testing.assert_array_equal(both.azimuths, plain.azimuths)
    expected = azimuth_of(both.sources[0], both.microphones[0])
    np.testing.assert_allclose(both.azimuths[0], expected, atol=0.01)


@pytest.mark.backend_agnostic
def test_a_folder_keeps_what_varies(tmp_path):
    ranges = dataclasses.replace(
        RANGES, gain_error=2.0, position_error=0.01, source_pattern="cardioid"
    )
    arguments = {"sources_per_room": 2, "max_duration": 0.02, "ranges": ranges, "progress": False}
    build_bank(tmp_path / "rooms", 3, 4, rooms_per_shard=2, **arguments)
    bank, whole = RIRBank.load(tmp_path / "rooms"), RIRBank.build(3, 4, **arguments)
    for name in ("microphone_gains", "microphone_offsets", "source_orientations", "rirs"):
        np.testing.assert_array_equal(np.asarray(getattr(bank, name)), getattr(whole, name))
    whole.save(tmp_path / "bank.npz")
    loaded = RIRBank.load(tmp_path / "bank.npz")
    np.testing.assert_array_equal(loaded.source_orientations, whole.source_orientations)
    stored = json.loads((tmp_path / "rooms/bank.json").read_text())["ranges"]
    assert stored["gain_error"] == 2.0 and "absorption_factor" not in stored


@pytest.mark.backend_agnostic
def test_folders_of_before_have_the_same_settings(tmp_path):
    """Without variation `bank.json` names none of it, so that earlier builds are resumed."""
    arguments = {"sources_per_room": 1, "max_duration": 0.01, "progress": False}
    build_bank(tmp_path / "rooms", 1, ranges=RANGES, **arguments)
    assert set(json.loads((tmp_path / "rooms/bank.json").read_text())["ranges"]) == {
        *("length", "width", "height", "t60", "distance", "azimuth", "elevation"),
        *("array_height", "spacing", "wall_margin"),
    }


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gain_error": -1.0}, "`gain_error` must be a number from 0 to 40"),
        ({"gain_error": float("nan")}, "`gain_error`"),
        ({"phase_error": 181.0}, "`phase_error` must be a number from 0 to 180"),
        ({"position_error": 0.05}, "`position_error` must be below .* here 0.05 m"),
        ({"position_error": 0.02, "wall_margin": 0.0}, "`position_error` must be below"),
        ({"source_pattern": "beam"}, "`source_pattern` must be one of"),
        ({"source_turn": -1.0}, "`source_turn` must be a number from 0 to 180"),
        ({"absorption_factor": (1.2, 1.0)}, "`absorption_factor` must be .* Received: .*1.2"),
        ({"absorption_factor": (0.0, 1.0)}, "`absorption_factor` must be"),
        ({"absorption_factor": ((1.0, 1.0),) * 6}, "`absorption_factor` must be"),
        ({"absorption_factor": "low"}, "`absorption_factor` must be"),
    ],
)
def test_values_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RANGES, **changes)


@pytest.mark.backend_agnostic
def test_the_repr_names_what_varies():
    words = repr(RoomRanges(gain_error=1.5, source_pattern="cardioid"))
    assert words.startswith("<RoomRanges: 3–10 x") and words.endswith("…>")
