"""Microphone spacing and sampling rate: none is lost between bank, plan, dataset and model."""

import warnings

import grain
import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.classical import SRPPHAT
from keras_avssan.data import ScenePlan, SyntheticClasses, make_dataset
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.evaluation import class_band_attention, evaluate_localizer, evaluate_presence
from keras_avssan.models import AVSSANPreprocessor
from keras_avssan.models.baselines import DGB, GCCMLP
from keras_avssan.simulation import RIRBank, RoomRanges
from keras_avssan.training import fit_scenes

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture(scope="module")
def plan():
    """Scenes of a pair of 8 cm."""
    ranges = RoomRanges(t60=(0.2, 0.25), spacing=0.08)
    bank = RIRBank.build(3, ranges=ranges, max_duration=0.02, progress=False)
    catalog = SyntheticClasses(["bell", "dog", "rain"], instances_per_class=6)
    return ScenePlan(catalog, bank, split="train", duration=0.2)


@pytest.fixture(scope="module")
def model(make_tiny):
    return make_tiny()


def delayed(spacing, azimuth=60.0):
    """Noise from one direction, at a pair with that spacing."""
    noise = np.random.default_rng(0).normal(size=8192)
    delay = spacing * np.cos(np.deg2rad(azimuth)) / 343 * 16000
    phase = np.exp(-2j * np.pi * np.fft.rfftfreq(8192) * delay)
    return np.stack([noise, np.fft.irfft(np.fft.rfft(noise) * phase, 8192)], axis=-1)


USES = [
    lambda model, dataset: model.fit(dataset, verbose=0),
    lambda model, dataset: model.fit(None, validation_data=dataset),
    lambda model, dataset: model.evaluate(dataset, verbose=0),
    lambda model, dataset: model.predict(dataset, verbose=0),
]
CHANGES = [
    lambda dataset: dataset.map(lambda batch: batch),
    lambda dataset: dataset[:1].to_iter_dataset().map(lambda batch: batch),
    lambda dataset: grain.MapDataset.concatenate([dataset, dataset]),
    lambda dataset: torch_loader(dataset),
]


def torch_loader(dataset):
    torch = pytest.importorskip("torch")
    return torch.utils.data.DataLoader(dataset, batch_size=None)


@pytest.mark.parametrize(
    "meet",
    [
        lambda model, plan: fit_scenes(model, plan, steps=2, epochs=1),
        lambda model, plan: evaluate_localizer(model, plan, 2, progress=False),
        lambda model, plan: evaluate_presence(model, plan, 2, progress=False),
        lambda model, plan: class_band_attention(model, plan, 2, progress=False),
        lambda model, plan: model.fit(make_dataset(plan, 2, 2, loader="grain")),
        lambda model, plan: model.evaluate(make_dataset(plan, 2, 2, loader="grain")),
        lambda model, plan: model.fit(
            None, validation_data=make_dataset(plan, 2, 2, loader="grain")
        ),
        lambda model, plan: model.fit(
            None, None, 2, 1, 0, None, 0.0, make_dataset(plan, 2, 2, loader="grain")
        ),
        lambda model, plan: model.predict(make_dataset(plan, 2, 2, loader="grain")),
        *(
            lambda model, plan, use=use, change=change: use(
                model, change(make_dataset(plan, 4, 2, loader="grain", image_size=16))
            )
            for use in USES
            for change in CHANGES
        ),
    ],
)
def test_wherever_they_meet_both_spacings_are_named(meet, plan, make_tiny):
    with pytest.raises(ValueError, match=r"0\.2 m.*microphones 0\.08 m apart"):
        meet(make_tiny(), plan)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "change",
    [
        lambda dataset: dataset.map(lambda x, y: (x, y)),
        lambda dataset: dataset.take(1).prefetch(1),
        lambda dataset: dataset.concatenate(dataset).repeat(2),
    ],
)
def test_datasets_of_tf_data_are_seen_through_too(use, change, plan, make_tiny):
    pytest.importorskip("tensorflow")
    with pytest.raises(ValueError, match=r"0\.2 m.*microphones 0\.08 m apart"):
        use(make_tiny(), change(make_dataset(plan, 4, 2, loader="tf", image_size=16)))


