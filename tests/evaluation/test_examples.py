"""Scenes chosen by rule, and band attention by class, of a tiny model of random weights."""

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN
from keras_avssan.data import ScenePlan, SyntheticClasses, render_scenes
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder
from keras_avssan.evaluation import (
    SeparationExample,
    class_attention,
    class_band_attention,
    separation_examples,
)
from keras_avssan.evaluation.class_attention import band_agreement, patch_energy
from keras_avssan.evaluation.examples import REGION_PAIRS, frequency_region, region_pair
from keras_avssan.layers import StereoSTFT
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = pytest.mark.backend_agnostic

SCENES = 12


@pytest.fixture(scope="module")
def plan():
    ranges = RoomRanges(t60=(0.2, 0.25))
    bank = RIRBank.build(2, ranges=ranges, sources_per_room=3, max_duration=0.05, progress=False)
    catalog = SyntheticClasses(["bird", "drum", "flute"], instances_per_class=6)
    return ScenePlan(catalog, bank, split="train", duration=0.5, min_separation=12.0)


def make_model(**options):
    model = AVSSAN(
        image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)),
        audio_encoder=LogMelEncoder(8, (4,), num_mels=16),
        **{"dim": 8, "mlp_dim": 16, "num_heads": 2, "bridge_layers": 1, **options},
    )
    # Eagerly where that is quick: to compile takes longer than the few steps of a test.
    model.compile(run_eagerly=keras.backend.backend() != "jax")
    return model


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return make_model()


class Answering:
    """A model with given directions for the scenes of a plan, and its own other outputs."""

    def __init__(self, model, plan, answer):
        self.model, self.backbone, self.embed_prompts = model, model.backbone, model.embed_prompts
        scenes = [plan[index] for index in range(SCENES)]
        audio = render_scenes(plan, scenes)["audio"]
        self.answers = {
            mix.tobytes(): answer(scene) for mix, scene in zip(audio, scenes, strict=True)
        }

    def predict_on_batch(self, inputs):
        bins = [round(self.answers[mix.tobytes()]) - 1 for mix in inputs["audio"]]
        return {**self.model.predict_on_batch(inputs), "doa": np.eye(180)[bins]}

    def explain(self, audio, prompt):
        return {**self.model.explain(audio, prompt), "azimuth": self.answers[audio.tobytes()]}


def tone(frequency, samples=8000):
    wave = np.sin(2 * np.pi * frequency * np.arange(samples) / 16000)
    audio = np.stack([wave, wave], axis=-1).astype("float32")
    return keras.ops.convert_to_numpy(StereoSTFT()(audio[None]))[0]


def regions_of(plan, scene):
    """Regions of target and interferer as they are rendered."""
    rendered = render_scenes(plan, [scene])
    alone = (StereoSTFT()(rendered[name]) for name in ("target", "interferer"))
    return [frequency_region(keras.ops.convert_to_numpy(one)[0], 16000) for one in alone]


@pytest.mark.parametrize(
    ("frequency", "region"),
    [(100, "L"), (450, "L"), (560, "M"), (1900, "M"), (2100, "H"), (7000, "H")],
)
def test_region_of_a_tone(frequency, region):
    assert frequency_region(tone(frequency), 16000) == region


def test_region_is_that_of_most_energy():
    assert frequency_region(tone(300) + 0.5 * tone(3000), 16000) == "L"
    assert frequency_region(0.5 * tone(300) + tone(3000), 16000) == "H"


def test_pairs_go_from_high_to_low():
    assert region_pair("L", "H") == region_pair("H", "L") == "H+L"
    assert region_pair("M", "M") == "M+M"


