"""A small federation for tests: three holders with files, contracts, consent records and real stores in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from kits.small import frame_of, schema_of, study_of
from ringfence.audit.events import Profile
from ringfence.clients.agent import Agent
from ringfence.clients.holder import Holder
from ringfence.clients.letters import LetterBox
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.simulations.experiment import everybody_consents
from ringfence.simulations.federation import Federation
from ringfence.simulations.parties import InProcess, NoiseOf, Site

PURPOSES = ["churn-prediction"]


def contract_of(name: str, schema_digest: str, **changes: Any) -> Contract:
    """A contract over the small schema."""
    fields: dict[str, Any] = {
        "id": f"{name}-contract",
        "holder": name,
        "version": 1,
        "schema": schema_digest,
        "subject": "key",
        "population": f"{name}-customers",
        "jurisdiction": "CN",
        "max_customers": 5000,
        "min_cohort": 100,
        "overlap": 1,
        "source": {"file": f"{name}.csv"},
        "column": [
            {"name": feature, "sensitivity": "plain", "purposes": PURPOSES}
            for feature in ("age", "spend", "plan", "active", "churn")
        ],
    }
    return Contract.model_validate(fields | changes)


def write_site(folder: Path, name: str, frame: pd.DataFrame, schema_digest: str, **changes: Any) -> Site:
    """One holder's table and consent records on disk."""
    contract = contract_of(name, schema_digest, **changes)
    table = frame.assign(key=[f"{name}-{i}" for i in range(len(frame))])
    table.to_csv(folder / f"{name}.csv", index=False)
    consent = folder / f"{name}-consent.csv"
    everybody_consents(table["key"], study_of(schema_of()), contract).to_csv(consent, index=False)
    return Site(contract=contract, base=folder, consent=consent)


def federation_of(
    folder: Path,
    *,
    names: tuple[str, ...] = ("bank", "retailer", "partner"),
    customers: int = 400,
    profile: Profile = "simulation",
    budget: tuple[Decimal, Decimal] | None = None,
    contracts: Mapping[str, Mapping[str, Any]] | None = None,
    **study: Any,
) -> Federation:
    """A federation over the small schema; `contracts` changes fields of single contracts."""
    schema = schema_of()
    sites = {
        name: write_site(
            folder, name, frame_of(customers, seed), schema.digest(), **dict((contracts or {}).get(name, {}))
        )
        for seed, name in enumerate(names)
    }
    asked = study_of(schema, holders=len(names), **({"model": {"iterations": 2}} | study))
    return Federation.make(
        asked.model_copy(update={"holders": ()}), schema, sites, profile=profile, folder=folder, budget=budget
    )


Change = Callable[[str, bytes, bytes], bytes]


@dataclass(slots=True)
class Wire:
    """A transport that a test can listen to and tamper with.

    Attributes:
        inner: the real one.
        on_reply: gets holder, message and reply, and returns the reply to pass on; empty bytes drop it.
        on_message: gets holder, message and nothing, and returns the message to pass on.
        sent: every (holder, message, reply).
        away: holders that are not connected; what is sent to them all the same is lost.
    """

    inner: InProcess
    on_reply: Change = lambda _holder, _message, reply: reply
    on_message: Change = lambda _holder, message, _reply: message
    sent: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    away: frozenset[str] = frozenset()

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        messages = {name: data for name, data in messages.items() if name not in self.away}
        changed = {name: self.on_message(name, data, b"") for name, data in messages.items()}
        replies = self.inner.exchange({name: data for name, data in changed.items() if data})
        kept = {name: self.on_reply(name, changed[name], reply) for name, reply in replies.items()}
        self.sent += [(name, changed[name], kept.get(name, b"")) for name in messages]
        return {name: reply for name, reply in kept.items() if reply}

    def present(self, names: Iterable[str]) -> frozenset[str]:
        return self.inner.present(names) - self.away

    def lose_once(self, holder: str, round_: int) -> None:
        """Lose a holder's first answer to a call for a round; its later attempts arrive."""
        lost: list[str] = []

        def drop(name: str, message: bytes, reply: bytes) -> bytes:
            header = read_header(message)
            if (
                header.kind == MessageKind.ROUND_CALL
                and header.round == round_
                and name == holder
                and not lost
            ):
                lost.append(name)
                return b""
            return reply

        self.on_reply = drop


@dataclass(slots=True)
class Boxes:
    """A carrier to the holders' letter boxes."""

    boxes: Mapping[str, LetterBox]
    away: frozenset[str] = frozenset()

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return {name: self.boxes[name].handle(data) for name, data in messages.items()}

    def present(self, names: Iterable[str]) -> frozenset[str]:
        return (frozenset(names) & self.boxes.keys()) - self.away


@dataclass(slots=True, kw_only=True)
class Parties:
    """Holders, agents and a wire between them and the coordinator."""

    federation: Federation
    holders: dict[str, Holder]
    agents: dict[str, Agent]
    said: dict[str, list[str]]
    wire: Wire

    @classmethod
    def of(cls, federation: Federation, noise: NoiseOf | None = None) -> Parties:
        holders = {name: federation.holder(name, noise) for name in federation.sites}
        said: dict[str, list[str]] = {name: [] for name in holders}
        agents = {name: Agent(holder=holder, report=said[name].append) for name, holder in holders.items()}
        return cls(
            federation=federation,
            holders=holders,
            agents=agents,
            said=said,
            wire=Wire(InProcess(agents=agents)),
        )

    def tell_ends(self) -> None:
        """What `serve` does now and then: ends that were not heard are said again."""
        import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
        from ringfence.server.post.ending import owed_ends, say_end

        boxes = {name: LetterBox(agent=agent) for name, agent in self.agents.items()}
        coordinator = self.federation.coordinator
        for owed in owed_ends(coordinator.registry.engine):
            say_end(coordinator, owed, Boxes(boxes, self.wire.away))

    def actions(self, name: str) -> list[tuple[str, str]]:
        """Action and outcome of every event in a holder's log."""
        return [(e.event.action, e.event.outcome) for e in self.holders[name].log.events()]
