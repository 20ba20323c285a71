"""One ledger in one store: follows the chain, decides and writes in one transaction, tells the journal.

Invariant (DESIGN, 6.3): an entry and its event are written in one transaction; a refusal is an event too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.ledger import chain
from ringfence.privacy.ledger.entries import EntryRecord
from ringfence.privacy.ledger.marks import MarkedEntry
from ringfence.privacy.ledger.state import State, advance, apply
from ringfence.privacy.stores.journal import Journal, Json, Outcome
from ringfence.privacy.stores.store import reading

Premise = Callable[[Connection], None]
"""Asked in an entry's transaction, which is taken back where it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An entry that is asked for, and the event that tells of it.

    Attributes:
        record: of the entry.
        action: of the event.
        outcome: of the event when the entry is made.
        study: digest of the study it is for, or empty.
        public: what everybody may read.
        private: what stays with the holder.
        evidence: more that stays with the holder, of what is done; a refusal does not hold it.
        further: a rule for this entry alone, given the state it would make; entries that stand need not keep
            it.
    """

    record: EntryRecord
    action: str
    outcome: Outcome = "allow"
    study: str = ""
    public: Mapping[str, Json] = field(default_factory=dict)
    private: Mapping[str, Json] = field(default_factory=dict)
    evidence: Mapping[str, Json] = field(default_factory=dict)
    further: Callable[[State], None] = lambda _state: None


class Book:
    """A ledger's entries with their running state; threads and processes may share the store."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self._known = State()  # as of a committed head; guarded by the lock
        self._lock = threading.Lock()

    def start(self, step: Step) -> None:
        """Write the first entry.

        Raises:
            BudgetError: there is one already.
        """
        with self._engine.begin() as connection:
            chain.create_table(connection)
        with self.deciding(step):
            pass

    def read(self) -> State:
        """The state at the last committed entry.

        Raises:
            BudgetError: there is no ledger here, or it was altered.
        """
        with reading(self._engine) as connection:
            if not self._known.sequence and not chain.table_exists(connection):
                raise _absent()
            state = self.follow(connection)
        if state.sequence == 0:
            raise _absent()
        self._keep(state)
        return state

    def held(self, connection: Connection) -> State:
        """The state in a transaction that no entry is written beside until it ends."""
        chain.lock(connection)
        return self.follow(connection)

    def entries(self, connection: Connection | None = None) -> tuple[chain.Entry, ...]:
        """All entries, verified, oldest first; with a connection none is written beside it until it ends."""
        if connection is not None:
            chain.lock(connection)
            return tuple(chain.read_entries(connection, 0, chain.GENESIS))
        with reading(self._engine) as own:
            return tuple(chain.read_entries(own, 0, chain.GENESIS))

    def holds(self, shown: MarkedEntry) -> bool:
        """Whether this history went through the entry that a mark is of."""
        with reading(self._engine) as connection:
            digest = chain.hash_of(connection, shown.sequence)
        return digest is not None and shown.has(digest)

    @contextmanager
    def deciding(
        self, step: Step, connection: Connection | None = None
    ) -> Iterator[tuple[Connection, State]]:
        """Make an entry and its event, then let the caller take part in the transaction before it commits.

        Args:
            step: what is asked for.
            connection: the caller's transaction; without one the entry is durable when the block has ended.

        Raises:
            BudgetError: the entry breaks a rule; the refusal is an event, durable unless the transaction is
                the caller's and is taken back.
        """
        if connection is not None:
            made = self._make(connection, step)
            if isinstance(made, BudgetError):
                raise made
            yield connection, made
            return
        with self._engine.begin() as own:
            made = self._make(own, step)
            if not isinstance(made, BudgetError):
                yield own, made
        if isinstance(made, BudgetError):
            raise made
        self._keep(made)

    def _make(self, connection: Connection, step: Step) -> State | BudgetError:
        chain.lock(connection)
        before = self.follow(connection)
        try:
            step.further(apply(before, step.record))
        except BudgetError as refusal:
            self._tell(connection, before, step, refusal)
            return refusal
        entry = chain.append(connection, before.sequence + 1, before.hash, step.record)
        after = advance(before, entry)
        self._tell(connection, after, step)
        return after

    def follow(self, connection: Connection) -> State:
        """The state at the last entry that a transaction sees."""
        with self._lock:
            state = self._known
        return _followed(connection, state)

    def _keep(self, state: State) -> None:
        with self._lock:
            if state.sequence > self._known.sequence:
                self._known = state

    def _tell(
        self, connection: Connection, state: State, step: Step, refusal: BudgetError | None = None
    ) -> None:
        resource = f"study:{step.study}" if step.study else f"budget:{state.id}"
        if refusal is not None:
            self._journal.record(
                "budget.refused",
                "deny",
                resource=resource,
                public={"asked": step.record.kind, "code": refusal.code, **step.public},
                private={**step.private, "refusal": str(refusal)},
                connection=connection,
            )
        else:
            self._journal.record(
                step.action,
                step.outcome,
                resource=resource,
                public={
                    "ledger": f"ledger-{state.id}",
                    "entry": state.sequence,
                    "head": state.hash.hex(),
                    **step.public,
                },
                private={**step.private, **step.evidence},
                connection=connection,
            )


def verified_state(connection: Connection) -> State:
    """The state that a store's whole chain leads to, read in a transaction of the caller's.

    Raises:
        BudgetError: there is no ledger, or it was altered.
    """
    state = _followed(connection, State())
    if state.sequence == 0:
        raise _absent()
    return state


def _followed(connection: Connection, state: State) -> State:
    for entry in chain.read_entries(connection, state.sequence, state.hash):
        try:
            state = advance(state, entry)
        except (BudgetError, ArithmeticError):
            raise chain.broken_chain(entry.sequence) from None
    return state


def _absent() -> BudgetError:
    return BudgetError(
        "RF-B311", N_("This store holds no budget ledger; make one with ringfence-client init.")
    )
