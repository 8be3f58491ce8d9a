"""Lists measured numbers and pictures whose code has changed since: `python docs/figures_age.py`.

It checks README, the pages of the documentation, and the notebooks, which
`docs/run_notebooks.py` marks. A mark on a separate line names the code that a number depends on,
and the text after it the date and commit of the measurement:

    <!-- measured: command="make demo" code="simulation data layers" -->

    2026-11-23, commit `2c86030`, two shared CPU cores.

`code` names files and folders of the repository, or of `keras_avssan`; `time="22 min"` after it is
how long the command took, for the list of `docs/figures_list.py`. Several marks in a row
belong to as many dates in the text that follows. A picture that a command draws has its mark in
the lines after it, with date and commit in a comment below. A number or a picture is old if one
of these files has code that was nowhere in the repository at its commit, or has lost code since;
except docstrings, annotations, imports, error messages and the names in `_RENAMED`. So is a
notebook without a mark.
`--check` exits with 1 if one is old.
"""

import argparse
import ast
import dataclasses
import datetime
import functools
import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
_PACKAGE = "keras_avssan"
_MARK = re.compile(
    r'^<!-- measured: command="([^"\n]+)" code="([^"\n]+)"(?: time="([^"\n]+)")? -->$', re.MULTILINE
)
# Names of before, by what they are called now: the same code under another name has not changed.
_RENAMED = {
    "blind_choice": "random_source_baseline",
    "told_spacing_m": "model_spacing_m",
    "of_training": "in_training",
    "hear": "compute_outputs",
    "heard": "result",
    "asked": "prompts",
    "save_whole": "save_atomically",
    "allow_several": "allow_same_class",
    "--allow-several": "--allow-same-class",
    "compared_outputs": "supervised_outputs",
    "least_seconds": "min_seconds",
    "right": "correct",
    "_is_right": "_is_correct",
    "pair": "region_pair",
    "words": "text",
    "sound": "reference",
}
_RUN = re.compile(r"\b(\d{4}-\d{2}-\d{2}),\s+commit\s+`([0-9a-f]{7,40})`")


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A number, or a table of them: where it stands, and what it was measured with."""

    page: str
    line: int
    command: str
    code: tuple[str, ...]
    date: str
    commit: str
    time: str = "–"


def pages():
    """README and the pages of the documentation, relative to the repository."""
    found = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/api/*.md")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def notebooks():
    """The notebooks, relative to the repository."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/*.ipynb"))


def make_mark(command, code):
    """The mark of a measurement."""
    return f'<!-- measured: command="{command}" code="{code}" -->'


def name_run():
    """Today, and the commit that is checked out, as the text after a mark has them."""
    commit = _git("rev-parse", "--short", "HEAD").strip()
    return f"{datetime.date.today().isoformat()}, commit `{commit}`"


def read_measurements(page, text=None):
    """The measurements of a page; a mark without a date, or the other way round, is an error."""
    text = _read(page) if text is None else text
    pieces = sorted([*_MARK.finditer(text), *_RUN.finditer(text)], key=lambda piece: piece.start())
    measurements, waiting = [], []
    for piece in pieces:
        line = text.count("\n", 0, piece.start()) + 1
        if piece.re is _MARK:
            waiting.append(piece)
            continue
        if not waiting:
            raise ValueError(f"{page}:{line}: no mark says what was measured on {piece[0]}.")
        command, code, time = waiting.pop(0).groups()
        paths = tuple(_resolve(entry, page, line) for entry in code.split())
        measurements.append(
            Measurement(page, line, command, paths, piece[1], piece[2], time or "–")
        )
    if waiting:
        line = text.count("\n", 0, waiting[0].start()) + 1
        raise ValueError(f"{page}:{line}: no date and commit follow the mark.")
    return measurements


