import dataclasses

import numpy as np
import pytest
from keras import ops

from keras_avssan.simulation import RIRBank, RoomRanges, azimuth_of, sample_room, simulate_rirs
from keras_avssan.simulation.calibration import wall_absorption

ARRAYS = ("rirs", "azimuths", "t60", "room_sizes", "microphones", "sources", "absorption")
SCALARS = ("sampling_rate", "seed", "first_index", "formula", "speed_of_sound")


def build(num_rooms=2, **kwargs):
    return RIRBank.build(num_rooms, **(dict(seed=3, max_duration=0.05, progress=False) | kwargs))


@pytest.fixture(scope="module")
def bank():
    return build()


def assert_same(bank, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(bank, name), getattr(other, name))
    for name in SCALARS:
        assert getattr(bank, name) == getattr(other, name)


def test_shapes_and_types(bank):
    assert len(bank) == 2
    assert bank.rirs.shape == (2, 4, 2, 800)
    assert bank.azimuths.shape == (2, 4)
    for name in ARRAYS:
        assert getattr(bank, name).dtype == np.float32
    assert np.all(np.abs(bank.rirs).max(axis=-1) > 0)


def test_holds_the_sampled_rooms(bank):
    for row in range(2):
        room = sample_room(3, row)
        np.testing.assert_allclose(bank.azimuths[row], room.azimuths, rtol=1e-5)
        azimuths = azimuth_of(bank.sources[row], bank.microphones[row])
        np.testing.assert_allclose(azimuths, room.azimuths, atol=0.01)
        expected = simulate_rirs(
            room.size, room.sources, room.microphones, t60=room.t60, duration=0.05
        )
        expected = ops.convert_to_numpy(expected)
        np.testing.assert_allclose(bank.rirs[row], expected, atol=1e-6 * abs(expected).max())


def test_is_silent_after_each_t60():
    ranges = RoomRanges(
        length=(3, 3.5), width=(3, 3.5), height=(2.5, 2.6), t60=(0.15, 0.2), distance=(0.5, 1)
    )
    bank = build(1, ranges=ranges, max_duration=None, sampling_rate=8000)
    end = int(np.ceil(bank.t60[0] * 8000))
    assert bank.rirs.shape[-1] == 1600
    assert np.all(bank.rirs[..., end + 1 :] == 0)
    assert np.all(np.any(bank.rirs[..., end - 50 : end] != 0, axis=-1))


def test_is_a_function_of_seed_and_index(bank):
    assert_same(bank, build())
    second = build(1, first_index=1)
    np.testing.assert_array_equal(second.rirs[0], bank.rirs[1])
    assert not np.array_equal(build(seed=4).azimuths, bank.azimuths)


def test_is_the_same_in_threads(bank):
    assert_same(bank, build(workers=2))


@pytest.mark.one_backend
def test_gives_the_rooms_back(bank):
    room, drawn = bank.room(1), sample_room(3, 1)
    np.testing.assert_allclose(room.size, drawn.size, rtol=1e-6)
    np.testing.assert_allclose(room.sources, drawn.sources, rtol=1e-6)
    np.testing.assert_allclose(room.microphones, drawn.microphones, rtol=1e-6)
    np.testing.assert_allclose(room.t60, drawn.t60, rtol=1e-6)


@pytest.mark.one_backend
@pytest.mark.parametrize("formula", ["sabine", "eyring"])
def test_tells_the_absorption(formula):
    bank = build(formula=formula)
    expected = wall_absorption(bank.room_sizes, bank.t60, formula)
    assert bank.absorption.shape == (2, 6)
    np.testing.assert_allclose(bank.absorption, expected[:, None] * np.ones(6), rtol=1e-5)


@pytest.mark.backend_agnostic
def test_absorption_may_be_unknown(bank, tmp_path):
    """As it is in files of version 0.1.0."""
    dataclasses.replace(bank, absorption=None).save(tmp_path / "bank.npz")
    loaded = RIRBank.load(tmp_path / "bank.npz")
    assert loaded.absorption is None
    np.testing.assert_array_equal(loaded.rirs, bank.rirs)


@pytest.mark.backend_agnostic
def test_progress_bar(capfd):
    build(1, progress=True)
    assert "1/1" in capfd.readouterr().err
    build(1)
    assert capfd.readouterr().err == ""


