"""README, docs, notebooks and benchmarks use plain English and the field's terms."""

import io
import json
import pathlib
import re
import tokenize

import pytest

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Docstrings, comments and messages of the library; `True` once they are free of these phrases.
CHECK_LIBRARY = True

# Expression, in lower case, and what to write instead.
BANNED = {
    r"\basked with\b": "prompted with",
    r"\bask(s|ing)? (with|by) (a|an|the|words|pictures|recordings)\b": "prompt(s) with",
    r"\bask(s|ed|ing)? for\b(?! help)": "prompted with (a class), target (a T60), requested",
    r"\bask(s|ing)? (a|the|every|any|this) (trained )?(model|network|mix)\b": "prompt the model",
    r"\b(model|network|scene|system)s? (is|are|was|were|be|being) asked\b": "prompted",
    r"\bwhat asks\b": "the prompt",
    r"\b(picture|recording|word|class|thing)s? that asks?\b": "prompt picture, prompt recording",
    r"\bwhat (is|was|are) heard\b": "the mixture, the input",
    r"\bwhatever is heard\b": "for every input",
    r"\b(one|class|target|sound) that (is|was) heard\b": "the target, the sound",
    r"\btell(s|ing)? (by itself|apart|where|which|whether|how|what|nothing|the)\b": (
        "reports, indicates, returns, detects, distinguishes"
    ),
    r"\btold (apart|by|from|the|its|on|a|how|to)\b": "distinguished, given, reported",
    r"\bcannot tell\b": "cannot distinguish",
    r"\b(go|goes|going) on\b": "resumes, continues",
    r"\bwent on\b": "resumed, continued",
    r"\bbegun\b": "partial, in progress, started",
    r"\bwhole or not at all\b": "atomically",
    r"\bthe letter of the paper\b": "as published",
    r"(?<!there )\b(is|are) none\b(?=\s*[.,;)]|\s*$)": "is not one",
    r"\bblind(ly)? choices?\b|\bchooses? blindly\b": "random-source baseline",
    r"\bfrom nothing\b": "trained from scratch",
    r"\bby heart\b": "overfits",
    r"\b(has|have|had|training|that) (it )?(has )?never (met|meets|saw|seen|heard)\b": (
        "unseen in training"
    ),
    r"\bstrangers?\b": "unknown, other",
    r"(?<!nothing )\b(but|save) for\b": "except for",
    r"\banew\b": "again",
    r"\bbrought (to|down to) (a|an|unit|the)\b": "scaled to",
    r"\bbeside (other work|each other|the (weights|data)|that of)\b": "with, next to, compared to",
    r"\b(scenes|samples|metres|frames|clips|pictures) a (second|step)\b": "per second",
    r"\bbehind your back\b": "implicitly",
    r"\bnot to be had\b|\bcan be had\b": "not available",
    r"\bshall be\b": "is, must be",
    r"\bwhat comes out\b|\bwhat came out\b": "the output, the result",
    r"\bwhat says\b": "what selects, what determines",
    r"\b(is|are) to be (found|heard|had)\b": "use the target, the sound, or what it is",
}

# Exact phrases that are right all the same, and why.
ALLOWED: dict[str, str] = {}


def find_phrases(text):
    """Phrases to avoid in a text, each with its replacement."""
    text = re.sub(r"\s+", " ", text.lower())
    for phrase in ALLOWED:
        text = text.replace(phrase, "")
    return [
        f"'…{text[max(found.start() - 30, 0) : found.end() + 20]}…': write {instead}"
        for expression, instead in BANNED.items()
        for found in re.finditer(expression, text)
    ]


def page_text(text):
    """A page without what it quotes: blocks of output, code in a line, addresses, marks.

    Comments in blocks of Python and of the shell stay.
    """
    comments = []
    for language, block in re.findall(r"(?ms)^```(\w*)\n(.*?)^```", text):
        if language in ("python", "bash"):
            comments += re.findall(r"#\s(.*)", block)
    text = re.sub(r"(?ms)^```.*?^```", "", text)
    text = re.sub(r"(?s)<!--.*?-->|`[^`\n]+`|\]\([^)]*\)", " x ", text)
    return "\n".join([text, *comments])


def notebook_text(text):
    """Text of the cells of text, and the comments and strings of the others."""
    readers = {"markdown": page_text, "code": lambda source: module_text(without_magics(source))}
    cells = json.loads(text)["cells"]
    return "\n\n".join(readers[cell["cell_type"]]("".join(cell["source"])) for cell in cells)


def without_magics(source):
    """Source of a cell without the lines that are IPython's alone."""
    return re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", source)


def stored_text(text):
    """What the code cells of a notebook printed or showed as text when they ran."""
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    parts = []
    for output in (output for cell in cells for output in cell["outputs"]):
        data = output.get("data", {})
        shown = [data[kind] for kind in data if kind in ("text/plain", "text/markdown")]
        parts += ["".join(part) for part in (output.get("text", ""), *shown)]
    return "\n\n".join(parts)


