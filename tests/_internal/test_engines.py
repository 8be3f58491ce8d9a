"""The same units in this process, in several, and on a cluster that loses a node."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from threading import Thread

import numpy as np
import pytest

from keras_avssan._internal.work_units import run_units
from keras_avssan.data import build_vggsound_ssl
from keras_avssan.data.media.video_io import write_video

pytestmark = pytest.mark.backend_agnostic

HERE = pathlib.Path(__file__).parent


@pytest.fixture(autouse=True)
def work_units(monkeypatch):
    """The module of the units, where worker processes find it too."""
    monkeypatch.syspath_prepend(str(HERE))
    import work_units

    return work_units


def contents(folder):
    return {path.name: path.read_text() for path in folder.glob("*.txt")}


def test_one_worker_is_this_process(work_units):
    done = list(run_units(work_units.square, iter([3, 1, 2]), progress=False))
    assert done == [(unit, {"square": unit**2, "process": os.getpid()}) for unit in (3, 1, 2)]


def test_several_workers_are_other_processes(work_units):
    done = dict(run_units(work_units.square, range(20), workers=2, progress=False))
    assert {unit: report["square"] for unit, report in done.items()} == {
        unit: unit**2 for unit in range(20)
    }
    assert os.getpid() not in {report["process"] for report in done.values()}


def test_no_units_are_no_work(work_units):
    assert list(run_units(work_units.die, [], workers=2, progress=False)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_through(work_units, workers):
    with pytest.raises(ValueError, match="unit 2 cannot be done"):
        list(run_units(work_units.fail_at_two, range(4), workers=workers, progress=False))


def test_a_process_that_dies_is_an_error(work_units):
    with pytest.raises(ChildProcessError, match="worker process died"):
        list(run_units(work_units.die, range(4), workers=2, progress=False))


def test_units_that_run_are_stopped_and_may_tidy_up(work_units, tmp_path):
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for _ in run_units(partial(work_units.wait_and_tidy, tmp_path), range(6), workers=2):
            raise KeyboardInterrupt
    assert time.monotonic() - started < 50
    assert not list(tmp_path.glob("started-*"))
    assert list(tmp_path.glob("tidied-*"))


def test_an_interrupt_while_units_are_handed_out_stops_those_that_run(
    work_units, tmp_path, monkeypatch
):
    submit, calls = ProcessPoolExecutor.submit, iter(range(2))

    def interrupted(pool, *arguments):
        if next(calls, None) is None:
            wait_until(lambda: len(list(tmp_path.glob("started-*"))) == 2)
            raise KeyboardInterrupt
        return submit(pool, *arguments)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(run_units(partial(work_units.wait_and_tidy, tmp_path), [1, 2, 3], workers=2))
    assert time.monotonic() - started < 50
    assert {path.name for path in tmp_path.iterdir()} == {"tidied-1", "tidied-2"}


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.extensive
def test_no_worker_outlives_its_parent(tmp_path, sent):
    code = (
        "import signal, work_units; from functools import partial\n"
        # A shell that starts the tests in the background lets them ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from keras_avssan._internal.work_units import run_units\n"
        f"list(run_units(partial(work_units.wait_and_tidy, {str(tmp_path)!r}), [1, 2], workers=2))"
    )
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    # A session of its own, so that the signal reaches the workers too, as Ctrl-C does.
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: len(list(tmp_path.glob("started-*"))) == 2)
    group = os.getpgid(parent.pid)
    if sent == signal.SIGINT:
        os.killpg(group, sent)
    else:
        parent.send_signal(sent)
    parent.wait(timeout=30)
    wait_until(lambda: not is_running(group))
    assert len(list(tmp_path.glob("tidied-*"))) == (2 if sent == signal.SIGINT else 0)


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def is_running(group):
    """Whether a process group has a process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"engine": "threads"}, "engine.*processes.*threads"), ({"workers": 0}, "workers.*0")],
)
def test_wrong_arguments_are_refused_at_once(work_units, wrong, message):
    with pytest.raises(ValueError, match=message):
        run_units(work_units.square, [1], **wrong)


