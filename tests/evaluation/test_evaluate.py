"""Scoring any system: prompted, unprompted, classical, with embeddings from elsewhere."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.classical import SRPPHAT
from keras_avssan.classical.peaks import nearest_of_two_peaks
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.doa import encode_azimuth
from keras_avssan.evaluation import evaluate_localizer
from keras_avssan.models.baselines import GCCMLP
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture(scope="module")
def plan():
    catalog = SyntheticClasses(["bell", "dog", "rain"], instances_per_class=8)
    ranges = RoomRanges(t60=(0.2, 0.6))
    bank = RIRBank.build(4, ranges=ranges, max_duration=0.05, progress=False)
    return ScenePlan(catalog, bank, split="test", duration=0.2, seed=3)


class Recorder:
    """Answers the direction of the first number of the prompt, and records its prompts."""

    class backbone:
        visual_prompt = True
        image_encoder = None

    def __init__(self):
        self.inputs = []

    def predict_on_batch(self, inputs):
        self.inputs.append(inputs)
        return {"doa": ops.convert_to_numpy(encode_azimuth(inputs["prompt_embedding"][:, 0]))}


def test_embeddings_from_elsewhere_ask(plan):
    vectors = {p.id: np.full(3, 10.0 + i) for i, p in enumerate(plan.pictures)}
    evaluation = evaluate_localizer(
        Recorder(), plan, 6, prompt_embeddings=vectors, progress=False, batch_size=4
    )
    prompted = [vectors[plan[i].picture.id][0] for i in range(6)]
    np.testing.assert_array_equal(evaluation.scores.estimate, prompted)
    np.testing.assert_allclose(evaluation.t60, [plan.bank.t60[plan[i].room] for i in range(6)])
    constant = evaluate_localizer(
        Recorder(), plan, 6, prompt="constant", prompt_embeddings=vectors, progress=False
    )
    mean = np.mean([vectors[p.id][0] for p in plan.pictures])
    assert abs(constant.scores.estimate - mean).max() <= 0.5
    texts = {name: np.full(3, 100.0 + i) for i, name in enumerate(plan.classes)}
    words = evaluate_localizer(
        Recorder(),
        plan,
        6,
        prompt="text",
        prompt_embeddings=vectors,
        text_embeddings=texts,
        progress=False,
    )
    expected = [texts[plan[i].target.class_name][0] for i in range(6)]
    np.testing.assert_array_equal(words.scores.estimate, expected)


def test_scenes_and_their_truths_begin_at_start(plan):
    vectors = {p.id: np.full(3, 10.0 + i) for i, p in enumerate(plan.pictures)}
    model = Recorder()
    evaluation = evaluate_localizer(
        model, plan, 3, start=4, prompt_embeddings=vectors, progress=False, batch_size=2
    )
    scenes = [plan[index] for index in (4, 5, 6)]
    prompted = np.concatenate([inputs["prompt_embedding"][:, 0] for inputs in model.inputs])
    np.testing.assert_array_equal(prompted, [vectors[scene.picture.id][0] for scene in scenes])
    np.testing.assert_allclose(evaluation.scores.azimuth, [scene.azimuth for scene in scenes])
    np.testing.assert_allclose(
        np.ravel(evaluation.scores.interferer_azimuth),
        [scene.interferer_azimuths[0] for scene in scenes],
    )
    np.testing.assert_allclose(evaluation.t60, [plan.bank.t60[scene.room] for scene in scenes])
    assert evaluation.target_classes == tuple(scene.target.class_name for scene in scenes)


def test_without_an_encoder_pictures_need_embeddings(plan):
    with pytest.raises(ValueError, match="must have an image encoder"):
        evaluate_localizer(Recorder(), plan, 2, progress=False)


@pytest.mark.parametrize("prompt", ["picture", "recording", "text", "constant"])
def test_what_takes_no_prompt_is_scored_under_any(plan, prompt):
    model = SRPPHAT()
    evaluation = evaluate_localizer(model, plan, 5, prompt=prompt, progress=False)
    plain = evaluate_localizer(model, plan, 5, progress=False)
    np.testing.assert_array_equal(evaluation.scores.estimate, plain.scores.estimate)


def test_audio_only_networks_need_no_embeddings(plan):
    evaluation = evaluate_localizer(GCCMLP(hidden_dim=4), plan, 3, progress=False)
    assert evaluation.settings["scenes"] == 3


def test_the_rooms_of_the_scenes_are_counted(plan):
    evaluation = evaluate_localizer(SRPPHAT(), plan, 1, progress=False)
    assert len(plan.bank) > 1 and evaluation.settings["rooms"] == 1
    assert "1 scene, 1 room," in evaluation.table()


def test_the_oracle_is_never_worse(plan):
    plain = evaluate_localizer(SRPPHAT(), plan, 8, progress=False)
    oracle = evaluate_localizer(SRPPHAT(), plan, 8, decode=nearest_of_two_peaks, progress=False)
    assert np.all(oracle.scores.error <= plain.scores.error)
    assert oracle.scores.error.mean() < plain.scores.error.mean()


def test_answers_that_are_not_finite_are_refused(plan):
    class Broken(Recorder):
        def predict_on_batch(self, inputs):
            outputs = super().predict_on_batch(inputs)
            outputs["doa"] = np.where(np.arange(len(outputs["doa"]))[:, None] == 1, np.nan, 0.1)
            return outputs

    vectors = {p.id: np.full(3, 10.0) for p in plan.pictures}
    with pytest.raises(
        ValueError,
        match="`posterior` must be finite.*NaN or infinity for scene 8$",
    ):
        evaluate_localizer(
            Broken(), plan, 4, start=7, prompt_embeddings=vectors, progress=False, batch_size=2
        )
