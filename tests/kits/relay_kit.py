"""A slow line in user space: a TCP relay that delays, narrows and cuts what it carries.

It stands between holders and the gateway and knows neither TLS nor routes. A delay and a connection that is
cut in the middle of a message are as on a real line; packets that are lost are not, since TCP on both sides
of it loses none.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Relay:
    """A line to one address.

    Attributes:
        port: on 127.0.0.1, where holders come.
        delay: seconds that each piece travels, in either direction.
        rate: bytes a second, of each connection and direction.
        cut_after: bytes, after which a connection is cut off in mid-piece.
        carried, cuts: bytes and cut connections so far.
    """

    port: int
    delay: float
    rate: float
    cut_after: int
    carried: int = 0
    cuts: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def take(self, near: asyncio.StreamWriter, reader: asyncio.StreamReader, far_port: int) -> None:
        """Carry one connection until it ends or is cut."""
        with suppress(OSError):
            back, far = await asyncio.open_connection("127.0.0.1", far_port)
            left = [self.cut_after]
            ways = [self._carry(reader, far, left), self._carry(back, near, left)]
            _, rest = await asyncio.wait(
                [asyncio.ensure_future(way) for way in ways], return_when=asyncio.FIRST_COMPLETED
            )
            for each in rest:
                each.cancel()
            far.transport.abort()
        near.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int]
    ) -> None:
        """One direction; pieces travel at the same time and arrive in order."""
        loop, free = asyncio.get_running_loop(), 0.0
        with suppress(OSError):
            while piece := await reader.read(1 << 14):
                if left[0] < len(piece):
                    writer.write(piece[: len(piece) // 2])
                    self.cuts += 1
                    return
                left[0] -= len(piece)
                self.carried += len(piece)
                free = max(free, loop.time()) + len(piece) / self.rate
                loop.call_at(free + self.delay, self._arrive, writer, piece)
                await asyncio.sleep(free - loop.time())
            await asyncio.sleep(self.delay)

    @staticmethod
    def _arrive(writer: asyncio.StreamWriter, piece: bytes) -> None:
        if not writer.transport.is_closing():
            writer.write(piece)


@contextmanager
def relay(port: int, far_port: int, *, delay: float, rate: float, cut_after: int) -> Iterator[Relay]:
    """Run one in a thread, from a port of loopback to another."""
    made = Relay(port=port, delay=delay, rate=rate, cut_after=cut_after)
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(
            lambda reader, writer: made.take(writer, reader, far_port), "127.0.0.1", port
        )
        ready.set()
        async with server:
            await server.serve_forever()

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(serve())
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with suppress(asyncio.CancelledError, OSError):
                loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join(10)
