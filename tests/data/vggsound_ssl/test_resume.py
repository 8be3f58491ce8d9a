"""Whatever stops a build, the next call resumes and ends with the same bytes."""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from keras_avssan.data import build_vggsound_ssl
from keras_avssan.data.vggsound_ssl import stage1_decode as parts
from keras_avssan.data.vggsound_ssl import stage3_shard as shards

pytestmark = pytest.mark.backend_agnostic

SMALL = {"min_instances": 2, "rows_per_part": 4, "clips_per_shard": 3, "progress": False}


def build(out, material, **changed):
    settings = {"clip": None, **SMALL, **changed}
    return build_vggsound_ssl(out, material.csv, material.videos, **settings)


@pytest.fixture(scope="module")
def few(tmp_path_factory, make_material):
    """Two videos of each of three classes and some that cannot be used: two parts."""
    folder = tmp_path_factory.mktemp("few")
    return make_material(folder, 2, ["half a file", "silent"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory, few):
    """The folder of a dataset that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "ssl"
    build(out, few)
    return out


@pytest.fixture
def started(few, tmp_path, monkeypatch):
    """The folder of a dataset that was stopped when all was staged and nothing else done."""

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("keras_avssan.data.vggsound_ssl.build.select_clips", stop)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "ssl", few)
    return tmp_path / "ssl"


def stop_at(call, module, name, error, monkeypatch):
    """Lets a function fail at one of its calls, from 0."""
    function, calls = getattr(module, name), iter(range(call))

    def counted(*arguments, **options):
        if next(calls, None) is None:
            raise error
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, counted)


@pytest.mark.parametrize(
    "call, name, message",
    [
        (0, "read_video_audio", "0 of 2 parts of the videos whole in .*ssl; the same call"),
        (6, "read_video_audio", "1 of 2 parts of the videos whole"),
    ],
)
def test_goes_on_after_the_user_stopped_it(
    few, whole, tmp_path, monkeypatch, contents, call, name, message
):
    with monkeypatch.context() as patch:
        stop_at(call, parts, name, KeyboardInterrupt(), patch)
        with pytest.raises(KeyboardInterrupt, match=message):
            build(tmp_path / "ssl", few)
    assert not list(tmp_path.rglob("*.part"))
    build(tmp_path / "ssl", few)
    assert contents(tmp_path / "ssl") == contents(whole)


def test_stopped_between_shards(few, whole, tmp_path, monkeypatch, contents):
    with monkeypatch.context() as patch:
        stop_at(4, shards, "read_member", KeyboardInterrupt(), patch)
        with pytest.raises(KeyboardInterrupt, match="0 of . shards whole"):
            build(tmp_path / "ssl", few)
    build(tmp_path / "ssl", few)
    assert contents(tmp_path / "ssl") == contents(whole)


def test_what_is_whole_is_not_made_again(few, started, whole, monkeypatch, contents):
    monkeypatch.setattr(parts, "read_video_audio", None)
    build(started, few)
    assert contents(started) == contents(whole)
    # A finished dataset is left as it is.
    times = {path.name: path.stat().st_mtime_ns for path in started.iterdir()}
    build(started, few)
    assert times == {path.name: path.stat().st_mtime_ns for path in started.iterdir()}


def test_a_disk_that_is_full_now_and_then(few, whole, tmp_path, monkeypatch, contents):
    """Each call fails at its third file at the latest, and keeps what was written before."""
    failures = 0
    for _ in range(30):
        with monkeypatch.context() as patch:
            full = OSError(errno.ENOSPC, "No space left on device")
            stop_at(4, os, "fsync", full, patch)  # a file takes two: itself and its name
            try:
                build(tmp_path / "ssl", few)
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC
                assert not list(tmp_path.rglob("*.part"))
                failures += 1
    assert failures > 3
    build(tmp_path / "ssl", few)
    assert contents(tmp_path / "ssl") == contents(whole)


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


@pytest.mark.parametrize("damage", [truncate, flip, empty, remove])
def test_damaged_parts_are_made_again(few, started, whole, contents, damage):
    damage(started / "staging" / "part-00000.tar")
    build(started, few)
    assert contents(started) == contents(whole)


@pytest.mark.parametrize("damage", [truncate, empty, remove])
def test_damaged_reports_are_made_again(few, started, whole, contents, damage):
    damage(started / "staging" / "part-00001.json")
    build(started, few)
    assert contents(started) == contents(whole)


@pytest.mark.parametrize("damage", [truncate, flip, empty, remove])
def test_damaged_shards_of_a_finished_dataset_are_named(few, whole, tmp_path, contents, damage):
    copy = shutil.copytree(whole, tmp_path / "ssl")
    damage(copy / "train-00000.tar")
    with pytest.raises(
        ValueError, match=r"Delete manifest.json there.*Received: shard train-00000"
    ):
        build(copy, few)
    (copy / "manifest.json").unlink()
    build(copy, few)
    assert contents(copy) == contents(whole)


def test_half_written_files_are_removed(few, started, whole, contents):
    for name in ("staging/part-00000.tar.01ab.part", "train-00000.tar.23cd.part"):
        (started / name).write_bytes(b"half")
    build(started, few)
    assert contents(started) == contents(whole)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"seed": 1}, "`seed` is 0 there, but 1 now"),
        ({"min_instances": 1}, "`min_instances` is 2 there"),
        ({"duration": 5.0, "csv_splits": True}, "`duration` is 10.0.*`csv_splits` is False"),
        ({"rows_per_part": 5}, "`rows_per_part` is 4 there, but 5"),
    ],
)
def test_other_settings_are_refused(few, whole, started, contents, changed, message):
    for folder in (started, whole):
        before = contents(folder)
        with pytest.raises(ValueError, match=message):
            build(folder, few, **changed)
        assert contents(folder) == before


def test_another_table_is_refused(few, started, tmp_path):
    (tmp_path / "other").mkdir()
    other = few.copy(tmp_path / "other")
    other.csv.write_text(other.csv.read_text() + "more,0,violin,train\n")
    with pytest.raises(ValueError, match="`csv_sha256` is"):
        build(started, other)


def test_where_nothing_is_done_other_settings_are_taken(
    few, whole, tmp_path, monkeypatch, contents
):
    with monkeypatch.context() as patch:
        stop_at(0, parts, "read_video_audio", KeyboardInterrupt(), patch)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "ssl", few, seed=7)
    build(tmp_path / "ssl", few)
    assert contents(tmp_path / "ssl") == contents(whole)


def test_a_folder_of_something_else_is_refused(few, tmp_path, contents):
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(ValueError, match=r"`out` must be new, empty .* holds thesis\.txt"):
        build(tmp_path, few)
    assert contents(tmp_path) == {"thesis.txt": b"do not touch"}
    with pytest.raises(ValueError, match="`out` must be a folder"):
        build(tmp_path / "thesis.txt", few)


@pytest.mark.parametrize("text", ["", "[1]"])
def test_damaged_settings_are_refused(few, started, text):
    (started / "build.json").write_text(text)
    with pytest.raises(ValueError, match=r"build\.json' is damaged"):
        build(started, few)


def test_videos_out_of_reach_do_not_look_missing(few, tmp_path, monkeypatch):
    copy = few.copy(tmp_path)

    def lose(path, *arguments, **options):
        shutil.rmtree(copy.videos, ignore_errors=True)
        return parts_read(path, *arguments, **options)

    parts_read = parts.read_video_audio
    monkeypatch.setattr(parts, "read_video_audio", lose)
    with pytest.raises(OSError, match="can no longer be reached"):
        build(tmp_path / "ssl", copy)
    assert not list((tmp_path / "ssl").rglob("part-*"))


KILLED = """
import os, pathlib, random, resource, signal, sys, time

import av, soundfile, soxr  # not in each child
from keras_avssan.data.vggsound_ssl.build import build_vggsound_ssl

csv, videos, root = map(pathlib.Path, sys.argv[1:])


def build(name):
    build_vggsound_ssl(root / name, csv, videos, clip=None, min_instances=2, rows_per_part=4,
                       clips_per_shard=3, progress=False)


# This process only forks: it must have no threads, which a child would miss.
def in_child(work, *arguments):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work(*arguments)
            code = 0
        except OSError:
            code = 7
        finally:
            os._exit(code)
    return child


def die_at(name, renaming):
    # Renames that many files, and dies before the next is renamed.
    replace, calls = os.replace, iter(range(renaming))

    def counted(*arguments):
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*arguments)

    os.replace = counted
    build(name)