def test_ray_that_is_absent_is_named(work_units, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'needs Ray Data: `pip install "ray\[data\]"`'):
        list(run_units(work_units.square, [1], engine="ray"))


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of a head that runs no units, and two nodes that do."""
    pytest.importorskip("ray", reason="Ray is not installed: the extra `scale` brings it")
    from ray.cluster_utils import Cluster

    memory = 100 * 2**20
    head = {"num_cpus": 0, "object_store_memory": memory, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        # Of all processes of the cluster: where the units are, and that nothing is reported.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=memory)
        yield cluster
        cluster.shutdown()


@pytest.mark.extensive
def test_an_error_on_a_cluster_comes_through(work_units, cluster):
    with pytest.raises(ValueError, match="unit 2 cannot be done"):
        list(
            run_units(
                work_units.fail_at_two,
                range(4),
                engine="ray",
                progress=False,
                ray_address=cluster.address,
            )
        )


def kill_a_node_at_work(cluster, folder):
    """Kills the node that has started a unit last, whose processes are children of its raylet."""
    started = max(folder.glob("attempts-*"), key=lambda path: path.stat().st_mtime_ns)
    (raylet,) = started.read_text().split()
    (doomed,) = [
        node
        for node in cluster.worker_nodes
        if node.all_processes["raylet"][0].process.pid == int(raylet)
    ]
    cluster.remove_node(doomed, allow_graceful=False)


@pytest.mark.extensive
def test_a_cluster_ends_with_the_same_files_though_a_node_dies(work_units, tmp_path, cluster):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    undisturbed.mkdir(), disturbed.mkdir()
    units = range(8)
    expected = dict(run_units(partial(work_units.write_file, undisturbed), units, progress=False))
    reports = {}
    for unit, report in run_units(
        partial(work_units.write_file, disturbed),
        units,
        engine="ray",
        workers=None,
        progress=False,
        ray_address=cluster.address,
    ):
        if not reports:
            wait_until(lambda: len(contents(disturbed)) < len(list(disturbed.glob("attempts-*"))))
            kill_a_node_at_work(cluster, disturbed)
        reports[unit] = report
    assert reports == expected
    assert contents(disturbed) == contents(undisturbed)
    # The unit that the lost node had started was done again by the other.
    attempts = [(disturbed / f"attempts-{unit}").read_text().split() for unit in units]
    assert max(len(set(raylets)) for raylets in attempts) == 2


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A table in VGGSound's form and its videos, one of them empty: twelve parts of two rows."""
    pytest.importorskip("av")
    folder = tmp_path_factory.mktemp("vggsound")
    (folder / "videos").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        path = folder / "videos" / f"clip-{number:06d}_000000.mp4"
        frames = np.full((10, 48, 64, 3), 5 * number, "uint8")
        write_video(path, 0.1 * rng.standard_normal(16000), frames, sampling_rate=16000)
        rows.append(f"clip-{number:06d},0,{('dog', 'rain')[number % 2]},train\n")
    path.write_bytes(b"")
    (folder / "table.csv").write_text("".join(rows))
    return folder


@pytest.mark.extensive
def test_a_dataset_is_the_same_though_a_node_dies_while_it_is_built(
    videos, tmp_path, cluster, monkeypatch
):
    def build(name, **options):
        return build_vggsound_ssl(
            tmp_path / name,
            videos / "table.csv",
            videos / "videos",
            clip=None,
            rows_per_part=2,
            clips_per_shard=5,
            progress=False,
            **options,
        )

    def lose_a_node():
        staging = tmp_path / "disturbed" / "staging"
        wait_until(lambda: list(staging.glob("part-*.json")), seconds=60)
        whole.append(len(list(staging.glob("part-*.json"))))
        cluster.remove_node(doomed, allow_graceful=False)

    doomed = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    whole: list[int] = []
    losing = Thread(target=lose_a_node)
    losing.start()
    manifest = build("disturbed", engine="ray", workers=2)
    losing.join()
    assert 0 < whole[0] < 12
    assert manifest == build("undisturbed")
    assert manifest["dropped"] == {"unreadable": 1} and sum(manifest["clips"].values()) == 23
    disturbed, undisturbed = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("disturbed", "undisturbed")
    )
    assert disturbed == undisturbed
