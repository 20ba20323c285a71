"""A study whose parties keep their stores in files: founded once, copied for every study that is disturbed.

The noise is the tests' own, which depends on holder and round alone: whatever is asked again is answered the
same, so that the model of a disturbed study can be compared.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from kits.dropout_kit import FIVE
from kits.noise import SeededNoises
from kits.parties import Parties, federation_of

from ringfence.clients.holder import Holder
from ringfence.models.releasing import release_result
from ringfence.privacy.crypto.identity import Identity
from ringfence.server.coordinator import Coordinator
from ringfence.server.release.gate import export_gate
from ringfence.server.rounds import run_study
from ringfence.simulations.federation import Federation
from ringfence.simulations.parties import make_coordinator, with_attested_table

NOISE = SeededNoises(20)
WAYS = ("retry", "recover")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where one study stands.

    Attributes:
        federation: documents and keys; its stores are those in its folder.
        log_key: of the coordinator's log.
    """

    federation: Federation
    log_key: Identity

    @property
    def folder(self) -> Path:
        return self.federation.folder

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.federation.sites))

    def copied(self, folder: Path) -> Ground:
        """The same study on a copy of everything."""
        shutil.copytree(self.folder, folder)
        return replace(self, federation=_at(self.federation, folder))

    def coordinator(self) -> Coordinator:
        """The coordinator as its stores are."""
        keys = (self.federation.coordinator.identity, self.log_key)
        return make_coordinator("durable", self.folder, keys)

    def holder(self, name: str) -> Holder:
        """A holder as its stores are."""
        return self.federation.assembled(name, NOISE)

    def found(self) -> None:
        """What people do before a study runs: contracts, consents, attested tables."""
        self.coordinator()
        for name in self.names:
            with_attested_table(self.holder(name), self.federation.opened.study)

    def untouched(self, name: str) -> Holder:
        """A holder of the same table in memory, which no study has seen and nobody kills."""
        memory = replace(self.federation, profile="simulation")
        return memory.holder(name, NOISE)


def _at(federation: Federation, folder: Path) -> Federation:
    sites = {name: replace(site, base=folder) for name, site in federation.sites.items()}
    return replace(federation, folder=folder, sites=sites)


def ground_of(folder: Path, dropouts: str) -> Ground:
    """A small scorecard study: three holders of whom all are needed, or five of whom four are.

    Args:
        folder: which does not exist yet.
        dropouts: `retry` or `recover`.
    """
    folder.mkdir(parents=True)
    recovers = dropouts == "recover"
    names = FIVE if recovers else ("bank", "partner", "retailer")
    needed = 4 if recovers else 3
    made = federation_of(
        folder,
        names=names,
        customers=60 if recovers else 120,
        contracts={name: {"min_cohort": 1} for name in names},
        privacy={"min_holders": needed, "dropouts": dropouts},
        model={"iterations": 1},
        evaluation={"test_fraction": "0"},
    )
    durable = replace(made, profile="durable")
    return Ground(federation=durable, log_key=Identity.generate("log", simulation=True))


def warmed(folder: Path) -> None:
    """Load what a study loads, once: a process that is forked later has it."""
    federation = federation_of(folder, customers=600, model={"iterations": 1})
    coordinator, opened = federation.coordinator, federation.opened
    release = run_study(coordinator, opened, Parties.of(federation).wire)
    epsilon = opened.study.privacy.epsilon
    gate = export_gate(coordinator, epsilon)
    release_result(release.result, folder / "model", gate=gate, epsilon=epsilon, resource="study:warm")
