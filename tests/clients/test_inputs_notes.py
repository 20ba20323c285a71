"""Service texts: masked first, then one topic each by public words; the text itself goes nowhere."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kits.event_kit import codes_noted
from kits.input_kit import DAYS, codes_of, facts_of, read_input

from ringfence.clients.rows import note_topics
from ringfence.clients.rows.note_topics import topics_of, without_identifiers
from ringfence.clients.rows.table import RawTable, attested, kept
from ringfence.privacy.agreements.inputs import NoteTopic
from ringfence.privacy.identifiers.masking import Masked

HEADER = "who,text,day"
OTHER = 3


def read(folder: Path, lines: list[str], declared: dict[str, Any] | None = None, **source: Any) -> RawTable:
    return read_input(folder, "notes", HEADER, lines, declared=declared, source=source)


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("My INVOICE is wrong", 1),
        ("the invoiced sum", OTHER),  # a Latin word counts whole
        ("我的账单不对", 1),
        ("Invoice 坏了", 1),  # the first topic of the schema whose words stand there
        ("手机坏了。", 2),
        ("ｂｒｏｋｅｎ", 2),  # full-width letters
        ("Thank  you for the invoice", 0),
        ("Very nice, my phone is broken", 0),
        ("", -1),
        ("hello", OTHER),
    ],
)
def test_a_note_has_the_first_topic_whose_words_it_holds(tmp_path: Path, text: str, topic: int) -> None:
    raw = read(tmp_path, [f'ann,"{text}",', "bob,hello,"])
    assert codes_of(raw, "tickets").get("ann", [-1]) == [topic]


def test_signs_of_a_word_stand_for_themselves() -> None:
    topic = NoteTopic(name="t", words=("a+b (c)", "50%", "什么？"))
    texts = pa.array(["see a+b  (c)", "aab c", "50% off", "什么?", "什么"])
    assert topics_of(texts, [topic], 100)[0].tolist() == [0, 1, 0, 0, 1]


def test_nothing_looks_at_a_text_before_it_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    first_topics = note_topics.first_topics

    def spy(texts: Any, topics: Any) -> Any:
        seen.extend(texts.to_pylist())
        return first_topics(texts, topics)

    monkeypatch.setattr(note_topics, "first_topics", spy)
    words = {"topic": [{"name": "mail", "words": ["ann.lee@example.com", "EMAIL", "redacted"]}]}
    raw = read(tmp_path, ["ann,write to ann.lee@example.com about 110101199003071233,"], words)
    assert len(seen) == 1
    assert "ann.lee" not in seen[0]
    assert "199003" not in seen[0]
    # Neither an identifier nor what is written in its place can tell a topic.
    assert codes_of(raw, "tickets") == {"ann": [1]}


def test_a_text_that_cannot_be_masked_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_identifiers(pa.array(["a@example.com b"])).to_pylist() == ["************* b"]
    given_up = Masked(text="[REDACTED]", findings=())
    monkeypatch.setattr(note_topics, "mask_text", lambda text, operator: given_up)
    assert without_identifiers(pa.array(["a@example.com b"])).to_pylist() == [""]


def test_the_kept_table_holds_no_text(tmp_path: Path) -> None:

    raw = read(tmp_path, ["ann,my invoice is a secret,"])
    table = pa.ipc.open_file(kept(attested(raw))).read_all()
    assert sorted(table.column_names) == ["(codes) tickets", "(flags) tickets", "(groups) tickets", "(key)"]
    assert table["(codes) tickets"].to_pylist() == [[1]]


def test_a_long_note_is_cut_and_told(tmp_path: Path) -> None:
    raw = read(tmp_path, ["ann,hello hello broken,", "bob,broken,"], {"longest": 11})
    assert codes_of(raw, "tickets") == {"ann": [OTHER], "bob": [2]}
    assert facts_of(raw).cut == 1
    assert "RF-T236" in codes_noted(raw)


def test_the_last_notes_are_kept(tmp_path: Path) -> None:
    texts = ["broken", "invoice", "hello", "thank you"]
    lines = [f"ann,{text},2026-0{month}-01" for month, text in enumerate(texts, start=1)]
    raw = read(tmp_path, lines, {**DAYS, "choice": "last"}, time="day")
    assert codes_of(raw, "tickets") == {"ann": [0, 1, OTHER]}
    facts = facts_of(raw)
    assert (facts.bounded, facts.beyond, facts.listed) == (1, 1, 3)


def test_many_notes_of_one_customer_are_bounded_and_keep_their_mixture(tmp_path: Path) -> None:
    lines = [f"c{who},{text}," for who in range(60) for text in ["broken"] * 9 + ["invoice"] * 9]
    raw = read(tmp_path, lines)
    found = codes_of(raw, "tickets")
    assert {len(codes) for codes in found.values()} == {3}
    share = sum(codes.count(1) for codes in found.values()) / 180
    assert 0.35 < share < 0.65  # the digests are fixed, so this holds always
    assert facts_of(raw).beyond == 60 * 15


CELLS = st.tuples(
    st.sampled_from(["ann", "bob", ""]),
    st.sampled_from(["broken", "my invoice", "hello", "", "谢谢", "broken "]),
    st.sampled_from(["2026-01-01", "2026-06-01", "2027-01-01", ""]),
)


@given(
    cells=st.lists(CELLS, min_size=1, max_size=20),
    declared=st.fixed_dictionaries({"most": st.integers(1, 3), "choice": st.sampled_from(["keyed", "last"])}),
    seed=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_topics_are_a_function_of_the_customers_own_notes_and_bounded(
    tmp_path: Path, cells: list[tuple[str, ...]], declared: dict[str, Any], seed: int
) -> None:
    lines = [",".join(cell) for cell in cells]
    declared = {**DAYS, **declared}
    together = codes_of(read(tmp_path, lines, declared, time="day"), "tickets")
    random.Random(seed).shuffle(lines)
    apart: dict[str, list[int]] = {}
    for who in ("ann", "bob"):
        own = [text for text in lines if text.startswith(f"{who},")]
        apart |= codes_of(read(tmp_path, own, declared, time="day"), "tickets") if own else {}
    assert apart == together
    assert all(len(codes) <= declared["most"] for codes in together.values())
