"""The recipe behind the command line."""

import dataclasses
import warnings

import keras
import numpy as np
import pytest

from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.doa import AngularAccuracy, DoALoss
from keras_avssan.evaluation import evaluate_localizer
from keras_avssan.training import fit_scenes
from keras_avssan.training.schedules import warmup_cosine

BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def plan(bank):
    catalog = SyntheticClasses(["dog", "rain"], instances_per_class=6, duration=0.5)
    return ScenePlan(catalog, bank, split="train", duration=0.5)


def has_changed(before, after):
    return any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.backend_agnostic
def test_refuses_more_epochs_than_steps(plan, make_tiny):
    with pytest.raises(ValueError, match=r"`epochs` must be from 1 to `steps`.*epochs=3, steps=2"):
        fit_scenes(make_tiny(), plan, steps=2, epochs=3)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"train_plan": None}, TypeError, "`train_plan` must be a ScenePlan"),
        ({"train_plan": "plan"}, TypeError, "`train_plan` must be a ScenePlan"),
        ({"validation_plan": 3}, TypeError, "`validation_plan` must be a ScenePlan"),
        ({"batch_size": "a"}, ValueError, "`batch_size` must be an integer of at least 1"),
        ({"batch_size": True}, ValueError, "`batch_size` must be an integer of at least 1"),
        ({"validation_scenes": 0}, ValueError, "`validation_scenes` must be an integer"),
        ({"learning_rate": 0.0}, ValueError, "`learning_rate` must be a positive number"),
        ({"learning_rate": "a"}, ValueError, "`learning_rate` must be a positive number"),
        ({"learning_rate": np.nan}, ValueError, "`learning_rate` must be a positive number"),
    ],
)
def test_hostile_arguments_are_named(options, error, message, plan, make_tiny):
    with pytest.raises(error, match=rf"{message}.* Received: "):
        fit_scenes(make_tiny(), **{"train_plan": plan, "steps": 2, "epochs": 1, **options})


@pytest.mark.parametrize(
    ("steps", "epochs", "lengths"),
    [
        (2, None, [1, 1]),
        (6, None, [1, 2, 1, 2]),
        (8, None, [2, 2, 2, 2]),
        (5, 2, [2, 3]),
        (7, 3, [2, 2, 3]),
        (4, 1, [4]),
    ],
)
@pytest.mark.one_backend
def test_exactly_the_steps_are_trained(steps, epochs, lengths, plan, make_tiny):
    model, ends = make_tiny(), []
    end = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(int(model.optimizer.iterations))
    )
    options = {} if epochs is None else {"epochs": epochs}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of data that ends too early
        history = fit_scenes(
            model, plan, steps=steps, batch_size=2, callbacks=[end], loader="grain", verbose=0,
            **options,
        )  # fmt: skip
    assert np.diff([0, *ends]).tolist() == lengths
    assert history.epoch == list(range(len(lengths)))
    assert model.training_record.trainings[-1]["steps"] == steps


def test_epochs_of_unequal_length_end_on_every_backend(plan, make_tiny):
    model = make_tiny()
    fit_scenes(model, plan, steps=3, epochs=2, batch_size=2, verbose=0)
    assert int(model.optimizer.iterations) == 3


@pytest.mark.one_backend
def test_a_user_stops_the_training_with_the_last_step_of_an_epoch(plan, make_tiny):
    model = make_tiny()

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    fit_scenes(
        model, plan, steps=3, epochs=2, batch_size=2, callbacks=Stop(), loader="grain", verbose=0
    )
    assert int(model.optimizer.iterations) == 1  # the first epoch has one step, the second two


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("steps", [1, 2.5, 0])
def test_refuses_steps_that_cannot_be_trained(steps, plan, make_tiny):
    with pytest.raises(ValueError, match=f"`steps` must be an integer.*Received: steps={steps}"):
        fit_scenes(make_tiny(), plan, steps=steps)


