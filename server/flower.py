"""The coordinator's way to holders over a Flower grid: sealed bytes out, sealed bytes back, until a deadline.

Flower's own ways to wait are not used. Its strategies may sample before all nodes are there, and its polls
sleep for seconds. Here one loop sends the messages of an exchange together and looks for all replies at
once, in a thread of its own: whatever a grid does to it, the exchange ends at a deadline that is ours
(`limits.py`).

A link delivers a message once. To a node that began anew in the meantime, because its connection was lost or
its process was killed, it is sent again. Every message is known by its study, run, round, attempt and kind,
so a holder answers a repeat with the answer that it has stored.

Nothing that arrives is believed here: a reply counts for the holder it was asked of, and its signature says
whether that holder wrote it. An error and a reply of another form are no bytes, and a reply after the
deadline is silence.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flwr.app import Array, ArrayRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.carried import DTYPE, FORM, NAME, carried
from ringfence.server.limits import LinkRates, time_limit

NODE_AWAY = 5
"""Flower's code for a message whose node was not connected when its reply was looked for."""


class Stopped(Exception):
    """The study was stopped from outside while holders were being asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How often replies are looked for: after `first` seconds, then longer by `growth` to `longest`; anew
    from `first` when one has arrived.

    Attributes:
        first, growth, longest: the pauses.
        nodes: seconds between two looks whether a node that was asked began anew.
        faults: looks in a row that the grid may fail at, before nobody is waited for any more.
        sends: how often one message is sent to a node that begins anew.
    """

    first: float = 0.02
    growth: float = 1.25
    longest: float = 1.0
    nodes: float = 1.0
    faults: int = 20
    sends: int = 4


class Arrivals(Protocol):
    """What a grid knows of replies that are on their way."""

    def announced(self, message: str) -> int:
        """Bytes of the reply to a message that are known to be on their way."""
        ...

    def forget(self, messages: Iterable[str]) -> None:
        """Nobody waits for replies to these any more."""
        ...


class OnlyWhole:
    """Of a grid that knows of replies once they are whole."""

    def announced(self, message: str) -> int:
        """None."""
        del message
        return 0

    def forget(self, messages: Iterable[str]) -> None:
        """Nothing to forget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowerTransport:
    """A `Transport` over a Flower grid.

    Attributes:
        grid: Flower's, of any kind.
        nodes: node id of each holder, by name.
        timeout: seconds that an exchange may take, waiting for absent nodes included; more where much is to
            be carried (`limits.py`).
        polling: how often replies are looked for.
        stop: when set, an exchange under way ends with `Stopped`.
        clock: seconds that only grow.
        failed: told the holder and Flower's code when Flower itself reports a failure; its text is not read.
        arrivals: what the grid knows of replies that are on their way.
        rates: what was measured of the links of the run.
        length: seconds that an exchange lasts, no less and no more, whoever has answered: the fixed pace. 0
            for the other.
    """

    grid: Grid
    nodes: Mapping[str, int]
    timeout: float
    polling: Polling = Polling()
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    failed: Callable[[str, int], None] = lambda _name, _code: None
    arrivals: Arrivals = field(default_factory=OnlyWhole)
    rates: LinkRates = field(default_factory=LinkRates)
    length: float = 0.0

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Send to every holder named and wait for their replies, or for the deadline.

        Returns:
            Replies by holder's name; no bytes for a holder that answered with none.

        Raises:
            Stopped: the stop was set.
        """
        asked = {name: _Asked(name, data) for name, data in messages.items() if name in self.nodes}
        if not asked:
            return {}
        exchange = _Exchange(transport=self, waiting=dict(asked), began=self.clock())
        # A daemon: a call that blocks inside the grid must hold up neither the study nor the process's end.
        threading.Thread(target=exchange.carry, name="ringfence-exchange", daemon=True).start()
        try:
            return self._gather(exchange)
        finally:
            exchange.over.set()
            self.arrivals.forget(exchange.numbers())

    def present(self, names: Iterable[str]) -> frozenset[str]:
        """Those whose nodes the grid knows as connected."""
        nodes = set(self.grid.get_node_ids())
        return frozenset(name for name in names if self.nodes.get(name) in nodes)

    def _gather(self, exchange: _Exchange) -> dict[str, bytes]:
        """What arrives in time; what is still under way at the deadline is no longer waited for."""
        arrived: dict[str, bytes] = {}
        finished = 0
        while (left := exchange.began + exchange.limit() - self.clock()) > 0:
            if finished == len(exchange.asked) and not self.length:
                break
            if self.stop.is_set():
                raise Stopped
            try:
                name, reply = exchange.replies.get(timeout=min(left, 0.2))
            except queue.Empty:
                continue
            finished += 1
            if reply is not None:
                arrived[name] = reply
        return arrived


