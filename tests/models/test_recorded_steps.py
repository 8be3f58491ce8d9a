"""Steps under PyTorch that are repeated as graphs: the same numbers as those of Keras."""

import functools

import keras
import numpy as np
import pytest

from keras_avssan.doa.losses import JointLoss
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.layers.doa_head import DoAHead

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="only steps of PyTorch are recorded"
)
STEPS = 7
# Steps in which the layers' Python runs: Keras builds, runs, and runs once more to be recorded.
FIRST = 4


@keras.saving.register_keras_serializable(package="tests")
class OwnEncoder(LogMelEncoder):
    """An encoder from outside of the library."""


@pytest.fixture
def runs(monkeypatch):
    """List that grows by each run of the layers' Python, but for symbolic ones."""
    found = []
    call = DoAHead.call

    @functools.wraps(call)
    def counted(self, *args, **kwargs):
        result = call(self, *args, **kwargs)
        if not result.is_meta:
            found.append(self)
        return result

    monkeypatch.setattr(DoAHead, "call", counted)
    return found


@pytest.fixture
def pair(make_tiny):
    """`pair(compile, **arguments)` makes two equal models, of which the second records steps."""

    def make(compile=dict, **arguments):
        models = []
        for eagerly in (True, False):
            keras.utils.set_random_seed(3)
            model = make_tiny(compiled=False, **arguments)
            model.compile(run_eagerly=eagerly, **compile())
            models.append(model)
        for first, second in zip(models[0].variables, models[1].variables, strict=True):
            second.assign(first)
        return models

    return make


def count(runs, model):
    return len([one for one in runs if one is model.backbone.doa_head])


def train(model, make_batch, steps=STEPS, **options):
    return [
        model.train_on_batch(*make_batch(seed=step, **options), return_dict=True)
        for step in range(steps)
    ]


def state(model):
    return [np.asarray(one) for one in (*model.variables, *model.optimizer.variables)]


def assert_same(models, make_batch, **options):
    logs = [train(model, make_batch, **options) for model in models]
    np.testing.assert_equal(logs[1], logs[0])
    np.testing.assert_equal(state(models[1]), state(models[0]))


def warm_up():
    decay = keras.optimizers.schedules.CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=3)
    return keras.optimizers.Adam(decay)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: "auto",
        lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=0.1),
        lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5),
        warm_up,
    ],
    ids=["auto", "decay and clipping", "average", "schedule"],
)
def test_training_is_the_same(pair, make_batch, runs, optimizer):
    models = pair(lambda: {"optimizer": optimizer()})
    assert_same(models, make_batch)
    assert count(runs, models[1]) <= FIRST
    assert models[1]._graphs_of_steps["train"]._update.problems == {}


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
        lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=2),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
    ],
    ids=["accumulation", "overwriting average", "loss scale"],
)
def test_updates_that_depend_on_numbers_are_those_of_keras(pair, make_batch, optimizer):
    models = pair(lambda: {"optimizer": optimizer()})
    assert_same(models, make_batch)
    assert "reads numbers" in models[1]._graphs_of_steps["train"]._update.problems["update"]


@pytest.mark.one_backend
def test_mixed_precision_is_the_same(pair, make_batch, runs):
    models = pair(dtype="mixed_bfloat16")
    assert_same(models, make_batch)
    assert count(runs, models[1]) <= FIRST


def test_fit_and_evaluate_are_the_same(pair, make_batch, runs):
    models = pair()
    histories = []
    for model in models:
        inputs, labels = make_batch(12)
        options = {"batch_size": 2, "verbose": 0, "shuffle": False}
        history = model.fit(inputs, labels, epochs=2, validation_split=1 / 3, **options)
        scores = model.evaluate(inputs, labels, verbose=0, batch_size=2)
        histories.append((history.history, scores))
    np.testing.assert_equal(histories[1], histories[0])
    assert count(runs, models[0]) == 2 * 6 + 6
    assert count(runs, models[1]) <= 2 * FIRST


def test_predictions_are_the_same(pair, make_inputs, runs):
    models = pair()
    for samples in (8000, 9000):
        runs.clear()
        for seed in range(4):
            inputs = make_inputs(samples=samples, seed=seed)
            expected, found = (model.predict_on_batch(inputs) for model in models)
            np.testing.assert_equal(found, expected)
        assert len(runs) == 4 + 2


