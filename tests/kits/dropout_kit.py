"""Five holders, of whom four are enough, in a study whose sums outlive drop-outs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kits.parties import Parties, federation_of
from ringfence.server.rounds import run_study

FIVE = ("bank", "insurer", "partner", "retailer", "telco")


def parties_of(folder: Path, *, profile: Any = "simulation", dropouts: str = "recover") -> Parties:
    federation = federation_of(
        folder,
        names=FIVE,
        customers=60,
        profile=profile,
        contracts={name: {"min_cohort": 1} for name in FIVE},
        privacy={"min_holders": 4, "dropouts": dropouts},
        model={"iterations": 1},
        evaluation={"test_fraction": "0"},
    )
    return Parties.of(federation)


def run(parties: Parties) -> None:
    run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
