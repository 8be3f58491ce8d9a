"""Detection of absent targets."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from keras_avssan.classical import SRPPHAT
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.doa import encode_azimuth
from keras_avssan.evaluation import Evaluation, evaluate_localizer, evaluate_presence
from keras_avssan.evaluation.absent_targets import auroc, posterior_entropy
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture(scope="module")
def plan():
    catalog = SyntheticClasses(["bell", "dog", "rain", "drum"], instances_per_class=8)
    ranges = RoomRanges(t60=(0.2, 0.3))
    bank = RIRBank.build(3, ranges=ranges, max_duration=0.03, progress=False)
    return ScenePlan(catalog, bank, split="test", duration=0.1, seed=3)


class Oracle:
    """A model whose confidence in its answer, 90 degrees, is the prompt's embedding."""

    class backbone:
        visual_prompt = True
        image_encoder = None

    def __init__(self):
        self.inputs = []

    def predict_on_batch(self, inputs):
        self.inputs.append(inputs)
        sure = encode_azimuth(np.full(len(inputs["audio"]), 90.0), normalize=True)
        share = inputs["prompt_embedding"][:, :1]
        posterior = share * ops.convert_to_numpy(sure) + (1 - share) / 180
        return {"doa": posterior, "similarity": 2 * share[:, 0] - 1}


def pairs_won(present, absent):
    """The area by comparing every pair."""
    won = np.sign(np.subtract.outer(present, absent))
    return np.mean((won + 1) / 2)


def test_the_area_is_the_share_of_pairs_won():
    rng = np.random.default_rng(0)
    for _ in range(5):
        present, absent = rng.integers(0, 12, (2, 40)) + np.array([[3], [0]])  # with ties
        result = auroc(present, absent)
        assert result["mean"] == pytest.approx(pairs_won(present, absent))
        low, high = result["interval"]
        assert low < result["mean"] < high
    assert auroc([1.0, 2.0], [0.0, 0.5])["mean"] == 1.0
    assert auroc([1.0, 1.0], [1.0, 1.0]) == {"mean": 0.5, "interval": [0.5, 0.5]}


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    # Two normal scores of a difference in means of one standard deviation.
    from scipy.stats import norm

    area = norm.cdf(1 / np.sqrt(2))
    covered = 0
    for trial in range(120):
        low, high = auroc(rng.normal(1, 1, 50), rng.normal(0, 1, 50), resamples=200, seed=trial)[
            "interval"
        ]
        covered += low <= area <= high
    assert 0.88 <= covered / 120 <= 0.99


@pytest.mark.parametrize(
    ("present", "absent", "name"),
    [([], [], "present"), ([1.0], [np.nan], "absent"), ([1.0, 2.0], [1.0], "same length")],
)
def test_wrong_scores_are_refused(present, absent, name):
    with pytest.raises(ValueError, match=name):
        auroc(present, absent)


def test_entropy_of_known_posteriors():
    posteriors = np.zeros((3, 180))
    posteriors[0, 5] = 1.0
    posteriors[1, [3, 9]] = 0.5
    posteriors[2] = 1 / 180
    np.testing.assert_allclose(posterior_entropy(posteriors), [0, np.log(2), np.log(180)])


def test_the_same_mixtures_are_prompted_with_present_and_absent_classes(plan):
    model = Oracle()
    embeddings = {p.id: np.array([0.1 + 0.8 * (p.class_name == "bell")]) for p in plan.pictures}
    result = evaluate_presence(
        model,
        plan,
        12,
        prompt_embeddings=embeddings,
        microphone_spacing=0.1,
        batch_size=12,
        progress=False,
    )
    present, absent = model.inputs
    np.testing.assert_array_equal(present["audio"], absent["audio"])
    np.testing.assert_allclose(present["microphone_spacing"], np.full(12, 0.1), rtol=1e-6)
    prompted = [part["prompt_embedding"][:, 0] for part in model.inputs]
    missing = dataclasses.replace(plan, absent=True)
    expected = [embeddings[missing[index].picture.id][0] for index in range(12)]
    np.testing.assert_allclose(prompted[1], expected, rtol=1e-6)
    for name in ("confidence", "entropy", "similarity"):
        assert result[name]["mean"] == pytest.approx(pairs_won(*prompted), abs=1e-6)
    higher = prompted[0].mean() > prompted[1].mean()
    assert (result["confidence"]["present"] > result["confidence"]["absent"]) == higher
    assert (result["entropy"]["present"] < result["entropy"]["absent"]) == higher


def test_the_presence_of_a_network_is_measured_too(plan):
    class Present(Oracle):
        def predict_on_batch(self, inputs):
            share = inputs["prompt_embedding"][:, 0]
            return {**super().predict_on_batch(inputs), "presence": share**2}

    embeddings = {p.id: np.array([0.1 + 0.8 * (p.class_name == "bell")]) for p in plan.pictures}
    model = Present()
    options = {"prompt_embeddings": embeddings, "batch_size": 12, "progress": False}
    result = evaluate_presence(model, plan, 12, **options)
    present, absent = (part["prompt_embedding"][:, 0] ** 2 for part in model.inputs)
    assert result["presence"]["mean"] == pytest.approx(pairs_won(present, absent), abs=1e-6)
    assert result["presence"]["present"] == pytest.approx(present.mean(), rel=1e-5)
    assert result["presence"]["absent"] == pytest.approx(absent.mean(), rel=1e-5)
    assert "presence" not in evaluate_presence(Oracle(), plan, 2, **options)


def test_models_without_prompt_are_refused(plan):
    with pytest.raises(ValueError, match="`model` must take a prompt"):
        evaluate_presence(SRPPHAT(), plan, 2)
    with pytest.raises(ValueError, match="`prompt`"):
        evaluate_presence(Oracle(), plan, 2, prompt="constant")
    with pytest.raises(ValueError, match="evaluate_presence"):
        evaluate_localizer(SRPPHAT(), dataclasses.replace(plan, absent=True), 2)


def test_several_interferers_are_scored_and_saved(plan, tmp_path):
    harder = dataclasses.replace(plan, num_interferers=2, sensor_noise=20.0)
    evaluation = evaluate_localizer(SRPPHAT(), harder, 6, progress=False)
    scenes = [harder[index] for index in range(6)]
    wanted = np.array([scene.interferer_azimuths for scene in scenes])
    np.testing.assert_allclose(evaluation.scores.interferer_azimuth, wanted, rtol=1e-6)
    assert evaluation.settings["num_interferers"] == 2
    assert evaluation.settings["sensor_noise"] == 20.0 and "speed" not in evaluation.settings
    names = [source.clip.class_name for source in scenes[0].sources[1:]]
    assert evaluation.interferer_classes[0] == " + ".join(names)
    evaluation.save(tmp_path / "scores.json")
    assert Evaluation.load(tmp_path / "scores.json").summary() == evaluation.summary()


def test_the_spacing_of_the_scenes_reaches_the_model(plan):
    model = Oracle()
    embeddings = {p.id: np.zeros(1) for p in plan.pictures}
    settings = {"prompt_embeddings": embeddings, "progress": False}
    evaluate_localizer(model, plan, 2, microphone_spacing=0.04, **settings)
    np.testing.assert_allclose(model.inputs[-1]["microphone_spacing"], [0.04, 0.04], rtol=1e-6)
    evaluate_localizer(model, plan, 2, **settings)
    assert "microphone_spacing" not in model.inputs[-1]
