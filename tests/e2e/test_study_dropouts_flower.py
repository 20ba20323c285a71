"""The adapter of Flower carries the steps of a recovered sum as it carries all others: as sealed bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from flwr.app import Message
from kits.flower_kit import LocalGrid, take_task
from kits.parties import Parties, federation_of

from ringfence.clients.flower import make_client_app
from ringfence.privacy.wire.envelope import read_header
from ringfence.server.flower import FlowerTransport, Polling, unpacked
from ringfence.server.rounds import run_study

NAMES = ("bank", "insurer", "partner", "retailer")
NODES = {name: number for number, name in enumerate(NAMES, start=101)}


def test_a_node_that_goes_away_in_mid_round_is_recovered_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_task(monkeypatch)
    parties = Parties.of(
        federation_of(
            tmp_path,
            names=NAMES,
            customers=60,
            contracts={name: {"min_cohort": 1} for name in NAMES},
            privacy={"min_holders": 3, "dropouts": "recover"},
            model={"iterations": 1},
            evaluation={"test_fraction": "0"},
        )
    )
    apps = {
        node: make_client_app(
            lambda context: parties.agents[{v: k for k, v in NODES.items()}[context.node_id]]
        )
        for node in NODES.values()
    }
    kinds = []
    others: set[int] = set()
    asked_in_vain = 0

    def deliver(grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        header = read_header(unpacked(message))
        nonlocal asked_in_vain
        kinds.append(header.kind)
        if (header.kind, header.round) != ("round-call", 1):
            return [reply]
        if message.metadata.dst_node_id != NODES["bank"]:
            others.add(message.metadata.dst_node_id)
            return [reply]
        # The deadline passes once the others have answered and their threads have handed that on.
        asked_in_vain += len(others) == len(NODES) - 1
        if asked_in_vain == 50:
            grid.now += 1e6
        return []

    grid = LocalGrid(apps=apps, deliver=deliver)
    transport = FlowerTransport(
        grid=grid,
        nodes=NODES,
        timeout=1e5,
        polling=Polling(first=0.001, longest=0.01),
        clock=lambda: grid.now,
    )
    release = run_study(parties.federation.coordinator, parties.federation.opened, transport)
    assert release.attempts == (1, 1)
    assert release.absent == ("bank",)
    assert {"key-call", "share-call", "round-call", "survivors-call", "unmask-call"} <= set(kinds)