def test_loaded_weights_are_used(pair, make_inputs):
    models = pair()
    for _ in range(3):
        before = models[1].predict_on_batch(make_inputs())
    for model in models:
        model.set_weights([0.9 * weight for weight in model.get_weights()])
    expected, found = (model.predict_on_batch(make_inputs()) for model in models)
    np.testing.assert_equal(found, expected)
    assert not np.array_equal(found["doa"], before["doa"])


def freeze(model):
    model.backbone.audio_encoder.trainable = False


def weigh(model):
    model.loss.reconstruction_weight = 0.0


def clip(model):
    model.optimizer.clipnorm = 1e-3


def replace_call(model):
    refiner = model.backbone.refiner
    call = refiner.call
    refiner.call = lambda tensors, *args, **kwargs: call([2 * one for one in tensors], *args)


@pytest.mark.parametrize("change", [freeze, weigh, clip, replace_call])
def test_changed_settings_apply_at_once(pair, make_batch, change):
    models = pair(lambda: {"loss": JointLoss()})
    assert_same(models, make_batch)
    for model in models:
        change(model)
    assert_same(models, make_batch)


def test_dropout_draws_anew(pair, make_batch, runs):
    models = pair(dropout=0.5)
    logs = []
    for model in models:
        keras.utils.set_random_seed(5)
        logs.append([model.train_on_batch(*make_batch(), return_dict=True) for _ in range(STEPS)])
    np.testing.assert_equal(logs[1], logs[0])
    np.testing.assert_equal(state(models[1]), state(models[0]))
    assert count(runs, models[1]) <= FIRST


def test_numbers_drawn_by_seed_generators_are_those_of_keras(pair, make_batch, runs):
    models = pair(band_dropout=0.5)
    assert_same(models, make_batch)
    assert count(runs, models[1]) == STEPS
    assert "reads numbers" in models[1]._graphs_of_steps["train"]._steps.problems["train"]


def test_parts_from_outside_run_as_they_are(make_tiny, make_batch, runs):
    model = make_tiny(compiled=False, audio_encoder=OwnEncoder(8, (4,)))
    model.compile()
    train(model, make_batch)
    assert len(runs) == STEPS
    assert "OwnEncoder" in model._graphs_of_steps["train"]._steps.problems["all"]


def test_a_metric_from_outside_runs_as_it_is(make_tiny, make_batch):
    seen = []

    def score(truth, prediction):
        if not prediction.is_meta:
            seen.append(float(prediction.detach().sum()))
        return keras.ops.zeros_like(truth[:, 0])

    model = make_tiny(compiled=False)
    model.compile(metrics=[score])
    train(model, make_batch)
    assert len(seen) == STEPS


def test_hooks_run_in_each_step(pair, make_inputs):
    _, model = pair()
    for _ in range(3):
        model.predict_on_batch(make_inputs())
    calls = []
    model.backbone.doa_head.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(3):
        model.predict_on_batch(make_inputs())
    assert len(calls) == 3


