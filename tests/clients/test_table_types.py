"""A stage of the table's way cannot be skipped: not by calling a constructor, not anywhere in the code
base.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ringfence.clients.rows.table import AttestedTable, ConsentedTable, MinimisedTable, RawTable
from ringfence.privacy.errors import TableError

ROOT = Path(__file__).parents[2]
FOLDERS = ("privacy", "audit", "models", "clients", "server", "simulations")
STAGES = {"RawTable", "AttestedTable", "ConsentedTable", "MinimisedTable"}
# Who may build what, read what, and know the token.
MAKERS = {**dict.fromkeys(STAGES, "clients/rows/table.py"), "CohortMembers": "privacy/consent/cohort.py"}
RAW_READERS = {
    "read_columns": {
        "privacy/tables/tabular.py",
        "clients/rows/reading.py",
        "privacy/consent/cells.py",
        "simulations/tables.py",
    },
    "read_delimited": {"privacy/tables/tabular.py", "privacy/tables/delimited.py"},
    "fetch": {"clients/rows/table.py", "clients/rows/raw_events.py", "clients/rows/raw_lists.py"},
    "read_event_table": {"clients/rows/table.py"},
    "read_inputs": {"clients/rows/table.py"},
}
PRIVATE = {"_keys", "_frame", "_lists"}
INSIDE = (
    "reading",
    "cells",
    "coding",
    "texts",
    "values",
    "raw_events",
    "windowing",
    "customers",
    "raw_lists",
    "listing",
    "note_topics",
    "kept",
    "splitting",
)


def called(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Last names of everything called, or handed to something that could call it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for part in (node.func, *node.args):
                name = part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "")
                yield name, node.lineno


def forgeries(source: str, path: str) -> list[str]:
    """Places of a file that build a stage, read raw columns or reach for a table's keys without being
    entitled.
    """
    tree = ast.parse(source)
    found = []
    for name, line in called(tree):
        if name in MAKERS and MAKERS[name] != path:
            found.append(f"{path}:{line} makes {name}")
        if (
            name in RAW_READERS
            and path not in RAW_READERS[name]
            and not (name == "fetch" and "reading" not in source)
        ):
            found.append(f"{path}:{line} calls {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "_MADE_HERE":
            found.append(f"{path}:{node.lineno} takes the token")
        if (
            isinstance(node, ast.Attribute)
            and node.attr in PRIVATE
            and path != "clients/rows/table.py"
            and "clients.rows.table" in source
        ):
            own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
            if not own:
                found.append(f"{path}:{node.lineno} reaches for {node.attr}")
        if isinstance(node, ast.ImportFrom) and node.module and path.split("/")[0] in FOLDERS:
            names = {alias.name for alias in node.names}
            if "_MADE_HERE" in names:
                found.append(f"{path}:{node.lineno} imports the token")
            inner = node.module in {f"ringfence.clients.rows.{name}" for name in INSIDE}
            insiders = {f"clients/rows/{name}.py" for name in ("table", *INSIDE)}
            if inner and path not in insiders:
                found.append(f"{path}:{node.lineno} imports {node.module}")
            if node.module == "ringfence.privacy.tables.delimited" and path != "privacy/tables/tabular.py":
                found.append(f"{path}:{node.lineno} imports {node.module}")
    return found


def test_no_other_file_makes_a_stage_or_reads_raw_columns() -> None:
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 20
    found = [
        place
        for path in files
        for place in forgeries(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "RawTable(allowed=a, token=t)",
        "from ringfence.clients import table\ntable.MinimisedTable(frame=f)",
        "dataclasses.replace(ConsentedTable, x)",
        "object.__new__(MinimisedTable)",
        "from ringfence.privacy.consent import CohortMembers\nCohortMembers(subjects=b)",
        "table._MADE_HERE",
        "from ringfence.clients.rows.table import _MADE_HERE",
        "from ringfence.clients.rows.reading import fetch",
        "from ringfence.clients.rows.raw_events import read_event_table",
        "from ringfence.clients.rows.raw_lists import read_inputs",
        "from ringfence.clients.rows.note_topics import topics_of",
        "from ringfence.clients.rows.kept import from_bytes",
        "tabular.read_columns(path, names, layout)",
        "from ringfence.clients.rows.table import RawTable\ndef f(raw: RawTable): return raw._frame",
        "from ringfence.clients.rows.table import RawTable\ndef f(raw: RawTable): return raw._lists",
    ],
)
def test_the_scan_finds_each_way(source: str) -> None:
    assert forgeries(source, "server/rounds.py")


def arguments(kind: type[Any]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "frame": pd.DataFrame(),
        "is_test": np.zeros(0, dtype=bool),
        "features": (),
        "_keys": (),
    }
    return {field.name: values.get(field.name) for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("kind", [RawTable, AttestedTable, ConsentedTable, MinimisedTable])
def test_a_constructor_refuses_every_other_caller(kind: type[Any]) -> None:
    with pytest.raises(TypeError):
        kind(**arguments(kind))
    for token in (None, object(), True):
        with pytest.raises(TableError, match="RF-T030"):
            kind(**arguments(kind), token=token)
