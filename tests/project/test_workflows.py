"""What runs elsewhere: workflows, hooks, forms, and the commands that the guides name."""

import itertools
import pathlib
import re
import tomllib

import pytest
import yaml

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).parents[2]
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
FORMS = [path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.stem != "config"]
GUIDES = ["README.md", "CONTRIBUTING.md", "RELEASING.md", ".github/pull_request_template.md"]
GUIDES += [".pre-commit-config.yaml", "docs/install.md"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs_of(path):
    return load(path)["jobs"]


def combinations(job):
    """What the matrix of a job makes of its variables; each `include` stands for itself."""
    matrix = dict(job.get("strategy", {}).get("matrix", {}))
    extra = matrix.pop("include", [])
    rows = itertools.product(*matrix.values())
    return [dict(zip(matrix, row, strict=True)) for row in rows] + extra


def filled(text, variables):
    text = re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda match: variables[match[1]], text)
    assert "${{" not in text
    return text


def targets_in(text):
    """Targets of the commands in a text, and of those between backticks."""
    commands = re.findall(r"^\s*make ([^#\n`]+)|`(?:\w+=\S+ )?make ([^`]+)`", text, re.MULTILINE)
    words = [word for command in commands for word in "".join(command).split()]
    return [word for word in words if "=" not in word]


def targets_run(path):
    return [
        target
        for job in jobs_of(path).values()
        for variables in combinations(job)
        for step in job["steps"]
        for target in targets_in(filled(step.get("run", ""), variables))
    ]


def names_in_makefile(rule):
    """What follows the name of a rule in the Makefile."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    backends = re.search(r"^BACKENDS := (.+)$", text, re.MULTILINE)[1].split()
    names = re.search(rf"^{re.escape(rule)}: (.+)$", text, re.MULTILINE)[1]
    tests = " ".join(f"test-{backend}" for backend in backends)
    return names.replace("$(BACKENDS:%=test-%)", tests).split()


def test_targets_are_read_from_commands():
    text = "make a b   # make c\n  make JOBS=2 d\nThey make e. `make f g` and `X=1 make h`"
    assert targets_in(text) == ["a", "b", "d", "f", "g", "h"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_make_what_there_is(path):
    targets = targets_run(path)
    assert targets and set(targets) <= set(names_in_makefile(".PHONY"))


@pytest.mark.parametrize("guide", GUIDES)
def test_guides_make_what_there_is(guide):
    targets = targets_in((ROOT / guide).read_text(encoding="utf-8"))
    assert targets and set(targets) <= set(names_in_makefile(".PHONY"))


def test_each_change_runs_all_parts_of_make_test():
    wanted = {*names_in_makefile("test"), "lint", "docs"}
    assert wanted <= set(targets_run(ROOT / ".github/workflows/ci.yml"))
    assert "test-all" in targets_run(ROOT / ".github/workflows/nightly.yml")


def test_the_versions_of_python_are_those_of_the_classifiers():
    jobs = jobs_of(ROOT / ".github/workflows/ci.yml")
    run = {
        filled(step["with"]["python-version"], variables)
        for job in jobs.values()
        for variables in combinations(job)
        for step in job["steps"]
        if "setup-python" in step.get("uses", "")
    }
    prefix = "Programming Language :: Python :: 3."
    named = {one.split(" :: ")[-1] for one in PROJECT["classifiers"] if one.startswith(prefix)}
    assert run == named
    oldest = min(named, key=lambda version: int(version.split(".")[1]))
    assert PROJECT["requires-python"] == f">={oldest}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_read_only_and_end(path):
    content = load(path)
    assert content["permissions"] == {"contents": "read"} and "concurrency" in content
    for job in content["jobs"].values():
        assert job["timeout-minutes"] <= 360 and "permissions" not in job
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert used and all(re.fullmatch(r"actions/[\w-]+@v\d+", one) for one in used)


def test_hooks_download_nothing():
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} <= {"system", "pygrep"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_ask(path):
    form = load(path)
    assert form["name"] and form["description"]
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    names = [field["id"] for field in asked]
    assert names and len(set(names)) == len(names)
    assert all(field["attributes"]["label"] for field in asked)
