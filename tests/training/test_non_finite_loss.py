"""A training that diverges stops, reports the step, and keeps the last good state."""

import csv
import json

import numpy as np
import pytest

from keras_avssan.training import NonFiniteLoss, load_checkpoint, replay_batch

pytestmark = pytest.mark.one_backend


def spoil(model):
    """Makes a weight NaN."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()
    weight = model.trainable_variables[-1]
    weight.assign(np.full(weight.shape, np.nan, "float32"))


def test_the_loss_stops_it_and_the_batch_can_be_seen_again(tiny, at, whole, tmp_path):
    folder = tmp_path / "checkpoints"
    with pytest.raises(NonFiniteLoss, match=r"loss is nan at step 4: scenes 6 to 7 .* seed 0") as e:
        tiny.train(folder, checkpoint_every=2, callbacks=at(3, spoil))
    assert (e.value.step, list(e.value.scenes)) == (4, [6, 7])
    assert [path.name for path in folder.glob("*.npz")] == ["step-00000002.npz"]
    note = json.loads((folder / "failed_batch.json").read_text())
    assert [scene["index"] for scene in note["scenes"]] == [6, 7]
    azimuths = [tiny.make_plan()[index].azimuth for index in (6, 7)]
    assert [scene["scene"]["sources"][0]["azimuth"] for scene in note["scenes"]] == azimuths
    model = tiny.make_model()
    assert load_checkpoint(model, folder) == 2
    inputs, labels, loss = replay_batch(model, tiny.make_plan(), 3, batch_size=2, loader="grain")
    azimuths = [tiny.make_plan()[index].azimuth for index in (4, 5)]
    np.testing.assert_allclose(labels["azimuth"], azimuths, rtol=1e-6)
    assert inputs["audio"].shape[0] == 2
    # It is the loss that the training had, dropout included.
    with open(whole[0] / "log.csv", newline="") as file:
        logged = float(list(csv.DictReader(file))[2]["loss"])
    assert loss == pytest.approx(logged, rel=1e-4)
    again = replay_batch(model, tiny.make_plan(), 3, batch_size=2, loader="grain")
    assert again[2] == loss


def test_weights_that_are_not_finite_are_never_written(tiny, at, tmp_path):
    folder = tmp_path / "checkpoints"
    with pytest.raises(NonFiniteLoss, match=r"weights are not finite at step 6"):
        tiny.train(folder, checkpoint_every=2, callbacks=at(6, spoil))
    names = sorted(path.name for path in folder.glob("*.npz"))
    assert names == ["step-00000002.npz", "step-00000004.npz"]


def test_without_checkpoints_it_stops_too(tiny, tmp_path):
    with pytest.raises(NonFiniteLoss, match="at step"):
        tiny.train(None, learning_rate=1e30)


@pytest.mark.backend_agnostic
def test_wrong_steps_are_refused(tiny, whole):
    model = tiny.make_model()
    with pytest.raises(
        ValueError, match="`step` must be an integer of at least 1. Received: step=0"
    ):
        replay_batch(model, tiny.make_plan(), 0)
    with pytest.raises(ValueError, match=r"\[6, 8\]. Received: step=3"):
        load_checkpoint(model, whole[0], step=3)