def test_a_transformation_may_tell_the_spacing_or_resample(plan, make_tiny):
    def told(batch):
        inputs, labels = batch
        return {**inputs, "microphone_spacing": np.full(2, 0.08, "float32")}, labels

    def halved(batch):
        inputs, labels = told(batch)
        halves = {"audio": inputs["audio"][:, ::2]}
        return {**inputs, **halves}, {**labels, "target": labels["target"][:, ::2]}

    dataset = make_dataset(plan, 2, 2, loader="grain", image_size=16)
    assert make_tiny().predict(dataset.map(told), verbose=0)["doa"].shape == (2, 180)
    model = make_tiny(sampling_rate=8000, audio_encoder=LogMelEncoder(8, (4,), sampling_rate=8000))
    assert model.predict(dataset.map(halved), verbose=0)["doa"].shape == (2, 180)
    with pytest.raises(ValueError, match="8000 Hz.*plan.sampling_rate=16000"):
        model.predict(dataset.map(told))


def test_methods_without_training_are_compared_too(plan):
    with pytest.raises(ValueError, match=r"0\.2 m.*0\.08 m apart"):
        evaluate_localizer(SRPPHAT(), plan, 2, progress=False)
    told = evaluate_localizer(SRPPHAT(), plan, 4, microphone_spacing=0.08, progress=False)
    own = evaluate_localizer(SRPPHAT(microphone_spacing=0.08), plan, 4, progress=False)
    np.testing.assert_array_equal(told.scores.estimate, own.scores.estimate)
    assert told.settings["microphone_spacing_m"] == own.settings["microphone_spacing_m"] == 0.08


def test_sampling_rates_are_compared(plan, make_tiny):
    model = make_tiny(sampling_rate=8000, audio_encoder=LogMelEncoder(8, (4,), sampling_rate=8000))
    with pytest.raises(ValueError, match="8000 Hz.*plan.sampling_rate=16000"):
        evaluate_localizer(model, plan, 2, progress=False)
    with pytest.raises(ValueError, match="8000 Hz.*audio_encoder.sampling_rate=16000"):
        make_tiny(sampling_rate=8000, audio_encoder=LogMelEncoder(8, (4,)))
    with pytest.raises(ValueError, match="16000 Hz.*preprocessor.sampling_rate=8000"):
        AVSSAN(preprocessor=AVSSANPreprocessor(sampling_rate=8000))
    assert AVSSAN(sampling_rate=8000).backbone.audio_encoder.sampling_rate == 8000


def test_a_model_can_be_told_in_training_and_evaluation(plan, make_tiny):
    model, heard = make_tiny(), []
    call = model.backbone.call
    model.backbone.call = lambda inputs, **kwargs: (heard.append(inputs), call(inputs, **kwargs))[1]
    fit_scenes(
        model, plan, steps=2, epochs=1, batch_size=2, microphone_spacing=0.08, loader="grain",
        verbose=0,
    )  # fmt: skip
    spacings = ops.convert_to_numpy(heard[-1]["microphone_spacing"])
    np.testing.assert_allclose(spacings, [0.08, 0.08])
    settings = evaluate_localizer(model, plan, 2, microphone_spacing=0.08, progress=False).settings
    assert settings["microphone_spacing_m"] == 0.08


def test_a_network_that_cannot_be_told_says_so(plan, make_tiny):
    for model in (make_tiny(doa_form="spectrogram"), GCCMLP(hidden_dim=8)):
        with pytest.raises(ValueError, match=r"the 0\.2 m .*cannot take another.*0\.0800"):
            evaluate_localizer(model, plan, 2, microphone_spacing=0.08, progress=False)
        with pytest.raises(ValueError, match="cannot take another"):
            model.localize(delayed(0.08), np.zeros((16, 16, 3)), microphone_spacing=0.08)
        model.localize(delayed(0.2), np.zeros((16, 16, 3)), microphone_spacing=0.2)


def test_localize_and_explain_are_told_the_spacing(make_tiny):
    model, picture = make_tiny(), np.zeros((16, 16, 3))
    own = make_tiny(microphone_spacing=0.08)
    own.set_weights(model.get_weights())
    expected = own.explain(delayed(0.08), picture)["posterior"]
    told = model.explain(delayed(0.08), picture, microphone_spacing=0.08)["posterior"]
    np.testing.assert_allclose(told, expected, atol=1e-6)
    assert not np.allclose(model.explain(delayed(0.08), picture)["posterior"], expected, atol=1e-6)
    both = model.localize([delayed(0.08), delayed(0.2)], picture, microphone_spacing=[0.08, 0.2])
    each = [
        model.localize(delayed(spacing), picture, microphone_spacing=spacing)[0]
        for spacing in (0.08, 0.2)
    ]
    np.testing.assert_array_equal(both, each)
    assert SRPPHAT().localize(delayed(0.08), microphone_spacing=0.08) == 60


