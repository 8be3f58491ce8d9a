r"""Changes the library in one place at a time, and counts how often its tests notice.

    pip install cosmic-ray
    python benchmarks/mutants.py draw --count 100 --seed 19 --out mutants.json
    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/mutants.py run mutants.json

`draw` needs only cosmic-ray: it lists the changes that cosmic-ray's operators make to the core of
the library, and draws some of them. `run` needs the environment of the tests: a process that
has Keras loaded is forked for each mutant, and runs the tests of its folder until one fails. It
writes each outcome into the same file, and resumes from it: `killed` where a test failed,
`survived` where none did, `timed out` where the tests did not end, which proves neither. A mutant
that timed out is run again by removing its outcome from the file.
"""

import argparse
import importlib.abc
import importlib.util
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "keras_avssan/layers/*.py": ["tests/layers", "tests/models/test_backbone.py"],
    "keras_avssan/doa/*.py": ["tests/doa", "tests/models/test_training.py"],
    "keras_avssan/data/scenes/scene_plan.py": [
        "tests/data/scenes/test_scene.py",
        "tests/data/scenes/test_scene_plan.py",
        "tests/data/scenes/test_augmentation.py",
    ],
    "keras_avssan/data/scenes/rendering.py": [
        "tests/data/scenes/test_rendering.py",
        "tests/data/scenes/test_scene_plan.py",
        "tests/data/scenes/test_augmentation.py",
    ],
    "keras_avssan/evaluation/*.py": [
        "tests/evaluation",
        "tests/data/starss23/test_evaluate_segments.py",
    ],
    "keras_avssan/simulation/rooms.py": [
        "tests/simulation/test_rooms.py",
        "tests/simulation/test_bank.py",
        "tests/simulation/test_bank_shards.py",
    ],
}
# Operators that numbers and names rarely meet: nearly all of their mutants fail at once.
LEFT_OUT = ("Shift", "_Bit", "Invert", "_Mod", "Mod_")
SECONDS = 400
OUTCOMES = ("killed", "survived", "timed out")


def main():
    parser = argparse.ArgumentParser(description="Mutation tests of the library.")
    commands = parser.add_subparsers(required=True)
    draw = commands.add_parser("draw", help="list and draw mutants; needs cosmic-ray")
    draw.add_argument("--count", type=int, default=100)
    draw.add_argument("--seed", type=int, default=19)
    draw.add_argument("--out", default="mutants.json")
    draw.set_defaults(run=_draw)
    run = commands.add_parser("run", help="run the tests on each mutant")
    run.add_argument("file")
    run.add_argument("--jobs", type=int, default=2)
    run.set_defaults(run=_run)
    options = parser.parse_args()
    options.run(options)


# ---- Drawing


def _draw(options):
    from cosmic_ray.ast import get_ast
    from cosmic_ray.mutating import MutationVisitor, mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    names = [
        name
        for name in sorted(operator_names())
        if not any(part in name for part in LEFT_OUT) and not name.startswith("core/Variable")
    ]
    places = []
    for pattern in TESTS:
        for path in sorted(ROOT.glob(pattern)):
            source = path.read_text(encoding="utf-8")
            for name in names:
                visitor = MutationVisitor(-1, get_operator(name)())
                visitor.walk(get_ast(source))
                places += [
                    (pattern, path.relative_to(ROOT).as_posix(), name, occurrence)
                    for occurrence in range(visitor._count)
                ]
    chosen = random.Random(options.seed).sample(places, options.count)
    mutants = []
    for pattern, module, name, occurrence in chosen:
        source = (ROOT / module).read_text(encoding="utf-8")
        mutated = mutate_code(source, get_operator(name)(), occurrence)
        pairs = zip(source.splitlines(), mutated.splitlines(), strict=False)
        line, was, now = next((number, a, b) for number, (a, b) in enumerate(pairs, 1) if a != b)
        mutants.append(
            {
                "module": module,
                "operator": name,
                "occurrence": occurrence,
                "line": line,
                "was": was.strip(),
                "now": now.strip(),
                "tests": TESTS[pattern],
                "source": mutated,
            }
        )
    _write(options.out, {"of": len(places), "seed": options.seed, "mutants": mutants})
    print(f"{len(mutants)} of {len(places)} mutants: {options.out}")


# ---- Running


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Finds one module with other source."""

    def __init__(self, path, source):
        self.path = str(ROOT / path)
        self.name = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self.source = source

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_filename(self, name):
        return self.path

    def get_data(self, path):
        return self.source.encode("utf-8")

    def path_stats(self, path):
        raise OSError  # so that no bytecode of the real source is read, and none is written


def _run(options):
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    import keras  # noqa: F401
    import pytest  # noqa: F401

    state = json.loads(Path(options.file).read_text(encoding="utf-8"))
    waiting = [mutant for mutant in state["mutants"] if "outcome" not in mutant]
    running = {}
    while waiting or running:
        while waiting and len(running) < options.jobs:
            mutant = waiting.pop(0)
            running[_fork(mutant)] = (mutant, time.monotonic())
        time.sleep(0.2)
        for child, (mutant, begun) in list(running.items()):
            seconds = time.monotonic() - begun
            outcome = _outcome(child, seconds > SECONDS)
            if outcome is None:
                continue
            del running[child]
            mutant["outcome"] = outcome
            mutant["seconds"] = round(seconds, 1)
            _write(options.file, state)
            print(
                f"{_summary(state['mutants'])}; {outcome} in {seconds:.0f} s: "
                f"{mutant['module']}:{mutant['line']}",
                flush=True,
            )
    for mutant in state["mutants"]:
        if mutant["outcome"] != "killed":
            print(f"\n{mutant['module']}:{mutant['line']} ({mutant['outcome']})")
            print(f"- {mutant['was']}\n+ {mutant['now']}")
    print(f"\n{_summary(state['mutants'])}")


def _outcome(child, late):
    """Outcome of a mutant's process, which is killed after its time; `None` while it runs."""
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        survived = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
        return "survived" if survived else "killed"
    if not late:
        return None
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timed out"


def _summary(mutants):
    """How many mutants had each outcome, `3 killed, 1 survived, 0 timed out of 4`."""
    outcomes = [one["outcome"] for one in mutants if "outcome" in one]
    numbers = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in OUTCOMES)
    return f"{numbers} of {len(outcomes)}"


def _fork(mutant):
    """Process that ends with 0 if no test fails."""
    child = os.fork()
    if child:
        return child
    os.setpgrp()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    code = 1
    try:
        import pytest

        sys.meta_path.insert(0, _Mutated(mutant["module"], mutant["source"]))
        marks = "not extensive and not tensorflow"
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", marks, *mutant["tests"]])
    finally:
        os._exit(int(code))


def _write(path, state):
    part = Path(f"{path}.part")
    part.write_text(json.dumps(state, indent=1), encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    main()
