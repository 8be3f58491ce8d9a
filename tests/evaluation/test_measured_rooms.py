"""Training and evaluation in measured rooms, whose T60 and size may not be known."""

import json
import pathlib

import numpy as np
import pytest

from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.evaluation import Evaluation, evaluate_localizer
from keras_avssan.evaluation.breakdown import breakdowns
from keras_avssan.simulation import RIRBank
from keras_avssan.training import fit_scenes

pytestmark = pytest.mark.backend_agnostic

KEMAR = pathlib.Path(__file__).parents[1] / "simulation/files/kemar_horizontal.sofa"


@pytest.fixture(scope="module")
def bank():
    bank = RIRBank.from_sofa(KEMAR, sources_per_room=6)
    bank.t60[:6] = np.nan
    return bank


def test_a_bank_of_a_head_trains_and_scores(bank, tmp_path, make_small_model):
    catalog = SyntheticClasses(["bell", "dog"], instances_per_class=8)
    model = make_small_model(microphone_spacing=bank.microphone_spacing)
    mixture = RIRBank.mix([bank, RIRBank.from_sofa(KEMAR, sources_per_room=6)], shares=(0.9, 0.1))
    plan = ScenePlan(catalog, mixture, duration=0.2, rooms=(0, 20))
    fit_scenes(model, plan, steps=2, batch_size=2, verbose=0)
    assert model.training_record.trainings[0]["microphone_spacing"] == bank.microphone_spacing
    test = ScenePlan(catalog, bank, split="test", duration=0.2)
    evaluation = evaluate_localizer(model, test, 6, progress=False)
    assert np.isnan(evaluation.t60).any() and not np.isnan(evaluation.scores.estimate).any()
    evaluation.save(tmp_path / "scores.json")
    json.loads((tmp_path / "scores.json").read_text(), parse_constant=pytest.fail)
    again = Evaluation.load(tmp_path / "scores.json")
    np.testing.assert_array_equal(again.t60, evaluation.t60)
    rooms = sum(group["scenes"] for group in breakdowns(evaluation)["by_t60"])
    assert rooms == np.count_nonzero(~np.isnan(evaluation.t60))
