"""The holder's ledger: reserve, release, commit, with every step durable before a value may leave.

Invariants (DESIGN, 6.2 and 6.3):
    A charge is durable before the value it stands for leaves; a crash can over-count, never under-count.
    What was released stays charged for ever. There are no refunds and no automatic refresh; only the part of
    a reservation that was never released lapses, and only by `commit`, after which nothing is released from
    it. A ledger entry and its event in the journal stand in one transaction, refusals included. Amounts are
    exact decimals and round against the spender.

Who restores an older copy of the file takes spending back. That is noticed when another party still knows a
later head (`check_mark`): the ledger freezes until two people enter the missing spend. A rollback of the
whole disk with no peer to ask, or none that saw the later entries, is not detected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

from sqlalchemy import Connection, Engine

from ringfence.privacy.accounting.amounts import Number, allowed_amount, as_text, subtract
from ringfence.privacy.accounting.filters import Amounts, FilterName, fits, gaussian_cost
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.ledger import balance, steps
from ringfence.privacy.ledger.balance import Balance
from ringfence.privacy.ledger.book import Book, Premise, Step
from ringfence.privacy.ledger.chain import Entry
from ringfence.privacy.ledger.entries import Reserved, RunOfSeries, ToppedUp
from ringfence.privacy.ledger.losses import LostEntries, moment_after
from ringfence.privacy.ledger.marks import HeadMarks, MarkedEntry
from ringfence.privacy.ledger.parts import total
from ringfence.privacy.ledger.planned import RESERVE_MARGIN, Quote, attempt_renyi, quote
from ringfence.privacy.ledger.state import Head, Reservation
from ringfence.privacy.ledger.statement import Spend, statement
from ringfence.privacy.ledger.terms import (
    checked_text,
    cost,
    first_entry,
    raising,
)
from ringfence.privacy.stores.journal import Journal, Json
from ringfence.privacy.waist import BOTH, RoundPlan, Scope, StudyPlan


class Ledger:
    """One population's budget in one store.

    Threads and processes may share it: every decision is made in a transaction that holds the ledger.
    """

    def __init__(self, book: Book) -> None:
        """For `create` and `open` only."""
        self._book = book

    @classmethod
    def create(
        cls,
        engine: Engine,
        *,
        population: str,
        epsilon: Decimal,
        delta: Decimal,
        journal: Journal,
        filter: FilterName = "gdp",
    ) -> Ledger:
        """Open the budget of a population, once.

        Args:
            engine: from `open_store`.
            population: the holder's subject key space; every contract, study and purpose over it shares this.
            epsilon: for everything that will ever be released from the population, at most 64.
            delta: the same.
            journal: the holder's audit log on the same engine.
            filter: `gdp` takes Gaussian events and composes exactly; `rdp` takes any with Renyi bounds.

        Raises:
            BudgetError: there is a ledger already, or the terms are out of range.
        """
        created = first_entry(population, epsilon, delta, filter)
        book = Book(engine, journal)
        book.start(
            Step(
                record=created,
                action="budget.created",
                public={"filter": filter, "epsilon": as_text(epsilon), "delta": as_text(delta)},
                private={"population": population},
            )
        )
        return cls(book)

    @classmethod
    def open(cls, engine: Engine, journal: Journal) -> Ledger:
        """Open the ledger of a store and verify its whole chain.

        Raises:
            BudgetError: there is none, or it was altered.
        """
        book = Book(engine, journal)
        book.read()
        return cls(book)

    def reserve(
        self,
        study_digest: str,
        mu_squared_total: Number,
        *,
        renyi: Mapping[Decimal, Number] | None = None,
        epsilon_slack: float = 0.0,
        delta_slack: float = 0.0,
    ) -> Reservation:
        """Set budget aside for a whole study with all its attempts; durable on return, counts as spent.

        Args:
            study_digest: of the signed study.
            mu_squared_total: price of its Gaussian events, all attempts included; each part of the customers
                may come to the whole of it, since only the dearer part counts.
            renyi: price by Renyi order instead, for a ledger with the filter `rdp`.
            epsilon_slack: of all its releases (privacy/accounting/slack.py).
            delta_slack: total variation of all its draws.

        Raises:
            BudgetError: the budget does not cover it, or the ledger is frozen.
        """
        amounts = cost(self._book.read().budget, mu_squared_total, renyi, margin=RESERVE_MARGIN)
        return self._reserve(
            steps.reserved(study_digest, amounts, None, epsilon_slack=epsilon_slack, delta_slack=delta_slack)
        )

    def reserve_plan(
        self,
        study_digest: str,
        plan: StudyPlan,
        premise: Premise | None = None,
        turn: RunOfSeries | None = None,
        run: str = "",
    ) -> Reservation:
        """Set budget aside for everything a plan may release, part by part; durable on return.

        Args:
            study_digest: of the signed study.
            plan: as this holder's own code computes it from the study.
            premise: asked in the transaction; where it raises, nothing is reserved.
            turn: of a series, the run it is for.
            run: the same of a study that is run once; by default whichever charges it first.

        Raises:
            BudgetError: the budget does not cover it, the ledger is frozen, or the plan samples its customers
                and the ledger's filter is `gdp`.
        """
        return self._reserve(steps.quoted(study_digest, self.quote(plan), turn, run), premise)

    def quote(self, plan: StudyPlan) -> Quote:
        """What `reserve_plan` would take; nothing is spent.

        Raises:
            BudgetError: the plan samples its customers and the ledger's filter is `gdp`.
        """
        return quote(plan, self._book.read().budget)

    def covers(self, asked: Quote) -> bool:
        """Whether the budget that is left covers a quote, were the ledger not frozen."""
        state = self._book.read()
        return fits(state.filter, state.budget, state.counted, asked.amounts)

    def after(self, asked: Quote) -> Balance:
        """What would count as spent with a quote reserved."""
        state = self._book.read()
        return balance.spent(state, total(state.counted, asked.amounts))

    def renyi_of(self, plan: RoundPlan, honest: int) -> Mapping[Decimal, Decimal] | None:
        """What `release` is to charge for an attempt at a round besides mu squared; None for Gaussian rounds.

        Raises:
            BudgetError: the round samples its customers and the ledger's filter is `gdp`.
        """
        return None if plan.sampling_rate == 1 else attempt_renyi(plan, honest, self._book.read().budget)

    def _reserve(self, step: Step, premise: Premise | None = None) -> Reservation:
        with self._book.deciding(step) as (connection, state):
            if premise is not None:
                premise(connection)
            return state.open[state.sequence]

    @contextmanager
    def release(
        self,
        reservation: Reservation,
        *,
        run: str,
        round: int,
        attempt: int,
        mu_squared: Number,
        renyi: Mapping[Decimal, Number] | None = None,
        part: Scope = BOTH,
        connection: Connection | None = None,
    ) -> Iterator[Connection]:
        """Charge one attempt at a round; the value may leave once the block has ended without an exception.

        The block gets the transaction, for the caller's own event. If the block raises, nothing is charged.
        With a transaction of the caller's, the charge is durable when the caller has committed it.

        Args:
            reservation: the study's.
            run: of the study.
            round: number of the round; the cohort count has one of its own.
            attempt: number of the attempt.
            mu_squared: price of this attempt.
            renyi: price by Renyi order instead, for a ledger with the filter `rdp`.
            part: whose rows are read; both parts pay for what is not said to read only one.
            connection: an open transaction to take part in.

        Raises:
            BudgetError: more than was reserved, an attempt charged before, a closed reservation, a frozen
                ledger.
        """
        amounts = cost(reservation.amounts, mu_squared, renyi)
        step = steps.charged(reservation, amounts, run=run, round=round, attempt=attempt, part=part)
        with self._book.deciding(step, connection) as (transaction, _):
            yield transaction

    def commit(self, reservation: Reservation, *, connection: Connection | None = None) -> None:
        """Close a reservation: what was released stays charged, the rest lapses, nothing more is released.

        Args:
            reservation: the study's.
            connection: an open transaction to take part in, e.g. that of the last release.

        Raises:
            BudgetError: it is closed already, or the ledger is frozen.
        """
        self._enter(steps.committed(reservation), connection)

    def spent(self) -> Balance:
        """What counts as spent: everything charged and everything reserved."""
        state = self._book.read()
        return balance.spent(state, state.counted)

    def charged(self) -> Balance:
        """What was really released, or entered as missing."""
        state = self._book.read()
        return balance.spent(state, state.charged)

    def reserved(self) -> Balance:
        """What is set aside for open studies and was not released yet."""
        state = self._book.read()
        charged = state.charged
        return balance.spent(
            state, {axis: subtract(amount, charged[axis]) for axis, amount in state.counted.items()}
        )

    def left(self) -> Balance:
        """The largest Gaussian event that still fits; its epsilon is that of the event alone."""
        return balance.left(self._book.read())

    def terms(self) -> Mapping[str, str]:
        """What was fixed at creation: population, filter, epsilon, delta."""
        return self._book.read().terms

    def frozen(self) -> str:
        """Why nothing may be spent, or empty."""
        return self._book.read().frozen

    def reservations(self, connection: Connection | None = None) -> tuple[Reservation, ...]:
        """The open reservations, e.g. after a restart; a connection as for `reserved_before`."""
        state = self._book.read() if connection is None else self._book.held(connection)
        return tuple(state.open.values())

    def entries(self, connection: Connection | None = None) -> tuple[Entry, ...]:
        """All entries, verified, oldest first; a connection as for `reserved_before`."""
        return self._book.entries(connection)

    def statement(self) -> tuple[Spend, ...]:
        """Everything that was ever spent, oldest first, with the total after each."""
        return statement(self._book.entries())

    def head(self, connection: Connection | None = None) -> Head:
        """Number and hash of the last entry; a connection as for `reserved_before`."""
        return (self._book.read() if connection is None else self._book.follow(connection)).head

    def reserved_before(self, study_digest: str, connection: Connection | None = None) -> bool:
        """Whether budget was ever reserved for a study, also if the reservation is closed.

        With a connection this is asked in its transaction, and nobody else reserves before that ends.
        """
        records = (entry.record for entry in self._book.entries(connection))
        return any(isinstance(each, Reserved) and each.study == study_digest for each in records)

    def mark(self, marks: HeadMarks, connection: Connection | None = None) -> str:
        """What another party is shown of the head, to keep; a connection as for `head`."""
        state = self._book.read() if connection is None else self._book.follow(connection)
        return marks.fresh(state.sequence, state.hash, moment_after(state.gaps))

    def holds(self, shown: MarkedEntry) -> bool:
        """Whether the entry that a mark is of stands in this ledger."""
        return self._book.holds(shown)

    def check_mark(self, marks: HeadMarks, known: str) -> None:
        """Look whether this ledger holds what another party was shown, or its loss is settled; freeze if not.

        Args:
            marks: of that party.
            known: 128 hexadecimal digits, from `mark`.

        Raises:
            BudgetError: this ledger lacks an entry that was shown; it is frozen now.
        """
        state, shown = self._book.read(), marks.read(known)
        if known in state.acknowledged:
            return
        if shown is not None and (self.holds(shown) or state.accounts_for(shown)):
            return
        if known not in state.foreign and not state.known_lost(shown):
            self._enter(steps.missing(known, shown))
        raise steps.lacks_an_entry(state)

    def freeze(self, reason: str, *, restored: bool = False) -> None:
        """Allow no spending until two people thaw; a restored copy lacks what came after it. Durable."""
        after = self.head().sequence if restored else None
        self._enter(steps.frozen(checked_text("reason", reason), copy_of=after))

    def losses(self) -> tuple[LostEntries, ...]:
        """What is lost and no one has settled, in the order in which it was found."""
        return self._book.read().losses

    def lacking(self) -> bool:
        """Whether it is frozen because entries are lost, and no one has settled that."""
        return self._book.read().lacking

    def thaw(
        self,
        approvals: Sequence[str],
        *,
        missing_mu_squared: Number,
        reason: str,
        decision: str = "",
        evidence: Mapping[str, Json] | None = None,
        seen: int | None = None,
    ) -> None:
        """Enter what was spent beyond this copy and go on; the other party's head is acknowledged.

        Args:
            approvals: fingerprints of at least two people's keys, whose signatures the caller has verified.
            missing_mu_squared: charged for ever; zero if nothing is missing.
            reason: for the people who read the log.
            decision: digest of what they signed; the same is not carried out twice.
            evidence: what they signed, for the private part of the event.
            seen: number of the last entry when they looked; it is the last one still, or nothing is thawed.

        Raises:
            BudgetError: fewer than two people, not frozen, carried out before; RF-U851 frozen anew since.
        """
        state = self._book.read()
        amounts, make = cost(state.budget, missing_mu_squared, None), steps.thawing(state, seen)
        self._enter(steps.decided(make, "budget.thawed", approvals, amounts, reason, decision, evidence))

    def top_up(
        self,
        approvals: Sequence[str],
        *,
        mu_squared: Number | None = None,
        epsilon: Decimal | None = None,
        reason: str,
        decision: str = "",
        evidence: Mapping[str, Json] | None = None,
    ) -> None:
        """Raise the budget by the decision of two people; what was promised at creation is weaker then.

        The arguments are those of `thaw`, and either `mu_squared` to be added or `epsilon` that the budget is
        to be in all, at its delta.

        Raises:
            BudgetError: fewer than two people, nothing to add, more than a ledger may hold, the ledger is
                frozen, or the decision (see `thaw`) was carried out before.
        """
        added = self.added(mu_squared=mu_squared, epsilon=epsilon)
        asked = (approvals, added, reason, decision, evidence)
        self._enter(steps.decided(ToppedUp, "budget.topup", *asked, steps.bounded))

    def added(self, *, mu_squared: Number | None = None, epsilon: Decimal | None = None) -> Amounts:
        """What a top-up would add; nothing is entered.

        Raises:
            BudgetError: nothing, or more than a ledger may hold.
        """
        state = self._book.read()
        if epsilon is not None:
            return raising(state.budget, epsilon, state.delta, state.filter)
        added = gaussian_cost(allowed_amount(mu_squared or 0), state.budget)
        if not any(added.values()):
            raise BudgetError("RF-B313", N_("A top-up of zero changes nothing; give an amount."))
        steps.bounded(replace(state, budget=total(state.budget, added)))
        return added

    def _enter(self, step: Step, connection: Connection | None = None) -> None:
        with self._book.deciding(step, connection):
            pass