def with_small_files(name, largest):
    # As on a full disk: the system refuses to make a file any larger.
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    build(name)


def end_of(child):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "killed" if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    raise TimeoutError("a build takes more than a minute")


def build_whole(name):
    assert end_of(in_child(build, name)) == 0


begin = time.perf_counter()
build_whole("undisturbed")
duration = time.perf_counter() - begin
renamings = 0
while end_of(in_child(die_at, f"renaming{renamings}", renamings)) == "killed":
    build_whole(f"renaming{renamings}")
    renamings += 1
assert renamings > 10, renamings
for largest in (1000, 30_000, 80_000):
    assert end_of(in_child(with_small_files, f"full{largest}", largest)) == 7
    assert not list((root / f"full{largest}").rglob("*.part"))
    build_whole(f"full{largest}")
rng = random.Random(0)
kills = 0
for name in ("random0", "random1"):
    for _ in range(20):
        child = in_child(build, name)
        time.sleep(rng.uniform(0.0, 0.4 * duration))
        os.kill(child, signal.SIGKILL)
        if end_of(child) != "killed":
            break
        kills += 1
    build_whole(name)
assert kills, "no build was killed before it was done"
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.extensive
def test_the_same_bytes_however_often_it_was_killed(few, tmp_path, contents):
    """Killed between any two files and at random moments, and on a disk that was full."""
    arguments = [sys.executable, "-c", KILLED, str(few.csv), str(few.videos), str(tmp_path)]
    environment = os.environ | {
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    run = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    expected = contents(tmp_path / "undisturbed")
    folders = [path for path in tmp_path.iterdir() if path.name != "undisturbed"]
    assert len(folders) > 14
    for path in folders:
        assert contents(path) == expected, path.name
