"""The ledger against a model of twenty lines, under sequences of steps that hypothesis chooses."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from kits.ledger_support import STUDY, new_ledger, reopen

from ringfence.privacy.errors import BudgetError
from ringfence.privacy.ledger import HeadMarks, Ledger, Reservation, Scope
from ringfence.privacy.ledger.parts import in_every_part
from ringfence.privacy.stores.store import open_store

MILLI = Decimal("0.001")
amounts = st.integers(1, 300).map(lambda thousandths: thousandths * MILLI)
parts = st.sampled_from(["train", "test", "both"])
attempts = st.tuples(st.integers(0, 2), st.integers(1, 2))


class LedgerAgainstModel(RuleBasedStateMachine):
    """The model: a budget, what was settled, and for each open reservation its size, charges by part and
    attempts.
    """

    reservations: Bundle[Reservation] = Bundle("reservations")

    @initialize()
    def start(self) -> None:
        self.engine = open_store(None)
        self.ledger, self.journal = new_ledger(self.engine)
        self.budget = self.ledger.left().mu_squared
        self.settled = Decimal(0)
        self.open: dict[int, tuple[Decimal, dict[str, Decimal], set[tuple[int, int]]]] = {}
        self.frozen = False
        self.refusals = 0
        self.marks = HeadMarks.of(b"secret", "bank")
        self.shown = [self.ledger.mark(self.marks)]

    def counted(self) -> Decimal:
        return self.settled + sum((size for size, _, _ in self.open.values()), Decimal(0))

    def charged(self) -> Decimal:
        return self.settled + sum((max(out.values()) for _, out, _ in self.open.values()), Decimal(0))

    def attempt_refused(self, step: Callable[[], object], code: str) -> None:
        with pytest.raises(BudgetError) as error:
            step()
        assert error.value.code == code
        self.refusals += 1

    @rule(target=reservations, amount=amounts)
    def reserve(self, amount: Decimal) -> Reservation:
        # What is reserved is a hair more than what is asked.
        size = amount * (1 + Decimal("1e-12"))
        unmade = Reservation(
            id=-1,
            study_digest=STUDY,
            limits=in_every_part({"mu2": size}),
            taken=in_every_part({"mu2": Decimal(0)}),
        )
        if self.frozen:
            self.attempt_refused(lambda: self.ledger.reserve(STUDY, amount), "RF-B308")
            return unmade
        if self.counted() + size > self.budget:
            self.attempt_refused(lambda: self.ledger.reserve(STUDY, amount), "RF-B303")
            return unmade
        made = self.ledger.reserve(STUDY, amount)
        assert made.mu_squared == size
        self.open[made.id] = (size, {"train": Decimal(0), "test": Decimal(0)}, set())
        return made

    @rule(reservation=reservations, amount=amounts, attempt=attempts, part=parts, fails=st.booleans())
    def release(
        self, reservation: Reservation, amount: Decimal, attempt: tuple[int, int], part: Scope, fails: bool
    ) -> None:
        def step() -> None:
            with self.ledger.release(
                reservation, run="r", round=attempt[0], attempt=attempt[1], mu_squared=amount, part=part
            ):
                if fails:
                    raise KeyError

        if self.frozen:
            return self.attempt_refused(step, "RF-B308")
        if reservation.id not in self.open:
            return self.attempt_refused(step, "RF-B309")
        size, out, done = self.open[reservation.id]
        if attempt in done:
            return self.attempt_refused(step, "RF-B305")
        after = {each: have + amount * (part in (each, "both")) for each, have in out.items()}
        if max(after.values()) > size:
            return self.attempt_refused(step, "RF-B306")
        try:
            step()
        except KeyError:
            return None
        self.open[reservation.id] = (size, after, done | {attempt})
        return None

    @rule(reservation=consumes(reservations))
    def commit(self, reservation: Reservation) -> None:
        if self.frozen:
            self.attempt_refused(lambda: self.ledger.commit(reservation), "RF-B308")
        elif reservation.id not in self.open:
            self.attempt_refused(lambda: self.ledger.commit(reservation), "RF-B309")
        else:
            self.ledger.commit(reservation)
            self.settled += max(self.open.pop(reservation.id)[1].values())

    @rule()
    def freeze(self) -> None:
        self.ledger.freeze("drill")
        self.frozen = True

    @rule(amount=amounts)
    def thaw(self, amount: Decimal) -> None:
        def step() -> None:
            self.ledger.thaw(["a", "b"], missing_mu_squared=amount, reason="drill")

        if not self.frozen:
            self.attempt_refused(step, "RF-B307")
        else:
            step()
            self.settled += amount
            self.frozen = False

    @rule(amount=amounts)
    def top_up(self, amount: Decimal) -> None:
        def step() -> None:
            self.ledger.top_up(["a", "b"], mu_squared=amount, reason="board")

        if self.frozen:
            self.attempt_refused(step, "RF-B308")
        else:
            step()
            self.budget += amount

    @rule()
    def restart(self) -> None:
        self.ledger = reopen(self.engine)

    @rule(data=st.data())
    def earlier_heads_are_part_of_the_history(self, data: st.DataObject) -> None:
        self.ledger.check_mark(self.marks, data.draw(st.sampled_from(self.shown)))
        self.shown.append(self.ledger.mark(self.marks))

    @invariant()
    def agrees(self) -> None:
        ledger: Ledger = self.ledger
        assert ledger.charged().mu_squared == self.charged()
        assert ledger.spent().mu_squared == self.counted()
        assert ledger.left().mu_squared == max(self.budget - self.counted(), Decimal(0))
        assert bool(ledger.frozen()) == self.frozen
        assert {each.id for each in ledger.reservations()} == set(self.open)
        assert self.journal.actions().count("budget.refused") == self.refusals

    def teardown(self) -> None:
        self.engine.dispose()


LedgerAgainstModel.TestCase.settings = settings(max_examples=12, stateful_step_count=30, deadline=None)
TestLedgerAgainstModel = LedgerAgainstModel.TestCase
