"""What a reader of an artefact sees, or the library that wrote it means, is what the gate looks at."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from kits.artefact_kit import artefact, found, html, npz, svg
from safetensors.numpy import save

from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.identifiers.pii import Scanner
from ringfence.privacy.release import ColumnRule, ExportPolicy

MOBILE, KEY = "13800138001", "834512345"
HOLDER = ExportPolicy(scanner=Scanner(customers=CustomerList.of(bytes(16), keys=[KEY, "7590-VHVEG"])))


def told(kind: str, content: Any, **more: Any) -> set[str]:
    return found(artefact(kind, content.encode() if isinstance(content, str) else content, **more), HOLDER)


@pytest.mark.parametrize(
    "written", ["138**0013**8001", "138`0013`8001", "_138_0013~~8001~~", r"138\00138001"]
)
def test_markup_inside_a_number_does_not_hide_it(written: str) -> None:
    assert told("markdown", f"Called {written} twice.\n") == {"RF-X040"}


@pytest.mark.parametrize("number", [MOBILE, KEY])
@pytest.mark.parametrize("place", ['<text x="{}">a</text>', '<path d="M 1.5 {}"/>', '<rect width="{}"/>'])
def test_a_number_that_is_no_coordinate_is_found_among_coordinates(number: str, place: str) -> None:
    assert told("svg", svg(place.format(number))) == {"RF-X040"}


def test_digits_of_coordinates_are_accidents() -> None:
    assert told("svg", svg('<path d="M0.13800138001,12.834512345 L123456.5 7"/>')) == set()


@pytest.mark.parametrize(
    "text", ["138\n00138001", "138 \n 0013\n8001", "1\u20e33\u20e38\u20e300138001", "138\u03010013\u03018001"]
)
def test_a_cell_in_lines_or_with_marks_on_its_digits_is_read(text: str) -> None:
    assert told("csv", f'feature,points\n"{text}",1\n') == {"RF-X040"}


@pytest.mark.parametrize("text", [f"customer{KEY}", f"x{KEY}y", f"Kunde{KEY}"])
def test_a_numeric_customer_key_with_letters_at_it_is_found(text: str) -> None:
    assert told("text", b"Notes.\n", name=f"{text}.txt") == {"RF-X040"}
    assert told("json", json.dumps({"a": text}), columns=()) == {"RF-X040"}


def test_digits_within_a_digest_are_accidents() -> None:
    assert told("json", json.dumps({"a": f"sha256:ab{KEY}cd" + "0f" * 26}), columns=()) == set()


TABLES = {
    "columns of pandas": {"age": {"0": 93, "1": 40}, "customers": {"0": 1, "1": 200}},
    "a series of pandas": {"customers": {"93": 1, "40": 200}},
    "beside other values": {"rounds": 3, "customers": {"93": 1, "40": 200}},
    "split by pandas": {"columns": ["age", "customers"], "index": [0, 1], "data": [[93, 1], [40, 200]]},
    "by a column": {"customers_by_age": {"93": 1, "40": 200}},
    "an exponent": {"rows": [{"age": 93, "customers": "1e0"}]},
    "a word behind it": {"rows": [{"age": 93, "customers": "1 customer"}]},
    "a sign before the name": {"rows": [{"age": 93, "# customers": 1}]},
    "a note behind the name": {"rows": [{"age": 93, "customers (n)": 1}]},
    "a year behind the name": {"rows": [{"age": 93, "customers 2026": 1}]},
    "a path before the name": {"rows": [{"age": 93, "bins.customers": 1}]},
}


@pytest.mark.parametrize("name", TABLES)
def test_a_small_cell_is_found_however_a_library_lays_a_table(name: str) -> None:
    assert told("json", json.dumps(TABLES[name]), columns=()) == {"RF-X032"}


LINES = {
    "a rule of equals signs": "+---+---+\n| age | customers |\n+===+===+\n| 93 | 1 |\n+---+---+\n",
    "empty lines between": "age,customers\n\n93,1\n",
    "a heading": "# customers: 1\n",
    "a pair within a pair": "age 93: customers: 1\n",
}


@pytest.mark.parametrize("name", LINES)
def test_a_small_cell_is_found_in_lines(name: str) -> None:
    assert told("text", LINES[name]) == {"RF-X032"}
    assert (
        told("text", LINES[name].replace("1 |", "100 |").replace(",1", ",100").replace(": 1", ": 100"))
        == set()
    )


SHOWN = {
    "emphasis": "| age | **customers** |\n|---|---|\n| 93 | **{}** |\n",
    "code": "| age | `customers` |\n|---|---|\n| 93 | `{}` |\n",
    "a list": "- **customers**: {}\n",
    "HTML": "<table><tr><td>age</td><td>customers</td></tr><tr><td>93</td><td>{}</td></tr></table>\n",
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_small_cell_is_found_as_markdown_is_shown(name: str) -> None:
    assert told("markdown", SHOWN[name].format(1)) == {"RF-X032"}
    assert told("markdown", SHOWN[name].format(100)) == set()


def test_a_small_cell_is_found_in_arrays_of_every_layout() -> None:
    def arrays(count: int) -> list[set[str]]:
        table = np.array([[93, count], [40, 200]])
        return [
            told("npz", npz(t=np.array([["age", "customers"], ["93", str(count)]]))),
            told("npz", npz(columns=np.array(["age", "customers"]), values=table)),
            told("npz", npz(**{"bins.age": table[:, 0], "bins.customers": table[:, 1]})),
            told("safetensors", save({"w": np.ones(2, np.float32)}, {"customers": str(count)})),
        ]

    assert arrays(1) == [{"RF-X032"}] * 4
    assert arrays(100) == [set()] * 4


def test_a_picture_tells_of_a_small_cell_in_its_title() -> None:
    assert told("svg", svg("<rect><title>age 93: customers: 1</title></rect>")) == {"RF-X032"}
    assert told("html", html("<p>customers: 100</p>")) == set()


def test_a_column_may_say_that_it_counts_something_else() -> None:
    rules = (
        ColumnRule(name="age", sensitivity="plain"),
        ColumnRule(name="customers 2026", sensitivity="plain", count=False),
    )
    assert told("csv", "age,customers 2026\n93,1\n", columns=rules) == set()
