"""Banks in folders: built piece by piece, whatever stops it, and read piece by piece."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import tracemalloc

import keras
import numpy as np
import pytest

import keras_avssan
from keras_avssan.simulation import (
    RIRBank,
    RoomRanges,
    build_bank,
    calibrated_absorption,
    sample_room,
    simulate_rirs,
)
from keras_avssan.simulation.bank import bank_settings
from keras_avssan.simulation.bank.bank_folder import BankFolder

ARRAYS = ("rirs", "azimuths", "t60", "room_sizes", "microphones", "sources", "absorption")
SCALARS = ("sampling_rate", "seed", "first_index", "formula", "speed_of_sound", "tail", "calibrate")
# Small enough for many builds: 5 rooms in shards of 2, 2 and 1.
ROOMS = dict(sources_per_room=3, max_duration=0.02, sampling_rate=8000)


def build(folder, num_rooms=5, seed=3, **changed):
    settings = dict(rooms_per_shard=2, progress=False) | ROOMS | changed
    build_bank(folder, num_rooms, seed, **settings)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a bank that nothing disturbed."""
    return build(tmp_path_factory.mktemp("banks") / "whole")


@pytest.fixture(scope="module")
def in_memory():
    return RIRBank.build(5, seed=3, progress=False, **ROOMS)


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of that folder, to be damaged."""
    return shutil.copytree(whole, tmp_path / "bank")


@pytest.mark.one_backend
def test_holds_what_a_bank_in_memory_holds(whole, in_memory):
    bank = RIRBank.load(whole)
    assert len(bank) == 5
    for name in ARRAYS:
        assert getattr(bank, name).dtype == np.float32
        np.testing.assert_array_equal(getattr(bank, name), getattr(in_memory, name))
    for name in SCALARS:
        assert getattr(bank, name) == getattr(in_memory, name)
    assert json.loads((whole / "bank.json").read_text())["ranges"]["t60"] == [0.2, 0.8]
    np.testing.assert_allclose(bank.room(4).sources, in_memory.sources[4])


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["rirs-00000.npy", "rirs-00002.npy"])
def test_responses_are_plain_npy(whole, in_memory, name):
    first = 2 * int(name[9])
    responses = np.load(whole / name)
    np.testing.assert_array_equal(responses, in_memory.rirs[first : first + len(responses)])


@pytest.mark.backend_agnostic
def test_a_bank_from_a_folder_becomes_one_file(whole, in_memory, tmp_path):
    RIRBank.load(whole).save(tmp_path / "bank.npz")
    bank = RIRBank.load(tmp_path / "bank.npz")
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(bank, name), getattr(in_memory, name))


# --- building ------------------------------------------------------------------------------


def test_the_same_bytes_in_threads(whole, tmp_path):
    assert contents(build(tmp_path / "bank", workers=3)) == contents(whole)


@pytest.mark.extensive
def test_the_same_bytes_from_processes_that_share_the_shards(whole, tmp_path):
    folder = build(tmp_path / "bank", shards=[2, 0])
    assert not (folder / "rirs-00001.npy").exists()
    with pytest.raises(ValueError, match=r"lacks 1 of its 3 shards \(the first: 1\)"):
        RIRBank.load(folder)
    assert contents(build(folder, shards=range(1, 2))) == contents(whole)


@pytest.mark.backend_agnostic
def test_a_whole_bank_is_left_as_it_is(folder, monkeypatch):
    monkeypatch.setattr(bank_settings, "simulate_rirs", None)
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    build(folder)
    assert times == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def stop_at(room, monkeypatch):
    """Lets the user stop the simulation at a room."""
    calls = iter(range(room))

    def simulate(*arguments, **options):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return simulate_rirs(*arguments, **options)

    monkeypatch.setattr(bank_settings, "simulate_rirs", simulate)


@pytest.mark.one_backend
@pytest.mark.parametrize("workers", [1, 2])
def test_goes_on_after_the_user_stopped_it(whole, tmp_path, monkeypatch, workers, capfd):
    with monkeypatch.context() as patch:
        stop_at(3, patch)
        with pytest.raises(KeyboardInterrupt, match="1 of 3 shards whole in .*bank"):
            build(tmp_path / "bank", workers=workers)
    names = {"bank.json", "rirs-00000.npy", "rooms-00000.npz"}
    assert set(contents(tmp_path / "bank")) == names
    build(tmp_path / "bank", progress=True)
    # The bar begins at the rooms that were there.
    bars = capfd.readouterr().err.split("\r")
    assert "| 2/5" in bars[1]
    assert "| 5/5" in bars[-1]
    assert contents(tmp_path / "bank") == contents(whole)


KILLED = """
import os, pathlib, random, signal, sys, time, types

