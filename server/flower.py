"""The coordinator's way to holders over a Flower grid: sealed bytes out, sealed bytes back, until a deadline.

Flower's own ways to wait are not used. Its strategies may sample before all nodes are there, its polls sleep
for seconds, and a pull can block for minutes on one reply that was announced and never sent. So each holder's
message has a thread of its own that waits for the node, sends, and polls; the deadline is ours.

Nothing that arrives is believed here: a reply counts for the holder it was asked of, and its signature says
whether that holder wrote it. An error, a reply of another form and a reply after the deadline are all
silence.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from flwr.app import Array, ArrayRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.carried import DTYPE, FORM, NAME, carried


class Stopped(Exception):
    """The study was stopped from outside while holders were being asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How often a reply is looked for: after `first` seconds, then longer by `growth` to `longest`."""

    first: float = 0.02
    growth: float = 1.25
    longest: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowerTransport:
    """A `Transport` over a Flower grid.

    Attributes:
        grid: Flower's, of any kind.
        nodes: node id of each holder, by name.
        timeout: seconds that one exchange may take, waiting for absent nodes included.
        polling: how often replies are looked for.
        stop: when set, an exchange under way ends with `Stopped`.
        clock: seconds that only grow.
        failed: told the holder and Flower's code when Flower itself reports a failure; its text is not read.
    """

    grid: Grid
    nodes: Mapping[str, int]
    timeout: float
    polling: Polling = Polling()
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    failed: Callable[[str, int], None] = lambda _name, _code: None

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Send to every holder named and wait for their replies, or for the deadline.

        Raises:
            Stopped: the stop was set.
        """
        deadline = self.clock() + self.timeout
        over, replies = threading.Event(), queue.SimpleQueue[tuple[str, bytes]]()
        asked = [name for name in messages if name in self.nodes]

        def carry(name: str) -> None:
            try:
                reply = self._carry(name, messages[name], over)
            except Exception:  # of the grid, whatever it is: this holder is absent
                reply = b""
            replies.put((name, reply))

        for name in asked:
            # A daemon: a pull that blocks inside the grid must hold up neither the study nor the process's
            # end.
            threading.Thread(target=carry, args=(name,), name=f"ringfence-carry-{name}", daemon=True).start()
        try:
            return self._gather(replies, len(asked), deadline)
        finally:
            over.set()

    def present(self, names: Iterable[str]) -> frozenset[str]:
        """Those whose nodes the grid knows as connected."""
        nodes = set(self.grid.get_node_ids())
        return frozenset(name for name in names if self.nodes.get(name) in nodes)

    def _gather(
        self, replies: queue.SimpleQueue[tuple[str, bytes]], count: int, deadline: float
    ) -> dict[str, bytes]:
        """What arrives in time; a thread that is still at work at the deadline is no longer waited for."""
        arrived: dict[str, bytes] = {}
        finished = 0
        while finished < count and (left := deadline - self.clock()) > 0:
            if self.stop.is_set():
                raise Stopped
            try:
                name, reply = replies.get(timeout=min(left, 0.2))
            except queue.Empty:
                continue
            finished += 1
            if reply:
                arrived[name] = reply
        return arrived

    def _carry(self, name: str, data: bytes, over: threading.Event) -> bytes:
        """One message to one node and its reply; no bytes for everything that is no reply."""
        node = self.nodes[name]
        waits = self._waits(over)
        while node not in set(self.grid.get_node_ids()):
            if not next(waits):
                return b""
        message = Message(packed(data), node, MessageType.QUERY, ttl=self.timeout)
        ids = [each for each in self.grid.push_messages([message]) if each]
        waits = self._waits(over)
        while ids:
            for reply in self.grid.pull_messages(ids):
                if reply.metadata.reply_to_message_id in ids:
                    if reply.has_error() and not over.is_set():
                        self.failed(name, reply.error.code)
                    return unpacked(reply)
            if not next(waits):
                break
        return b""

    def _waits(self, over: threading.Event) -> _Waits:
        return _Waits(polling=self.polling, over=over, pause=self.polling.first)


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