@pytest.mark.parametrize("frozen", [pytest.param(False, marks=pytest.mark.backend_agnostic), True])
@pytest.mark.one_backend
def test_fit_scenes_trains_and_validates(frozen, plan, make_tiny):
    model = make_tiny()
    model.backbone.image_encoder.trainable = not frozen
    before = model.backbone.image_encoder.get_weights()
    history = fit_scenes(
        model,
        dataclasses.replace(plan, rooms=(0, 2)),
        steps=2,
        epochs=1,
        batch_size=2,
        validation_plan=dataclasses.replace(plan, split="val", rooms=(2, 3)),
        validation_scenes=2,
        learning_rate=0.01,
        loader="grain",
        verbose=0,
    ).history
    assert np.isfinite(history["loss"] + history["val_loss"]).all()
    assert int(model.optimizer.iterations) == 2
    assert has_changed(before, model.backbone.image_encoder.get_weights()) is not frozen


@pytest.mark.backend_agnostic
def test_validation_on_what_is_trained_on_is_told(plan, make_tiny):
    def fit(train, validation):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit_scenes(
                make_tiny(),
                train,
                steps=2,
                epochs=1,
                batch_size=2,
                validation_plan=validation,
                validation_scenes=2,
                loader="grain",
                verbose=0,
            )
        told = [one for one in caught if "`validation_plan`" in str(one.message)]
        assert all(one.filename == __file__ for one in told)
        return [str(one.message) for one in told]

    apart = dataclasses.replace(plan, split="val", rooms=(2, 3))
    assert fit(dataclasses.replace(plan, rooms=(0, 2)), apart) == []
    (rooms,) = fit(plan, dataclasses.replace(apart, rooms=None))
    assert "`validation_plan` shares data with the training: 3 of 3 rooms. Its" in rooms
    assert 'rooms=bank.part("validation")' in rooms and "another split" not in rooms
    (rooms,) = fit(plan, apart)
    assert "1 of 1 room." in rooms
    (every,) = fit(plan, plan)
    numbers = f"3 of 3 rooms, {len(plan.clips)} of {len(plan.clips)} recordings, "
    assert f"{numbers}{len(plan.pictures)} of {len(plan.pictures)} pictures. " in every
    assert "other rooms" in every and "another split" in every
    (parts,) = fit(dataclasses.replace(plan, rooms=(0, 2)), dataclasses.replace(plan, rooms=(2, 3)))
    assert "other rooms" not in parts and "Give it another split;" in parts


@pytest.mark.one_backend
def test_what_asks_may_change_from_scene_to_scene(plan, make_tiny):
    plan = dataclasses.replace(plan, prompt_kinds=("picture", "recording"))
    model = make_tiny()
    before = model.backbone.bridge.get_weights()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="`shuffle=True`")
        history = fit_scenes(
            model, plan, steps=2, epochs=1, batch_size=4, loader="grain", verbose=0
        ).history
    assert np.isfinite(history["loss"]).all()
    assert has_changed(before, model.backbone.bridge.get_weights())
    kinds = ("picture", "recording", "constant")
    for kind in kinds:
        evaluation = evaluate_localizer(model, plan, 4, prompt=kind, progress=False)
        assert evaluation.settings["prompt"] == kind
    with pytest.raises(ValueError, match="text side"):
        evaluate_localizer(model, plan, 4, prompt="text", progress=False)


@pytest.mark.one_backend
def test_losses_and_scores_that_were_compiled_are_kept(plan, make_tiny):
    model = make_tiny()
    losses = {"doa": DoALoss(), "masked_spectrogram": "mse"}
    weights = {"doa": 2.0, "masked_spectrogram": 7.0}
    model.compile("sgd", losses, loss_weights=weights, metrics=[AngularAccuracy(10)])
    fit_scenes(model, plan, steps=2, epochs=1, batch_size=2, verbose=0)
    assert model.get_compile_config()["loss_weights"] == weights
    assert "acc_10deg" in model.history.history
    assert type(model.optimizer).__name__ == "AdamW"


def test_schedule_rises_and_falls():
    schedule = warmup_cosine(0.01, steps=100, warmup_share=0.1)
    rates = [float(schedule(step)) for step in (0, 5, 10, 55, 100)]
    np.testing.assert_allclose(rates, [1e-5, 0.005, 0.01, 0.005, 0.0], atol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow traces to create variables")
def test_the_step_is_traced_once(make_tiny, make_batch, monkeypatch):
    model = make_tiny()
    model.compile(jit_compile=False)
    traces = []
    step = model.train_step
    monkeypatch.setattr(model, "train_step", lambda data: traces.append(data) or step(data))
    model.train_on_batch(*make_batch())
    assert len(traces) == 1
