"""What a model was trained on: kept with its weights, whatever they are saved in."""

import dataclasses
import json

import grain
import keras
import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan import AVSSAN
from keras_avssan.benchmark.held_out import HeldOut
from keras_avssan.data import ClassFolders, ScenePlan, SyntheticClasses, make_dataset
from keras_avssan.evaluation import evaluate_localizer, evaluate_presence
from keras_avssan.models import TrainingRecord
from keras_avssan.models.fitting.training_record import item_digest, room_digests
from keras_avssan.training import fit_scenes, load_checkpoint, save_atomically

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture(scope="module")
def plan(bank):
    catalog = SyntheticClasses(["bell", "dog", "rain"], instances_per_class=12, duration=0.5)
    return ScenePlan(catalog, bank, split="train", duration=0.2, seed=7, rooms=(0, 2))


@pytest.fixture(scope="module")
def unseen(plan):
    """Scenes of which nothing is in the training."""
    return dataclasses.replace(plan, split="test", rooms=(2, len(plan.bank)))


def fit(model, plan, steps=2, **options):
    options = {"batch_size": 2, "epochs": 1, "loader": "grain", "verbose": 0, **options}
    fit_scenes(model, plan, steps=steps, **options)
    return model


@pytest.fixture(scope="module")
def trained(plan, make_tiny):
    return fit(make_tiny(), plan, command="keras-avssan train --data built-in")


def digests(catalog, items):
    return {item_digest(catalog, item) for item in items}


def test_the_record_says_what_the_training_was(trained, plan):
    record = trained.training_record
    note = record.trainings[0]
    expected = {
        "command": "keras-avssan train --data built-in",
        "split": "train",
        "classes": ["bell", "dog", "rain"],
        "seed": 7,
        "steps": 2,
        "batch_size": 2,
        "sampling_rate": 16000,
        "validation": None,
    }
    assert {name: note[name] for name in expected} == expected
    assert note["bank"]["room_range"] == [0, 2] and note["bank"]["rooms"] == len(plan.bank)
    assert note["date"].endswith("+00:00")
    assert note["versions"]["keras"] == keras.__version__
    of_split = [clip for clip in plan.catalog.clips if clip.split == "train"]
    assert record.clips == digests(plan.catalog, of_split)
    assert record.pictures == digests(plan.catalog, plan.pictures)
    assert record.rooms == set(room_digests(plan.bank, [0, 1]))
    assert repr(record) == "<TrainingRecord: 1 training, 24 clips, 24 pictures, 2 rooms>"


def test_every_way_of_saving_keeps_it(trained, tmp_path):
    record = trained.training_record
    save_atomically(trained, str(tmp_path / "preset"))
    trained.save(tmp_path / "model.keras")
    assert AVSSAN.from_preset(str(tmp_path / "preset")).training_record == record
    assert keras.saving.load_model(tmp_path / "model.keras").training_record == record
    fresh = AVSSAN.from_preset(str(tmp_path / "preset"), load_weights=False)
    assert fresh.training_record is None
    file = tmp_path / "preset" / "training_record.json"
    assert json.loads(file.read_text())["trainings"][0]["split"] == "train"
    assert str(tmp_path) not in file.read_text()
    for damage in ({"trainings": [3]}, {"trainings": 3}, {"rooms": 3}, {"format": "1"}):
        file.write_text(json.dumps({**record.to_dict(), **damage}))
        with pytest.raises(ValueError, match=r"training_record\.json' is damaged"):
            AVSSAN.from_preset(str(tmp_path / "preset"))
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"training_record\.json' is damaged"):
        AVSSAN.from_preset(str(tmp_path / "preset"))
    file.unlink()  # a preset of before
    assert AVSSAN.from_preset(str(tmp_path / "preset")).training_record is None


def test_a_thousand_digests_are_kept_in_eight_letters_each():
    clips = frozenset(number.to_bytes(6, "big") for number in range(1000))
    record = TrainingRecord(({"split": "train"},), clips)
    content = json.loads(json.dumps(record.to_dict()))
    assert len(content["clips"]) == 8000
    assert TrainingRecord.from_dict(content) == record
    with pytest.raises(ValueError, match="must be a training record"):
        TrainingRecord.from_dict({**content, "format": 2})


