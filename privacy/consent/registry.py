"""The holder's consent registry: an append-only log of consent events by pseudonym, and what follows from it.

Invariants:
    Neither a customer key nor the registry key is stored; subjects are keyed pseudonyms (`pseudonym`).
    An import or a withdrawal is one transaction with its journal event: all of it or none of it.
    Later events win, a refusal wins over a grant at the same instant and ends for good what was recorded
    before it (`recording`), and who is unknown is not eligible.
    Every verification raises or returns a verified value (DESIGN, 6.7).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap
from sqlalchemy import Connection, Engine, select, update

from ringfence.privacy.agreements.purposes import catalogue
from ringfence.privacy.consent import tables
from ringfence.privacy.consent.compiled import (
    CompiledBitmaps,
    EligibilityQuestion,
    fold_events,
    last_sequence,
)
from ringfence.privacy.consent.intake import read_events
from ringfence.privacy.consent.pseudonym import RegistryKeys, pseudonyms
from ringfence.privacy.consent.recording import is_committed, record, refusal
from ringfence.privacy.consent.records import ALL_PURPOSES, EventKind
from ringfence.privacy.consent.snapshot import Snapshot, commitment
from ringfence.privacy.consent.status import Coverage, PurposeStatus, coverage_of, status_of
from ringfence.privacy.consent.subjects import Subjects, parts
from ringfence.privacy.consent.tables import to_micros
from ringfence.privacy.errors import N_, ConsentError
from ringfence.privacy.stores import store
from ringfence.privacy.stores.journal import Journal, Json
from ringfence.privacy.tables import tabular
from ringfence.privacy.tables.celltext import trimmed_key

_RESOURCE = "consent-registry"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did, for the holder's own people.

    Attributes:
        rows: events recorded.
        new_subjects: subjects seen for the first time.
        by_kind: events of each kind, by its word.
    """

    rows: int
    new_subjects: int
    by_kind: Mapping[str, int]


