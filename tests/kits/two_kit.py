"""Three holders who belong to two federations: a store and ledger each, and a log for either coordinator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kits.parties import Wire, federation_of
from ringfence.audit.log import AuditLog
from ringfence.clients.agent import Agent
from ringfence.clients.holder import Holder
from ringfence.clients.inbox.store import Inbox
from ringfence.clients.records.offers import Offers
from ringfence.clients.records.participations import Participations
from ringfence.clients.records.witness_memory import WitnessMemory
from ringfence.privacy.crypto.approvals import approve
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.ledger import HeadMarks
from ringfence.server.coordinator import Coordinator, OpenStudy, sign_study
from ringfence.server.rounds import run_study
from ringfence.simulations.federation import Federation
from ringfence.simulations.parties import InProcess, make_coordinator, with_attested_table


@dataclass
class Side:
    """One federation.

    Attributes:
        coordinator: it.
        holders: with the federation's own logs.
        wire: everything that was sent.
        said: sentences for the holders' own people.
    """

    coordinator: Coordinator
    holders: dict[str, Holder]
    wire: Wire
    said: dict[str, list[str]]

    def run(self, opened: OpenStudy) -> Any:
        """Its people approve and attest, and the study runs."""
        for holder in self.holders.values():
            with_attested_table(holder, opened.study)
        return run_study(self.coordinator, opened, self.wire)


@dataclass
class Two:
    """Both."""

    federation: Federation
    sides: dict[str, Side] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Two:
        federation = federation_of(folder)
        made = cls(federation)
        whole = {name: federation.assembled(name) for name in federation.sites}
        for number, name in enumerate(("city", "trade"), 2):
            coordinator = federation.coordinator if name == "city" else make_coordinator("simulation", folder)
            holders = {who: made._within(each, coordinator, number) for who, each in whole.items()}
            said: dict[str, list[str]] = {who: [] for who in holders}
            agents = {who: Agent(holder=each, report=said[who].append) for who, each in holders.items()}
            made.sides[name] = Side(coordinator, holders, Wire(InProcess(agents=agents)), said)
        return made

    def _within(self, holder: Holder, coordinator: Coordinator, number: int) -> Holder:
        """The holder in one federation, as `Home.of` and `load_holder` make it."""
        keys, engine = self.federation.keys[holder.name], holder.engine
        signer = Identity.generate("log", simulation=True)
        log = AuditLog(
            engine,
            origin=f"ringfence.simulation/holder/{number:016x}/{holder.name}",
            signer=signer,
            organisation=holder.name,
            actor="client",
            profile="simulation",
            number=number,
        )
        people = keys.approvers
        return replace(
            holder,
            log_key=PublicIdentity(log.verifier.raw),
            house=holder.log,
            log=log,
            coordinator=coordinator.identity.public,
            offers=Offers(engine, number),
            participations=Participations(engine, number),
            witness=WitnessMemory(engine, number),
            inbox=Inbox(engine, number),
            marks=HeadMarks.of(keys.registry, log.origin),
            approvals=lambda digest: [approve(digest, holder.name, person) for person in people],
        )

    def study(self, side: str, **changes: Any) -> OpenStudy:
        """A study that a side's coordinator signed."""
        opened = self.federation.opened
        return sign_study(
            self.sides[side].coordinator.identity, opened.study.revised(**changes), opened.context.schema
        )