def module_text(text):
    """Docstrings, comments, and strings that are sentences, without code between backticks."""
    kinds = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", None))
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    words = [token.string.strip("# \"'") for token in tokens if token.type in kinds]
    return re.sub(r"`[^`]+`", " x ", "\n".join(word for word in words if " " in word))


READERS = {".md": page_text, ".ipynb": notebook_text, ".py": module_text}
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
FILES += [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("benchmarks/*.py")]
LIBRARY = sorted(ROOT.glob("keras_avssan/**/*.py"))
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))

# Parts of names, of functions and arguments as of keys and options, and what to use instead.
BANNED_IN_NAMES = {
    "ask": "prompt",
    "asked": "prompted, requested",
    "asks": "prompt",
    "begun": "partial, started",
    "blind": "random_source",
    "hear": "record, compute",
    "heard": "mixture, result",
    "hears": "record, compute",
    "tells": "report, return",
    "told": "given",
}
# The module that holds names of earlier versions, to read their files.
FORMER_NAMES = ROOT / "keras_avssan/evaluation/former_keys.py"


def relative(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "path", [*sorted(FILES), *(LIBRARY if CHECK_LIBRARY else [])], ids=relative
)
def test_no_phrase_to_avoid(path):
    found = find_phrases(READERS[path.suffix](path.read_text(encoding="utf-8")))
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=relative)
def test_no_phrase_to_avoid_in_stored_outputs(path):
    """`docs/run_notebooks.py` runs a notebook and stores its outputs, which no hand edits."""
    found = find_phrases(stored_text(path.read_text(encoding="utf-8")))
    assert not found, "\n".join(["", *found])


def names_of(source):
    """Names of Python source, and its strings that are one word: keys and options."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    names = [token.string for token in tokens if token.type in (tokenize.NAME, tokenize.STRING)]
    return {name.strip("\"'") for name in names if not re.search(r"\s", name)}


@pytest.mark.parametrize("path", [p for p in LIBRARY if p != FORMER_NAMES], ids=relative)
def test_no_word_to_avoid_in_a_name(path):
    names = names_of(path.read_text(encoding="utf-8"))
    found = {
        f"{name}: use {BANNED_IN_NAMES[part]}"
        for name in names
        for part in re.split(r"[\W_]+", name)
        if part in BANNED_IN_NAMES
    }
    assert not found


def test_names_are_found():
    source = 'class A:\n    def hear_it(self, told):\n        return {"blind_choice": "a word"}\n'
    assert {"hear_it", "told", "blind_choice"} < names_of(source)
    assert not any(" " in name for name in names_of(source))


def test_files_are_found():
    assert {path.suffix for path in FILES} == set(READERS)
    assert len(FILES) > 60 and len(LIBRARY) > 100


@pytest.mark.parametrize(
    "text",
    [
        "A network that is asked with a picture.",
        "The T60 asked\nfor is given.",
        "A SHARD APPEARS WHOLE OR NOT AT ALL.",
        "The training goes on from there.",
        "It tells which shards are missing.",
        "The answer, 90°, is none.",
        "A blind choice scores 50 %.",
        "An encoder that learns from nothing.",
        "The same, but for the level.",
        "12 scenes a second.",
    ],
)
def test_a_planted_phrase_is_found(text):
    assert len(find_phrases(text)) == 1
    cell = {"cell_type": "markdown", "source": [text]}
    assert len(find_phrases(notebook_text(json.dumps({"cells": [cell]})))) == 1
    assert len(find_phrases(page_text(f"# Title\n\n{text}\n"))) == 1
    one_line = text.replace("\n", " ")
    assert len(find_phrases(module_text(f'"""{text}"""\n'))) == 1
    assert len(find_phrases(module_text(f"x = 1  # {one_line}\n"))) == 1
    assert len(find_phrases(module_text(f'print("{one_line}")\n'))) == 1
    for source in (f"x = 1  # {one_line}", f'print("{one_line}")', f'print(f"{one_line} {{x}}")'):
        code = {"cell_type": "code", "source": ["%pip install x\n", source]}
        assert len(find_phrases(notebook_text(json.dumps({"cells": [code]})))) == 1
    for output in ({"text": [text]}, {"data": {"text/markdown": [text], "image/png": "x"}}):
        code = {"cell_type": "code", "source": [], "outputs": [output]}
        assert len(find_phrases(stored_text(json.dumps({"cells": [code]})))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Where there is none, one is trained.",
        "Prompted with a picture, the model returns a direction.",
        "```text\nThe training goes on.\n```\n",
        "The option `tells which` and [a page](what-asks.md).",
        "Nothing is downloaded but CLIP. Not only words, but forms.",
        "Begin with a scene; a second one follows.",
    ],
)
def test_innocent_text_passes(text):
    assert not find_phrases(page_text(text))


@pytest.mark.parametrize("expression", BANNED)
def test_every_phrase_has_a_replacement(expression):
    assert re.compile(expression) and BANNED[expression]
