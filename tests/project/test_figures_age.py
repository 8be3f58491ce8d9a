"""Measured numbers and pictures of README and docs name their command, date and commit."""

import importlib.util
import pathlib
import re
import subprocess
import types

import pytest

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


figures_age = load("figures_age")
PAGES = figures_age.pages()
# A cell that holds what some run gave: a share, an error, a time, a size, a ratio.
MEASURED = re.compile(r"\d (%|ms|s|min|dB|MB|GB|GiB|GFLOP|GFLOP/s)(?!\w)|\d°|\d \(−?\d|\de-\d\d")
# Tables whose numbers nobody measured: settings, conventions, sizes of the method.
GIVEN = {
    "docs/arrays.md#conventions": "conventions",
    "docs/arrays.md#geometry": "sizes of arrays",
    "docs/concepts.md": "conventions",
    "docs/design-decisions.md#setting-by-setting": "settings",
    "docs/design-decisions.md#what-has-no-setting": "settings",
    "docs/design-decisions.md#what-the-paper-leaves-open-of-its-dataset": "settings",
    "docs/encoders.md#yamnet": "sizes of the method",
    "docs/gpu.md#measure-everything-with-one-command": "settings",
    "docs/robustness.md#scenes": "settings",
    "docs/starss23.md#two-microphones-of-four": "settings",
    "docs/install.md": "sizes of packages",
}

IMAGE = re.compile(r"(?m)^!\[[^\]]*\]\((?:docs/)?(images/[^)]+)\)\n\n?(.*\n?.*)")
# Pictures that no command draws.
BY_HAND: set[str] = set()
# README shows what a page of the documentation has a mark for.
SHOWN = [
    pytest.param(page, *found.groups(), id=f"{page}:{found[1]}")
    for page in PAGES
    if page != "README.md"
    for found in IMAGE.finditer((ROOT / page).read_text(encoding="utf-8"))
]


def sections(page):
    """Anchor and text of every section of the second level."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for part in re.split(r"(?m)^(?=## )", text):
        title = part.splitlines()[0].lower() if part.startswith("## ") else ""
        anchor = re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title).strip())
        yield anchor, part


def measured_sections():
    """Page, anchor and text where a table holds measured numbers."""
    for page in PAGES:
        for anchor, text in sections(page):
            rows = [line for line in text.splitlines() if line.startswith("|")]
            given = page in GIVEN or f"{page}#{anchor}" in GIVEN
            if not given and sum(bool(MEASURED.search(row)) for row in rows) > 1:
                yield page, anchor, text


MEASURED_SECTIONS = list(measured_sections())


@pytest.mark.parametrize("page", PAGES)
def test_every_date_has_a_commit_and_every_mark_a_date(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    figures_age.read_measurements(page)
    assert not re.findall(r"\b\d{4}-\d{2}-\d{2}\b(?!,\s+commit\s+`)", text)
    assert text.count("<!-- measured") == len(figures_age.read_measurements(page))


@pytest.mark.parametrize(
    ("page", "text"),
    [pytest.param(page, text, id=f"{page}#{anchor}") for page, anchor, text in MEASURED_SECTIONS],
)
def test_a_table_of_measured_numbers_has_a_mark(page, text):
    assert figures_age.read_measurements(page, text)


def test_tables_are_found_and_exceptions_are_real():
    assert len(MEASURED_SECTIONS) > 20
    anchors = {f"{page}#{anchor}" for page in PAGES for anchor, _ in sections(page)}
    assert set(GIVEN) <= anchors | set(PAGES)


@pytest.mark.parametrize(("page", "picture", "after"), SHOWN)
def test_a_picture_has_a_mark(page, picture, after):
    assert picture in BY_HAND or len(figures_age.read_measurements(page, after)) == 1


def test_pictures_are_found_on_pages():
    files = {f"images/{path.name}" for path in (ROOT / "docs/images").iterdir()}
    assert {case.values[1] for case in SHOWN} == files
    assert files >= BY_HAND
    written = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"\bimages/[\w.-]+", written)) == files


def git(*arguments):
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_commits_exist():
    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("the history is not here")
    commits = {run.commit for page in PAGES for run in figures_age.read_measurements(page)}
    assert len(commits) > 5
    missing = [c for c in sorted(commits) if git("cat-file", "-e", f"{c}^{{commit}}").returncode]
    assert not missing


MARK = '<!-- measured: command="make demo" code="doa docs" -->'


def test_marks_take_the_dates_that_follow():
    text = (
        f"{MARK}\n{MARK}\n\nFirst 2026-01-02, commit `1234567`; then 2026-01-03,\ncommit `89abcde`."
    )
    first, second = figures_age.read_measurements("README.md", text)
    assert (first.date, first.commit, first.line) == ("2026-01-02", "1234567", 4)
    assert (second.date, second.commit) == ("2026-01-03", "89abcde")
    assert first.command == "make demo" and first.code == ("keras_avssan/doa", "docs")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{MARK}\n\nNo date.", "README.md:1: no date and commit follow"),
        ("\n2026-01-02, commit `1234567`", "README.md:2: no mark says"),
        (MARK.replace("doa", "nowhere") + "\n2026-01-02, commit `1234567`", "'nowhere'"),
    ],
)
def test_what_is_missing_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        figures_age.read_measurements("README.md", text)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of one commit, in place of this one; its commit."""
    monkeypatch.setattr(figures_age, "ROOT", tmp_path)
    (tmp_path / "code.py").write_text('"""Says."""\n\n\ndef f():\n    return 1\n')
    (tmp_path / "other.py").write_text("x = 1\n")
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    return head.stdout.strip()


