"""A study over a real SuperLink: each holder's process is the SuperNode, the coordinator claims the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE as PART_BYTES
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.proto.message_pb2 import PullObjectRequest
from flwr.proto.node_pb2 import Node as NodeNumber
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.fleet_http_client import FleetHttpClient
from kits.link_kit import Door, gateway, superlink, trusting
from kits.parties import Parties, federation_of
from kits.statistics_kit import TABLES

from ringfence.clients.connections.pacing import PacedAgent
from ringfence.clients.connections.supernode import Connection, Place, SuperNode, send_reply
from ringfence.clients.flower import make_client_app
from ringfence.clients.letters import LetterBox
from ringfence.models.tables.release import TableRelease
from ringfence.privacy.crypto.sealing import SealingKey
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.bundle import bundle
from ringfence.privacy.protocol.carried import NONCE_BYTES
from ringfence.privacy.protocol.control import seal_message
from ringfence.privacy.wire.envelope import read_header
from ringfence.privacy.wire.letters import MAGIC, greeting
from ringfence.server.connections import gateway as gateway_module
from ringfence.server.connections import link_grid
from ringfence.server.connections import superlink as superlink_module
from ringfence.server.connections.pacing import paced
from ringfence.server.connections.superlink import SuperLink
from ringfence.server.flower import FlowerTransport, packed, unpacked, wait_for_nodes
from ringfence.server.letters import Letters
from ringfence.server.rounds import run_study


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    with superlink(tmp_path_factory.mktemp("link")) as running:
        yield running


@contextmanager
def nodes_of(
    parties: Parties, link: SuperLink, but: str = "", door: Door | None = None
) -> Iterator[Mapping[str, int]]:
    """The holders' nodes, connected, through a gateway where there is one; number by name."""
    stop, numbers, threads = threading.Event(), {}, []
    for name, agent in parties.agents.items():
        if name == but:
            continue
        key = ec.generate_private_key(ec.SECP384R1())
        public = public_key_to_bytes(key.public_key())
        numbers[name] = link.register(public, name)
        pacing = PacedAgent(agent=agent, holder=agent.holder, stop=stop)
        box = LetterBox(agent=agent, answering=pacing.handle)

        def look(
            name: str = name, public: bytes = public, key: Any = key
        ) -> tuple[Place, ec.EllipticCurvePrivateKey]:
            if door is None:
                return Place(address=link.address, tls=trusting(link)), key
            return Place(address=door.address, tls=door.partner(name, public)), key

        node = SuperNode(
            place=Place(address=link.address, tls=trusting(link)),
            key=key,
            look=look,
            app=make_client_app(lambda _context, box=box: box),  # type: ignore[misc]
            report=parties.said[name].append,
        )
        threads.append(threading.Thread(target=node.serve, args=(stop,), daemon=True))
        threads[-1].start()
    try:
        yield numbers
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)


@pytest.mark.parametrize("asked", [{"model": {"iterations": 1}}, TABLES], ids=["scorecard", "statistics"])
def test_a_study_runs_over_flower_s_deployment_through_the_gateway(
    tmp_path: Path, link: SuperLink, asked: dict[str, Any]
) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150, **asked))
    federation, stop = parties.federation, threading.Event()
    with (
        gateway(tmp_path / "door", link.address, link.files.authority) as door,
        nodes_of(parties, link, door=door) as numbers,
        link.run() as (grid, _series),
    ):
        wait_for_nodes(grid, len(numbers), timeout=60, stop=stop)
        release = run_study(
            federation.coordinator, federation.opened, letters_over(grid, numbers, parties, [])
        )
    assert release.holders == ("bank", "partner", "retailer")
    assert set(release.attempts) == {1}
    assert parties.said == {name: [] for name in parties.holders}
    if asked is TABLES:
        assert isinstance(release.result, TableRelease)
        assert [each.question for each in release.result.tables] == list(TABLES["model"]["questions"])


