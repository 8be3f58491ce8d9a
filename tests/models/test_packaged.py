"""Packaged models by name, weights in half precision, and encoders that were exchanged."""

import json
import pathlib
import shutil
import warnings

import h5py
import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN
from keras_avssan._internal import saved_files
from keras_avssan.encoders import ConvImageEncoder, ImageEncoder
from keras_avssan.models import (
    GCCMLP,
    AVSSANBackbone,
    AVSSANPreprocessor,
    Localizer,
    SELDNet,
)
from keras_avssan.models.storage.weight_files import as_stored
from keras_avssan.training import save_atomically

HEAD = "---\ndescription: A tiny model.\nlicense: Apache-2.0\n---\n# tiny\n"


def make_frozen(make_tiny, seed=6):
    keras.utils.set_random_seed(seed)
    encoder = ConvImageEncoder(8, (4, 8), (16, 16))
    encoder.trainable = False
    return make_tiny(image_encoder=encoder)


@pytest.fixture(scope="module")
def packaged(make_tiny, tmp_path_factory):
    """A folder of packaged models with one of them, `tiny`."""
    root = tmp_path_factory.mktemp("packaged")
    make_frozen(make_tiny).save_to_preset(root / "tiny", weights_dtype="float16")
    (root / "tiny" / "MODEL_CARD.md").write_text(HEAD)
    (root / "__pycache__").mkdir()
    return root


@pytest.fixture
def tiny(packaged, tmp_path, monkeypatch):
    """The same folder with a copy of it, to spoil."""
    root = shutil.copytree(packaged, tmp_path / "presets")
    monkeypatch.setattr(saved_files, "PACKAGED", root)
    return root / "tiny"


def test_a_packaged_model_is_found_by_its_name(tiny, make_batch, monkeypatch):
    inputs, _ = make_batch()
    monkeypatch.chdir(tiny.parents[1])
    (tiny.parents[1] / "tiny").mkdir()  # a folder of the user's, which comes second
    expected = AVSSAN.from_preset(str(tiny)).predict_on_batch(inputs)["doa"]
    for model in (AVSSAN.from_preset("tiny"), Localizer.from_preset("tiny")):
        assert type(model) is AVSSAN
        np.testing.assert_array_equal(model.predict_on_batch(inputs)["doa"], expected)
    backbone = AVSSANBackbone.from_preset("tiny")
    assert type(backbone) is AVSSANBackbone
    for ours, theirs in zip(backbone.weights, model.backbone.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours, theirs)))
    preprocessor = AVSSANPreprocessor.from_preset("tiny")
    assert type(preprocessor) is AVSSANPreprocessor
    assert preprocessor.picture_size == model.preprocessor.picture_size
    with pytest.raises(ValueError, match="is missing"):
        AVSSAN.from_preset("./tiny")


def test_presets_lists_it_where_it_fits(tiny):
    assert set(AVSSAN.presets) == {"avssan_paper", "avssan_base", "avssan_small", "tiny"}
    expected = {"description": "A tiny model.", "folder": str(tiny)}
    for owner in (AVSSAN, Localizer, AVSSANBackbone, AVSSANPreprocessor):
        assert owner.presets["tiny"] == expected
    assert "tiny" not in SELDNet.presets and set(Localizer.presets) == {"tiny"}


def test_names_without_weights_name_those_that_have_them(tiny):
    with pytest.raises(ValueError, match="No weights .*own. Names with weights: tiny. Received"):
        AVSSAN.from_preset("avssan_small")
    for owner in (AVSSAN, Localizer, AVSSANBackbone, AVSSANPreprocessor):
        with pytest.raises(ValueError, match="names are: .*tiny. Received: preset='avssan_huge'"):
            owner.from_preset("avssan_huge")


def test_it_can_be_built_without_its_weights(tiny):
    (tiny / "model.weights.h5").unlink()
    model = AVSSAN.from_preset("tiny", load_weights=False)
    assert model.backbone.settings["dim"] == 8 and model.training_record is None
    with pytest.raises(ValueError, match=r"model\.weights\.h5' is missing"):
        AVSSAN.from_preset("tiny")


