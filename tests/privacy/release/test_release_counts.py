"""Small cells are found in tables of any kind of artefact, by the list of columns or the column's name."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from kits.artefact_kit import artefact, found, html, npz
from safetensors.numpy import save

from ringfence.privacy.release import Artefact, ColumnRule, ExportPolicy, SmallCells


def tables(small: int) -> dict[str, Artefact]:
    """One table of ages and customers in every form there is; the second count is `small`."""
    rows = [{"age": 40, "customers": 400}, {"age": 93, "customers": small}]
    text = json.dumps
    made: dict[str, tuple[Any, Any]] = {
        "json nested": ("json", text({"rows": rows}).encode()),
        "json deep": ("json", text({"a": [{"b": {"rows": rows}}]}).encode()),
        "json columns": ("json", text({"age": [40, 93], "customers": [400, small]}).encode()),
        "json objects": ("json", text({"age 40": {"customers": 400}, "93": {"customers": small}}).encode()),
        "json rows": ("json", text({"t": [["age", "customers"], [40, 400], [93, small]]}).encode()),
        "json texts": ("json", text({"rows": [{"age": "93", "customers": str(small)}]}).encode()),
        "json figure": ("json", text({"age": 93, "customers": small}).encode()),
        "toml": ("toml", f"[[rows]]\nage = 93\ncustomers = {small}\n".encode()),
        "text, commas": ("text", f"age,customers\n40,400\n93,{small}\n".encode()),
        "text, semicolons": ("text", f"age;customers\n40;400\n93;{small}\n".encode()),
        "text, tabs": ("text", f"age\tcustomers\n40\t400\n93\t{small}\n".encode()),
        "text, aligned": ("text", f"Report\n\nage   customers\n40    400\n93    {small}\n".encode()),
        "text, blanks": ("text", f"age customers\n40 400\n93 {small}\n".encode()),
        "text, bars": ("text", f"| age | customers |\n| 40 | 400 |\n| 93 | {small} |\n".encode()),
        "text, lying": ("text", f"age        40   93\ncustomers  400  {small}\n".encode()),
        "text, named": ("text", f"age: 93\ncustomers: {small}\n".encode()),
        "markdown": (
            "markdown",
            f"# T\n\n| age | customers |\n|---|--:|\n| 40 | 400 |\n| 93 | {small} |\n".encode(),
        ),
        "markdown, bold": ("markdown", f"age | number of customers\n--- | ---\n93 | {small}\n".encode()),
        "html": (
            "html",
            html(
                f"<table><tr><th>age</th><th>customers</th></tr><tr><td>93</td><td>{small}</td></tr></table>"
            ),
        ),
        "html, groups": (
            "html",
            html(
                "<table><thead><tr><th>年龄</th><th>客户数</th></tr></thead>"
                f"<tbody><tr><td>93</td><td><b>{small}</b></td></tr></tbody></table>"
            ),
        ),
        "html, lying": ("html", html(f"<table><tr><th>customers</th><td>{small}</td></tr></table>")),
        "html, terms": ("html", html(f"<dl><dt>customers</dt><dd>{small}</dd></dl>")),
        "npz": ("npz", npz(age=np.array([40, 93]), customers=np.array([400, small]))),
        "npz, one": ("npz", npz(customers=np.array(small))),
        "safetensors": ("safetensors", save({"customers": np.array([400, small], np.int32)})),
        "safetensors, metadata": ("safetensors", save({"w": np.ones(1)}, {"r": json.dumps({"rows": rows})})),
    }
    return {name: artefact(kind, content, columns=()) for name, (kind, content) in made.items()}


@pytest.mark.parametrize("name", tables(1))
def test_a_small_cell_is_refused_in_every_form(name: str) -> None:
    for small in (1, 0, 49):
        assert found(tables(small)[name]) == {"RF-X032"}, small
    assert found(tables(50)[name]) == set()


@pytest.mark.parametrize("header", ["customers", "Customers", "n_customers", "number of customers", "人数"])
def test_names_that_count_people(header: str) -> None:
    assert found(artefact("text", f"age,{header}\n93,1\n".encode())) == {"RF-X032"}


@pytest.mark.parametrize("header", ["customer", "points", "bins", "customers per month", "客户名称"])
def test_names_that_do_not(header: str) -> None:
    assert found(artefact("text", f"age,{header}\n93,1\n".encode())) == set()


def test_the_list_of_columns_has_the_last_word() -> None:
    content = b"group,customers\na,1\n"
    for count, expected in ((None, {"RF-X032"}), (True, {"RF-X032"}), (False, set())):
        rules = (
            ColumnRule(name="group", sensitivity="plain"),
            ColumnRule(name="customers", sensitivity="plain", count=count),
        )
        assert found(artefact("csv", content, columns=rules)) == expected
        page = html("<table><tr><th>group</th><th>customers</th></tr><tr><td>a</td><td>1</td></tr></table>")
        assert found(artefact("html", page, columns=rules)) == expected


def test_a_declared_table_without_quasi_identifiers_has_the_lower_threshold() -> None:
    rules = (ColumnRule(name="group", sensitivity="plain"), ColumnRule(name="customers", sensitivity="plain"))
    for count, expected in ((19, {"RF-X032"}), (20, set())):
        table = f"group | customers\n--- | ---\na | {count}\n".encode()
        assert found(artefact("markdown", table, columns=rules)) == expected
        lower = ExportPolicy(small_cells=SmallCells(threshold=10))
        assert found(artefact("markdown", table, columns=rules), lower) == set()


@pytest.mark.parametrize("mark", ["", "-", "*", "<50", "n/a"])
def test_one_suppressed_cell_alone_is_refused_in_text(mark: str) -> None:
    one = f"| age | customers |\n|---|---|\n| 30 | 400 |\n| 40 | 400 |\n| 93 | {mark} |\n"
    assert found(artefact("markdown", one.encode())) == {"RF-X033"}
    assert found(artefact("markdown", one.replace("| 30 | 400 |", f"| 30 | {mark} |").encode())) == set()


def test_prose_and_ordinary_tables_leave() -> None:
    prose = (
        "The model was learned from 41,188 customers, 3 holders.\nIn 2 of 12 bins noise hides customers.\n\n"
        "| feature | bins | points |\n|---|---|---|\n| tenure | 3 | 12 |\n"
    )
    assert found(artefact("markdown", prose.encode())) == set()
