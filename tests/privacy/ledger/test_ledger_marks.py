"""What other parties are shown of a ledger's head: its holder alone can read it."""

from __future__ import annotations

import hashlib
from decimal import Decimal

from kits.ledger_support import STUDY, charge, marked, new_ledger, refused
from sqlalchemy import Engine, event

from ringfence.privacy.ledger import HeadMarks

SECRET = b"of the home, and of nobody else."
MARKS, OTHER = (HeadMarks.of(SECRET, log) for log in ("bank/one", "bank/two"))
ENTRY = hashlib.sha256(b"an entry").digest()


def test_a_mark_is_recognised_by_its_entry_its_home_and_its_party_alone() -> None:
    mark = MARKS.fresh(7, ENTRY, 1_700_000_000_000_000)
    assert len(bytes.fromhex(mark)) == 64
    found = marked(MARKS, mark)
    assert (found.sequence, found.made) == (7, 1_700_000_000_000_000)
    assert found.has(ENTRY)
    assert not found.has(hashlib.sha256(b"another").digest())
    for stranger in (OTHER, HeadMarks.of(SECRET + b"!", "bank/one")):
        assert stranger.read(mark) is None


def test_two_marks_of_one_entry_share_nothing() -> None:
    marks = [bytes.fromhex(each.fresh(7, ENTRY, 5)) for each in (MARKS, MARKS, OTHER, OTHER)]
    blocks = {mark[at : at + 16] for mark in marks for at in range(0, 64, 16)}
    assert len(blocks) == 16
    assert not any(ENTRY[:16] in mark or (7).to_bytes(8, "big") in mark for mark in marks)


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


def test_an_old_mark_is_found_by_its_number_alone(engine: Engine) -> None:
    """How many entries came since shows in no work: one entry is looked at, whichever the mark is of."""
    ledger, _ = new_ledger(engine)
    old = ledger.mark(MARKS)
    reservation = ledger.reserve(STUDY, Decimal("0.1"))
    for round_ in range(5):
        charge(ledger, reservation, "0.01", round_=round_)
    new, asked = ledger.mark(MARKS), list[tuple[str, object]]()

    def note(_c: object, _u: object, statement: str, parameters: object, *_: object) -> None:
        if "budget_ledger" in statement and "entry" not in statement:
            asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    ledger.check_mark(MARKS, new)
    ledger.check_mark(MARKS, old)
    ((first, of_new), (second, of_old)) = asked
    assert first == second
    numbers = [list(each.values() if isinstance(each, dict) else each) for each in (of_new, of_old)]  # type: ignore[call-overload]
    assert numbers == [[ledger.head().sequence], [1]]


def test_no_bit_of_a_mark_can_be_changed() -> None:
    mark = bytes.fromhex(MARKS.fresh(1, ENTRY, 5))
    for place in range(64):
        changed = bytes(each ^ (index == place) for index, each in enumerate(mark))
        assert MARKS.read(changed.hex()) is None, place
