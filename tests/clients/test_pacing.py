"""Answers at a fixed pace: nothing before the signed length is over, whatever the rows are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kits.asking import Asking

from ringfence.clients.connections.pacing import PacedAgent
from ringfence.clients.letters import LetterBox
from ringfence.privacy.protocol.control import Unavailable, seal_message
from ringfence.privacy.protocol.notices import Notice
from ringfence.privacy.wire.envelope import MessageKind, read_header

JOIN, EXCHANGE = 600, 120
PACE = {"pace": "fixed", "join_seconds": JOIN, "exchange_seconds": EXCHANGE}


@dataclass
class Clock:
    """Seconds that pass when somebody waits, or as work takes them; every waiting is written down."""

    now: float = 1000.0
    waited: list[float] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    stopped: bool = False

    def wait(self, seconds: float) -> bool:
        self.before()
        self.waited.append(seconds)
        self.now += seconds
        return self.stopped


@dataclass
class Working:
    """An agent whose work takes time of the clock, in whole turns of the waiting where it is long."""

    answer: Callable[[bytes], bytes]
    free: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    def handle(self, data: bytes) -> bytes:
        self.free.wait()
        try:
            return self.answer(data)
        finally:
            self.done.set()


def paced(asking: Asking, clock: Clock, agent: object | None = None) -> PacedAgent:
    return PacedAgent(
        agent=agent or asking.agent,  # type: ignore[arg-type]
        holder=asking.bank,
        clock=lambda: clock.now,
        wait=clock.wait,
    )


def first(asking: Asking, kind: MessageKind) -> bytes:
    return asking.stopped(kind)


def working(asking: Asking) -> tuple[Working, Clock]:
    """Work that is done during the first waiting."""
    work, clock = Working(asking.agent.handle), Clock()

    def run() -> None:
        work.free.set()
        work.done.wait()

    clock.before = run
    return work, clock


@pytest.mark.parametrize(
    ("kind", "length"), [(MessageKind.STUDY_OFFER, JOIN), (MessageKind.ROSTER_CALL, EXCHANGE)]
)
def test_an_answer_that_is_made_waits_for_its_moment(tmp_path: Path, kind: MessageKind, length: int) -> None:
    asking = Asking.of(tmp_path, privacy=PACE)
    message = first(asking, kind)
    work, clock = working(asking)
    reply = paced(asking, clock, work).handle(message)
    assert sum(clock.waited) == length
    assert read_header(reply).kind in {"join", "roster-echo"}


def test_a_refusal_waits_as_long_as_an_answer(tmp_path: Path) -> None:
    """Which of the two it is cannot be told by its time."""
    asking = Asking.of(tmp_path, privacy=PACE)
    message = first(asking, MessageKind.STUDY_OFFER)
    asking.replaced(approvals=lambda _digest: ())
    clock = Clock()
    work, clock = working(asking)
    reply = paced(asking, clock, work).handle(message)
    assert sum(clock.waited) == JOIN
    asking.read(Unavailable, reply)


def test_what_is_late_is_unavailable_and_nothing_is_taken_up_before_a_whole_length(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path, privacy=PACE)
    message = first(asking, MessageKind.ROSTER_CALL)
    work, clock = Working(asking.agent.handle), Clock()
    agent = paced(asking, clock, work)
    asking.read(Unavailable, agent.handle(message))
    assert sum(clock.waited) == EXCHANGE

    def in_the_third() -> None:
        if len(clock.waited) == 2:
            work.free.set()
            work.done.wait()

    clock.before = in_the_third
    agent.settle()
    assert clock.waited == [EXCHANGE] * 3, "told in whole lengths alone"
    agent.settle()
    assert len(clock.waited) == 3
    clock.before = lambda: None
    asking.agent.report("")
    assert read_header(asking.agent.handle(message)).kind == "roster-echo", (
        "kept, and the same when asked again"
    )


def test_a_letter_box_lets_the_pace_decide_and_a_notice_waits_for_nothing(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path, privacy=PACE)
    clock = Clock()
    agent = paced(asking, clock)
    assert LetterBox(agent=asking.agent, answering=agent.handle).answering == agent.handle
    opened, coordinator = asking.parties.federation.opened, asking.parties.federation.coordinator
    notice = seal_message(
        coordinator.identity,
        Notice(study=opened.document.to_json(), schema=opened.schema_document.to_json(), nonce="ab" * 32),
        study=opened.digest,
        run="cd" * 16,
        sender="coordinator",
        recipient="bank",
    )
    assert read_header(agent.handle(notice)).kind == "standing"
    assert clock.waited == []


def test_without_a_fixed_pace_an_answer_goes_out_when_it_is_made(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path)
    clock = Clock()
    agent = paced(asking, clock)
    assert read_header(agent.handle(first(asking, MessageKind.ROSTER_CALL))).kind == "roster-echo"
    assert agent.handle(b"anything") == b""
    assert clock.waited == []


def test_a_process_that_began_anew_keeps_the_pace_of_a_run_that_it_joined(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path, privacy=PACE)
    message = first(asking, MessageKind.ROSTER_CALL)
    asking.restarted()
    work, clock = working(asking)
    asking.read(Unavailable, paced(asking, clock, work).handle(message))
    assert sum(clock.waited) == EXCHANGE


def test_a_stop_ends_the_waiting_without_a_byte(tmp_path: Path) -> None:
    asking = Asking.of(tmp_path, privacy=PACE)
    message = first(asking, MessageKind.ROSTER_CALL)
    work, clock = working(asking)
    clock.stopped = True
    assert paced(asking, clock, work).handle(message) == b""
    assert work.done.is_set(), "its store is not closed under it"


def test_no_size_of_an_answer_tells_of_the_rows(tmp_path: Path) -> None:
    """Step by step, the same for a table of 160 and for one of 900.

    Later rounds ask for as many sums as the noisy ones before them leave to be asked for: that is released.
    """
    sizes: list[list[tuple[str, int]]] = []
    for customers in (160, 900):
        folder = tmp_path / str(customers)
        folder.mkdir()
        asking = Asking.of(folder, privacy=PACE, customers=customers)
        asking.finished()
        replies = [reply for _, _, reply in asking.parties.wire.sent]
        headers = [read_header(reply) for reply in replies]
        sizes.append(
            [(head.kind, len(reply)) for head, reply in zip(headers, replies, strict=True) if not head.round]
        )
    assert sizes[0] == sizes[1]
    assert {kind for kind, _ in sizes[0]} == {"join", "roster-echo", "masked-update", "cosigned", "done"}
