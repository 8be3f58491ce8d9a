"""Tables of text: aligned in a terminal, Markdown in a notebook."""

import json
import pickle

import pytest

from keras_avssan._internal.tables.text_tables import join_tables, make_table

pytestmark = pytest.mark.backend_agnostic

ROWS = [("selection", "82.0 %", "80.0 – 84.0"), ("MAE", "2.5°", "–"), ("犬|dog", "−12.25°", "–")]


@pytest.fixture
def table():
    return make_table(("score", "model", "95 % interval"), ROWS, ["Split test, 3 scenes"])


def test_aligned_where_it_is_printed(table):
    assert str(table).splitlines() == [
        "Split test, 3 scenes",
        "",
        "score        model  95 % interval",
        "---------  -------  -------------",
        "selection   82.0 %    80.0 – 84.0",
        "MAE           2.5°              –",
        "犬|dog     −12.25°              –",  # a wide character takes two columns
    ]
    assert repr(table) == str(table) and f"{table}" == json.loads(json.dumps(table))


def test_markdown_in_a_notebook(table):
    assert table._repr_markdown_().splitlines() == [
        "Split test, 3 scenes",
        "",
        "| score | model | 95 % interval |",
        "| --- | --- | --- |",
        "| selection | 82.0 % | 80.0 – 84.0 |",
        "| MAE | 2.5° | – |",
        "| 犬\\|dog | −12.25° | – |",
    ]


def test_tables_below_each_other(table):
    joined = join_tables(["First", table])
    assert joined == f"First\n\n{table}"
    assert joined.markdown() == f"First\n\n{table.markdown()}"


def test_survives_a_pickle(table):
    again = pickle.loads(pickle.dumps(table))
    assert (again, again.markdown()) == (table, table.markdown())


def test_a_table_without_rows():
    assert make_table(("class", "clips"), []).splitlines() == ["class  clips", "-----  -----"]