def test_every_pair_answered_and_the_worst_failure(model, plan):
    scenes = [plan[index] for index in range(SCENES)]
    failing = [scenes[0].index, scenes[3].index]
    wrong = {failing[0]: 20.0, failing[1]: 40.0}

    def answer(scene):
        error = wrong.get(scene.index, 1.0)
        return scene.azimuth + (error if scene.azimuth < 90 else -error)

    answering = Answering(model, plan, answer)
    examples = separation_examples(answering, plan, SCENES, batch_size=5, progress=False)
    first = {}
    for scene in scenes:
        if scene.index not in wrong:
            first.setdefault(region_pair(*regions_of(plan, scene)), scene.index)
    assert len(first) >= 3
    *right, failure = examples
    assert [example.region_pair for example in right] == [
        pair for pair in REGION_PAIRS if pair in first
    ]
    assert {example.region_pair: example.scene for example in right} == first
    assert all(example.correct and example.error < 2 for example in right)
    assert failure.scene == failing[1]
    assert not failure.correct and failure.error == pytest.approx(40.0)
    assert failure.target_class == scenes[3].target.class_name


def test_no_failure_where_there_is_none_and_nothing_but_it_where_all_fail(model, plan):
    def all_right(scene):
        return scene.azimuth

    def all_interferers(scene):
        return scene.interferer_azimuth

    found = separation_examples(Answering(model, plan, all_right), plan, SCENES, progress=False)
    assert found and all(example.correct for example in found)
    answering = Answering(model, plan, all_interferers)
    (failure,) = separation_examples(answering, plan, SCENES, progress=False)
    apart = [abs(plan[i].azimuth - plan[i].interferer_azimuth) for i in range(SCENES)]
    assert apart[failure.scene] == pytest.approx(max(apart))
    assert failure.error == pytest.approx(max(apart))


def test_sources_add_up_to_the_mix_that_the_model_heard(model, plan):
    example = separation_examples(model, plan, 3, start=4, progress=False)[-1]
    assert example.scene in (4, 5, 6)
    np.testing.assert_allclose(
        example.target + example.interferer, example.explanation["spectrogram"], atol=1e-3
    )
    picture = plan.catalog.load_image(plan[example.scene].picture, (16, 16))
    audio = render_scenes(plan, [plan[example.scene]])["audio"][0]
    assert example.estimate == pytest.approx(model.localize(audio, picture)[0])


def test_gains_are_the_energy_behind_the_mask():
    rng = np.random.default_rng(0)
    mask = np.zeros((3, 5))
    mask[:, :2] = 0.1
    target, interferer = np.zeros((2, 3, 5, 4))
    target[:, 0] = 1.0
    interferer[:, 1:] = rng.normal(size=(3, 4, 4))
    explanation = {"spectrogram": target + interferer, "mask": mask, "azimuth": 30.0}
    example = SeparationExample(explanation, target, interferer, 33.0, 29.0)
    assert example.target_gain == pytest.approx(-20.0)
    kept = np.sum(interferer[:, 1] ** 2) / np.sum(interferer**2)
    assert example.interferer_gain == pytest.approx(-20.0 + 10 * np.log10(kept))
    assert example.error == 3.0
    assert not example.correct  # within 5°, but nearer to the interferer
    with pytest.raises(ValueError, match="`interferer` must have the shape of the mix"):
        SeparationExample(explanation, target, interferer[:2], 33.0, 29.0)
    with pytest.raises(ValueError, match="must hold a mask of shape"):
        SeparationExample({**explanation, "mask": mask[:2]}, target, interferer, 33.0, 29.0)


def test_given_embeddings_ask(model, plan):
    embeddings = {picture.id: np.full(8, 0.1) for picture in plan.pictures}
    example = separation_examples(model, plan, 2, prompt_embeddings=embeddings, progress=False)[0]
    audio = render_scenes(plan, [plan[example.scene]])["audio"][0]
    explained = model.explain(audio, np.full(8, 0.1, "float32"))
    np.testing.assert_allclose(example.explanation["mask"], explained["mask"], atol=1e-5)
    embeddings.popitem()
    with pytest.raises(ValueError, match="`prompt_embeddings` must hold all 12 pictures"):
        separation_examples(model, plan, 2, prompt_embeddings=embeddings, progress=False)