@dataclass(slots=True)
class _Asked:
    """A holder that is asked, and what was sent to it.

    Attributes:
        name: the holder.
        data: its message.
        ids: Flower's of the message, one for each time it was sent, the last one last.
        sent: how often it was sent.
        since: when its node began, as the grid has it, when it was sent last; None to send anew.
        announced: bytes of its reply that are known to be on their way.
        seen: of the look before a reply was announced.
    """

    name: str
    data: bytes
    ids: list[str] = field(default_factory=list)
    sent: int = 0
    since: str | None = None
    announced: int = 0
    seen: float | None = None


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """One exchange under way.

    Attributes:
        transport: over which.
        waiting: who has not answered.
        began: by the transport's clock.
        replies: a holder's bytes; None for a holder that will not answer any more.
        over: set when nobody waits for the exchange.
    """

    transport: FlowerTransport
    waiting: dict[str, _Asked]
    began: float
    replies: queue.SimpleQueue[tuple[str, bytes | None]] = field(default_factory=queue.SimpleQueue)
    over: threading.Event = field(default_factory=threading.Event)
    asked: tuple[_Asked, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Keep all, whoever has answered."""
        self.asked = tuple(self.waiting.values())

    def numbers(self) -> list[str]:
        """Flower's of all messages that are not answered."""
        return [number for asked in self.asked for number in tuple(asked.ids)]

    def limit(self) -> float:
        """Seconds from the beginning to the deadline: the longest of those who are waited for."""
        return self.transport.length or max(
            (self._limit(asked, asked.announced) for asked in tuple(self.waiting.values())),
            default=self.transport.timeout,
        )

    def carry(self) -> None:
        """Send, and look for replies, until all are there or nobody waits any more."""
        polling, clock = self.transport.polling, self.transport.clock
        waits = _Waits(polling=polling, over=self.over, pause=polling.first)
        faults, looked, before = 0, float("-inf"), clock()
        while self.waiting:
            try:
                now = clock()
                unsent = any(not asked.sent for asked in self.waiting.values())
                if unsent or now - looked >= polling.nodes:
                    looked = now
                    if self._send():
                        waits.pause = polling.first
                waiting = len(self.waiting)
                self._look(before, together=not faults)
                if len(self.waiting) < waiting:  # holders that were asked together answer soon after another
                    waits.pause = polling.first
                before, faults = now, 0
            except Exception:  # of the grid, whatever it is: it is tried again a few times
                faults += 1
            if faults > polling.faults:
                break
            if any(asked.announced for asked in tuple(self.waiting.values())):
                waits.pause = polling.first
            if self.waiting and not next(waits):
                return
        for name in tuple(self.waiting):
            self._done(name, None)

    def _limit(self, asked: _Asked, announced: int) -> float:
        transport = self.transport
        return transport.length or time_limit(
            transport.timeout, len(asked.data), announced, transport.rates.rate(asked.name)
        )

    def _send(self) -> bool:
        """Send to nodes that are there and were not sent to since they began; whether any was."""
        transport = self.transport
        since = {node.node_id: node.last_activated_at for node in transport.grid.get_nodes()}
        due, messages = [], []
        for asked in self.waiting.values():
            node = transport.nodes[asked.name]
            fresh = node in since and (not asked.sent or since[node] != asked.since)
            left = self._limit(asked, 0) - (transport.clock() - self.began)
            if not fresh or asked.sent >= transport.polling.sends or left <= 0:
                continue
            asked.since = since[node]
            due.append(asked)
            messages.append(Message(packed(asked.data), node, MessageType.QUERY, ttl=left))
        if not messages:
            return False
        ids = list(transport.grid.push_messages(messages))
        for asked, number in zip(due, ids or [""] * len(due), strict=True):
            asked.sent += 1
            if number:
                asked.ids.append(number)
            elif not asked.ids:  # the grid did not take it, and will not
                self._done(asked.name, None)
        return True

    def _look(self, before: float, *, together: bool) -> None:
        """Take in what arrived; after a fault of the grid each reply is looked for by itself."""
        transport = self.transport
        ids = {number: asked for asked in self.waiting.values() for number in asked.ids}
        faults: list[Exception] = []
        groups = [list(ids)] if together else [[number] for number in ids]
        for group in groups if ids else []:
            try:
                for reply in transport.grid.pull_messages(group):
                    number = reply.metadata.reply_to_message_id
                    if number in ids and ids[number].name in self.waiting:
                        self._arrived(ids[number], number, reply, before)
            except Exception as error:
                faults.append(error)
        for number, asked in ids.items():
            size = transport.arrivals.announced(number)
            if size and asked.seen is None:
                asked.seen = before
            asked.announced = max(asked.announced, size)
        if faults and len(faults) == len(groups):
            raise faults[0]

    def _arrived(self, asked: _Asked, number: str, reply: Message, before: float) -> None:
        """A reply; one to an earlier sending counts where it holds something."""
        transport, data = self.transport, unpacked(reply)
        last = number == asked.ids[-1]
        asked.ids.remove(number)
        if reply.has_error() and not self.over.is_set():
            transport.failed(asked.name, reply.error.code)
        away = reply.has_error() and reply.error.code == NODE_AWAY
        if last and away and asked.sent < transport.polling.sends:
            # A node that connects anew, on a slow line for longer, is away for a moment: it is sent to again.
            asked.since = None
            return
        if data or last:
            since = before if asked.seen is None else asked.seen
            if not transport.length:
                transport.rates.measured(asked.name, len(data), transport.clock() - since)
            self._done(asked.name, None if reply.has_error() else data)

    def _done(self, name: str, reply: bytes | None) -> None:
        if self.waiting.pop(name, None) is not None:
            self.replies.put((name, reply))


@dataclass(slots=True, kw_only=True)
class _Waits:
    """Growing pauses; each step sleeps one and says whether the exchange still goes on."""

    polling: Polling
    over: threading.Event
    pause: float

    def __next__(self) -> bool:
        ended = self.over.wait(self.pause)
        self.pause = min(self.pause * self.polling.growth, self.polling.longest)
        return not ended


def wait_for_nodes(
    grid: Grid,
    count: int,
    *,
    timeout: float,
    stop: threading.Event,
    polling: Polling = Polling(),
    clock: Callable[[], float] = time.monotonic,
) -> tuple[int, ...]:
    """Ids of the grid's nodes, in order, once there are enough of them.

    Raises:
        WaistError: RF-W220 when they are not there in time.
        Stopped: the stop was set.
    """
    deadline = clock() + timeout
    waits = _Waits(polling=polling, over=stop, pause=polling.first)
    while len(nodes := sorted(set(grid.get_node_ids()))) < count:
        if clock() >= deadline:
            raise WaistError(
                "RF-W220",
                N_(
                    "{found} of {count} Flower nodes came within {seconds} s; start the others, then the "
                    "study."
                ),
                found=len(nodes),
                count=count,
                seconds=f"{timeout:g}",
            )
        if not next(waits):
            raise Stopped
    return tuple(nodes)


def make_server_app(conduct: Callable[[Grid], None]) -> ServerApp:
    """An app that hands Flower's grid to a function of ours and does nothing else.

    Args:
        conduct: runs a study over the grid, as a rule with a `FlowerTransport`.
    """
    app = ServerApp()

    def main(grid: Grid, context: Context) -> None:
        del context  # Flower's configuration decides nothing here
        conduct(grid)

    app.main()(main)
    return app


def packed(data: bytes) -> RecordDict:
    """One record with one array that holds these bytes."""
    array = Array(dtype=DTYPE, shape=(len(data),), stype=FORM, data=data)
    return RecordDict({NAME: ArrayRecord({NAME: array})})


def unpacked(message: Message) -> bytes:
    """The bytes of a message of exactly this form; none for errors and for every other message."""
    if not message.has_content() or list(message.content) != [NAME]:
        return b""
    record = message.content[NAME]
    return carried(record[NAME]) if isinstance(record, ArrayRecord) and list(record) == [NAME] else b""