# Without the models, which take long to import.
package = types.ModuleType("keras_avssan")
package.__path__ = [sys.argv[1]]
sys.modules["keras_avssan"] = package
from keras_avssan.simulation import build_bank

root = pathlib.Path(sys.argv[2])


def build(name):
    build_bank(root / name, 5, 3, rooms_per_shard=2, sources_per_room=3, max_duration=0.02,
               sampling_rate=8000, progress=False)


# This process only forks: it must have no threads, which a child would miss.
def in_child(work, *arguments):
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return child


def die_at(name, renaming):
    # Names that many files, and dies before the next gets its name.
    calls = iter(range(renaming))

    def counted(function):
        def call(*arguments):
            if next(calls, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            function(*arguments)

        return call

    os.link, os.replace = counted(os.link), counted(os.replace)
    build(name)


def killed(child):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.WIFSIGNALED(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    raise TimeoutError("a build takes more than a minute")


def build_whole(name):
    assert not killed(in_child(build, name))


begin = time.perf_counter()
build_whole("undisturbed")
duration = time.perf_counter() - begin
# bank.json, and two files for each of three shards.
for renaming in range(7):
    assert killed(in_child(die_at, f"renaming{renaming}", renaming))
    build_whole(f"renaming{renaming}")
rng = random.Random(0)
kills = 0
for name in ("random0", "random1"):
    for _ in range(20):
        child = in_child(build, name)
        time.sleep(rng.uniform(0.0, 0.3 * duration))
        os.kill(child, signal.SIGKILL)
        if not killed(child):
            break
        kills += 1
    build_whole(name)
assert kills, "no build was killed before it was done"
"""


@pytest.mark.backend_agnostic
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.extensive
def test_the_same_bytes_however_often_it_was_killed(tmp_path):
    """Killed between any two files and at random moments; on NumPy, which may be forked."""
    package = keras_avssan.__path__[0]
    arguments = [sys.executable, "-c", KILLED, package, str(tmp_path)]
    environment = os.environ | {"KERAS_BACKEND": "numpy", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    expected = contents(tmp_path / "undisturbed")
    assert len(expected) == 7
    folders = [path for path in tmp_path.iterdir() if path.name != "undisturbed"]
    assert len(folders) == 9
    for path in folders:
        assert contents(path) == expected, path.name


def truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


@pytest.mark.one_backend
@pytest.mark.parametrize("damage", [truncate, flip, empty, remove])
@pytest.mark.parametrize("name", ["rirs-00001.npy", "rooms-00001.npz"])
def test_a_damaged_shard_is_found_and_made_again(whole, folder, damage, name):
    damage(folder / name)
    assert BankFolder.open(folder).missing(read_all=True) == [1]
    if (damage, name) != (flip, "rirs-00001.npy"):
        with pytest.raises(ValueError, match=r"lacks 1 of its 3 shards \(the first: 1\)"):
            RIRBank.load(folder)
    assert contents(build(folder)) == contents(whole)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["rirs-00001.npy", "rooms-00001.npz"])
def test_any_flipped_byte_of_a_header_is_survived(folder, name):
    """Damaged zip and npy files raise a dozen kinds of errors, not one of which may escape."""
    bank, path = BankFolder.open(folder), folder / name
    data = path.read_bytes()
    found = 0
    for place in range(300):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        found += not bank.is_whole(1, read_all=True)
    # In a zip some bytes, such as a file's date, do not depend on its content.
    assert found == 300 if path.suffix == ".npy" else found > 200


@pytest.mark.one_backend
def test_a_shard_in_the_place_of_another_is_found(whole, folder):
    for name in ("rirs-0000{}.npy", "rooms-0000{}.npz"):
        shutil.copy(folder / name.format(0), folder / name.format(1))
    assert contents(build(folder)) == contents(whole)


@pytest.mark.one_backend
def test_half_written_files_are_removed(whole, folder):
    for name in ("rirs-00002.npy.0123.part", "bank.json.4567.part"):
        (folder / name).write_bytes(b"half")
    assert contents(build(folder)) == contents(whole)


@pytest.mark.backend_agnostic
def test_half_written_files_of_others_are_left(folder):
    part = folder / "rirs-00002.npy.0123.part"
    part.write_bytes(b"half")
    build(folder, shards=[0, 1])
    assert part.exists()


@pytest.mark.backend_agnostic
def test_a_failed_write_leaves_no_half_of_it(tmp_path, monkeypatch):
    def full_disk(file, array):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        build(tmp_path / "bank")
    assert list(contents(tmp_path / "bank")) == ["bank.json"]


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(seed=4), "`seed` is 3 there, but 4 now"),
        (dict(num_rooms=6), "`num_rooms` is 5 there, but 6"),
        (dict(first_index=1), "`first_index` is 0 there"),
        (dict(rooms_per_shard=3), "`rooms_per_shard` is 2 there"),
        (dict(ranges=RoomRanges(t60=(0.2, 1.5))), r"`ranges\.t60` is \[0\.2, 0\.8\] there"),
        (dict(sampling_rate=16000), "`length` is 160 there, but 320.*`sampling_rate` is 8000"),
        (dict(formula="eyring"), "`formula` is 'sabine' there, but 'eyring'"),
        (dict(tail=True, calibrate=True), "`tail` is False there.*`calibrate` is False there"),
        (dict(image_attenuation=20.0), r"`image_attenuation` is None there, but 20\.0"),
    ],
)
def test_other_settings_are_refused(whole, folder, changed, message):
    with pytest.raises(ValueError, match=message):
        build(folder, **changed)
    assert contents(folder) == contents(whole)


def test_another_backend_is_refused(folder, monkeypatch):
    backend = keras.config.backend()
    monkeypatch.setattr("keras.config.backend", lambda: "another")
    with pytest.raises(ValueError, match=f"`backend` is '{backend}' there, but 'another'"):
        build(folder)


@pytest.mark.backend_agnostic
def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(ValueError, match=r"`folder` must be new, empty .* holds thesis\.txt"):
        build(tmp_path)
    assert contents(tmp_path) == {"thesis.txt": b"do not touch"}


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_rooms", "many"),
        ("sampling_rate", "16 kHz"),
        ("sampling_rate", None),
        ("seed", "x"),
        ("speed_of_sound", "fast"),
        ("image_attenuation", "x"),
    ],
)
def test_a_damaged_setting_is_named(folder, name, value):
    path = folder / "bank.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(ValueError, match=rf"`{name}` must be .*{value!r}.* Received: path="):
        RIRBank.load(folder)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"format": "another"}'])
def test_damaged_settings_are_refused(folder, text):
    (folder / "bank.json").write_text(text)
    for work in (build, RIRBank.load):
        with pytest.raises(
            ValueError,
            match="`path` must be the folder of a bank that `build_bank` wrote.* Received: path=",
        ):
            work(folder)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(num_rooms=0), "`num_rooms` must be an integer of at least 1"),
        (dict(rooms_per_shard=0), "`rooms_per_shard` must be an integer of at least 1"),
        (dict(workers=0), "`workers` must be an integer of at least 1"),
        (dict(shards=[3]), "`shards` must be numbers from 0 to 2"),
        (dict(shards=range(0)), "`shards` must be numbers from 0 to 2"),
        (dict(seed=-1), "`seed` must be an integer of at least 0"),
        (dict(sources_per_room=0), "`num_sources` must be an integer of at least 1"),
        (dict(max_duration=1e-9), "`max_duration` must last at least one sample"),
        (dict(ranges=RoomRanges(t60=(1e-3, 2e-3))), "`ranges` must allow a room that fits"),
    ],
)
def test_bad_arguments_leave_no_folder(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path / "bank", **changed)
    assert not (tmp_path / "bank").exists()


@pytest.mark.backend_agnostic
def test_unknown_settings_are_refused(tmp_path):
    with pytest.raises(TypeError, match="walls"):
        build(tmp_path / "bank", walls=6)


@pytest.mark.one_backend
def test_calibrated_rooms_tell_their_walls(tmp_path):
    ranges = RoomRanges(t60=(0.25, 0.3))
    bank = RIRBank.load(build(tmp_path / "bank", 2, calibrate=True, ranges=ranges))
    assert bank.calibrate
    expected = calibrated_absorption(bank.room_sizes, bank.t60)
    np.testing.assert_allclose(bank.absorption, expected[:, None] * np.ones(6), rtol=1e-4)


@pytest.mark.backend_agnostic
def test_rooms_that_cannot_be_calibrated_are_not_drawn():
    # By Sabine the largest rooms reach this T60 with walls that absorb 85 %.
    ranges = RoomRanges(length=(8, 10), width=(6, 8), height=(3.5, 4), t60=(0.2, 0.22))
    for index in range(20):
        room = sample_room(0, index, ranges=ranges, calibrate=True)
        assert calibrated_absorption(room.size, room.t60) <= 0.8


def test_a_tail_is_a_function_of_seed_and_index(tmp_path):
    refined = dict(tail=True, image_attenuation=10.0, max_duration=0.2)
    folder = build(tmp_path / "one", 3, **refined)
    assert contents(build(tmp_path / "two", 3, **refined, workers=2)) == contents(folder)
    bank = RIRBank.load(folder)
    later = RIRBank.build(1, seed=3, first_index=2, progress=False, **(ROOMS | refined))
    np.testing.assert_array_equal(bank.rirs[2], later.rirs[0])
    plain = RIRBank.load(build(tmp_path / "plain", 3, max_duration=0.2))
    assert not np.array_equal(bank.rirs[2], plain.rirs[2])


# --- reading -------------------------------------------------------------------------------


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        np.int64(2),
        slice(None),
        slice(1, 4),
        slice(None, None, -2),
        [4, 0, 0],
        np.array([True, False, False, True, False]),
        (2, 1),
        (2, 1, 0),
        (4, -1, 1, slice(10)),
        ([[0], [4]], [[0, 2], [2, 1]]),
        ([0, 3], [1, 2], 1),
        (3, [0, 2]),
        ([1, 2], slice(1, 3)),
        ([1, 2], slice(None), 0),
        (slice(3, None), [0, 2]),
        (slice(None), slice(None), 0, slice(5, 50, 2)),
        ([3, 1], ..., slice(7)),
        (2, ..., 0),
    ],
    ids=str,
)
def test_is_indexed_like_an_array(whole, in_memory, key):
    rirs = RIRBank.load(whole).rirs
    expected = in_memory.rirs[key]
    assert rirs[key].shape == expected.shape
    np.testing.assert_array_equal(rirs[key], expected)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("key", [5, -6, [0, 5], (0, 3), (..., 0), None, 1.5, "first"], ids=str)
def test_wrong_indices_are_refused(whole, key):
    with pytest.raises(IndexError):
        RIRBank.load(whole).rirs[key]


@pytest.mark.backend_agnostic
def test_what_was_read_is_ones_own(whole):
    rirs = RIRBank.load(whole).rirs
    before = rirs[0, 0]
    rirs[0, 0][:] = 1
    np.testing.assert_array_equal(rirs[0, 0], before)


@pytest.mark.backend_agnostic
def test_responses_are_read_on_demand(folder):
    bank = RIRBank.load(folder)
    np.load(folder / "rirs-00001.npy", mmap_mode="r+")[1] = 7
    assert np.all(bank.rirs[3] == 7)
    assert not np.any(bank.rirs[2] == 7)


@pytest.mark.backend_agnostic
def test_another_process_opens_the_files_anew(whole):
    rirs = RIRBank.load(whole).rirs
    pickled = pickle.dumps(rirs)
    assert len(pickled) < rirs[0].nbytes / 2
    np.testing.assert_array_equal(pickle.loads(pickled), rirs)


@pytest.mark.one_backend
def test_holds_one_shard_at_a_time(tmp_path, monkeypatch):
    """Of what NumPy holds, that is all but the simulation of one room."""
    rooms, length = 30, 20_000
    responses = np.ones((3, 2, length), "float32")
    monkeypatch.setattr(bank_settings, "simulate_rirs", lambda *_, **__: responses)
    shard = 5 * responses.nbytes
    tracemalloc.start()
    try:
        build(tmp_path / "bank", rooms, rooms_per_shard=5, max_duration=length / 8000)
        building = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        bank = RIRBank.load(tmp_path / "bank")
        assert bank.rirs[[3, 29], [0, 2]].shape == (2, 2, length)
        reading = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert shard < building < 3 * shard
    assert reading < shard


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_rooms", 0, "`num_rooms` must be an integer of at least 1"),
        ("num_rooms", -1, "`num_rooms` must be an integer of at least 1"),
        ("num_rooms", "5", "`num_rooms` must be an integer of at least 1"),
        ("num_rooms", 10**9, "lacks 499999998 of its 500000000 shards"),
        ("rooms_per_shard", 0, "`rooms_per_shard` must be an integer of at least 1"),
        ("first_index", -3, "`first_index` must be an integer of at least 0"),
        ("sampling_rate", -8000, "`sampling_rate` must be an integer of at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(folder, name, value, message):
    settings = json.loads((folder / "bank.json").read_text())
    (folder / "bank.json").write_text(json.dumps({**settings, name: value}))
    with pytest.raises(ValueError, match=message):
        RIRBank.load(folder)


@pytest.mark.backend_agnostic
def test_a_shard_copied_over_another_is_refused(folder):
    shutil.copy(folder / "rooms-00000.npz", folder / "rooms-00001.npz")
    with pytest.raises(ValueError, match="Shards 0 and 1 of .* hold the same rooms"):
        RIRBank.load(folder)