class ConsentRegistry:
    """Open it with `ConsentRegistry.open`; one object may be used by several threads."""

    def __init__(self, engine: Engine, keys: RegistryKeys, journal: Journal | None) -> None:
        self._engine = engine
        self._keys = keys
        self._journal = journal
        self._bitmaps = CompiledBitmaps()
        self._subjects = Subjects()

    @classmethod
    def open(cls, engine: Engine, registry_key: bytes, *, journal: Journal | None = None) -> ConsentRegistry:
        """Open the registry in a store, making its tables when they are absent.

        Args:
            engine: from `privacy.stores.store.open_store`.
            registry_key: 32 secret bytes; kept in memory only.
            journal: where imports and withdrawals are recorded, in the same transaction.

        Raises:
            ConsentError: RF-N001 for a key of the wrong size, RF-N003 for a key of another registry.
        """
        keys = RegistryKeys.derive(registry_key)
        with engine.begin() as connection:
            tables.metadata.create_all(connection)
            found = connection.scalar(select(tables.registry.c.key_check))
            if found is None:
                connection.execute(
                    tables.registry.insert().values(id=1, key_check=keys.check_value(), subjects=0)
                )
            elif found != keys.check_value():
                raise ConsentError(
                    "RF-N003",
                    N_(
                        "The registry key is not the one this registry was made with. Use the key made at "
                        "init."
                    ),
                )
        return cls(engine, keys, journal)

    @property
    def engine(self) -> Engine:
        """The store the registry stands in."""
        return self._engine

    @property
    def keys(self) -> RegistryKeys:
        """Derived keys, for the cohort's seal."""
        return self._keys

    # -- writing ---------------------------------------------------------------------------------------------

    def import_file(
        self,
        path: Path,
        *,
        jurisdiction: str | None = None,
        layout: tabular.Layout | None = None,
        now: datetime | None = None,
        zone: ZoneInfo | None = None,
    ) -> ImportReport:
        """Import a CSV or Parquet file of consent events: all rows, or none.

        Args:
            path: the file; docs/reference/consent.md documents its columns.
            jurisdiction: of the contract; decides which legal bases exist.
            layout: delimiter and encoding of a CSV file.
            now: the present moment, by default that of the clock; no event may lie after it.
            zone: of the contract; whose days the file names.

        Raises:
            TableError: the file cannot be read.
            ConsentError: RF-N010 with every fault and its line, or a column that cannot be read; nothing was
                imported.
        """
        moment = to_micros(now or datetime.now(UTC))
        try:
            intake = read_events(
                path,
                purposes=catalogue(),
                jurisdiction=jurisdiction,
                layout=layout or tabular.Layout(),
                now=moment,
                zone=zone,
            )
        except ConsentError as refusal:
            faults = refusal.values.get("count", 1)
            self._record("consent.imported", "deny", {"faults": int(str(faults))}, None)
            raise
        references = pseudonyms(self._keys, intake.customer_keys)
        by_kind = {kind.word: int(np.count_nonzero(intake.kind == kind)) for kind in EventKind}
        with self._writing(None) as connection:
            subject, new = self._subjects.enrol(connection, references)
            record(connection, intake, subject, "import", moment)
            private: dict[str, Json] = {"rows": len(intake), "new_subjects": new, **by_kind}
            self._record("consent.imported", "allow", private, connection)
        return ImportReport(rows=len(intake), new_subjects=new, by_kind=by_kind)

    def withdraw(
        self,
        customer_keys: Iterable[str],
        purpose: str,
        at: datetime,
        *,
        kind: Literal[EventKind.WITHDRAWN, EventKind.OBJECTED, EventKind.REFUSED] = EventKind.WITHDRAWN,
        connection: Connection | None = None,
    ) -> int:
        """Record that customers withdraw, for one purpose or for all.

        A customer the registry has not seen is recorded too, so that an older grant that arrives later
        does not bring them back.

        Args:
            customer_keys: the customers, as the table spells them.
            purpose: name of a purpose, or `"all"`.
            at: when the withdrawal takes effect, with a time zone.
            kind: withdrawn, objected or refused.
            connection: an open transaction to take part in.

        Returns:
            The number of customers recorded.
        """
        if purpose != ALL_PURPOSES:
            self._known_purpose(purpose)
        if EventKind(kind).permits:
            raise ConsentError(
                "RF-N004", N_("Consent is given by importing a record with its notice, not here.")
            )
        instant = to_micros(at)
        references = pseudonyms(self._keys, sorted({trimmed_key(str(key)) for key in customer_keys} - {""}))
        count = len(references)
        if not count:
            return 0
        with self._writing(connection) as transaction:
            subject, new = self._subjects.enrol(transaction, references)
            made = refusal(count, purpose, kind, instant)
            record(transaction, made, subject, kind.word, max(instant, to_micros(datetime.now(UTC))))
            self._record("consent.withdrawn", "allow", {"subjects": count, "new_subjects": new}, transaction)
        return count

    def erase(self, customer_keys: Iterable[str], at: datetime) -> int:
        """Withdraw customers from everything and cut the link between their key and their events for good.

        The events stay, with nobody's pseudonym; a grant after the erasure begins a new subject.

        Returns:
            The number of customers recorded as withdrawn.
        """
        keys = sorted({trimmed_key(str(key)) for key in customer_keys} - {""})
        with self._writing(None) as connection:
            count = self.withdraw(keys, ALL_PURPOSES, at, connection=connection)
            for part in parts(pseudonyms(self._keys, keys)):
                connection.execute(
                    update(tables.subject).where(tables.subject.c.pseudonym.in_(part)).values(pseudonym=None)
                )
        self._subjects.forget()
        return count

    # -- reading ---------------------------------------------------------------------------------------------

    def eligible(
        self,
        purpose: str,
        at: datetime,
        *,
        separate: Collection[str] = (),
        connection: Connection | None = None,
    ) -> BitMap:
        """Indices of the subjects that may be used for a purpose at an instant; the caller's own copy.

        Folding ten million subjects anew takes seconds; after that the answer is a copy of a compiled bitmap,
        brought up to date with the subjects that have new events.

        Args:
            purpose: name of the purpose.
            at: the instant, with a time zone.
            separate: separate consents the use needs besides, of `law.SEPARATE_CONSENTS`.
            connection: an open transaction to read in.
        """
        return self._compile(purpose, at, separate, connection)[1].copy()

    def root(
        self,
        purpose: str,
        at: datetime,
        *,
        separate: Collection[str] = (),
        connection: Connection | None = None,
    ) -> str:
        """Keyed commitment to the snapshot; see `snapshot.commitment`."""
        return self.snapshot(purpose, at, separate=separate, connection=connection).root

    def snapshot(
        self,
        purpose: str,
        at: datetime,
        *,
        separate: Collection[str] = (),
        sequence: int | None = None,
        connection: Connection | None = None,
    ) -> Snapshot:
        """The eligible subjects with their commitment.

        Args:
            purpose: name of the purpose.
            at: the instant.
            separate: separate consents the use needs besides.
            sequence: answer as the log stood at this event, to open an earlier commitment; default: now.
            connection: an open transaction to read in.
        """
        if sequence is None:
            sequence, bitmap = self._compile(purpose, at, separate, connection)
            eligible = bitmap.copy()
        else:
            self._known_purpose(purpose)
            with self._reading(connection) as reader:
                eligible = fold_events(
                    reader, EligibilityQuestion(purpose, frozenset(separate)), to_micros(at), sequence
                ).bitmap
        needs = tuple(sorted(set(separate)))
        root = commitment(
            self._keys.commitment,
            purpose=purpose,
            at=at,
            separate=needs,
            sequence=sequence,
            eligible=eligible,
        )
        return Snapshot(
            purpose=purpose, at=at, separate=needs, sequence=sequence, eligible=eligible, root=root
        )

    def indices(
        self, customer_keys: Sequence[str], *, connection: Connection | None = None
    ) -> npt.NDArray[np.int64]:
        """Subject indices of customer keys, int64 `(n,)`, -1 where unknown; some 2 us a key for many."""
        references = pseudonyms(self._keys, customer_keys)
        with self._reading(connection) as reader:
            # What an open transaction enrolled may be rolled back, so the index is kept from committed rows
            # only.
            return self._subjects.find(reader, references, keep=is_committed(connection))

    def status(self, customer_key: str, at: datetime | None = None) -> Mapping[str, PurposeStatus]:
        """What the registry holds about one customer, by purpose; for the holder's own people only.

        Returns:
            A status for every purpose the customer has an event for; empty when the registry knows none.
        """
        instant = to_micros(at or datetime.now(UTC))
        with self._reading(None) as reader:
            index = int(self._subjects.find(reader, pseudonyms(self._keys, [trimmed_key(customer_key)]))[0])
            if index < 0:
                return {}
            return status_of(reader, index, instant, sorted(catalogue()), last_sequence(reader))

    def coverage(self, at: datetime | None = None) -> Mapping[str, Coverage]:
        """Counts for every purpose of the catalogue; for the holder's own people only."""
        instant = to_micros(at or datetime.now(UTC))
        with self._reading(None) as reader:
            last = last_sequence(reader)
            return {name: coverage_of(reader, name, instant, last) for name in catalogue()}

    # -- inside ----------------------------------------------------------------------------------------------

    def _known_purpose(self, purpose: str) -> str:
        if purpose not in catalogue():
            raise ConsentError(
                "RF-N005",
                N_('"{purpose}" is not a purpose of the catalogue; see docs/reference/purposes.md.{hint}'),
                purpose=purpose,
                hint=tabular.nearest(purpose, catalogue()),
            )
        return purpose

    @contextmanager
    def _writing(self, connection: Connection | None) -> Iterator[Connection]:
        """A transaction that holds the registry's row.

        Writers are thus one after another, so an event with a lower number never appears after a higher
        one was seen, which the compiled bitmaps rely on.
        """
        if connection is None:
            with self._engine.begin() as own:
                own.execute(select(tables.registry.c.id).with_for_update())
                yield own
        else:
            connection.execute(select(tables.registry.c.id).with_for_update())
            yield connection

    @contextmanager
    def _reading(self, connection: Connection | None) -> Iterator[Connection]:
        if connection is None:
            with store.reading(self._engine) as own:
                yield own
        else:
            yield connection

    def _record(
        self,
        action: str,
        outcome: Literal["allow", "deny"],
        private: Mapping[str, Json],
        connection: Connection | None,
    ) -> None:
        if self._journal is not None:
            self._journal.record(action, outcome, resource=_RESOURCE, private=private, connection=connection)

    def _compile(
        self, purpose: str, at: datetime, separate: Collection[str], connection: Connection | None
    ) -> tuple[int, BitMap]:
        question = EligibilityQuestion(self._known_purpose(purpose), frozenset(separate))
        with self._reading(connection) as reader:
            found = self._bitmaps.answer(reader, question, to_micros(at), keep=is_committed(connection))
        return found.sequence, found.bitmap
