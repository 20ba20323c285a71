"""What the gate writes down: every field of its events, the register's rows, tables as they are compared."""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kits.artefact_kit import artefact, html
from kits.journal_kit import Notebook
from sqlalchemy import text

from ringfence.privacy.errors import ExportError
from ringfence.privacy.release import (
    Artefact,
    Cleared,
    ColumnRule,
    ExportGate,
    ExportPolicy,
    ExportRefused,
    SmallCells,
    TableRegister,
    differences,
    examine,
)
from ringfence.privacy.release.differences import CountTable, refuse_small_difference, tables_of
from ringfence.privacy.release.parsed import Grid
from ringfence.privacy.stores.store import open_store

RULES = tuple(
    ColumnRule(name=name, sensitivity="plain", count=name == "n") for name in ("group", "region", "n")
)
LISTED = {rule.name: rule for rule in RULES}
LIMITS = SmallCells()
GOOD = b"group,n\na,100\nb,400\n"


def table(content: bytes = GOOD, name: str = "t.csv", **more: Any) -> Artefact:
    return Artefact(name=name, kind="csv", content=content, columns=RULES, **more)


def gate(policy: ExportPolicy | None = None) -> tuple[ExportGate, Notebook, TableRegister]:
    notebook, register = Notebook(), TableRegister.open(open_store(None))
    return ExportGate(notebook, policy or ExportPolicy(), register), notebook, register


