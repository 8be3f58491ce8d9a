"""The tables of `docs/design-decisions.md` are what the configurations are."""

import ast
import pathlib
import re

import keras
import pytest

from keras_avssan import AVSSAN
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder
from keras_avssan.models.av_ssan.av_ssan_presets import CONFIGURATIONS

pytestmark = pytest.mark.backend_agnostic

PAGE = pathlib.Path(__file__).parents[2] / "docs/design-decisions.md"
PRESET = "VGGish"
NAMES = ("paper", "base")


def read_tables():
    """Dict from class to dict from argument to its values in `paper` and `base`."""
    page = PAGE.read_text()
    start, end = page.index("## Setting by setting"), page.index("## What has no setting")
    tables: dict = {}
    for heading, table in re.findall(
        r"### `(\w+)`[^\n]*\n(.*?)(?=\n### |\Z)", page[start:end], re.S
    ):
        for row in table.splitlines():
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
            if cells and cells[0].startswith("`"):
                values = [ast.literal_eval(cell.strip("`")) for cell in cells[2:4] if cell != "–"]
                tables.setdefault(heading, {})[cells[0].strip("`")] = values
    return tables


TABLES = read_tables()


@pytest.fixture(scope="module")
def models():
    def make(configuration):
        encoders = {"image_encoder": ConvImageEncoder(8, (4,)), "audio_encoder": LogMelEncoder(8)}
        return AVSSAN(configuration=configuration, **encoders)

    return {name: make(name) for name in NAMES}


def parts_of(model):
    """The settings of everything that a table is about, by class."""
    backbone = model.backbone
    return {
        "AVSSANBackbone": backbone.settings,
        "TriBandSpatialFeatures": backbone.spatial_features.get_config(),
        "SemanticSpatialAlignment": backbone.alignments[0].get_config(),
        "DoAHead": backbone.doa_head.get_config(),
        "JointLoss": model.loss.get_config(),
        "AdamW": model.optimizer.get_config(),
    }


@pytest.mark.parametrize(
    ("part", "argument"),
    [(part, argument) for part in TABLES for argument in TABLES[part] if part != PRESET],
)
def test_a_value_is_that_of_the_code(part, argument, models):
    values = [parts_of(models[name])[part][argument] for name in NAMES]
    assert values == pytest.approx(TABLES[part][argument])


def test_every_setting_is_listed(models):
    backbone = models["base"].backbone
    assert set(TABLES["AVSSANBackbone"]) == set(backbone.settings)
    reductions = {"name", "reduction"}
    assert set(TABLES["JointLoss"]) == set(models["base"].loss.get_config()) - reductions
    for changed in (CONFIGURATIONS["paper"], CONFIGURATIONS["base"]):
        assert set(changed) <= set(TABLES["AVSSANBackbone"])


def test_what_differs_is_listed(models):
    """Layers and optimizer too: what `paper` and `base` do not share stands in a table."""
    paper, base = (parts_of(models[name]) for name in NAMES)
    listed = set().union(*TABLES.values()) | {"form", "name"}
    for part in paper:
        differing = {key for key in paper[part] if paper[part][key] != base[part][key]}
        assert differing <= listed, part


def test_the_presets_vggish():
    make = AVSSAN.presets["avssan_paper"]["parts"]["audio_encoder"]
    encoder = make(filters=(1, 1, 1, 1), hidden_dim=1)
    config = {**encoder.get_config(), "trainable": encoder.trainable}
    assert {argument: [config[argument]] for argument in TABLES[PRESET]} == TABLES[PRESET]


def test_paper_optimizer_is_the_printed_one(models):
    optimizer = models["paper"].optimizer
    assert isinstance(optimizer, keras.optimizers.AdamW)
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(5e-3)