def test_trainings_add_up_and_a_resumed_one_counts_once(plan, make_tiny, tmp_path):
    model = fit(make_tiny(), plan)
    other = dataclasses.replace(plan, split="val", rooms=(2, 3))
    folder = str(tmp_path / "checkpoints")

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, other, 3, checkpoints=folder, checkpoint_every=1, callbacks=[Stop()])
    assert [note["steps"] for note in model.training_record.trainings] == [2, 2]
    fit(model, other, 3, checkpoints=folder, checkpoint_every=1)  # in the same process
    assert [note["steps"] for note in model.training_record.trainings] == [2, 3]
    assert [note["split"] for note in model.training_record.trainings] == ["train", "val"]
    assert len(model.training_record.rooms) == 3
    again = fit(make_tiny(), other, 3, checkpoints=folder)  # is through
    assert [note["steps"] for note in again.training_record.trainings] == [3]
    loaded = make_tiny()
    load_checkpoint(loaded, folder, 2)
    assert [note["steps"] for note in loaded.training_record.trainings] == [2, 2]
    assert loaded.training_record.clips == model.training_record.clips


def test_plain_fit_records_what_is_known(plan, unseen, make_tiny):
    model = make_tiny()
    arguments = {"loader": "grain", "image_size": (16, 16)}
    model.fit(make_dataset(plan, 2, 2, **arguments), verbose=0)
    assert model.training_record.trainings[0]["steps"] == 1
    assert model.training_record.rooms == set(room_digests(plan.bank, [0, 1]))
    assert model.training_record.complete
    unknown = grain.MapDataset.source([make_dataset(plan, 2, 2, **arguments)[0]])
    model.fit(unknown, verbose=0)
    assert model.training_record.trainings[1]["data"] == "not known"
    assert not model.training_record.complete
    table = evaluate_localizer(model, unseen, 2, progress=False).table()
    assert "What this model was trained on is not known" in table
    before = model.training_record
    with pytest.raises((ValueError, TypeError, AttributeError)):
        model.fit("nothing", verbose=0)
    assert model.training_record == before  # no step was done


def test_what_was_done_to_a_dataset_hides_no_scenes(plan, unseen, make_tiny):
    arguments = {"loader": "grain", "image_size": (16, 16)}
    dataset = make_dataset(plan, 2, 2, **arguments)
    model = make_tiny()
    model.fit(dataset.map(lambda batch: batch).to_iter_dataset(), verbose=0)
    record = model.training_record
    assert record.complete and record.trainings[0]["split"] == "train"
    assert record.rooms == set(room_digests(plan.bank, [0, 1])) and record.clips

    model = make_tiny()
    other = make_dataset(unseen, 2, 2, **arguments)
    model.fit(grain.MapDataset.concatenate([dataset, other]), verbose=0)
    record = model.training_record
    assert [one["split"] for one in record.trainings[0]["further_scenes"]] == ["test"]
    assert record.complete and record.trainings[0]["steps"] == 2
    assert record.rooms == set(room_digests(plan.bank, range(len(plan.bank))))

    model = make_tiny()
    unknown = grain.MapDataset.source([dataset[0]])
    model.fit(grain.MapDataset.concatenate([unknown, dataset]), verbose=0)
    record = model.training_record
    assert not record.complete and record.clips and len(record.trainings) == 1


def test_single_steps_are_data_that_are_not_known(trained, make_batch, tmp_path):
    save_atomically(trained, str(tmp_path / "model"))
    model = AVSSAN.from_preset(str(tmp_path / "model"))
    assert model.training_record.complete
    model.train_on_batch(*make_batch())
    model.train_on_batch(*make_batch())
    notes = [training.get("data") for training in model.training_record.trainings]
    assert notes == [None, "not known"]
    assert model.training_record.rooms == trained.training_record.rooms


