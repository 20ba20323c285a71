"""A loss that two people have settled freezes nothing again; a new one does, and more of the old one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from kits.ledger_support import STUDY, TWO, charge, marked, new_ledger, refused, reopen

from ringfence.privacy.ledger import HeadMarks, Ledger, losses, steps
from ringfence.privacy.ledger.entries import Thawed
from ringfence.privacy.ledger.state import State
from ringfence.privacy.stores.store import open_store

CITY, TRADE = (HeadMarks.of(b"secret of the home" * 2, log) for log in ("bank/city", "bank/trade"))


@dataclass
class House:
    """A ledger on a disk that can be put back, by a clock that the test sets."""

    folder: Path
    now: int = 1_000_000
    copies: list[Path] = field(default_factory=list)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        engine = open_store(self.folder / "store.db")
        try:
            yield reopen(engine)
        finally:
            engine.dispose()

    def spend(self, *marks: HeadMarks) -> list[str]:
        """One more charge, and what is shown of it; some time goes by."""
        self.now += 10
        with self.ledger() as ledger:
            (reservation,) = ledger.reservations()
            charge(ledger, reservation, "0.001", attempt=len(ledger.entries()))
            return [ledger.mark(each) for each in marks]

    def copy(self) -> Path:
        place = self.folder / f"copy-{len(self.copies)}.db"
        shutil.copy(self.folder / "store.db", place)
        self.copies.append(place)
        return place

    def put_back(self, copy: Path) -> None:
        shutil.copy(copy, self.folder / "store.db")

    def restore(self, copy: Path) -> None:
        self.put_back(copy)
        with self.ledger() as ledger:
            ledger.freeze("restored from a backup", restored=True)

    def thaw(self) -> None:
        self.now += 10
        with self.ledger() as ledger:
            ledger.thaw(TWO, missing_mu_squared=Decimal("0.002"), reason="counted")

    def check(self, marks: HeadMarks, mark: str) -> str:
        """The code of the refusal; empty where it is taken."""
        with self.ledger() as ledger:
            try:
                ledger.check_mark(marks, mark)
            except Exception:
                return refused(lambda: ledger.check_mark(marks, mark))
            return ""

    def frozen(self) -> str:
        with self.ledger() as ledger:
            return ledger.frozen()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(tmp_path)
    monkeypatch.setattr(losses, "time", SimpleNamespace(time_ns=lambda: made.now * 1_000_000))
    engine = open_store(tmp_path / "store.db")
    new_ledger(engine)[0].reserve(STUDY, Decimal("0.5"))
    engine.dispose()
    return made


def test_no_mark_of_a_settled_loss_freezes_again(house: House) -> None:
    copy = house.copy()
    lost = [(CITY, mark) for _ in range(2) for mark in house.spend(CITY, CITY)] + [
        (TRADE, mark) for _ in range(2) for mark in house.spend(TRADE, TRADE)
    ]
    house.restore(copy)
    assert house.check(*lost[0]) == "RF-B312", "until two people have settled it"
    house.thaw()
    house.spend()
    for marks, mark in lost:
        assert house.check(marks, mark) == ""
    assert house.frozen() == ""


@pytest.mark.parametrize("clock", [-5_000_000, 0, 5_000_000], ids=["set back", "right", "set forward"])
@pytest.mark.parametrize("how", ["restore", "put_back"])
def test_a_new_loss_freezes_whatever_the_clock_says(house: House, how: str, clock: int) -> None:
    copy = house.copy()
    (old,) = house.spend(CITY)
    house.restore(copy)
    house.thaw()
    after = house.copy()
    house.now = max(house.now + clock, 1)
    (new,) = house.spend(CITY)
    getattr(house, how)(after)
    assert house.check(CITY, old) == ""
    assert house.check(CITY, new) == "RF-B312"
    house.thaw()
    assert house.check(CITY, new) == ""
    # The copy from before both losses knows of neither settling.
    house.put_back(copy)
    assert house.check(CITY, new) == "RF-B312"
    house.thaw()
    assert [house.check(CITY, each) for each in (old, new)] == ["", ""]


def test_what_stood_in_the_copy_is_no_part_of_its_loss(house: House) -> None:
    """A mark of an entry from before the copy was made tells of another loss: another history had it."""
    bare = house.copy()
    (elsewhere,) = house.spend(CITY)
    house.put_back(bare)
    house.spend()
    copy = house.copy()
    house.spend(CITY)
    house.restore(copy)
    house.thaw()
    assert house.check(CITY, elsewhere) == "RF-B312"


def test_more_of_a_loss_than_people_knew_of_freezes_again(house: House) -> None:
    copy = house.copy()
    marks = [house.spend(CITY, TRADE) for _ in range(3)]
    house.put_back(copy)
    assert house.check(CITY, marks[1][0]) == "RF-B312"
    number = marked(CITY, marks[1][0]).sequence
    assert house.frozen() == f"entry {number}, which was shown elsewhere, is missing here"
    house.thaw()
    assert [house.check(TRADE, each[1]) for each in marks[:2]] == ["", ""]
    assert house.check(TRADE, marks[2][1]) == "RF-B312"
    house.thaw()
    assert [house.check(CITY, each[0]) for each in marks] == ["", "", ""]


@pytest.mark.parametrize("before", ["no loss", "a settled loss"])
def test_a_thaw_that_is_about_something_else_settles_no_loss(house: House, before: str) -> None:
    if before == "a settled loss":
        house.restore(house.copy())
        house.thaw()
    copy = house.copy()
    (lost,) = house.spend(CITY)
    house.put_back(copy)
    with house.ledger() as ledger:
        ledger.freeze("drill")
        assert not ledger.lacking()
    house.thaw()
    assert house.check(CITY, lost) == "RF-B312"


def test_who_thaws_is_told_of_a_loss_that_came_to_light_since(house: House) -> None:
    copy = house.copy()
    first, second = house.spend(CITY), house.spend(CITY)
    house.put_back(copy)
    with house.ledger() as ledger:
        ledger.freeze("drill")
    assert house.check(CITY, first[0]) == "RF-B312"
    assert house.frozen().startswith("drill; entry ")
    assert house.check(CITY, second[0]) == "RF-B312"
    told = house.frozen()
    latest = marked(CITY, second[0]).sequence
    assert told == f"drill; entry {latest}, which was shown elsewhere, is missing here"
    assert house.check(CITY, first[0]) == "RF-B312"
    assert house.frozen() == told, "the later entry stands for those before it"
    with house.ledger() as ledger:
        assert ledger.lacking()
        assert [each.last for each in ledger.losses()] == [
            marked(CITY, each[0]).sequence for each in (first, second)
        ]
    house.thaw()
    assert [house.check(CITY, each) for each in (*first, *second)] == ["", ""]


def test_a_mark_that_is_not_readable_is_settled_by_itself_alone(house: House) -> None:
    for mark in ("ab" * 64, "cd" * 64):
        assert house.check(CITY, mark) == "RF-B312"
        house.thaw()
        assert house.check(CITY, mark) == ""


def test_a_mark_of_the_moment_of_the_settling_is_of_before_it(house: House) -> None:
    copy = house.copy()
    (lost,) = house.spend(CITY)
    house.restore(copy)
    house.now -= 10
    house.thaw()
    assert marked(CITY, lost).made == house.now, "a clock that stands still"
    assert house.check(CITY, lost) == ""


def test_a_settling_is_later_than_what_it_settles(house: House) -> None:
    """The machine that came back may have a clock behind that of the one that was lost."""
    copy = house.copy()
    house.now += 1_000
    marks = [house.spend(CITY)[0] for _ in range(2)]
    house.now -= 900
    house.put_back(copy)
    assert house.check(CITY, marks[1]) == "RF-B312"
    house.thaw()
    assert house.check(CITY, marks[0]) == ""


def test_a_loss_that_comes_to_light_beside_a_thaw_is_not_settled_by_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thaw was made ready for a drill; the mark comes between that and its transaction."""
    copy = house.copy()
    (lost,) = house.spend(CITY)
    house.put_back(copy)
    with house.ledger() as ledger:
        ledger.freeze("drill")
        ready = steps.thawing

        def slow(state: State, seen: int | None) -> Callable[..., Thawed]:
            made = ready(state, seen)
            assert refused(lambda: ledger.check_mark(CITY, lost)) == "RF-B312"
            return made

        monkeypatch.setattr(steps, "thawing", slow)
        assert refused(lambda: ledger.thaw(TWO, missing_mu_squared=0, reason="drill over")) == "RF-U851"
        assert ledger.frozen().startswith("drill; entry ")
        monkeypatch.setattr(steps, "thawing", ready)
        ledger.thaw(TWO, missing_mu_squared=0, reason="counted")
        ledger.check_mark(CITY, lost)


def test_what_another_federation_shows_beyond_what_people_saw_is_told_before_they_thaw(house: House) -> None:
    """Each shows what it was shown last: whoever entered only what the first one knew would owe the rest."""
    copy = house.copy()
    ours, theirs = house.spend(CITY), house.spend(TRADE)
    house.put_back(copy)
    assert house.check(CITY, ours[0]) == "RF-B312"
    with house.ledger() as ledger:
        looked = ledger.head().sequence
    assert house.check(TRADE, theirs[0]) == "RF-B312"
    assert f"entry {marked(TRADE, theirs[0]).sequence}," in house.frozen()
    with house.ledger() as ledger:
        early = partial(ledger.thaw, TWO, missing_mu_squared="0.01", reason="what came up to the first")
        assert refused(lambda: early(seen=looked)) == "RF-U851"
        assert ledger.charged().mu_squared == 0
        ledger.thaw(TWO, seen=ledger.head().sequence, missing_mu_squared="0.02", reason="all of it")
        ledger.check_mark(TRADE, theirs[0])
        ledger.check_mark(CITY, ours[0])