def test_weights_are_prepared_anew_when_they_change(pair, make_inputs):
    torch = pytest.importorskip("torch")
    models = pair()
    inputs = make_inputs()
    changes = (
        None,
        lambda value: value.add_(0.01),
        lambda value: value.data.mul_(1.1),
        # What no version shows, and no sum over all numbers.
        lambda value: value.data.view(-1)[value.numel() // 2].add_(0.5),
        lambda value: value.data.view(-1).copy_(value.data.view(-1).roll(value.numel() // 2)),
    )
    for change in changes:
        for model in models:
            for variable in model.trainable_variables if change else ():
                with torch.no_grad():
                    change(variable.value)
        for _ in range(3):
            expected, found = (model.predict_on_batch(inputs) for model in models)
            np.testing.assert_equal(found, expected)


@pytest.mark.one_backend
@pytest.mark.extensive
def test_compiled_steps_are_the_same_at_each_duration(pair, make_batch, monkeypatch):
    torch = pytest.importorskip("torch")
    models, compile, shapes = pair(), torch.compile, []
    models[1].compile(jit_compile=True)

    def without_inductor(module, **options):  # which takes minutes for a graph
        shapes.append(module)
        return compile(module, backend="aot_eager", **options)

    monkeypatch.setattr(torch, "compile", without_inductor)
    for samples in (8000, 9600):
        logs = [train(model, make_batch, samples=samples) for model in models]
        for found, expected in zip(*reversed(logs), strict=True):
            assert found == pytest.approx(expected, rel=1e-4, nan_ok=True)
    assert len(shapes) == 2
    for found, expected in zip(*map(state, reversed(models)), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_steps_that_cannot_be_compiled_warn(make_tiny, make_batch):
    model = make_tiny(compiled=False, audio_encoder=OwnEncoder(8, (4,)))
    model.compile(jit_compile=True)
    with pytest.warns(UserWarning, match="no effect .*OwnEncoder is not a part of Keras"):
        model.predict_on_batch(make_batch()[0])


def test_candidates_are_the_same(make_candidates):
    model = make_candidates(prompt_dim=6)
    rng = np.random.default_rng(0)
    inputs = {
        "audio": rng.normal(size=(1, 16000, 2)).astype("float32"),
        "prompt_embedding": rng.normal(size=(1, 6)).astype("float32"),
    }
    expected = model.predict_on_batch(inputs)
    for _ in range(3):
        np.testing.assert_equal(model.predict_on_batch(inputs), expected)
    assert model._graphs_of_steps["predict"]._steps.problems == {}


class Scaled:
    """A score of the user's with a number that may change."""

    def __init__(self):
        self.scale = 1.0

    def __call__(self, truth, scores):
        return keras.ops.zeros_like(truth[:, 0]) + self.scale


@pytest.mark.one_backend
def test_what_the_user_changes_between_steps_counts(pair, make_batch):
    models = pair(lambda: {"optimizer": keras.optimizers.Adam(0.01)})

    def weight(model, value):
        model.loss.reconstruction_weight = value

    def momentum(model, value):
        model.optimizer.beta_1 = value

    def freeze(model, number):
        variables = model.trainable_variables
        variables[int(number)].trainable = False

    def replace(model, rate):
        model.optimizer = keras.optimizers.SGD(rate)

    changes = [(weight, np.float64(0.2)), (weight, np.float64(3.0)), (momentum, np.float32(0.5))]
    changes += [(momentum, np.float32(0.2)), (freeze, 0), (freeze, 3), (replace, 0.1)]
    for change, value in [(lambda model, value: None, 0), *changes]:
        logs = []
        for model in models:
            change(model, value)
            logs.append(train(model, make_batch, steps=4))
        np.testing.assert_equal(logs[1], logs[0])


@pytest.mark.one_backend
@pytest.mark.parametrize("form", ["object", "partial"])
def test_scores_from_outside_are_never_recorded(pair, make_batch, form):
    scaled = Scaled()
    score = scaled if form == "object" else functools.partial(Scaled.__call__, scaled)
    _, model = pair(lambda: {"metrics": [score]})
    train(model, make_batch, steps=4)
    scaled.scale = 7.0
    model.reset_metrics()
    (logs,) = train(model, make_batch, steps=1)
    assert 7.0 in logs.values()


@pytest.mark.one_backend
def test_one_tensor_in_two_places_is_two_inputs(pair, make_batch):
    torch = pytest.importorskip("torch")
    logs = []
    for model in pair():
        inputs, labels = make_batch()
        audio, other = (torch.tensor(one["audio"]) for one in (inputs, make_batch(seed=1)[0]))
        for target in (audio, audio, audio, audio, other):
            log = model.train_on_batch(
                {**inputs, "audio": audio}, {**labels, "target": target}, return_dict=True
            )
        logs.append(log)
    assert logs[0] == logs[1]


def test_inference_mode(pair, make_inputs):
    torch = pytest.importorskip("torch")
    models, inputs = pair(), make_inputs()
    with torch.inference_mode():
        for _ in range(4):
            expected, found = (model.predict_on_batch(inputs) for model in models)
            np.testing.assert_equal(found, expected)


def test_random_numbers_are_drawn_in_each_run():
    torch = pytest.importorskip("torch")
    from keras_avssan._internal.torch_graphs.recorded_steps import RecordedSteps

    steps, one = RecordedSteps([]), np.ones(3, "float32")
    found = [
        steps("noise", lambda value: value + torch.rand(3), one, lambda: []).numpy()
        for _ in range(5)
    ]
    assert len({tuple(value) for value in found}) == 5
