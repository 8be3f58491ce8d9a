"""Named networks, and folders that are missing, damaged, too new or dangerous."""

import json
import shutil

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN, AVSSANBackbone, AVSSANPreprocessor
from keras_avssan.encoders import ConvImageEncoder, ImageEncoder, LogMelEncoder
from keras_avssan.models import GCCMLP, Localizer, SELDNet


@pytest.fixture(scope="module")
def saved(make_tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "model"
    keras.utils.set_random_seed(6)
    make_tiny().save_to_preset(str(folder))
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of a saved model, to spoil."""
    return shutil.copytree(saved, tmp_path / "model")


def edit(folder, name, change):
    path = folder / name
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


@pytest.mark.backend_agnostic
def test_names_build_networks():
    untrained = {name for name, preset in AVSSAN.presets.items() if "arguments" in preset}
    assert untrained == {"avssan_paper", "avssan_base", "avssan_small"}
    assert all(preset["description"] for preset in AVSSAN.presets.values())
    paper = AVSSAN.from_preset(
        "avssan_paper", load_weights=False, audio_encoder=LogMelEncoder(8, (4,))
    )
    assert paper.configuration == "paper"
    assert paper.backbone.prompt_dim == 512
    assert paper.backbone.settings["ipd"] == "difference"
    assert AVSSAN.presets["avssan_paper"]["parts"]["audio_encoder"].keywords["drop_remainder"]
    encoder = ConvImageEncoder(8, (4,), (16, 16))
    small = AVSSAN.from_preset("avssan_small", load_weights=False, image_encoder=encoder)
    assert small.configuration == "base"
    assert small.backbone.settings["dim"] == 32
    assert small.backbone.image_encoder is encoder
    own = AVSSAN.from_preset("avssan_small", load_weights=False, dim=16, num_heads=2)
    assert own.backbone.settings["dim"] == 16


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["avssan_paper", "avssan_base", "avssan_small"])
def test_no_weights_are_published_yet(name):
    with pytest.raises(ValueError, match=f"No weights.*'{name}' yet.*`load_weights=False`"):
        AVSSAN.from_preset(name)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("preset", ["nowhere", "avssan_huge"])
def test_an_unknown_preset_is_named(preset):
    with pytest.raises(ValueError, match=f"`preset` must be.*'{preset}'"):
        AVSSAN.from_preset(preset)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["config.json", "task.json", "metadata.json", "model.weights.h5"])
def test_a_missing_file_is_named(name, folder):
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name}.*is missing"):
        AVSSAN.from_preset(str(folder))


@pytest.mark.backend_agnostic
def test_a_damaged_configuration_is_named(folder):
    path = folder / "task.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(ValueError, match="task.json' is damaged"):
        AVSSAN.from_preset(str(folder))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("content", ["[]", "3", '{"registered_name": 3}'])
def test_a_configuration_of_another_kind_is_named(content, folder):
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match="config.json' is damaged: "):
        AVSSAN.from_preset(str(folder))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("version", ["1", None, 1.5])
def test_a_format_of_another_kind_is_refused(version, folder):
    edit(folder, "task.json", lambda config: config["config"].update(format_version=version))
    with pytest.raises(ValueError, match=f"`format_version` must be an integer.*{version!r}"):
        AVSSAN.from_preset(str(folder))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("value", ["eight", None, [8]])
def test_a_damaged_number_of_a_network_names_the_preset(value, folder):
    def change(config):
        config["config"]["backbone"]["config"]["dim"] = value

    edit(folder, "task.json", change)
    with pytest.raises(ValueError, match=f"`preset` cannot be loaded.* preset='{folder}'"):
        AVSSAN.from_preset(str(folder))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("argument", [{"nonsense": 1}, {"num_candidates": -1}, {"dim": 16}])
def test_an_argument_that_would_build_another_network_is_named(argument, folder):
    ((name, value),) = argument.items()
    expected = (
        "Only `preprocessor`, `configuration`, `compile`, `name` may be given where there is a "
        "`backbone`, such as that of a preset, which cannot be rebuilt with other arguments. "
        f"Received: {name}={value}"
    )
    for owner in (AVSSAN, Localizer):
        with pytest.raises(TypeError) as caught:
            owner.from_preset(str(folder), **argument)
        assert str(caught.value) == expected


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("owner", [AVSSANBackbone, AVSSANPreprocessor])
def test_an_argument_that_a_part_does_not_take_is_named(owner, folder):
    with pytest.raises(TypeError) as caught:
        owner.from_preset(str(folder), foo=1)
    assert str(caught.value) == f"`{owner.__name__}` takes no argument `foo`. Received: foo=1"


@pytest.mark.backend_agnostic
def test_a_value_that_a_network_refuses_is_named(folder):
    with pytest.raises(ValueError) as caught:
        AVSSANBackbone.from_preset(str(folder), num_candidates=-1)
    expected = "`num_candidates` must be an integer of at least 0. Received: num_candidates=-1"
    assert str(caught.value) == expected


@pytest.mark.backend_agnostic
def test_an_unknown_argument_in_a_damaged_folder_comes_without_the_configuration(folder):
    edit(folder, "config.json", lambda config: config["config"].update(foo=1))
    with pytest.raises(ValueError) as caught:
        AVSSANBackbone.from_preset(str(folder))
    assert str(caught.value) == (
        "`preset` cannot be loaded, a file of it is missing or damaged: `AVSSANBackbone` takes no "
        f"argument `foo`. Received: foo=1. Received: preset={str(folder)!r}"
    )


@pytest.mark.backend_agnostic
def test_networks_without_weights_name_unknown_arguments(folder):
    for owner, name in ((AVSSAN, "avssan_small"), (GCCMLP, "gcc_mlp")):
        backbone = owner.backbone_cls.__name__
        with pytest.raises(TypeError, match=f"^`{backbone}` takes no argument `foo`. Rec.*: foo=1"):
            owner.from_preset(name, load_weights=False, foo=1)


@pytest.mark.one_backend
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_weights_are_refused(share, folder):
    path = folder / "model.weights.h5"
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    with pytest.raises(ValueError, match="cannot be loaded, a file of it is missing or damaged"):
        AVSSAN.from_preset(str(folder))


@pytest.mark.one_backend
def test_weights_are_not_needed_without_them(folder):
    (folder / "model.weights.h5").unlink()
    assert AVSSAN.from_preset(str(folder), load_weights=False).backbone.settings["dim"] == 8


@pytest.mark.backend_agnostic
def test_a_later_format_is_refused(folder):
    edit(folder, "task.json", lambda config: config["config"].update(format_version=2))
    with pytest.raises(ValueError, match="up to 1, and a later version.*format_version=2"):
        AVSSAN.from_preset(str(folder))


@pytest.mark.one_backend
def test_the_encoder_of_training_is_the_only_one(saved, make_tiny):
    model = AVSSAN.from_preset(str(saved))
    same = ConvImageEncoder.from_config(model.backbone.image_encoder.get_config())
    same.build((None, 16, 16, 3))
    same.set_weights(model.backbone.image_encoder.get_weights())
    AVSSAN.from_preset(str(saved), image_encoder=same)
    network = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(8, 3)])
    for other in (ConvImageEncoder(8, (4, 8), (16, 16)), ImageEncoder(network)):
        with pytest.raises(ValueError, match="`image_encoder` must be the one.*trained with"):
            AVSSAN.from_preset(str(saved), image_encoder=other)


@pytest.mark.backend_agnostic
def test_a_model_of_another_system_is_refused(saved):
    with pytest.raises(ValueError, match="of the class SELDNet.*`AVSSAN.from_preset`"):
        SELDNet.from_preset(str(saved))
    assert type(Localizer.from_preset(str(saved))) is AVSSAN


@pytest.mark.one_backend
def test_a_class_of_the_users_loads_the_model_of_its_base(saved, make_batch):
    class Own(AVSSAN):
        pass

    inputs, _ = make_batch()
    model = Own.from_preset(str(saved))
    assert type(model) is Own
    np.testing.assert_array_equal(
        model.predict_on_batch(inputs)["doa"],
        AVSSAN.from_preset(str(saved)).predict_on_batch(inputs)["doa"],
    )


DANGEROUS = {
    "a process": {"module": "subprocess", "class_name": "Popen", "config": {"args": ["COMMAND"]}},
    "a function": {"module": "os", "class_name": "function", "config": "system"},
    "a lambda": {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {
            "name": "lambda",
            "function": {"class_name": "__lambda__", "config": {"code": "4wAAAA==\n"}},
        },
    },
}


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("case", DANGEROUS)
def test_loading_runs_no_code(case, folder, tmp_path):
    witness = tmp_path / "witness"
    text = json.dumps(DANGEROUS[case]).replace("COMMAND", f"touch {witness}")

    def change(config):
        part = config["config"]["backbone"]["config"] if "backbone" in config["config"] else config
        (part if part is not config else config["config"])["image_encoder"] = json.loads(text)

    for name in ("task.json", "config.json"):
        edit(folder, name, change)
    with pytest.raises((TypeError, ValueError)):
        AVSSAN.from_preset(str(folder))
    assert not witness.exists()


@pytest.mark.backend_agnostic
def test_a_saved_model_is_arrays_and_text(saved):
    assert {path.suffix for path in saved.rglob("*.*")} <= {".json", ".h5", ".md"}


@pytest.mark.one_backend
def test_scores_survive_the_way_through_a_folder(saved, make_batch):
    first, second = AVSSAN.from_preset(str(saved)), AVSSAN.from_preset(str(saved))
    inputs, _ = make_batch()
    np.testing.assert_array_equal(
        first.predict_on_batch(inputs)["doa"], second.predict_on_batch(inputs)["doa"]
    )
