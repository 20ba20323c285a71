"""A holder as values: whose table, whose keys, whose registry, ledger and log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from ringfence.audit.log import AuditLog
from ringfence.clients.attesting import Premises
from ringfence.clients.inbox.notices import Addressee
from ringfence.clients.inbox.store import Inbox
from ringfence.clients.records.offers import Offers
from ringfence.clients.records.participations import Participations
from ringfence.clients.records.snapshots import Snapshots
from ringfence.clients.records.witness_memory import WitnessMemory
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.consent.registry import ConsentRegistry
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.ledger import HeadMarks, Ledger
from ringfence.privacy.mechanisms.source import NoiseSource, OsNoise
from ringfence.privacy.secagg.attempts import AttemptStore
from ringfence.privacy.succession.book import KeyBook, KnownSuccession
from ringfence.privacy.wire.fields import utc_now
from ringfence.privacy.wire.heads import LedgerHead, verify_head


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Everything a holder's process works with.

    Attributes:
        name: the holder's name in studies.
        identity: its long-term Ed25519 key.
        log_key: public half of its log's key.
        contract: what its table is and may be used for.
        schema: the public meaning of the columns.
        base: folder that the contract's file names are relative to.
        engine: the one store of consent, ledger and log, so that one transaction can span them.
        registry: who has agreed to what.
        ledger: what has been spent, for good.
        log: what happened between it and this coordinator, which anchors it.
        house: what happened in the house; the ledger's and the registry's events stand there. In a simulation
            it is the same log.
        attempts: answers given, so that a repeat gets the same bytes.
        snapshots: the tables that its people attested for studies.
        offers: how often studies were refused.
        participations: the runs that it joined.
        witness: what it remembers as a witness of the coordinator's log.
        inbox: studies that came for its people to decide on.
        coordinator: the coordinator whose studies are considered, by its key in force.
        chains: the keys that took the place of others.
        approvers: the people who may approve a study here.
        approvals: approvals on file for a study's digest.
        models: folder of models that this holder keeps for itself; made when there is one.
        marks: what the coordinator is shown of the ledger's head.
        noise: where shares of noise come from.
        clock: the present moment, UTC.
    """

    name: str
    identity: Identity
    log_key: PublicIdentity
    contract: Contract
    schema: Schema
    base: Path
    engine: Engine
    registry: ConsentRegistry
    ledger: Ledger
    log: AuditLog
    house: AuditLog
    attempts: AttemptStore
    snapshots: Snapshots
    offers: Offers
    participations: Participations
    witness: WitnessMemory
    inbox: Inbox
    coordinator: PublicIdentity
    chains: KeyBook
    approvers: tuple[PublicIdentity, ...]
    approvals: Callable[[str], Sequence[SignedDocument]]
    models: Path
    marks: HeadMarks
    noise: NoiseSource = field(default_factory=OsNoise)
    clock: Callable[[], datetime] = utc_now

    def own_head(self, head: LedgerHead) -> LedgerHead:
        """A ledger head that this holder signed, with its key in force at that entry.

        Raises:
            WaistError: RF-W166 it did not, RF-W430 a key signed it that was replaced before that entry.
        """
        for former in self.chains.known():
            if not (former.own and former.said.role == "holder"):
                continue
            try:
                verify_head(head, former.said.former, self.log.origin)
            except WaistError:
                continue
            self._require_before(head, former)
            return head
        return verify_head(head, self.identity.public, self.log.origin)

    def _require_before(self, head: LedgerHead, former: KnownSuccession) -> None:
        """An entry that this ledger lacks is none of these: the ledger is asked about it, and freezes."""
        shown = self.marks.read(head.mark)
        if shown is not None and shown.sequence > former.last_entry and self.ledger.holds(shown):
            raise WaistError(
                "RF-W430",
                N_(
                    "A ledger head is signed by the key {key}, and is of an entry after it was replaced: "
                    "whoever made it has a retired key. It was not used."
                ),
                key=former.said.former.fingerprint,
            )

    @property
    def addressee(self) -> Addressee:
        """Whom a coordinator's notices are for."""
        return Addressee(
            name=self.name,
            key=self.identity.public,
            coordinator=self.coordinator,
            approvers=self.approvers,
            contract=self.contract.digest(),
            approvals=self.approvals,
            inbox=self.inbox,
            log=self.log,
            clock=self.clock,
        )

    @property
    def premises(self) -> Premises:
        """What its people attest its table with."""
        return Premises(
            contract=self.contract,
            schema=self.schema,
            base=self.base,
            key=self.identity.public,
            chains=self.chains,
            log=self.log,
            ledger=self.ledger,
            snapshots=self.snapshots,
            offers=self.offers,
            participations=self.participations,
        )
