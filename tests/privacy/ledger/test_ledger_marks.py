"""What other parties are shown of a ledger's head: its holder alone recognises it, among all entries."""

from __future__ import annotations

import hashlib
from decimal import Decimal

from kits.ledger_support import STUDY, charge, new_ledger, put_entry, refused
from sqlalchemy import Engine

from ringfence.privacy.ledger import HeadMarks, chain
from ringfence.privacy.stores.store import open_store, reading

SECRET = b"of the home, and of nobody else."
MARKS, OTHER = (HeadMarks.of(SECRET, log) for log in ("bank/one", "bank/two"))
ENTRY = hashlib.sha256(b"an entry").hexdigest()


def test_a_mark_is_recognised_by_its_entry_its_home_and_its_party_alone() -> None:
    mark = MARKS.fresh(ENTRY)
    assert len(bytes.fromhex(mark)) == 64
    assert MARKS.recognises(mark)(bytes.fromhex(ENTRY))
    assert not MARKS.recognises(mark)(hashlib.sha256(b"another").digest())
    for stranger in (OTHER, HeadMarks.of(SECRET + b"!", "bank/one")):
        assert not stranger.recognises(mark)(bytes.fromhex(ENTRY))


def test_two_marks_of_one_entry_share_nothing() -> None:
    marks = [each.fresh(ENTRY) for each in (MARKS, MARKS, OTHER, OTHER)]
    halves = {half for mark in marks for half in (mark[:64], mark[64:])}
    assert len(halves) == 8
    assert not any(ENTRY in mark for mark in marks)


def test_a_party_that_compares_what_it_was_shown_finds_no_number(engine: Engine) -> None:
    """Nothing in a mark is a function of how many entries there are: same length, no field."""
    ledger, _ = new_ledger(engine)
    before = [ledger.mark(MARKS), ledger.mark(OTHER)]
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    for round_ in range(5):
        charge(ledger, reservation, "0.01", round_=round_)
    after = [ledger.mark(MARKS), ledger.mark(OTHER)]
    assert {len(mark) for mark in before + after} == {128}
    for marks in (MARKS, OTHER):
        own = (before, after)[0][0 if marks is MARKS else 1], after[0 if marks is MARKS else 1]
        for mark in own:
            ledger.check_mark(marks, mark)
    assert ledger.frozen() == ""
    assert refused(lambda: ledger.check_mark(MARKS, after[1])) == "RF-B312", "shown to another party"


def test_the_first_of_many_entries_is_found() -> None:
    """All entries are looked through, each once; how often is what a long ledger costs."""
    engine, asked = open_store(None), list[bytes]()
    with engine.begin() as connection:
        chain.create_table(connection)
        previous, first = chain.GENESIS, b""
        for number in range(1, 201):
            previous = put_entry(connection, number, previous, b"%d" % number)
            first = first or previous
    recognised = MARKS.recognises(MARKS.fresh(first.hex()))
    with reading(engine) as connection:
        assert any(recognised(each) for each in chain.hashes(connection) if not asked.append(each))  # type: ignore[func-returns-value]
    assert len(asked) == len(set(asked)) == 200