def test_scores_on_unseen_scenes_say_so(trained, unseen):
    evaluation = evaluate_localizer(trained, unseen, 6, on_overlap="error", progress=False)
    first, second, _, head, *_ = evaluation.table().splitlines()
    assert first == "split test, 6 scenes, 1 room, SNR 0 dB, 0.2 s each, prompt picture"
    assert second == (
        "No recordings, pictures or rooms of these scenes were in the training of this model."
    )
    assert head.startswith("score ")
    overlap = evaluation.settings["training_overlap"]
    assert overlap["known"] and overlap["scenes"] == 0
    assert overlap["rooms"] == {"in_training": 0, "all": 1}


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"split": "train"}, ("recordings", "pictures")), ({"rooms": (0, 2)}, ("rooms",))],
)
def test_scores_on_scenes_of_the_training_are_marked_or_refused(trained, unseen, changes, named):
    seen = dataclasses.replace(unseen, **changes)
    evaluation = evaluate_localizer(trained, seen, 6, progress=False)
    line = evaluation.table().splitlines()[1]
    assert line.startswith("NO TEST SCORES: ") and line.endswith("in the training of this model.")
    overlap = evaluation.settings["training_overlap"]
    assert overlap["scenes"] == 1
    for name in ("recordings", "pictures", "rooms"):
        all_of_them = overlap[name]["all"] if name in named else 0
        assert overlap[name]["in_training"] == all_of_them
        assert (f"{all_of_them} of {all_of_them} {name}" in line) is (name in named)
    for evaluate in (evaluate_localizer, evaluate_presence):
        with pytest.raises(ValueError, match="NO TEST SCORES"):
            evaluate(trained, seen, 6, on_overlap="error", progress=False)
    told = evaluate_presence(trained, seen, 2, progress=False)
    assert told["training_overlap"]["scenes"] == 1


def test_recordings_that_ask_are_counted_apart(trained, unseen):
    plan = dataclasses.replace(unseen, reference_split="train")
    evaluation = evaluate_localizer(
        trained, plan, 4, prompt="recording", on_overlap="error", progress=False
    )
    asked = evaluation.settings["training_overlap"]["prompt_recordings"]
    assert asked["in_training"] == asked["all"] >= 1
    assert f"but {asked['all']} of {asked['all']} prompt recordings were" in evaluation.table()


def test_what_is_not_known_is_said_and_refused(unseen, make_tiny):
    model = make_tiny()
    evaluation = evaluate_localizer(model, unseen, 2, progress=False)
    assert evaluation.settings["training_overlap"] == {"known": False}
    assert "What this model was trained on is not known" in evaluation.table().splitlines()[1]
    with pytest.raises(ValueError, match="not known"):
        evaluate_localizer(model, unseen, 2, on_overlap="error", progress=False)
    with pytest.raises(ValueError, match="`on_overlap` must be one of .*'warn'"):
        evaluate_localizer(model, unseen, 2, on_overlap="warn", progress=False)


def test_clips_and_pictures_are_known_wherever_the_data_are(tmp_path):
    rng = np.random.default_rng(0)
    for root in ("here", "there"):
        for name in ("dog", "bell"):
            folder = tmp_path / root / name
            folder.mkdir(parents=True)
            for index in range(4):
                sound = 0.1 * np.ones(1600 + index)
                soundfile.write(folder / f"{index}.wav", sound, 16000)
                pixels = rng.integers(0, 255, (9, 9, 3), dtype="uint8")
                Image.fromarray(pixels).save(folder / f"p{index}.png", compress_level=0)
    here, there = (ClassFolders(tmp_path / root) for root in ("here", "there"))
    known = digests(here, (*here.clips, *here.pictures))
    assert digests(there, (*there.clips, *there.pictures)) == known
    other = ClassFolders(tmp_path / "there", seed=5)  # dealt to other splits
    assert digests(other, (*other.clips, *other.pictures)) == known
    soundfile.write(tmp_path / "there/dog/0.wav", np.ones(1700), 16000)
    assert len(digests(there, there.clips) - known) == 1
    held = HeldOut(here, "train")
    assert digests(held, held.clips) == digests(here, here.clips)
    built_in = [SyntheticClasses(seed=seed, instances_per_class=4) for seed in (0, 1)]
    assert not digests(built_in[0], built_in[0].clips) & digests(built_in[1], built_in[1].clips)
