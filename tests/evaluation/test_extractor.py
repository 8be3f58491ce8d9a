"""Scores of an extractor against masks whose effect is known."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.evaluation import evaluate_extractor
from keras_avssan.layers import SourceCandidates, SpatialExtractor, StereoSTFT
from keras_avssan.simulation import RIRBank

SCENES = 12
SMALL = StereoSTFT(64, 512)


@pytest.fixture(scope="module")
def plan():
    catalog = SyntheticClasses(["dog", "rain"], instances_per_class=6, duration=0.5)
    bank = RIRBank.build(2, sources_per_room=3, max_duration=0.1)
    return ScenePlan(catalog, bank, split="test", duration=0.4, snr=(-10.0, 10.0))


def evaluate(layer, plan, **options):
    options = {"stft": SMALL, "progress": False, "batch_size": 5, **options}
    return evaluate_extractor(layer, plan, SCENES, **options)


@pytest.fixture
def masks(monkeypatch):
    """`masks(value)`: every extractor gives masks of this value."""

    def install(value):
        def call(layer, spectrogram, azimuths, microphone_spacing=None, rivals=None):
            bins = ops.ones_like(spectrogram[:, None, :, :, 0])
            return value * bins * ops.ones_like(azimuths)[..., None, None]

        monkeypatch.setattr(SpatialExtractor, "call", call)

    return install


@pytest.mark.one_backend
def test_equal_masks_change_nothing(plan, masks):
    masks(0.5)
    found = evaluate(SpatialExtractor(2), plan)
    scores = found["scores"]
    assert found["scenes"] == SCENES and found["training_overlap"] is None
    assert set(scores) == {"gain_db", "mixture_above", "extracted_above"}
    assert abs(scores["gain_db"]["mean"]) < 1e-4
    assert scores["mixture_above"] == scores["extracted_above"]
    groups = found["by_snr"]
    assert groups[0]["from"] is None and groups[-1]["to"] is None
    assert sum(group["scenes"] for group in groups) == SCENES
    for snr, share in ((6.0, 1.0), (-6.0, 0.0)):
        fixed = evaluate(SpatialExtractor(2), dataclasses.replace(plan, snr=snr))
        assert fixed["scores"]["mixture_above"]["mean"] == share
        (group,) = fixed["by_snr"]
        assert group["scenes"] == SCENES and group["mixture_above"]["mean"] == share


@pytest.mark.one_backend
def test_the_other_source_is_a_rival_as_in_a_network(plan):
    """The gain against one that NumPy computes of the masks with and without the rival."""
    layer = SpatialExtractor(3)
    layer.build((None, None, 33, 4))
    scenes = [plan[index] for index in range(SCENES)]
    rendered = render_scenes(plan, scenes, interferer_alone=False)
    level = 1 / np.sqrt(np.mean(rendered["audio"] ** 2, axis=(1, 2), keepdims=True))
    mixture, target = (SMALL(level * rendered[name]) for name in ("audio", "target"))
    powers = [
        np.sum(np.square(ops.convert_to_numpy(x), dtype="float64"), axis=-1)
        for x in (target, mixture - target)
    ]
    azimuths, others = (
        np.array([[scene.sources[i].azimuth] for scene in scenes], "float32") for i in (0, 1)
    )
    gains = {}
    for rivals in (True, False):
        mask = layer(mixture, azimuths, rivals=others[:, None] if rivals else None)
        mask = ops.convert_to_numpy(mask)[:, 0]
        after, before = (
            np.divide(*(np.sum(weight * x, axis=(1, 2)) for x in powers)) for weight in (mask**2, 1)
        )
        gains[rivals] = np.mean(10 * np.log10(after / before))
        found = evaluate(layer, plan, rivals=rivals)["scores"]["gain_db"]["mean"]
        assert found == pytest.approx(gains[rivals], abs=2e-3)
    assert evaluate(layer, plan)["scores"]["gain_db"]["mean"] == pytest.approx(
        gains[True], abs=2e-3
    )
    assert abs(gains[True] - gains[False]) > 0.01


@pytest.mark.one_backend
def test_recall_counts_the_nearest_candidate(plan, monkeypatch):
    true = iter([plan[index].azimuth for index in range(SCENES)])
    apart = [4.0, 8.0, 15.0]

    def call(layer, spectrogram, microphone_spacing=None):
        azimuths = [[next(true) + apart[0], 500.0] for _ in spectrogram]
        apart.append(apart.pop(0))
        return ops.convert_to_tensor(np.array(azimuths, "float32")), None, None, None

    layer = SourceCandidates(2, 2)
    layer.build((None, None, 33, 4))
    monkeypatch.setattr(SourceCandidates, "call", call)
    scores = evaluate(layer, plan, batch_size=4)["scores"]
    assert scores["recall_5deg"]["mean"] == pytest.approx(1 / 3)
    assert scores["recall_10deg"]["mean"] == pytest.approx(2 / 3)
    low, high = scores["recall_5deg"]["interval"]
    assert 0 < low < 1 / 3 < high < 1


@pytest.mark.one_backend
def test_batches_and_starts_decide_nothing(plan):
    layer = SourceCandidates(2, 2)
    one, other = (evaluate(layer, plan, batch_size=size)["scores"] for size in (5, 12))
    for name, score in one.items():
        assert score["mean"] == pytest.approx(other[name]["mean"], abs=1e-4)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": -1}, "`start` must be an integer"),
        ({"batch_size": 0}, "`batch_size` must be an integer"),
        ({"on_overlap": "ignore"}, "`on_overlap` must be one of"),
    ],
)
def test_wrong_arguments_are_refused(options, message, plan):
    with pytest.raises(ValueError, match=message):
        evaluate(SpatialExtractor(2), plan, **options)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stft": "a"}, "`stft` must be a `StereoSTFT`"),
        ({"stft": 3}, "`stft` must be a `StereoSTFT`"),
        ({"rivals": "yes"}, "`rivals` must be `True` or `False`"),
        ({"rivals": 1}, "`rivals` must be `True` or `False`"),
    ],
)
def test_arguments_of_another_type_are_refused(options, message, plan):
    with pytest.raises(TypeError, match=message):
        evaluate(SpatialExtractor(2), plan, **options)
    for wrong in (None, [plan], "plan"):
        with pytest.raises(TypeError, match="`plan` must be a ScenePlan"):
            evaluate(SpatialExtractor(2), wrong)


@pytest.mark.backend_agnostic
def test_another_spacing_is_refused_unless_it_is_given(plan, masks):
    masks(1.0)
    layer = SpatialExtractor(2, microphone_spacing=0.35)
    with pytest.raises(ValueError, match="must have the model's microphone spacing, 0.35 m"):
        evaluate(layer, plan)
    assert evaluate(layer, plan, microphone_spacing=0.2)["scenes"] == SCENES