@pytest.fixture
def changed(repository):
    """`changed(*paths)` since the first commit, as the files are now."""

    def files(*paths):
        figures_age._code_at.cache_clear()
        return figures_age.changed_files(repository, list(paths))

    return files


def test_only_code_makes_a_number_old(changed, tmp_path):
    assert changed("code.py") == []
    (tmp_path / "other.py").write_text("x = 2\n")
    (tmp_path / "code.py").write_text('"""Says more."""\n\n\ndef f():\n    # why\n    return 1\n')
    assert changed("code.py") == []
    (tmp_path / "code.py").write_text("def f():\n    return 2\n")
    assert changed("code.py") == ["code.py"]
    (tmp_path / "code.py").unlink()
    assert changed(".") == ["code.py", "other.py"]


def test_code_that_moves_is_the_same_code(changed, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "code.py").rename(tmp_path / "folder/moved.py")
    assert changed(".") == []
    (tmp_path / "folder/moved.py").write_text(
        "import os\nx: int = 1\n\n\ndef f() -> int:\n    return 1\n"
    )
    (tmp_path / "other.py").unlink()
    assert changed(".") == []
    (tmp_path / "folder/moved.py").write_text("def f():\n    return 1\n")
    assert changed(".") == ["other.py"]


def test_code_with_a_new_name_is_the_same_code(changed, tmp_path, monkeypatch):
    monkeypatch.setattr(figures_age, "_RENAMED", {"f": "answer", "x": "options"})
    (tmp_path / "code.py").write_text("def answer():\n    return 1\n")
    (tmp_path / "other.py").write_text("options = 1\n")
    figures_age._code.cache_clear()
    figures_age._blob_code.cache_clear()
    assert changed(".") == []
    (tmp_path / "other.py").write_text("settings = 1\n")
    assert changed(".") == ["other.py"]


def test_renamed_code_is_found_in_the_repository():
    code = "".join(path.read_text("utf-8") for path in ROOT.glob("keras_avssan/**/*.py"))
    assert all(re.search(rf"(?<![\w-]){new}(?!\w)", code) for new in figures_age._RENAMED.values())


def test_the_page_lists_every_measurement(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    figures_list = load("figures_list")
    text = (ROOT / "docs" / figures_list.PAGE).read_text(encoding="utf-8")
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri=figures_list.PAGE))
    shown = figures_list.on_page_markdown(text, page, None, None)
    measured = [
        one
        for name in [*PAGES, *figures_age.notebooks()]
        for one in figures_age.read_measurements(name)
    ]
    rows = [line.split(" | ")[1:] for line in shown.splitlines() if re.match(r"\| [^-W]", line)]
    assert [row[-1] for row in rows] == [f"`{one.commit}` |" for one in measured]
    assert {row[1] for row in rows} >= {"18 min", "–"}
    assert "[Where the target is lost](extraction.md#where-the-target-is-lost)" in shown


def test_the_time_of_a_mark_is_read():
    mark = figures_age.make_mark("make demo", "doa").replace(" -->", ' time="6 min" -->')
    text = f"{mark}\n\n2026-11-23, commit `2c86030`\n"
    (found,) = figures_age.read_measurements("README.md", text)
    assert (found.command, found.time) == ("make demo", "6 min")