def test_round_trip(bank, tmp_path):
    path = tmp_path / "rooms.bank"
    bank.save(path)
    assert_same(bank, RIRBank.load(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.backend_agnostic
def test_failed_save_leaves_the_old_file(bank, tmp_path, monkeypatch):
    path = tmp_path / "rooms.npz"
    bank.save(path)

    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space"):
        bank.save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert_same(bank, RIRBank.load(path))


def whole(bank, path):
    bank.save(path)
    return path.read_bytes()


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "flipped"])
def test_damaged_file(bank, tmp_path, damage):
    path = tmp_path / "rooms.npz"
    data = whole(bank, path)
    middle = len(data) // 2
    path.write_bytes(
        {
            "truncated": data[:middle],
            "empty": b"",
            "text": b"not a bank",
            "flipped": data[:middle] + bytes(64) + data[middle + 64 :],
        }[damage]
    )
    with pytest.raises(
        ValueError, match=r"`path` must be a whole bank .* Received: path=.*rooms\.npz"
    ) as raised:
        RIRBank.load(path)
    assert "pickle" not in str(raised.value) and ".." not in str(raised.value)


@pytest.mark.backend_agnostic
def test_foreign_file(tmp_path):
    archive, array = tmp_path / "foreign.npz", tmp_path / "array.npy"
    np.savez(archive, rirs=np.zeros(3))
    np.save(array, np.zeros(3))
    for path in (archive, array):
        with pytest.raises(ValueError, match="must be a whole bank of `RIRBank.save`"):
            RIRBank.load(path)


@pytest.mark.backend_agnostic
def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path` must be .*none\.npz', which does not"):
        RIRBank.load(tmp_path / "none.npz")


@pytest.mark.backend_agnostic
def test_arrays_must_fit(bank):
    fields = {name: getattr(bank, name) for name in (*ARRAYS, *SCALARS)}
    with pytest.raises(ValueError, match="`azimuths` must have shape"):
        RIRBank(**(fields | dict(azimuths=bank.azimuths[:1])))
    with pytest.raises(ValueError, match="`absorption` must have shape"):
        RIRBank(**(fields | dict(absorption=bank.absorption[:, :3])))
    with pytest.raises(ValueError, match="`rirs` must have shape"):
        RIRBank(**(fields | dict(rirs=bank.rirs[0])))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(num_rooms=0), "`num_rooms` must be an integer of at least 1"),
        (dict(max_duration=0.0), "`max_duration` must be finite and positive"),
        (dict(sources_per_room=0), "`num_sources` must be an integer of at least 1"),
        (dict(seed=-1), "`seed` must be an integer of at least 0"),
        (dict(formula="fitzroy"), "`formula` must be"),
        (dict(workers=0), "`workers` must be an integer of at least 1"),
        (dict(workers=float("nan")), "`workers` must be an integer of at least 1"),
        (dict(workers="2"), "Received: workers='2'"),
        (dict(num_rooms=1.5), "`num_rooms` must be an integer of at least 1"),
        (dict(sampling_rate=8000.5), "`sampling_rate` must be an integer of at least 1"),
        (dict(first_index=-1), "`first_index` must be an integer of at least 0"),
        (dict(sampling_rate=0), "`sampling_rate` must be finite and positive"),
    ],
)
def test_build_refuses(changed, message):
    with pytest.raises(ValueError, match=message):
        build(**changed)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("azimuths", -1.0, "degrees from 0.*azimuths=-1.0 in room 1"),
        ("azimuths", 180.5, "degrees from 0"),
        ("azimuths", np.nan, "degrees from 0"),
        ("rirs", np.inf, "finite samples.*rirs=inf in room 1"),
        ("t60", 0.0, "positive times"),
        ("t60", np.nan, "positive times"),
        ("room_sizes", -2.0, "positive lengths"),
        ("sources", np.nan, "finite positions"),
        ("absorption", np.nan, "finite shares"),
    ],
)
def test_values_out_of_range_are_refused(bank, name, value, message):
    array = getattr(bank, name).copy()
    array[1] = value
    with pytest.raises(ValueError, match=f"`{name}` must hold {message}"):
        dataclasses.replace(bank, **{name: array})


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (dict(rirs=np.zeros((2, 4, 2, 8), "complex64")), ValueError, "dtype complex64"),
        (dict(t60=np.array(["0.2", "0.3"])), ValueError, "dtype <U3"),
        (dict(t60=[0.2, 0.3]), TypeError, "`t60` must be an array"),
        (dict(sampling_rate=0), ValueError, "`sampling_rate` must be an integer of at least 1"),
        (
            dict(sampling_rate="16000"),
            ValueError,
            "`sampling_rate` must be an integer of at least 1",
        ),
    ],
)
def test_what_is_no_bank_is_refused(bank, changed, error, message):
    with pytest.raises(error, match=message):
        dataclasses.replace(bank, **changed)