def sha(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_every_field_of_every_event_of_a_release(tmp_path: Path) -> None:
    door, notebook, _ = gate(ExportPolicy(epsilon=Decimal(3)))
    made = table(epsilon=Decimal(2), resource="study:telco:1.0_b")
    released = door.release(made, tmp_path)
    request = notebook.events[0].public["request"]
    assert re.fullmatch(r"request-[0-9a-f]{16}", request)
    shown = {"request": request, "kind": "csv", "masking": "clean"}
    own = {"file": "t.csv", "digest": sha(GOOD), "bytes": len(GOOD)}
    assert [event._replace(within=True) for event in notebook.events] == [
        ("export.requested", "allow", made.resource, {**shown, "stage": "received"}, own, True),
        (
            "export.requested",
            "allow",
            made.resource,
            {**shown, "stage": "decided", "digest": sha(GOOD)},
            {},
            True,
        ),
        ("export.released", "allow", made.resource, {**shown, "digest": sha(GOOD)}, {}, True),
    ]
    assert (released.path, released.kind, released.digest) == (tmp_path / "t.csv", "csv", sha(GOOD))
    assert (released.size, released.event, released.notes) == (len(GOOD), 3, ())
    other = door.release(table(name="u.csv", epsilon=Decimal(0)), tmp_path)
    assert (other.event, notebook.events[-1].resource) == (6, "export")
    assert notebook.events[-1].public["request"] != request


def test_every_field_of_the_events_of_a_refusal(tmp_path: Path) -> None:
    door, notebook, _ = gate()
    leak = b"write to wang.fang@example.cn or 13812345678\n"
    first = Artefact(name="a.txt", kind="text", content=leak)
    second = Artefact(
        name="b.csv", kind="csv", content=pd.DataFrame({"group": ["a"]}), columns=RULES, masking="presidio"
    )
    with pytest.raises(ExportRefused) as caught:
        door.release_all([first, second], tmp_path / "out")
    request = notebook.events[0].public["request"]
    asked = {"request": request, "kind": "text", "masking": "clean"}
    other = {"request": request, "kind": "csv", "masking": "presidio"}
    own = {"file": "a.txt", "digest": sha(leak), "bytes": len(leak)}
    assert [(e.action, e.outcome, e.resource, e.public, e.private) for e in notebook.events] == [
        ("export.requested", "allow", "export", {**asked, "stage": "received"}, own),
        ("export.requested", "allow", "export", {**other, "stage": "received"}, {"file": "b.csv"}),
        ("export.refused", "deny", "export", {**asked, "reasons": ["RF-X040"]}, own),
        ("export.refused", "deny", "export", {**other, "reasons": ["RF-X040"]}, {"file": "b.csv"}),
    ]
    (refused,) = caught.value.refused
    assert (refused.name, refused.kind) == ("a.txt", "text")
    kinds = [str(dict(reason.values)["kind"]) for reason in refused.reasons]
    assert (sorted(kinds), caught.value.values["kind"]) == (["CN_MOBILE", "EMAIL"], kinds[0])
    assert not (tmp_path / "out").exists()


def test_reasons_are_told_once_each_in_the_order_they_were_found(tmp_path: Path) -> None:
    door, notebook, _ = gate()
    with pytest.raises(ExportRefused):
        door.release(table(b"group,n\n=1 wang.fang@example.cn,3\n=2 13812345678,4\n"), tmp_path)
    assert notebook.events[-1].public["reasons"] == ["RF-X032", "RF-X042", "RF-X040"]


@pytest.mark.parametrize("resource", ["study", "study:a", "a-b:c.d:E_f:1", "x" * 32, "s:" + "y" * 128])
def test_what_an_artefact_was_made_from_has_a_plain_name(resource: str, tmp_path: Path) -> None:
    door, notebook, _ = gate()
    door.release(table(resource=resource), tmp_path)
    assert {event.resource for event in notebook.events} == {resource}


@pytest.mark.parametrize(
    "resource", ["", "Study", "1a", "s:", "s:a b", "s:a:b:c:d", "x" * 33, "s:" + "y" * 129, "s:ä"]
)
def test_other_names_are_refused_and_not_logged(resource: str, tmp_path: Path) -> None:
    door, notebook, _ = gate()
    with pytest.raises(ExportRefused, match="RF-X067") as caught:
        door.release(table(resource=resource), tmp_path)
    assert {event.resource for event in notebook.events} == {"export"}
    assert caught.value.refused[0].name == "t.csv"


def test_size_is_limited_to_the_byte() -> None:
    assert isinstance(examine(table(), ExportPolicy(max_bytes=len(GOOD))), Cleared)
    assert not isinstance(examine(table(), ExportPolicy(max_bytes=len(GOOD) - 1)), Cleared)


def test_what_is_cleared_is_the_bytes_their_digest_their_notes_and_their_tables() -> None:
    answer = examine(table(b"group,n\na,100\nb,\nc,\n"), ExportPolicy())
    assert isinstance(answer, Cleared)
    assert (answer.name, answer.kind, answer.digest) == ("t.csv", "csv", sha(answer.content))
    assert len(answer.notes) == 1
    assert answer.tables == (counted({"a": 100, "b": None, "c": None}),)
    assert "100" not in repr(answer)
    masked = examine(table(b"group,n\ncall 13812345678,100\n", masking="presidio"), ExportPolicy())
    assert isinstance(masked, Cleared)
    assert set(masked.notes) == {"Masked before the check."}
    clean = examine(table(masking="presidio"), ExportPolicy())
    assert isinstance(clean, Cleared)
    assert (clean.notes, clean.content) == ((), GOOD)


# --- the register


def counted(counts: dict[str, int | None], threshold: int = 20, *, whole: bool = True) -> CountTable:
    return CountTable(
        names=("group",),
        groups=tuple((group,) for group in counts),
        counts=tuple(counts.values()),
        threshold=threshold,
        whole=whole,
    )


def test_a_row_of_the_register_is_the_artefact_and_its_table_and_is_read_back(tmp_path: Path) -> None:
    engine = open_store(None)
    ExportGate(Notebook(), ExportPolicy(), TableRegister.open(engine)).release(table(), tmp_path)
    with engine.connect() as connection:
        ((artefact_, content),) = connection.execute(text("select artefact, content from released_tables"))
    stood = {
        "names": ["group"],
        "groups": [["a"], ["b"]],
        "counts": [100, 400],
        "threshold": 20,
        "whole": True,
    }
    assert (artefact_, json.loads(content)) == (sha(GOOD), stood)
    figure = {
        **stood,
        "names": ["place"],
        "groups": [["总 x"]],
        "counts": [70],
        "whole": False,
        "threshold": 50,
    }
    with engine.begin() as connection:
        connection.execute(
            text("insert into released_tables (artefact, content) values ('sha256:0', :content)"),
            {"content": json.dumps(figure)},
        )
    register = TableRegister.open(engine)
    place = CountTable(names=("place",), groups=(("总 x",),), counts=(119,), threshold=20, whole=False)
    with pytest.raises(ExportError, match="RF-X100"):
        register.enter([("sha256:1", place)])
    with pytest.raises(ExportError, match="RF-X100"):
        register.enter([("sha256:1", counted({"b": 381}))])
    register.enter([("sha256:1", counted({"a": 100, "b": 400})), ("sha256:1", counted({"b": 380}))])
    with engine.connect() as connection:
        kept = connection.execute(text("select artefact, content from released_tables order by id")).all()
    assert [row[0] for row in kept] == [sha(GOOD), "sha256:0", "sha256:1"], "one that is known is kept once"
    assert json.loads(kept[2][1])["counts"] == [380]


def test_a_refused_table_takes_those_before_it_along() -> None:
    register = TableRegister.open(open_store(None))
    with pytest.raises(ExportError, match="RF-X100") as caught:
        register.enter([("a", counted({"x": 100}, 30)), ("b", counted({"x": 129}, 20))])
    assert caught.value.values == {"threshold": 30}
    register.enter([("a", counted({"x": 120}))])


# --- tables as they are compared


def grid(names: tuple[str, ...], *columns: tuple[object, ...], **more: Any) -> Grid:
    return Grid(where="line 3", names=names, columns=columns, **more)


def test_a_table_of_counts_is_its_groups_in_one_spelling_and_its_counts() -> None:
    made = tables_of(
        (grid(("Group", "n", "region"), (" A  b", "ＣＤ", None), (100, None, 400.0), (7, 7.0, 7.5)),),
        LISTED,
        LIMITS,
    )
    assert made == (
        CountTable(
            names=("group", "region"),
            groups=(("a b", "7"), ("cd", "7"), ("", "7.5")),
            counts=(100, None, 400),
            threshold=50,
        ),
    )
    (total,) = tables_of((grid(("n",), (100, 200)),), LISTED, LIMITS)
    assert (total.names, total.groups, total.threshold, total.whole) == ((), ((), ()), 20, True)
    twice = grid(("group", "n"), ("a",), (100,))
    assert len(tables_of((twice, twice), LISTED, LIMITS)) == 1


def test_columns_without_any_count_are_no_table() -> None:
    for cells in ((None, None), ("x", 100), ("x", "y")):
        assert tables_of((grid(("age", "customers"), ("a", "b"), cells),), {}, LIMITS) == ()
    assert len(tables_of((grid(("age", "customers"), ("a", "b"), (None, 100)),), {}, LIMITS)) == 1


def test_a_single_figure_is_known_by_its_place_its_name_and_the_texts_beside_it() -> None:
    record = grid(("title", "customers", "share"), ("Ｘ y",), (100,), (0.5,), record=True)
    assert tables_of((record,), {}, LIMITS) == (
        CountTable(
            names=("place",), groups=(("line 3 customers x y",),), counts=(100,), threshold=50, whole=False
        ),
    )
    lying = grid(("age", "40", "50"), ("customers",), (100,), (200,), lying=True)
    figures = tables_of((lying,), {}, LIMITS)
    assert [(t.groups, t.counts, t.whole) for t in figures] == [
        ((("line 3 customers 0",),), (100,), False),
        ((("line 3 customers 1",),), (200,), False),
    ]
    quiet = {"customers": ColumnRule(name="customers", sensitivity="plain", count=False)}
    assert tables_of((lying,), quiet, LIMITS) == ()


def test_a_table_is_compared_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert differences.MOST_CELLS == 500_000
    monkeypatch.setattr(differences, "MOST_CELLS", 12)
    names = ("group", "region", "n")
    for rows, fits in ((4, True), (5, False)):
        one = grid(names, tuple(range(rows)), ("x",) * rows, (100,) * rows)
        if fits:
            assert len(tables_of((one,), LISTED, LIMITS)) == 1
            continue
        with pytest.raises(ExportError, match="RF-X101") as caught:
            tables_of((one,), LISTED, LIMITS)
        assert caught.value.values == {"most": 12}


@pytest.mark.parametrize("difference", [1, 19, 20, 0])
def test_neighbouring_tables_differ_by_no_few_customers(difference: int) -> None:
    first = CountTable(
        names=("a", "b", ""), groups=(("x", "1", "p"), ("y", "1", "q")), counts=(100, 300), threshold=20
    )
    later = {
        "a group": CountTable(
            names=("b", "a"), groups=(("1", "x"),), counts=(100 + difference,), threshold=20
        ),
        "a sum": CountTable(names=("b",), groups=(("1",),), counts=(400 + difference,), threshold=20),
        "the total": CountTable(
            names=("c",), groups=(("z",), ("w",)), counts=(200 + difference, 200), threshold=20
        ),
    }
    for name, table_ in later.items():
        for one, other in ((first, table_), (table_, first)):
            if difference in (1, 19):
                with pytest.raises(ExportError, match="RF-X100"):
                    refuse_small_difference(one, other)
            else:
                refuse_small_difference(one, other)
        assert name
    figure = CountTable(
        names=("place",), groups=(("p",),), counts=(400 + difference,), threshold=20, whole=False
    )
    refuse_small_difference(first, figure)


def test_a_page_and_a_frame_are_compared_with_one_another(tmp_path: Path) -> None:
    door, _, _ = gate()
    pages = [
        html(f"<table><tr><th>age</th><th>customers</th></tr><tr><td>40</td><td>{n}</td></tr></table>")
        for n in (400, 399)
    ]
    door.release(artefact("html", pages[0], columns=(), name="a.html"), tmp_path)
    with pytest.raises(ExportRefused, match="RF-X100"):
        door.release(artefact("html", pages[1], columns=(), name="b.html"), tmp_path)
    later = Artefact(
        name="c.parquet",
        kind="parquet",
        content=pd.DataFrame({"age": ["40"], "customers": np.array([399])}),
        columns=(
            ColumnRule(name="age", sensitivity="plain"),
            ColumnRule(name="customers", sensitivity="plain", count=True),
        ),
    )
    with pytest.raises(ExportRefused, match="RF-X100"):
        door.release(later, tmp_path)