def test_refuses(model, plan):
    with pytest.raises(ValueError, match="`num_scenes`"):
        separation_examples(model, plan, 0, progress=False)
    with pytest.raises(TypeError, match="`model` must have a mask"):
        separation_examples(object(), plan, 2, progress=False)
    with pytest.raises(TypeError, match="`model` must attend to bands"):
        class_band_attention(object(), plan, 2, progress=False)


def test_attention_by_class_is_the_mean_over_its_scenes(model, plan):
    heard = class_band_attention(model, plan, SCENES, batch_size=5, progress=False)
    scenes = [plan[index] for index in range(SCENES)]
    names = [scene.target.class_name for scene in scenes]
    assert heard.classes == ("bird", "drum", "flute")
    assert heard.num_scenes.tolist() == [names.count(name) for name in heard.classes]
    own = [scene for scene in scenes if scene.target.class_name == "drum"]
    explained = [
        model.explain(mix, plan.catalog.load_image(scene.picture, (16, 16)))
        for mix, scene in zip(render_scenes(plan, own)["audio"], own, strict=True)
    ]
    for band, patches in (("fine", 16), ("mid", 4), ("full", 1)):
        assert heard.attention[band].shape == heard.energy[band].shape == (3, patches)
        np.testing.assert_allclose(heard.energy[band].sum(axis=1), 1.0)
        expected = np.mean([one["band_attention"][band] for one in explained], axis=0)
        np.testing.assert_allclose(heard.attention[band][1], expected, atol=1e-5)
    expected = np.mean([one["band_weights"] for one in explained], axis=(0, 1))
    np.testing.assert_allclose(heard.band_weights[1], expected, atol=1e-5)
    assert heard.energy["fine"].argmax(axis=1).tolist()[:2] == [pytest.approx(6, abs=3), 0]
    assert np.isnan(heard.agreement["full"]).all()
    assert (np.abs(heard.agreement["fine"]) <= 1).all()


def test_a_class_that_no_scene_asks_for_is_left_out(model, plan):
    heard = class_band_attention(model, plan, 1, progress=False)
    assert heard.classes == (plan[0].target.class_name,)


def test_the_full_band_alone_has_no_agreement(plan):
    heard = class_band_attention(make_model(multi_band=False), plan, 2, progress=False)
    assert heard.bands == ("full",)
    assert set(heard.attention) == {"full"}
    np.testing.assert_allclose(heard.band_weights, 1.0)


def test_a_silent_target_has_no_share_of_energy():
    silence, sound = np.zeros((4, 513, 4)), np.ones((4, 513, 4))
    outputs = {
        "band_weights": np.ones((4, 1)),
        "band_attention_fine": np.linspace(0, 1, 16),
    }
    scenes = [class_attention._measure(sources, outputs) for sources in [(silence, sound)] * 2]
    assert np.isnan(class_attention._mean(scenes)["energy", "fine"]).all()
    scenes.append(class_attention._measure((sound, silence), outputs))
    np.testing.assert_allclose(class_attention._mean(scenes)["energy", "fine"], 1 / 16)


def test_energy_of_patches():
    energy = patch_energy(tone(2250), 16)  # patches are 500 Hz wide
    assert energy.argmax() == 4 and energy[4] > 0.99 * energy.sum()
    assert patch_energy(tone(2250), 1).shape == (1,)


def test_agreement_by_hand():
    target, interferer = np.array([4.0, 3.0, 2.0, 1.0]), np.ones(4)
    assert band_agreement([0.4, 0.3, 0.2, 0.1], target, interferer) == pytest.approx(1.0)
    assert band_agreement([0.1, 0.2, 0.3, 0.4], target, interferer) == pytest.approx(-1.0)
    assert band_agreement([0.4, 0.3, 0.2, 0.1], 9 * target, interferer) == pytest.approx(1.0)
    assert np.isnan(band_agreement(np.full(4, 0.25), target, interferer))
    assert np.isnan(band_agreement([0.4, 0.3, 0.2, 0.1], np.zeros(4), np.zeros(4)))