def test_half_precision_is_that_of_rounded_weights(packaged, make_tiny, make_batch, tmp_path):
    inputs, _ = make_batch()
    model = make_frozen(make_tiny)
    model.save_to_preset(tmp_path / "whole")
    for weight in model.backbone.weights:
        weight.assign(as_stored(keras.ops.convert_to_numpy(weight)))
    loaded = AVSSAN.from_preset(str(packaged / "tiny"))
    for ours, theirs in zip(model.backbone.weights, loaded.backbone.weights, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours, theirs)))
    np.testing.assert_array_equal(
        model.predict_on_batch(inputs)["doa"], loaded.predict_on_batch(inputs)["doa"]
    )
    sizes = [
        stored_bytes(folder / "model.weights.h5")
        for folder in (tmp_path / "whole", packaged / "tiny")
    ]
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.02)


def stored_bytes(path):
    sizes = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: sizes.append(getattr(item, "nbytes", 0)))
    return sum(sizes)


@pytest.mark.one_backend
@pytest.mark.parametrize("value", ["float32", "bfloat16", 16])
def test_other_data_types_are_refused(value, make_tiny, tmp_path):
    with pytest.raises(ValueError, match=f"`weights_dtype` must be 'float16'.*{value!r}"):
        make_tiny().save_to_preset(tmp_path / "model", weights_dtype=value)
    assert not (tmp_path / "model").exists()


@pytest.mark.backend_agnostic
def test_what_float16_cannot_hold_stays_in_single_precision():
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((50, 40)).astype("float32")
    kernel[3, 4] = 1e-9  # rounds to zero, beside numbers near one
    normal = {"kernel": kernel, "bias": np.float32([0.0, -1.0, 65504.0, 6.2e-5])}
    for values in normal.values():
        stored = as_stored(values)
        assert stored.dtype == np.float16
        np.testing.assert_array_equal(stored, values.astype("float16"))
    kept = {
        "variances": np.float32([1.0, 1e-6]),
        "large": np.float32([1.0, 65520.0]),
        "large kernel": kernel * 1e5,
        "small kernel": kernel * 1e-6,
        "not a number": np.float32([1.0, np.nan]),
        "infinite kernel": np.full((2, 2), np.inf, "float32"),
        "seed": np.array([1, 2], "uint32"),
        "count": np.array(3, "int32"),
        "double": np.array([1.0]),
        "rounded": np.array([1.0], "float16"),
    }
    for name, values in kept.items():
        assert as_stored(values) is values, name


@pytest.mark.one_backend
def test_small_variances_survive(tmp_path, make_tiny):
    layers = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    network = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    variances = np.float32([1e-9, 1.0, 3e-5, 7e-8])
    layers[1].moving_variance.assign(variances)
    model = make_tiny(image_encoder=ImageEncoder(network, (16, 16)))
    model.save_to_preset(tmp_path / "model", weights_dtype="float16")
    before = model.backbone.image_encoder.weights
    after = AVSSAN.from_preset(str(tmp_path / "model")).backbone.image_encoder.weights
    kept = []
    for old, new in zip(before, after, strict=True):
        old, new = map(keras.ops.convert_to_numpy, (old, new))
        np.testing.assert_array_equal(new, as_stored(old).astype(old.dtype))
        kept.append(np.array_equal(new, variances))
    assert sum(kept) == 1


def exchange(folder, part, values):
    """Writes the same values into all float weights of a part."""
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        datasets = []
        file[part].visititems(lambda _, item: datasets.append(item))
        for item in datasets:
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
                item[...] = values


@pytest.mark.one_backend
def test_exchanged_weights_of_a_frozen_encoder_are_refused(tiny, make_tiny):
    make_frozen(make_tiny, seed=7).backbone.save_weights(tiny / "model.weights.h5")
    for owner in (AVSSAN, Localizer, AVSSANBackbone):
        with pytest.raises(ValueError, match="weights of its image encoder are others.*tiny'"):
            owner.from_preset("tiny")
    AVSSAN.from_preset("tiny", load_weights=False)


@pytest.mark.one_backend
def test_parts_that_train_may_change(tiny):
    exchange(tiny, "audio_encoder", 0.5)
    model = AVSSAN.from_preset("tiny")
    assert float(keras.ops.max(model.backbone.audio_encoder.weights[0])) == 0.5
    exchange(tiny, "image_encoder", 0.5)
    with pytest.raises(ValueError, match="weights of its image encoder are others: its weights"):
        AVSSAN.from_preset("tiny")


