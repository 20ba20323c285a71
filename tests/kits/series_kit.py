"""Three holders, a coordinator and a signed series, under a clock that the test moves."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from kits.asking import Counted
from kits.parties import Parties, Wire, federation_of
from ringfence.clients.agent import Agent
from ringfence.clients.attesting import Attested, attest
from ringfence.clients.holder import Holder
from ringfence.privacy.agreements.series import bound_of
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.approvals import approve
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.ledger.series import BookedRun, booked_runs
from ringfence.privacy.wire.fields import new_run_id
from ringfence.server.coordinator import OpenStudy
from ringfence.server.records.runs import RunStore
from ringfence.server.rounds import Release, run_study
from ringfence.simulations.federation import Federation
from ringfence.simulations.parties import InProcess

THREE = ("bank", "partner", "retailer")
SERIES = {"runs": 4, "every": "month", "begins": "2030-01-31"}


def at(day: str, hour: int = 12) -> datetime.datetime:
    """A moment, UTC."""
    return datetime.datetime.fromisoformat(day).replace(hour=hour, tzinfo=datetime.UTC)


@dataclass(slots=True)
class Clock:
    """The present moment of everybody who looks at it."""

    moment: datetime.datetime

    def __call__(self) -> datetime.datetime:
        return self.moment


@dataclass(slots=True, kw_only=True)
class Series:
    """A series about to be run."""

    federation: Federation
    parties: Parties
    clock: Clock
    filed: dict[str, list[SignedDocument]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, *, day: str = "2030-01-31", **changes: Any) -> Series:
        clock = Clock(at(day))
        federation = federation_of(
            folder,
            names=THREE,
            customers=30,
            contracts={name: {"min_cohort": 1} for name in THREE},
            budget=(Decimal(60), Decimal("0.000001")),
            **({"series": SERIES, "model": {"iterations": 1}} | changes),
        )
        filed: dict[str, list[SignedDocument]] = {}

        def people(name: str) -> Callable[[str], list[SignedDocument]]:
            return lambda _digest: filed[name]

        holders = {
            name: replace(
                federation.assembled(name, lambda _: Counted()), approvals=people(name), clock=clock
            )
            for name in THREE
        }
        said: dict[str, list[str]] = {name: [] for name in THREE}
        agents = {name: Agent(holder=each, report=said[name].append) for name, each in holders.items()}
        wire = Wire(InProcess(agents=agents))
        parties = Parties(federation=federation, holders=holders, agents=agents, said=said, wire=wire)
        made = cls(federation=federation, parties=parties, clock=clock, filed=filed)
        for name in THREE:
            made.approve(name)
        return made

    @property
    def study(self) -> Study:
        return self.federation.opened.study

    def holder(self, name: str = "bank") -> Holder:
        return self.parties.holders[name]

    def approve(self, name: str, study: Study | None = None) -> None:
        """Both people of a holder approve, under its contract as it stands."""
        asked, holder = study or self.study, self.holder(name)
        bound = bound_of(asked.series, holder.contract.digest())
        people = self.federation.keys[name].approvers
        self.filed[name] = [approve(asked.digest(), name, person, bound) for person in people]

    def attest(self, window: int, *names: str) -> list[Attested]:
        return [
            attest(self.holder(name).premises, self.study, self.clock(), window) for name in names or THREE
        ]

    def opened(self, window: int) -> OpenStudy:
        """A run of the series, under a fresh id."""
        return replace(self.federation.opened, run=new_run_id(), window=window)

    def run(self, window: int, opened: OpenStudy | None = None) -> Release:
        coordinator = self.federation.coordinator
        runs = RunStore(coordinator.registry.engine, self.clock)
        return run_study(coordinator, opened or self.opened(window), self.parties.wire, runs=runs)

    def booked(self, name: str = "bank") -> tuple[BookedRun, ...]:
        return booked_runs(self.holder(name).ledger, self.study.digest())

    def refusals(self, name: str = "bank") -> list[object]:
        """The codes of what a holder refused of studies, in order."""
        events = [each.event for each in self.holder(name).log.events(action="study.refused")]
        return [code for each in events for code in each.public["reasons"]]  # type: ignore[union-attr]
