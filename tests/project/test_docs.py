import importlib
import json
import pathlib
import re

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).parents[2]
PAPER_MAP = (ROOT / "docs/paper-map.md").read_text()


def resolve(name):
    """The object of a dotted name below `keras_avssan`."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(keras_avssan\.[\w.]+)`", PAPER_MAP))))
def test_paper_map_names_what_exists(name):
    assert callable(resolve(name))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w./]+)`", PAPER_MAP))))
def test_paper_map_names_tests_that_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("page", sorted(path.name for path in ROOT.glob("*.md")))
def test_relative_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_random_source_baseline_is_what_the_concepts_say():
    azimuths = np.arange(1, 181)
    apart = np.abs(azimuths[:, None] - azimuths)
    concepts = (ROOT / "docs/concepts.md").read_text()
    assert f"**{apart.mean() / 2:.1f}°**" in concepts
    assert f"**{50 + 50 * (apart <= 5).mean():.1f} %**" in concepts


def read(page):
    return (ROOT / page).read_text()


PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]
NOT_RUN = re.compile(r"<!-- not run: ([^\n]+) -->\n")
BLOCK = re.compile(r"(<!-- not run: [^\n]+ -->\n)?```python\n(.*?)```", re.DOTALL)
# Pages whose data take a test of their own to make.
ELSEWHERE = {
    "docs/starss23.md": "tests/data/starss23/test_docs_page.py",
    "docs/vggsound-ssl.md": "tests/data/vggsound_ssl/test_page.py",
}
# What the text of a page has introduced before its first block.
GIVEN = {
    "docs/api/visualization.md": ("model", "plan"),
    "docs/extraction.md": ("plan",),
    "docs/gpu.md": ("plan",),
    "docs/microphone-spacing.md": ("model", "picture", "catalog"),
    "docs/prompts.md": ("embedding",),
    "docs/robustness.md": ("catalog", "bank"),
    "docs/rooms.md": ("catalog",),
    "docs/several-devices.md": ("plan", "model"),
    "docs/training.md": ("plan",),
}
IMPORTED = {"docs/robustness.md": ("ScenePlan", "LogMelEncoder")}
BACKENDS = {
    "README.md": ("tensorflow", "jax"),
    "docs/export.md": ("tensorflow",),
    "docs/input-pipelines.md": ("tensorflow", "torch"),
}
NEEDS = {
    "README.md": ("tensorflow",),
    "docs/export.md": ("ai_edge_litert", "openvino"),
    "docs/input-pipelines.md": ("tensorflow",),
}
# It looks at the shapes and sums of its own numbers.
AS_IT_IS = "docs/input-pipelines.md"
# Its sections are programs of their own.
BEGINS_ANEW = "docs/several-devices.md"


def blocks_to_run(page):
    return [code for mark, code in BLOCK.findall(read(page)) if not mark]


def prepare_tables(stand_ins):
    """The finished rows that `docs/tables.md` compares."""
    from keras_avssan.evaluation import evaluate_localizer
    from keras_avssan.models.baselines import AVST

    rows = stand_ins.tmp_path / "results/rows"
    rows.mkdir(parents=True)
    evaluation = evaluate_localizer(stand_ins.model, stand_ins.plan, 2, progress=False)
    for name in ("avssan_base", "avst"):
        (rows / f"{name}.json").write_text(
            json.dumps({"evaluations": {"-5": evaluation.to_dict()}})
        )
    AVST(prompt_dim=8).save_to_preset(stand_ins.tmp_path / "results/models/avst")


def prepare_encoders(stand_ins):
    import keras_hub

    from keras_avssan.encoders import SoundEffectsCNN, VGGish, YAMNet

    VGGish(filters=(8, 8, 16, 16), hidden_dim=32).save_to_preset("vggish")
    SoundEffectsCNN().save_to_preset("sound_effects_cnn")
    YAMNet().save_to_preset("yamnet")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "dog", "church", "bell", "violin"]
    bert = keras_hub.models.BertBackbone(len(words), 1, 1, 8, 8, max_sequence_length=16)
    bert.save_to_preset("all-MiniLM-L6-v2")
    assets = stand_ins.tmp_path / "all-MiniLM-L6-v2/assets/tokenizer"
    assets.mkdir(parents=True)
    (assets / "vocabulary.txt").write_text("\n".join(words))
    (assets.parents[1] / "tokenizer.json").write_text('{"config": {"lowercase": true}}')


PREPARE = {"docs/tables.md": prepare_tables, "docs/encoders.md": prepare_encoders}


def check_input_pipelines(names):
    assert names["dry"]["rirs"].shape == (8, 2, 2, 1600) and names["audio"].shape == (4, 16000)


def check_export(names):
    np.testing.assert_allclose(names["posterior"], names["outputs"]["doa"], atol=1e-4)


def check_home(names):
    assert np.asarray(names["theta"]).shape == (1,) and 1 <= names["theta"][0] <= 180


CHECK = {
    "README.md": check_home,
    "docs/index.md": check_home,
    "docs/input-pipelines.md": check_input_pipelines,
    "docs/export.md": check_export,
}


# They write and run every format, train, or render thousands of scenes.
LONG = ("docs/export.md", "docs/extraction.md", "docs/input-pipelines.md")


def marked(page):
    """A page, marked where the backend that runs what is run once cannot run it."""
    elsewhere = "torch" not in BACKENDS.get(page, ("torch",))
    marks = [pytest.mark.tensorflow] if elsewhere else []
    if page in LONG:
        marks.append(pytest.mark.extensive)
    return pytest.param(page, marks=marks)


@pytest.mark.parametrize("page", [marked(page) for page in PAGES if blocks_to_run(page)])
def test_blocks_of_a_page_run(page, request, tmp_path, monkeypatch):
    """In their order, in one namespace."""
    if page in ELSEWHERE:
        pytest.skip(f"run by {ELSEWHERE[page]}")
    if keras.backend.backend() not in BACKENDS.get(page, (keras.backend.backend(),)):
        pytest.skip(f"needs one of {BACKENDS[page]}")
    for package in NEEDS.get(page, ()):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "page"}
    given: dict = {}
    if page != AS_IT_IS:
        stand_ins = request.getfixturevalue("stand_ins")
        known = request.getfixturevalue("known")
        given.update({name: getattr(stand_ins, name) for name in GIVEN.get(page, ())})
        given.update({name: known[name] for name in IMPORTED.get(page, ())})
        PREPARE.get(page, lambda stand_ins: None)(stand_ins)
    names.update(given)
    for block in blocks_to_run(page):
        if page == BEGINS_ANEW:
            names.update(given)
        exec(block, names)
    CHECK.get(page, lambda names: None)(names)


@pytest.mark.parametrize("page", ELSEWHERE)
def test_pages_with_a_test_of_their_own_are_named_there(page):
    test = read(ELSEWHERE[page])
    assert page in test or page.removeprefix("docs/") in test
    assert "exec(block" in test and not NOT_RUN.search(read(page))


@pytest.mark.parametrize("page", PAGES)
def test_what_does_not_run_has_a_reason(page):
    text = read(page)
    reasons = NOT_RUN.findall(text)
    above = [mark for mark, _ in BLOCK.findall(text) if mark]
    assert len(above) == len(reasons), "a mark stands directly above its block"
    assert all(len(reason.split()) > 1 for reason in reasons)


def test_few_blocks_do_not_run():
    marked = sum(len(NOT_RUN.findall(read(page))) for page in PAGES)
    assert marked <= 7
