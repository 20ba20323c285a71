"""The coordinator's side of Flower over a grid in this process: dead, late, blocked and babbling nodes."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from flwr.app import Error, Message
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from kits.flower_kit import Deliver, LocalGrid, at_once, context_of, take_task
from kits.parties import Parties, federation_of

from ringfence.clients.flower import make_client_app
from ringfence.privacy.agreements.terms import PrivacyTerms
from ringfence.privacy.errors import WaistError
from ringfence.privacy.wire.envelope import Header, read_header
from ringfence.server.connections.pacing import paced
from ringfence.server.flower import (
    NODE_AWAY,
    FlowerTransport,
    Polling,
    Stopped,
    make_server_app,
    packed,
    unpacked,
    wait_for_nodes,
)
from ringfence.server.rounds import Release, run_study

QUICK = Polling(first=0.001, longest=0.001)
NEVER = 3600.0


@pytest.fixture(autouse=True)
def _task(monkeypatch: pytest.MonkeyPatch) -> None:
    take_task(monkeypatch)


NAMES = ("bank", "retailer", "partner", "insurer")
NODES = {name: 100 + index for index, name in enumerate(NAMES)}


def is_call(message: Message, name: str, round: int, attempt: int | None = 0) -> bool:
    header = header_of(message)
    return (
        message.metadata.dst_node_id == NODES[name]
        and header.kind == "round-call"
        and header.round == round
        and attempt in (None, header.attempt)
    )


def header_of(message: Message) -> Header:
    return read_header(unpacked(message))


def run(tmp_path: Path, deliver: Deliver) -> tuple[Release, Parties]:
    """A study of four holders, three needed, over the local grid."""
    parties = Parties.of(federation_of(tmp_path, names=NAMES, privacy={"min_holders": 3}))
    apps = {
        node: make_client_app(
            lambda context: parties.agents[{v: k for k, v in NODES.items()}[context.node_id]]
        )
        for node in NODES.values()
    }
    grid = LocalGrid(apps=apps, deliver=deliver)
    transport = FlowerTransport(grid=grid, nodes=NODES, timeout=NEVER, polling=QUICK, clock=lambda: grid.now)
    return run_study(parties.federation.coordinator, parties.federation.opened, transport), parties


def test_a_study_over_the_grid_releases_a_model(tmp_path: Path) -> None:
    release, parties = run(tmp_path, at_once)
    assert release.holders == tuple(sorted(NAMES))
    assert set(release.attempts) == {1}
    assert not any(parties.said.values())


def test_a_node_that_dies_in_mid_round_is_left_behind(tmp_path: Path) -> None:
    dead = []

    def deliver(_grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        if is_call(message, "insurer", round=1):
            dead.append(True)
        if dead and message.metadata.dst_node_id == NODES["insurer"]:
            return [Message(Error(code=3, reason="Node Unavailable"), reply_to=message)]
        return [reply]

    release, _ = run(tmp_path, deliver)
    assert dead
    assert release.absent == ("insurer",)
    assert release.attempts == (1, 2, 1, 1, 1)


def test_a_node_that_answers_late_takes_part_in_the_next_attempt(tmp_path: Path) -> None:
    late = []

    def deliver(grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        header = header_of(message)
        here = (header.kind, header.round, header.attempt)
        if is_call(message, "partner", round=1):
            others = {(name, here) for name in NAMES if name != "partner"}
            if others <= grid.delivered:  # everybody else is in: the deadline passes
                grid.now += NEVER
                late.append(reply)
            return []
        grid.delivered.add((header.recipient, here))
        return [reply]

    release, parties = run(tmp_path, deliver)
    assert late
    assert release.absent == ()
    assert release.attempts == (1, 2, 1, 1, 1)
    # What came too late was charged all the same: it may have left.
    spent = float(parties.holders["partner"].ledger.charged().mu_squared)
    assert spent > parties.federation.price().mu ** 2


@pytest.mark.parametrize("garbage", [b"\x00" * 40, b"not a message", b""], ids=["zeros", "text", "empty"])
def test_a_node_that_answers_garbage_voids_one_attempt(tmp_path: Path, garbage: bytes) -> None:
    def deliver(_grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        if is_call(message, "retailer", round=2):
            return [Message(packed(garbage), reply_to=message)]
        return [reply]

    release, _ = run(tmp_path, deliver)
    assert release.attempts == (1, 1, 2, 1, 1)
    assert release.absent == ()


def test_a_node_cannot_answer_in_anothers_name(tmp_path: Path) -> None:
    """Flower does not compare who replies; the signature does."""
    kept: list[Message] = []

    def deliver(_grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        if is_call(message, "bank", round=1):
            kept.append(reply)
        if is_call(message, "partner", round=1):
            return [Message(kept[0].content, reply_to=message)] if kept else []
        return [reply]

    release, _ = run(tmp_path, deliver)
    assert kept
    assert release.attempts == (1, 2, 1, 1, 1)


# --- one exchange at a time -------------------------------------------------------------------------------


@dataclass
class Upper:
    """Stands in for an agent."""

    def handle(self, data: bytes) -> bytes:
        return data.upper()


def grid_of(*nodes: int, deliver: Deliver = at_once) -> LocalGrid:
    return LocalGrid(apps=dict.fromkeys(nodes, make_client_app(lambda _: Upper())), deliver=deliver)  # type: ignore[arg-type,return-value]


def transport_of(grid: LocalGrid, *, timeout: float = NEVER, **nodes: int) -> FlowerTransport:
    return FlowerTransport(grid=grid, nodes=nodes, timeout=timeout, polling=QUICK)


def test_replies_come_by_name() -> None:
    transport = transport_of(grid_of(1, 2), a=1, b=2)
    assert transport.exchange({"a": b"x", "b": b"y"}) == {"a": b"X", "b": b"Y"}
    assert transport.exchange({"b": b"z"}) == {"b": b"Z"}
    assert transport.exchange({}) == {}


def test_a_holder_without_a_node_is_absent() -> None:
    assert transport_of(grid_of(1), a=1).exchange({"a": b"x", "stranger": b"y"}) == {"a": b"X"}


def test_a_node_that_comes_later_is_waited_for() -> None:
    grid = grid_of(1)
    calls = []

    def ids() -> Iterable[int]:
        calls.append(1)
        return [1] if len(calls) > 5 else []

    grid.get_node_ids = ids  # type: ignore[method-assign]
    assert transport_of(grid, a=1).exchange({"a": b"x"}) == {"a": b"X"}
    assert len(calls) == 6


def test_a_node_that_never_comes_is_absent_at_the_deadline() -> None:
    assert transport_of(grid_of(1), a=1, b=2, timeout=0.2).exchange({"a": b"x", "b": b"y"}) == {"a": b"X"}


def test_a_pull_that_blocks_holds_up_nobody() -> None:
    """A reply that was announced and never sent blocks Flower's pull for minutes."""
    release = threading.Event()

    def deliver(_grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        if message.metadata.dst_node_id == 2:
            release.wait()
        return [reply]

    transport = transport_of(grid_of(1, 2, deliver=deliver), a=1, b=2, timeout=0.5)
    try:
        assert transport.exchange({"a": b"x", "b": b"y"}) == {"a": b"X"}
    finally:
        release.set()


@pytest.mark.parametrize("refusal", [[], [None]])
def test_a_message_that_was_not_taken_is_not_waited_for(refusal: list[None]) -> None:
    grid = grid_of(1)
    grid.push_messages = lambda _messages: refusal  # type: ignore[assignment,method-assign,return-value]
    assert transport_of(grid, a=1).exchange({"a": b"x"}) == {}


def test_a_grid_that_fails_for_one_node_serves_the_others() -> None:
    def deliver(_grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        if message.metadata.dst_node_id == 2:
            raise ConnectionError("gone")
        return [reply]

    transport = transport_of(grid_of(1, 2, deliver=deliver), a=1, b=2)
    assert transport.exchange({"a": b"x", "b": b"y"}) == {"a": b"X"}


def test_a_reply_to_another_message_is_not_taken() -> None:
    grid = grid_of(1)

    def deliver(_grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        other = Message(packed(b"old"), reply_to=message)
        other.metadata.__dict__["_reply_to_message_id"] = "another"
        return [other, reply]

    grid.deliver = deliver
    assert transport_of(grid, a=1).exchange({"a": b"x"}) == {"a": b"X"}


def test_flowers_own_failures_are_reported_by_their_code() -> None:
    def deliver(_grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        failure = Message(Error(code=3, reason="customer 12345"), reply_to=message)
        return [failure if message.metadata.dst_node_id == 2 else reply]

    told: list[tuple[str, int]] = []
    transport = replace(
        transport_of(grid_of(1, 2, deliver=deliver), a=1, b=2), failed=lambda *each: told.append(each)
    )
    assert transport.exchange({"a": b"x", "b": b"y"}) == {"a": b"X"}
    assert told == [("b", 3)]


def test_a_node_that_began_anew_is_sent_the_message_again() -> None:
    """It was killed while it worked: the link would never deliver the message to it again."""
    grid = grid_of(1)
    sent, began = [], ["monday"]
    push = grid.push_messages

    def count(messages: Iterable[Message]) -> Iterable[str]:
        messages = list(messages)
        sent.append(len(messages))
        return list(push(messages))

    def deliver(_grid: LocalGrid, _message: Message, reply: Message) -> Iterable[Message]:
        if len(sent) > 1:
            return [reply]
        began[0] = "tuesday"
        return []

    grid.deliver = deliver
    grid.push_messages = count  # type: ignore[assignment,method-assign]
    grid.get_nodes = lambda: [NodeInfo(node_id=1, last_activated_at=began[0])]  # type: ignore[method-assign]
    polling = replace(QUICK, nodes=0.0)
    transport = FlowerTransport(grid=grid, nodes={"a": 1}, timeout=NEVER, polling=polling)
    assert transport.exchange({"a": b"x"}) == {"a": b"X"}
    assert sent == [1, 1]


def test_a_node_that_is_away_for_a_moment_is_sent_the_message_again() -> None:
    """Its connection was cut: until it is there again, the link says that nobody will answer."""
    away = iter((True, True, False))

    def deliver(_grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        return [Message(Error(code=NODE_AWAY, reason=""), reply_to=message) if next(away) else reply]

    polling = replace(QUICK, nodes=0.0)
    transport = replace(transport_of(grid_of(1, deliver=deliver), a=1), polling=polling)
    assert transport.exchange({"a": b"x"}) == {"a": b"X"}
    assert next(away, None) is None
    away = iter((True,) * polling.sends)
    assert transport.exchange({"a": b"x"}) == {}, "and not for ever"


def test_after_a_reply_the_others_are_looked_for_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, looks, wait = list[float](), list[int](), threading.Event.wait

    def noted(event: threading.Event, timeout: float | None = None) -> bool:
        pauses.extend([] if timeout is None else [timeout])
        return wait(event, timeout)

    def deliver(_grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        looks.append(message.metadata.dst_node_id)
        return [reply] if looks.count(looks[-1]) == 4 * looks[-1] else []

    monkeypatch.setattr(threading.Event, "wait", noted)
    grid, polling = grid_of(1, 2, deliver=deliver), Polling(first=0.001, growth=2.0, longest=0.016)
    found = replace(transport_of(grid, a=1, b=2), polling=polling).exchange({"a": b"x", "b": b"y"})
    assert (len(found), pauses) == (2, [0.001, 0.002, 0.004, 0.001, 0.002, 0.004, 0.008])


def test_all_holders_are_sent_to_and_looked_for_at_once() -> None:
    grid = grid_of(1, 2, 3)
    pushed, pulled = [], []
    push, pull = grid.push_messages, grid.pull_messages
    grid.push_messages = lambda messages: pushed.append(len(messages)) or list(push(messages))  # type: ignore[assignment,method-assign,arg-type,func-returns-value]
    grid.pull_messages = lambda ids: pulled.append(len(ids)) or list(pull(ids))  # type: ignore[assignment,method-assign,arg-type,func-returns-value]
    assert len(transport_of(grid, a=1, b=2, c=3).exchange(dict.fromkeys("abc", b"x"))) == 3
    assert (pushed, pulled) == ([3], [3])


def test_a_grid_that_always_fails_is_given_up() -> None:
    def deliver(_grid: LocalGrid, _message: Message, _reply: Message) -> Iterable[Message]:
        raise ConnectionError("gone")

    assert transport_of(grid_of(1, 2, deliver=deliver), a=1, b=2).exchange({"a": b"x", "b": b"y"}) == {}


@pytest.mark.parametrize("nodes", [(1, 2), (1,)], ids=["all answer", "one is away"])
def test_at_a_fixed_pace_an_exchange_lasts_its_length_whoever_answers(nodes: tuple[int, ...]) -> None:
    """Nothing of what is carried, and of who answers when, moves the moment at which the next one begins."""
    grid = grid_of(*nodes)
    looks = iter(range(10_000))
    transport = replace(
        transport_of(grid, a=1, b=2), timeout=3.0, length=50.0, clock=lambda: float(next(looks))
    )
    transport.rates.measured("a", 1 << 20, 1e-6)
    began = next(looks)
    answered = transport.exchange({"a": b"x" * 4096, "b": b"y"})
    assert set(answered) == {"ab"[node - 1] for node in nodes}
    assert next(looks) - began >= 50
    assert transport.rates.rate("a") == (1 << 20) / 1e-6, "and nothing is measured"


def test_a_reply_after_its_length_is_silence() -> None:
    def deliver(grid: LocalGrid, _message: Message, reply: Message) -> Iterable[Message]:
        grid.now += 60.0
        return [reply] if grid.now > 60.0 else []

    grid = grid_of(1, deliver=deliver)
    transport = replace(transport_of(grid, a=1), timeout=3.0, length=50.0, clock=lambda: grid.now)
    assert transport.exchange({"a": b"x"}) == {}


def test_offers_and_what_follows_have_lengths_of_their_own() -> None:
    carrier = replace(transport_of(grid_of(1), a=1), timeout=20.0)
    asked = {"epsilon": "1", "delta": "1e-6", "noise": "distributed", "min_holders": 3}
    assert paced(carrier, PrivacyTerms.of(**asked)) is None
    fixed = PrivacyTerms.of(**asked, pace="fixed", join_seconds=600, exchange_seconds=120)
    of_kind = paced(carrier, fixed)
    assert of_kind is not None
    assert of_kind("study-offer").length == 620.0  # type: ignore[attr-defined]
    assert {of_kind(kind).length for kind in ("round-call", "finish")} == {140.0}  # type: ignore[attr-defined]


def test_a_stop_ends_an_exchange() -> None:
    transport = transport_of(grid_of(), a=1)
    transport.stop.set()
    with pytest.raises(Stopped):
        transport.exchange({"a": b"x"})


def test_nodes_are_waited_for_and_sorted() -> None:
    grid = grid_of(9, 3)
    assert wait_for_nodes(grid, 2, timeout=NEVER, stop=threading.Event()) == (3, 9)


def test_too_few_nodes_are_said() -> None:
    grid = grid_of(9, 3)
    times = iter(range(0, 100, 30))
    with pytest.raises(WaistError, match="2 of 3") as caught:
        wait_for_nodes(
            grid, 3, timeout=60, stop=threading.Event(), polling=QUICK, clock=lambda: float(next(times))
        )
    assert caught.value.code == "RF-W220"


def test_waiting_for_nodes_can_be_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        wait_for_nodes(grid_of(), 1, timeout=NEVER, stop=stop)


def test_the_server_app_hands_the_grid_on() -> None:
    got: list[Grid] = []
    grid = grid_of()
    make_server_app(got.append)(grid, context_of(0))
    assert got == [grid]