def test_certificates_rotate_in_the_middle_of_a_study(
    tmp_path: Path, link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All former ones are let in no more and their connections cut; each node comes back with its new one."""
    monkeypatch.setattr(gateway_module, "RECHECK_SECONDS", 0.05)
    parties = Parties.of(federation_of(tmp_path, customers=150, model={"iterations": 1}))
    federation, turned = parties.federation, list[int]()

    class Turning(Tapped):
        def push_messages(self, messages: Iterable[Message]) -> list[str]:
            self.asked = getattr(self, "asked", 0) + 1
            if self.asked == 4:  # greetings, offers and the roster are over
                turned.append(len(door.allowed))
                door.allowed.clear()
            return super().push_messages(messages)

    with (
        gateway(tmp_path / "door", link.address, link.files.authority) as door,
        nodes_of(parties, link, door=door) as numbers,
        link.run() as (grid, _series),
    ):
        wait_for_nodes(grid, len(numbers), timeout=60, stop=threading.Event())
        letters = letters_over(Turning(grid), numbers, parties, [])
        letters.carrier = replace(letters.carrier, timeout=60.0)  # type: ignore[type-var]
        release = run_study(federation.coordinator, federation.opened, letters)
    assert turned == [3]
    assert len(door.allowed) >= 3, "new ones"
    assert release.holders == ("bank", "partner", "retailer")


def test_at_a_fixed_pace_no_answer_leaves_before_its_moment(
    tmp_path: Path, link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are made within milliseconds here, and go out after the seconds that were signed."""
    pace = {"pace": "fixed", "join_seconds": 2, "exchange_seconds": 1, "max_attempts": 1}
    parties = Parties.of(
        federation_of(
            tmp_path, customers=150, model={"iterations": 1}, evaluation={"test_fraction": 0}, privacy=pace
        )
    )
    federation, stop, took = parties.federation, threading.Event(), list[tuple[str, float]]()
    handle = LetterBox.handle

    def timed(box: LetterBox, data: bytes) -> bytes:
        began = time.monotonic()
        reply = handle(box, data)
        kind = "letter" if data[: len(MAGIC)] == MAGIC else "greeting"
        took.append((kind, time.monotonic() - began))
        return reply

    monkeypatch.setattr(LetterBox, "handle", timed)
    with nodes_of(parties, link) as numbers, link.run() as (grid, _series):
        wait_for_nodes(grid, len(numbers), timeout=60, stop=stop)
        letters = letters_over(grid, numbers, parties, [])
        carrier = FlowerTransport(grid=grid, nodes=numbers, timeout=3, stop=stop)
        letters.paced = paced(carrier, federation.opened.study.privacy)
        release = run_study(federation.coordinator, federation.opened, letters)
    assert release.holders == ("bank", "partner", "retailer")
    held = sorted(seconds for kind, seconds in took if kind == "letter")
    assert len(held) >= 15
    assert min(held) >= 1.0
    assert held[-3] >= 2.0, "the joins"


def test_a_reply_that_is_far_too_large_is_none_and_the_others_count(
    tmp_path: Path, link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_grid, "MOST_BYTES", 1 << 17)
    parties = Parties.of(federation_of(tmp_path, customers=150))
    sizes = {"bank": 1 << 20, "partner": 1 << 10, "retailer": 1 << 10}
    monkeypatch.setattr(LetterBox, "handle", lambda box, _data: bytes(sizes[box.agent.holder.name]))
    failed = list[tuple[str, int]]()
    with nodes_of(parties, link) as numbers, link.run() as (grid, _series):
        wait_for_nodes(grid, len(numbers), timeout=60, stop=threading.Event())
        transport = FlowerTransport(
            grid=grid, nodes=numbers, timeout=60, arrivals=grid, failed=lambda *each: failed.append(each)
        )
        found = transport.exchange(dict.fromkeys(numbers, b"anything"))
    assert {name: len(data) for name, data in found.items()} == {"partner": 1 << 10, "retailer": 1 << 10}
    assert [name for name, _ in failed] == ["bank"]


@pytest.mark.parametrize(
    ("size", "requests"),
    [
        pytest.param(1, 1, id="a byte"),
        pytest.param(PART_BYTES - NONCE_BYTES, 1, id="a full piece"),
        pytest.param(PART_BYTES - NONCE_BYTES + 1, 5, id="a byte more"),
    ],
)
def test_what_fits_into_one_piece_takes_one_request_to_send_and_one_to_fetch(
    tmp_path: Path, link: SuperLink, monkeypatch: pytest.MonkeyPatch, size: int, requests: int
) -> None:
    """Out and back; the same bytes that are sent again are a message of their own."""
    parties = Parties.of(federation_of(tmp_path, customers=150))
    asked, answer, called = b"\x07" * size, b"\x08" * size, list[str]()

    def counted(owner: type, name: str) -> None:
        call = getattr(owner, name)

        def counting(client: Any, request: Any) -> Any:
            called.append(f"{owner.__name__}.{name}")
            return call(client, request)

        monkeypatch.setattr(owner, name, counting)

    for owner in (RuntimeHttpClient, FleetHttpClient):
        counted(owner, "PushObject")
    monkeypatch.setattr(LetterBox, "handle", lambda _box, data: answer if data == asked else b"")
    with nodes_of(parties, link) as numbers, link.run() as (grid, _series):
        wait_for_nodes(grid, len(numbers), timeout=60, stop=threading.Event())
        transport = FlowerTransport(grid=grid, nodes=numbers, timeout=60, arrivals=grid)
        for _ in range(2):
            assert transport.exchange({"bank": asked}) == {"bank": answer}
    assert called.count("RuntimeHttpClient.PushObject") == 2 * requests
    assert called.count("FleetHttpClient.PushObject") == 2 * requests


def test_a_run_of_another_bundle_is_not_answered(
    tmp_path: Path, link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of the protocol, or code that somebody would like to run beside the tables."""
    monkeypatch.setattr(superlink_module, "bundle", lambda: bundle(1))
    parties = Parties.of(federation_of(tmp_path, customers=150))
    with nodes_of(parties, link) as numbers, link.run() as (grid, _series):
        wait_for_nodes(grid, len(numbers), timeout=60, stop=threading.Event())
        transport = FlowerTransport(grid=grid, nodes=numbers, timeout=3, arrivals=grid)
        assert transport.exchange(dict.fromkeys(numbers, b"anything")) == {}
    for name in numbers:
        assert [sentence[:7] for sentence in parties.said[name]] == ["RF-W330"]


def test_a_run_that_nobody_lived_to_claim_stands_in_nobodys_way(link: SuperLink) -> None:
    content = bundle()
    for _ in range(2):
        link.start_run(content)
    with link.run() as (grid, _series):
        assert list(grid.get_node_ids()) == []


class Tapped:
    """A grid that keeps what was pushed through it: a registered node could learn the ids from timing."""

    def __init__(self, grid: Any) -> None:
        self.grid = grid
        self.pushed: list[Message] = []

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        messages = list(messages)
        ids = list(self.grid.push_messages(messages))
        self.pushed += messages
        return ids

    def __getattr__(self, name: str) -> Any:
        return getattr(self.grid, name)


@contextmanager
def mallory(link: SuperLink) -> Iterator[tuple[FleetHttpClient, NodeNumber]]:
    """A registered node of somebody else, connected."""
    key = ec.generate_private_key(ec.SECP384R1())
    public = public_key_to_bytes(key.public_key())
    link.register(public, "mallory")
    with Connection(Place(address=link.address, tls=trusting(link)), key) as client:
        request = ActivateNodeRequest(public_key=public, heartbeat_interval=60)
        yield client, NodeNumber(node_id=client.ActivateNode(request).node_id)


def letters_over(grid: Any, nodes: Mapping[str, int], parties: Parties, said: list[str]) -> Letters:
    return Letters(
        carrier=FlowerTransport(grid=grid, nodes=nodes, timeout=10, stop=threading.Event()),
        identity=parties.federation.coordinator.identity,
        holders=parties.federation.opened.participants,
        report=said.append,
    )


def test_a_registered_node_that_reads_anothers_messages_reads_letters(
    tmp_path: Path, link: SuperLink
) -> None:
    """The link hands any node the objects of any message, given their ids."""
    parties = Parties.of(federation_of(tmp_path, customers=150, model={"iterations": 1}))
    federation, read = parties.federation, list[bytes]()

    class Listening(Tapped):
        def push_messages(self, messages: Iterable[Message]) -> list[str]:
            # One by one: an object that its receiver has taken in is there no more.
            return [number for message in messages for number in self.overheard(message)]

        def overheard(self, message: Message) -> list[str]:
            ids = super().push_messages([message])
            for name in ids:
                found = client.PullObject(
                    PullObjectRequest(node=own, run_id=message.metadata.run_id, object_id=name)
                )
                read.append(found.object_content)
            return ids

    with nodes_of(parties, link) as numbers, link.run() as (grid, _), mallory(link) as (client, own):
        wait_for_nodes(grid, len(numbers), timeout=60, stop=threading.Event())
        letters = letters_over(Listening(grid), numbers, parties, [])
        run_study(federation.coordinator, federation.opened, letters)
    letters_read = [data for data in read if MAGIC in data]
    assert len(letters_read) > 3 * len(federation.opened.plan.rounds), "it does read them"
    for data in letters_read:
        assert federation.opened.digest.encode() not in data
        assert b'"kind"' not in data


def test_an_answer_in_another_nodes_name_is_not_believed(tmp_path: Path, link: SuperLink) -> None:
    """The link does not look at who a reply says it is from."""
    parties = Parties.of(federation_of(tmp_path, customers=150))
    federation, said = parties.federation, list[str]()
    shop = parties.agents["retailer"]

    class Forged(Tapped):
        def push_messages(self, messages: Iterable[Message]) -> list[str]:
            ids = super().push_messages(messages)
            for message in self.pushed[-len(ids) :]:
                if message.metadata.dst_node_id == nodes["bank"]:
                    self.forge(message)
            return ids

        def forge(self, message: Message) -> None:
            """What the shop would answer, sent as the bank's."""
            asked = read_header(unpacked(message))
            answer = seal_message(
                shop.holder.identity,
                greeting(SealingKey(), "ab" * 32, datetime.now(UTC)),
                study=asked.study,
                run=asked.run,
                sender="bank",
                recipient="coordinator",
            )
            reply = Message(packed(answer), reply_to=message)
            assert reply.metadata.src_node_id == nodes["bank"]
            send_reply(client, own, reply)

    with (
        nodes_of(parties, link, but="bank") as numbers,
        link.run() as (grid, _),
        mallory(link) as (client, own),
        mallory(link) as (_, silent),  # the bank's node is there, and does not answer
    ):
        nodes = {**numbers, "bank": silent.node_id}
        wait_for_nodes(grid, len(nodes) + 1, timeout=60, stop=threading.Event())
        letters = letters_over(Forged(grid), nodes, parties, said)
        with pytest.raises(WaistError, match="RF-W200"):
            run_study(federation.coordinator, federation.opened, letters)
    assert {sentence[:13] for sentence in said} == {"bank: RF-W113"}
