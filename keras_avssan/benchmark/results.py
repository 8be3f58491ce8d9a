"""Comparison of the finished rows of a table, and its files: table, breakdown and figure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, TypeAlias, cast

from matplotlib.figure import Figure

from keras_avssan._internal.atomic_files import whole_file, write_json, write_text
from keras_avssan._internal.tables.text_tables import make_table
from keras_avssan.benchmark.figure import plot_selection
from keras_avssan.benchmark.systems import REFERENCE, built_in_systems
from keras_avssan.benchmark.train_and_score import (
    SEGMENTS,
    TRAINED_ON_SEGMENTS,
    ResultsFolder,
)
from keras_avssan.evaluation.evaluation_result import Evaluation
from keras_avssan.evaluation.former_keys import with_current_keys
from keras_avssan.evaluation.paired import paired_difference

_HEAD = (
    "System",
    "Selection",
    "MAE",
    "ACC@5°",
    "ACC@10°",
    "Within 5° of either source",
    "MAE when selected",
    f"`{REFERENCE}` selects more by",
    "Paper: MAE, ACC",
)
_SEGMENTS = (SEGMENTS, TRAINED_ON_SEGMENTS)
_MIN_PAIR_SCENES = 5  # that a class pair needs to be listed
_NUM_PAIRS = 10
# Share of equal answers, of at least so many, from which on a network has learned nothing.
_SAME_ANSWER, _MIN_ANSWERS = 0.95, 20

# Contents of JSON files: a row, an evaluation, a mean with its interval.
_Json: TypeAlias = dict[str, Any]
# Titles of rows and their evaluations.
_Titled: TypeAlias = list[tuple[str, _Json]]


class TableResults:
    """Compares the finished rows of a table with each other and with the paper.

    Args:
        table: Number of the table.
        rows: Dicts, as `Benchmark.fill` wrote them.

    Attributes:
        rows: The rows, in the order of the table.
        scored: The rows that were not left out.
        levels: SNRs in dB as strings, the highest first, or the levels of Table 3.
    """

    def __init__(self, table: int, rows: Iterable[_Json]) -> None:
        order = [system.name for system in built_in_systems()]
        self.table = table
        self.rows = sorted(
            map(with_current_keys, rows),
            key=lambda row: (
                order.index(row["name"]) if row["name"] in order else len(order),
                row["name"],
            ),
        )
        self.scored = [row for row in self.rows if not row["left_out"]]
        levels: set[str] = {level for row in self.scored for level in row["evaluations"]}
        self.levels = sorted(levels, key=_order)

    def summary(self, row: _Json, level: str) -> _Json:
        """Returns the evaluation of a scored row at a level, see `Evaluation.to_dict`."""
        return row["evaluations"][level]

    @staticmethod
    def level_title(level: str) -> str:
        """Returns the heading of a level."""
        return level if level in _SEGMENTS else f"{level.replace('-', '−')} dB"

    @cached_property
    def differences(self) -> dict[tuple[str, str], _Json]:
        """Dict from name and level to the paired difference, of the reference minus the row."""
        reference = next((row for row in self.scored if row["name"] == REFERENCE), None)
        if reference is None:
            return {}
        differences: dict[tuple[str, str], _Json] = {}
        for level, content in reference["evaluations"].items():
            base = Evaluation.from_dict(content)
            for row in self.scored:
                if row is not reference and level in row["evaluations"]:
                    other = Evaluation.from_dict(row["evaluations"][level])
                    differences[row["name"], level] = paired_difference(base, other)
        return differences

    def to_dict(self) -> dict[str, Any]:
        """Returns the contents of the table as a dict that JSON can hold."""
        return {
            "table": self.table,
            "reference": REFERENCE,
            "random_source_baseline": {level: self._random_source(level) for level in self.levels},
            "rows": [self._entry(row) for row in self.rows],
        }

    def _entry(self, row: _Json) -> _Json:
        entry = {key: value for key, value in row.items() if key != "evaluations"}
        if row["left_out"]:
            return entry
        entry["scores"] = {
            level: content["scores"] for level, content in row["evaluations"].items()
        }
        entry["reference_minus_row"] = {
            level: self.differences[row["name"], level]
            for level in row["evaluations"]
            if (row["name"], level) in self.differences
        }
        return entry

    def _random_source(self, level: str) -> _Json:
        """Expected scores of exact angles of a source chosen at random."""
        return next(
            row["evaluations"][level]["random_source_baseline"]
            for row in self.scored
            if level in row["evaluations"]
        )

    def markdown(self) -> str:
        """Returns the table in Markdown: a part for each level, then the cost of the rows."""
        parts = [f"# Table {self.table}"]
        for level in self.levels:
            rows = [row for row in self.scored if level in row["evaluations"]]
            settings = rows[0]["evaluations"][level]["settings"]
            count = settings.get("scenes", settings.get("segments"))
            parts.append(f"## {self.level_title(level)}\n\n{count} scenes, 95 % intervals.")
            lines = [self._line(row, level) for row in rows]
            parts.append(_table(_HEAD, [*lines, _random_line(self._random_source(level))]))
        parts.append("## Training")
        parts.append(_table(_COST_HEAD, [_cost_line(row) for row in self.scored]))
        missing = [row for row in self.rows if row["left_out"]]
        if missing:
            parts.append("## Left out")
            parts.append("\n".join(f"- {row['title']}: {row['left_out']}" for row in missing))
        return "\n\n".join(parts) + "\n"

    def _line(self, row: _Json, level: str) -> tuple[str, ...]:
        scores = self.summary(row, level)["scores"]
        difference = self.differences.get((row["name"], level), {}).get("selection")
        return (
            _named(row, level),
            _score(scores["selection"], "%"),
            _score(scores["mae"], "°"),
            _score(scores["acc_5deg"], "%"),
            _score(scores["acc_10deg"], "%"),
            _score(scores.get("nearest_acc_5deg"), "%"),
            _score(scores["selected_mae"], "°"),
            _score(difference, "points"),
            _paper(row, self.table, level),
        )

    def breakdown(self) -> str:
        """Returns scores by angle, reverberation time, class and class pair, in Markdown."""
        parts = [f"# Table {self.table}: breakdown"]
        for level in self.levels:
            rows = [row for row in self.scored if level in row["evaluations"]]
            named = [(row["title"], row["evaluations"][level]) for row in rows]
            parts.append(f"## {self.level_title(level)}")
            for key, title, unit in _BINS:
                parts += _binned(named, key, title, unit)
            parts += _classes(named)
            for row in rows:
                if row["name"] == REFERENCE:
                    parts += _class_pairs(row["title"], row["evaluations"][level])
        return "\n\n".join(parts) + "\n"


_COST_HEAD = (
    "System",
    "Trainable weights",
    "Steps",
    "Learning rate",
    "Trials: rate, validation loss, MAE",
    "Trials",
    "Training",
    "Tests",
)
_BINS = (
    ("by_separation", "Selection by the angle between the sources", "°"),
    ("by_t60", "Selection by the reverberation time", " s"),
)


def write_report(folder: ResultsFolder, table: int) -> None:
    """Writes `tableN.md`, `tableN.json`, `tableN.png` and `breakdownN.md` from finished rows."""
    results = TableResults(table, folder.rows(table))
    stem = folder.path / f"table{table}"
    write_json(stem.with_suffix(".json"), results.to_dict())
    write_text(stem.with_suffix(".md"), results.markdown())
    write_text(folder.path / f"breakdown{table}.md", results.breakdown())
    if results.scored:
        figure = cast(Figure, plot_selection(results))
        with whole_file(stem.with_suffix(".png")) as part:
            figure.savefig(part, format="png")


def _named(row: _Json, level: str) -> str:
    """The title of a row; it says so where a trained network answers nearly always the same."""
    estimates = row["evaluations"][level]["per_scene"]["estimate"]
    (answer, times), *_ = Counter(estimates).most_common(1)
    share = times / len(estimates)
    if not row["steps"] or len(estimates) < _MIN_ANSWERS or share < _SAME_ANSWER:
        return str(row["title"])
    return f"{row['title']} (has not learned: {answer:.0f}° in {100 * share:.0f} % of the scenes)"


def _cost_line(row: _Json) -> tuple[str, ...]:
    trials = row.get("trials", [])
    tried = ", ".join(map(_tried, trials))
    seconds = row["seconds"]
    times = (
        f"{seconds[name]:.0f} s" if name in seconds else "–"
        for name in ("trials", "training", "tests")
    )
    rate = f"{row['learning_rate']:.2g}" if "learning_rate" in row else "–"
    weights = f"{row['trainable_parameters']:,}"
    return (row["title"], weights, str(row["steps"]), rate, tried or "–", *times)


def _tried(trial: _Json) -> str:
    """A trial; those of earlier versions have no loss, and those that diverged have none either."""
    parts = [f"{trial['learning_rate']:.2g}:"]
    if trial.get("loss") is not None:
        parts.append(f"{trial['loss']:.3f},")
    return " ".join([*parts, f"{trial['mae']:.1f}°"])


def _random_line(scores: _Json) -> tuple[str, ...]:
    selection = None if scores["selection"] is None else {"mean": scores["selection"]}
    cells = [_score(selection, "%"), _score({"mean": scores["mae"]}, "°")]
    cells += [_score({"mean": scores[f"acc_{t}deg"]}, "%") for t in (5, 10)]
    cells.append("100.0 %")
    when_selected = "–" if selection is None else "0.0°"
    return ("random source, exact angles", *cells, when_selected, "–", "–")


def _paper(row: _Json, table: int, level: str) -> str:
    snr = None if level in _SEGMENTS else float(level)
    for number, at, mae, accuracy in row["paper"]:
        if number == table and at == snr:
            return f"{mae:.2f}°, {accuracy:.2f} %"
    return "–"


def _binned(named: _Titled, key: str, title: str, unit: str) -> list[str]:
    """A table with a row for each system and a column for each bin."""
    bins = {(g["from"], g["to"]): g["scenes"] for _, content in named for g in content[key]}
    if not bins:
        return []
    columns = sorted(bins)
    head = [
        (f"{low:g}–{high:g}{unit}" if high is not None else f"from {low:g}{unit}")
        + f" ({bins[low, high]} scenes)"
        for low, high in columns
    ]
    lines = []
    for name, content in named:
        groups = {(g["from"], g["to"]): g["selection"] for g in content[key]}
        lines.append((name, *(_score(groups.get(column), "%") for column in columns)))
    return [f"### {title}", _table(("System", *head), lines)]


def _classes(named: _Titled) -> list[str]:
    """A table with a row for each class and a column for each system."""
    classes = sorted({name for _, content in named for name in content["per_class"]})
    lines = []
    for name in classes:
        entries = [content["per_class"].get(name) for _, content in named]
        scenes = next(entry["scenes"] for entry in entries if entry)
        cells = (
            "–" if not entry or entry["selection"] is None else f"{100 * entry['selection']:.0f} %"
            for entry in entries
        )
        lines.append((f"{name} ({scenes})", *cells))
    head = ("Target (scenes)", *(name for name, _ in named))
    return ["### Selection by the target's class", _table(head, lines)]


def _class_pairs(title: str, content: _Json) -> list[str]:
    """The hardest and the easiest class pairs."""
    pairs = [
        pair
        for pair in content["by_class_pair"]
        if pair["scenes"] >= _MIN_PAIR_SCENES and pair["selection"]
    ]
    if not pairs:
        return []
    pairs.sort(key=lambda pair: (pair["selection"]["mean"], -pair["scenes"]))
    listed = pairs if len(pairs) <= 2 * _NUM_PAIRS else pairs[:_NUM_PAIRS] + pairs[-_NUM_PAIRS:]
    lines = [
        (
            pair["target"],
            str(pair["interferer"]),
            str(pair["scenes"]),
            _score(pair["selection"], "%"),
            _score(pair["mae"], "°"),
        )
        for pair in listed
    ]
    words = f"### {title}: the hardest and the easiest class pairs"
    return [words, _table(("Target", "Interferer", "Scenes", "Selection", "MAE"), lines)]


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return make_table(head, lines).markdown()


def _score(score: _Json | None, unit: str) -> str:
    """Mean and interval of a score."""
    if score is None:
        return "–"
    scale, sign = (1, "") if unit == "°" else (100, "+" if unit == "points" else "")
    ending = "" if unit == "points" else unit if unit == "°" else f" {unit}"
    text = f"{scale * score['mean']:{sign}.1f}{ending}".replace("-", "−")
    if "interval" not in score:
        return text
    low, high = (f"{scale * b:{sign}.1f}".replace("-", "−") for b in score["interval"])
    between = " to " if unit == "points" else "–"
    return f"{text} ({low}{between}{high})"


def _order(level: str) -> float:
    """Levels of Table 3 in their order, or SNRs from the highest on."""
    return _SEGMENTS.index(level) if level in _SEGMENTS else -float(level)