@pytest.mark.one_backend
def test_half_and_single_precision_have_the_same_fingerprint(tiny):
    model = AVSSAN.from_preset("tiny")
    model.backbone.save_weights(tiny / "model.weights.h5")
    AVSSAN.from_preset("tiny")


@pytest.mark.one_backend
def test_presets_of_before_have_no_fingerprint(tiny, make_tiny):
    metadata = json.loads((tiny / "metadata.json").read_text())
    assert set(metadata.pop("encoder_fingerprints")) == {"image_encoder"}
    (tiny / "metadata.json").write_text(json.dumps(metadata))
    make_frozen(make_tiny, seed=7).backbone.save_weights(tiny / "model.weights.h5")
    AVSSAN.from_preset("tiny")


@pytest.mark.one_backend
@pytest.mark.parametrize("value", ["a", {"text": "b"}, [1]])
def test_damaged_fingerprints_are_named(tiny, value):
    metadata = json.loads((tiny / "metadata.json").read_text())
    (tiny / "metadata.json").write_text(json.dumps({**metadata, "encoder_fingerprints": value}))
    with pytest.raises(ValueError, match="metadata.json' is damaged: its `encoder_fingerprints`"):
        AVSSAN.from_preset("tiny")


@pytest.mark.one_backend
def test_truncated_weights_of_a_packaged_model_are_refused(tiny):
    path = tiny / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="cannot be loaded, a file of it is missing or damaged"):
        AVSSAN.from_preset("tiny")


@pytest.mark.one_backend
def test_an_interrupted_rounding_leaves_a_model_that_loads(make_tiny, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_avssan.models.storage.weight_files._copy_halved", stop)
    with pytest.raises(KeyboardInterrupt):
        make_frozen(make_tiny).save_to_preset(tmp_path / "model", weights_dtype="float16")
    assert not list((tmp_path / "model").glob("*.part"))
    AVSSAN.from_preset(str(tmp_path / "model"))


@pytest.mark.one_backend
def test_a_path_object_is_a_folder_and_no_name(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="must be the folder of a saved model"):
        AVSSAN.from_preset(pathlib.Path("tiny"))
    assert AVSSAN.from_preset("tiny").name == AVSSAN.from_preset(tiny).name


@pytest.mark.one_backend
@pytest.mark.parametrize("argument", [{"num_candidates": -1}, {"foo": 1}])
def test_arguments_that_do_not_fit_are_named(tiny, argument):
    ((name, value),) = argument.items()
    for owner in (AVSSAN, Localizer, AVSSANBackbone, AVSSANPreprocessor):
        with pytest.raises((TypeError, ValueError)) as caught:
            owner.from_preset("tiny", **argument)
        message = str(caught.value)
        assert f"`{name}`" in message or "Only `preprocessor`, " in message
        assert message.endswith(f"Received: {name}={value}") and len(message) < 250


@pytest.mark.one_backend
def test_a_folder_that_has_the_name_of_a_preset_leads_to_a_warning(tiny, tmp_path, monkeypatch):
    model = AVSSAN.from_preset("tiny")
    monkeypatch.chdir(tmp_path)
    saved = {
        "tiny": (model, model.backbone, model.preprocessor, GCCMLP(hidden_dim=8)),
        "avssan_small": (model,),
    }
    for name, parts in saved.items():
        for part in parts:
            expected = rf"'{name}' is the name of a preset.*load the folder as '\./{name}'"
            with pytest.warns(UserWarning, match=expected) as caught:
                part.save_to_preset(name)
            assert sum("name of a preset" in str(one.message) for one in caught) == 1
            assert (tmp_path / name).is_dir()
    with pytest.warns(UserWarning, match="'tiny' is the name of a preset"):
        save_atomically(model, "tiny")
    assert type(AVSSAN.from_preset("./tiny")) is AVSSAN


@pytest.mark.one_backend
def test_other_folders_lead_to_no_warning(tiny, tmp_path, monkeypatch):
    model = AVSSAN.from_preset("tiny")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for folder in ("./tiny", pathlib.Path("tiny"), str(tmp_path / "tiny"), "mine"):
            model.save_to_preset(folder)
            assert AVSSAN.from_preset(folder).name == model.name
    with pytest.raises(TypeError, match="`preset_dir` must be a path. Received: preset_dir=3"):
        model.save_to_preset(3)