@pytest.mark.parametrize("spacing", [1.0, 5, [0.08, 5]])
def test_a_spacing_that_is_likely_in_centimetres_leads_to_a_warning(spacing, make_tiny):
    model, picture = make_tiny(), np.zeros((16, 16, 3))
    audio = [delayed(0.2)] * np.size(spacing)
    widest = int(np.max(spacing))
    expected = (
        f"spacing of {widest} m is {5 * widest} times that of the model's training, 0.2 m. "
        f"Spacings are in metres: {widest} cm are {widest / 100:g}."
    )
    with pytest.warns(UserWarning) as caught:
        model.localize(audio, picture, microphone_spacing=spacing)
    assert [expected in str(one.message) for one in caught if one.category is UserWarning] == [True]


def test_spacings_that_may_be_meant_lead_to_no_warning(make_tiny, plan):
    picture = np.zeros((16, 16, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for own, spacing in ((0.2, 0.9), (0.2, 0.01), (0.1, 0.6), (1.0, 4.5), (3.0, 5.0)):
            model = make_tiny(microphone_spacing=own)
            model.localize(delayed(0.2), picture, microphone_spacing=spacing)
        model.localize(delayed(0.2), picture)


@pytest.mark.parametrize("spacing", [0.0, -0.1, np.nan, []])
def test_spacings_that_are_none(spacing, plan, make_tiny):
    model = make_tiny()
    with pytest.raises(ValueError, match="`microphone_spacing` must be a positive distance"):
        model.localize(delayed(0.2), np.zeros((16, 16, 3)), microphone_spacing=spacing)
    if spacing != []:
        with pytest.raises(ValueError, match="`microphone_spacing` must be a positive distance"):
            make_dataset(plan, 2, microphone_spacing=spacing, loader="grain")


@pytest.mark.parametrize(
    ("of", "name", "value"),
    [
        (lambda model: model, "microphone_spacing", 0.08),
        (lambda model: model, "sampling_rate", 8000),
        (lambda model: model, "doa_form", "spectrogram"),
        (lambda model: model.backbone, "microphone_spacing", 0.08),
        (lambda model: model.backbone, "sampling_rate", 8000),
        (lambda model: model.backbone, "dropout", 0.5),
        (lambda model: model.backbone.doa_head, "microphone_spacing", 0.08),
        (lambda model: model.preprocessor, "sampling_rate", 8000),
        (lambda model: model, "prompt_dim", 5),
        (lambda model: model, "configuration", "paper"),
        (lambda model: model.backbone, "prompt_dim", 5),
        (lambda model: model.backbone, "visual_prompt", False),
        (lambda model: model.backbone, "semantic_audio", False),
        (lambda model: model.backbone, "bands", ("full",)),
        (lambda model: model.backbone, "settings", {}),
        (lambda model: model.backbone.audio_encoder, "num_mels", 20),
        (lambda model: model.backbone.audio_encoder, "hop_seconds", 0.1),
        (lambda model: model.backbone.image_encoder, "dim", 20),
        (lambda model: model.backbone.bridge, "num_heads", 8),
        (lambda model: model.backbone.doa_head, "form", "spectrogram"),
        (lambda model: SRPPHAT(), "microphone_spacing", 0.08),
        (lambda model: GCCMLP(hidden_dim=8).backbone, "microphone_spacing", 0.08),
        (lambda model: DGB(prompt_dim=4).backbone.logits, "microphone_spacing", 0.08),
    ],
)
def test_an_attribute_that_would_have_no_effect_cannot_be_set(of, name, value, model):
    with pytest.raises(AttributeError, match=f"`{name}` is decided when .* is made"):
        setattr(of(model), name, value)
    with pytest.raises(TypeError):
        model.backbone.settings[name] = value


def test_the_spacing_is_saved(make_tiny, tmp_path):
    model = make_tiny(microphone_spacing=0.08)
    assert model.microphone_spacing == model.backbone.microphone_spacing == 0.08
    model.save_to_preset(str(tmp_path / "preset"))
    model.save(tmp_path / "model.keras")
    for again in (
        AVSSAN.from_preset(str(tmp_path / "preset")),
        keras.saving.load_model(tmp_path / "model.keras"),
    ):
        assert again.microphone_spacing == again.backbone.doa_head.microphone_spacing == 0.08
