"""A training that was stopped, killed or damaged resumes with the same numbers."""

import csv
import os
import pathlib
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).with_name("train_tiny.py")


def read_log(folder, name="log.csv"):
    with open(folder / name, newline="") as file:
        return [{k: v for k, v in r.items() if k != "scenes_per_s"} for r in csv.DictReader(file)]


def assert_same(folder, history, model, whole, values):
    assert history == whole[1]
    for name in ("log.csv", "epochs.csv"):
        assert read_log(folder, name) == read_log(whole[0], name)
    for one, other in zip(values(model), whole[2], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.extensive
def test_a_killed_training_goes_on_to_the_same_numbers(tiny, whole, values, tmp_path):
    folder = tmp_path / "checkpoints"
    process = subprocess.run([sys.executable, SCRIPT, folder, "3"], capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr[-500:]
    assert [path.name for path in folder.glob("*.npz")] == ["step-00000002.npz"]
    model = tiny.make_model()
    history = tiny.train(folder, model, checkpoint_every=2)
    assert history.epoch == [0, 1]
    assert_same(folder, history.history, model, whole, values)


@pytest.mark.one_backend
def test_ctrl_c_stops_after_the_step_and_damage_costs_a_checkpoint(
    tiny, whole, values, at, tmp_path, interruptible
):
    folder = tmp_path / "checkpoints"
    before = signal.getsignal(signal.SIGINT)
    press = at(7, lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match=r"after step 7 of 8, .* resumes from there"):
        tiny.train(folder, checkpoint_every=2, callbacks=press)
    assert signal.getsignal(signal.SIGINT) == before
    names = ["step-00000006.npz", "step-00000007.npz"]
    assert sorted(path.name for path in folder.glob("*.npz")) == names
    last = folder / names[1]
    last.write_bytes(last.read_bytes()[:-2000])
    model = tiny.make_model()
    with pytest.warns(UserWarning, match=r"step-00000007.npz' is damaged .* previous one is used"):
        history = tiny.train(folder, model, checkpoint_every=2)
    assert_same(folder, history.history, model, whole, values)
    assert (folder / "step-00000007.damaged").exists()


@pytest.mark.one_backend
@pytest.mark.parametrize("stop", [2, 3, 4, 6])
def test_epochs_of_unequal_length_resume_to_the_same_numbers(
    tiny, uneven, values, at, tmp_path, interruptible, stop
):
    """Seven steps in three epochs, which end after steps 2, 4 and 7."""
    folder = tmp_path / "checkpoints"
    press = at(stop, lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match=f"after step {stop} of 7"):
        tiny.train(folder, steps=7, epochs=3, checkpoint_every=2, callbacks=press)
    model = tiny.make_model()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        history = tiny.train(folder, model, steps=7, epochs=3, checkpoint_every=2)
    assert_same(folder, history.history, model, uneven, values)
    assert [row["step"] for row in read_log(folder, "epochs.csv")] == ["2", "4", "7"]


@pytest.mark.one_backend
def test_a_training_whose_steps_an_earlier_version_rounded_resumes(
    tiny, whole, values, at, tmp_path, interruptible
):
    folder = tmp_path / "checkpoints"
    press = at(5, lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="after step 5 of 8"):
        tiny.train(folder, checkpoint_every=2, callbacks=press)
    model = tiny.make_model()
    # Nine steps in two epochs were eight.
    with pytest.warns(UserWarning, match="holds a training of 8 steps, .* steps=9, epochs=2"):
        history = tiny.train(folder, model, steps=9, checkpoint_every=2)
    assert_same(folder, history.history, model, whole, values)
    with pytest.raises(ValueError, match="`steps` is 8 there, but 10 now"):
        tiny.train(folder, tiny.make_model(), steps=10)


@pytest.mark.one_backend
def test_a_finished_training_is_not_trained_again(tiny, whole, values):
    model = tiny.make_model()
    history = tiny.train(whole[0], model, callbacks=[_Never()])
    assert_same(whole[0], history.history, model, whole, values)
    assert int(model.optimizer.iterations) == tiny.STEPS


class _Never:
    def __getattr__(self, name):
        raise AssertionError(name)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_size": 4}, "`batch_size` is 2 there, but 4 now"),
        ({"learning_rate": 0.5}, "`learning_rate` is 0.003 there, but 0.5 now"),
        ({"dim": 16}, "`network.dim` is 8 there, but 16 now"),
        ({"seed": 1}, "`plan.seed` is 0 there, but 1 now"),
    ],
)
def test_another_configuration_is_refused_by_its_first_difference(tiny, whole, changes, named):
    names = sorted(path.name for path in whole[0].iterdir())
    model = tiny.make_model(changes.pop("dim", 8))
    with pytest.raises(ValueError, match=f"holds a training of another configuration: {named}"):
        tiny.train(whole[0], model, **changes)
    assert sorted(path.name for path in whole[0].iterdir()) == names


@pytest.mark.backend_agnostic
def test_another_folder_is_refused(tiny, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match="`checkpoints` must be new, empty or hold a training"):
        tiny.train(tmp_path)
    with pytest.raises(ValueError, match="`checkpoints` must lie in an existing folder"):
        tiny.train(tmp_path / "no" / "where")
    with pytest.raises(ValueError, match="`checkpoint_every`"):
        tiny.train(tmp_path / "new", checkpoint_every=0)
    assert os.listdir(tmp_path) == ["mine.txt"]