def _read(page):
    """The text of a page, or of a notebook's cells that are text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if not page.endswith(".ipynb"):
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def _resolve(entry, page, line):
    """The path of an entry of `code`, relative to the repository."""
    for path in (entry, f"{_PACKAGE}/{entry}"):
        if (ROOT / path).exists():
            return path
    raise ValueError(f"{page}:{line}: `code` names '{entry}', which does not exist.")


def changed_files(commit, paths):
    """Files below `paths` with other code than at `commit`, wherever that code stood then; sorted.

    A function that has moved to another file is the same code; so is one whose annotations, error
    messages or imports alone have changed.
    """
    names = _git("diff", "--name-only", "--no-renames", commit, "--", *paths).splitlines()
    others = _git("ls-files", "--others", "--exclude-standard", "--", *paths).splitlines()
    return sorted(
        name
        for name in {*names, *others}
        if not (
            _code_of_file(None, name) <= _code_at(commit)
            and _code_of_file(commit, name) <= _code_at(None)
        )
    )


@functools.cache
def _code_at(commit):
    """All that the repository's modules did at a commit; `None` for now."""
    if commit is None:
        names = _git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        modules = (_code_of_file(None, name) for name in names if name.endswith(".py"))
    else:
        modules = (
            _blob_code(digest) for name, digest in _tree(commit).items() if name[-3:] == ".py"
        )
    return frozenset().union(*modules)


def _code_of_file(commit, name):
    """What a file does, as a set of definitions, or of its text; empty where it is absent."""
    if commit is None:
        path = ROOT / name
        return _code(name, path.read_text(encoding="utf-8") if path.is_file() else "")
    digest = _tree(commit).get(name)
    if digest and name.endswith(".py"):
        return _blob_code(digest)
    return _code(name, _git("cat-file", "blob", digest) if digest else "")


@functools.cache
def _tree(commit):
    """The files of a commit: their digests by name."""
    lines = _git("ls-tree", "-r", commit).splitlines()
    return {name: entry.split()[2] for entry, _, name in (line.partition("\t") for line in lines)}


@functools.cache
def _blob_code(digest):
    return _code(".py", _git("cat-file", "blob", digest))


@functools.cache
def _code(name, text):
    """Definitions of a module, those of a class one by one; another file is compared as it is."""
    if not name.endswith(".py"):
        return frozenset({(name, text)} if text else ())
    found = []
    for node in _Bare().visit(ast.parse(text)).body:
        if isinstance(node, ast.ClassDef):
            found += [(node.name, _dump(member)) for member in node.body]
            node.body = []
        found.append(("", _dump(node)))
    return frozenset(found)


def _dump(node):
    """The tree of a definition as text, with today's names."""
    return re.sub(r"'([\w-]+)'", lambda name: f"'{_RENAMED.get(name[1], name[1])}'", ast.dump(node))


class _Bare(ast.NodeTransformer):
    """Leaves out docstrings, imports, annotations and the words of errors."""

    def generic_visit(self, node):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            del body[0]
        for annotation in ("annotation", "returns"):
            if hasattr(node, annotation):
                setattr(node, annotation, None)
        return super().generic_visit(node)

    def visit_AnnAssign(self, node):
        node = self.generic_visit(node)
        return ast.Assign([node.target], node.value, lineno=0) if node.value else None

    def visit_Raise(self, node):
        return ast.Raise()

    def _leave_out(self, node):
        return None

    visit_Import = visit_ImportFrom = _leave_out


def _is_docstring(node):
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _git(*arguments):
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(":")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a number is old")
    options = parser.parse_args()
    measurements, old = [], 0
    for page in [*pages(), *notebooks()]:
        of_page = read_measurements(page)
        measurements += of_page
        if page.endswith(".ipynb") and not of_page:
            old += 1
            print(f"{page}: no date and commit; `make notebooks` runs it")
    for found in measurements:
        names = changed_files(found.commit, found.code)
        if names:
            old += 1
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            print(f"{found.page}:{found.line}: {found.date}, {found.commit}, {found.command}")
            print(f"    changed since: {', '.join(names[:3])}{more}")
    dated = f"{len(measurements)} numbers, tables and pictures have a date"
    print(f"{dated}; {old} are older than their code.")
    raise SystemExit(bool(old and options.check))


if __name__ == "__main__":
    main()
