"""Parties in network namespaces of their own: a holder reaches the coordinator's gateway and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kits.command_kit import NAMES, Town, client, server, town
from kits.federation_kit import Federation, approve_everywhere, federation
from kits.namespace_kit import Networks, networks

from ringfence.audit.cli import main as audit

pytestmark = pytest.mark.soak

DESK = "desk"
PORT = 9092
ONE_SIDED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """The parties' files, their processes and where these run."""

    town: Town
    parties: Federation
    nets: Networks


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with networks(DESK, NAMES) as nets:
        here = town(tmp_path_factory.mktemp("namespaces"))
        inside = {name: nets.inside(name) for name in (DESK, *NAMES)}
        with federation(here, address=f"{nets.addresses[DESK]}:{PORT}", inside=inside) as found:
            yield Apart(town=here, parties=found, nets=nets)


def release(apart: Apart, study: Path, out: Path) -> None:
    """Run a study in the coordinator's namespace, until its scorecard is there and all came."""
    told = apart.town.root / "run.json"
    process = apart.parties.start_study(study, out, "--json", told)
    assert process.running.wait(240) == 0, process.said()
    assert sorted(path.name for path in out.iterdir()) == ["points.csv", "scorecard.json"]
    found = json.loads(told.read_text(encoding="utf-8"))
    assert found["holders"] == list(NAMES)
    assert found["absent"] == []


def verify(here: Town, bundle: Path) -> None:
    """The logs of all verify, and say the same."""
    (bundle / "holders").mkdir(parents=True)
    assert server("log", "export", bundle / "coordinator", "--config", here.desk) == 0
    for name in NAMES:
        assert client("log", "export", bundle / "holders" / name, "--config", here.root / name) == 0
    assert audit(["verify", str(bundle)]) == 0
    assert audit(["reconcile", str(bundle)]) in (0, ONE_SIDED)


def test_a_holder_reaches_the_gateway_and_nothing_else_of_the_coordinator(apart: Apart) -> None:
    nets, coordinator = apart.nets, apart.nets.addresses[DESK]
    listening = nets.listening(DESK)
    link = [port for address, port in listening if address == "127.0.0.1"]
    assert link, "the link listens on loopback"
    assert [each for each in listening if each[0] != "127.0.0.1"] == [(coordinator, PORT)]
    for name in NAMES:
        assert nets.knock(name, coordinator, PORT) == "open"
        for port in link:
            assert "refused" in nets.knock(name, coordinator, port)
            assert "refused" in nets.knock(name, "127.0.0.1", port), "its own loopback is another"
    assert nets.knock(DESK, "127.0.0.1", link[0]) == "open"


def test_holders_listen_to_nobody_and_need_no_way_to_each_other(apart: Apart) -> None:
    nets = apart.nets
    for name in NAMES:
        assert [each for each in nets.listening(name) if each[0] != "127.0.0.1"] == []
    with nets.listener("south", PORT):
        assert nets.knock(DESK, nets.addresses["south"], PORT) == "open"
        for name in ("north", "west"):
            assert nets.knock(name, nets.addresses["south"], PORT) != "open"


def test_a_study_is_released_between_namespaces(apart: Apart) -> None:
    study = apart.town.sign()
    approve_everywhere(apart.town, study)
    release(apart, study, apart.town.root / "model")
    verify(apart.town, apart.town.root / "bundle")


def test_a_study_ends_over_slow_links_that_lose_packets(apart: Apart) -> None:
    apart.nets.worsen("50ms", "1%")
    study = apart.town.sign("far.signed.json", epsilon="0.9")
    approve_everywhere(apart.town, study)
    release(apart, study, apart.town.root / "far")
    verify(apart.town, apart.town.root / "far-bundle")
