"""A few plain pages over HTTP for the house's own machines: metrics, and probes of life and readiness.

Invariants: pages are read, never written; there are those that were named and no other. Where loopback alone
    listens, a page is shown only to who asked for a name of loopback, so that no web page that somebody
    opened on the machine can read it under a name of its own.
"""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from ringfence.privacy.errors import N_, RingfenceError

LOOPBACK = "127.0.0.1"
_LONGEST_SECONDS = 10.0
_MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page says at this moment."""

    body: bytes
    kind: str = "application/json"
    status: int = 200


Pages = Mapping[str, Callable[[], Page]]


def probe(said: Callable[[], tuple[bool, Mapping[str, object]]], word: str) -> Callable[[], Page]:
    """A probe: status 200 and true, or 503 and false, with what it hangs on; it says nothing else."""

    def page() -> Page:
        good, parts = said()
        body = json.dumps({word: good, **parts}).encode() + b"\n"
        return Page(body=body, status=200 if good else 503)

    return page


def probes(alive: Callable[[], bool], ready: Callable[[], tuple[bool, Mapping[str, object]]]) -> Pages:
    """`/healthz` and `/readyz`.

    Args:
        alive: whether the process does its work.
        ready: whether all that it serves can be reached, and the state of each part of that by name.
    """
    return {"/healthz": probe(lambda: (alive(), {}), "alive"), "/readyz": probe(ready, "ready")}


class _PageReader(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the pages that there are."""

    pages: ClassVar[Pages] = {}
    loopback_only: ClassVar[bool] = True
    places: ClassVar[threading.Semaphore]
    timeout = _LONGEST_SECONDS  # who says nothing for so long is not waited for
    server_version, sys_version = "ringfence", ""

    def handle(self) -> None:
        if not self.places.acquire(blocking=False):
            return
        try:
            super().handle()
        except OSError:  # who asked went away
            return
        finally:
            self.places.release()

    def do_GET(self) -> None:
        """One page."""
        made = self.pages.get(self.path)
        if self.loopback_only and not _is_loopback(self.headers.get("host", "")):
            self._answer(Page(body=b"", status=403))
        elif made is None:
            self._answer(Page(body=b"", status=404))
        else:
            self._answer(_made(made))

    do_HEAD = do_GET

    def _answer(self, page: Page) -> None:
        self.send_response(page.status)
        self.send_header("content-type", page.kind)
        self.send_header("content-length", str(len(page.body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def log_message(self, format: str, *_: object) -> None:  # the name that is overridden
        """Nobody is told who looked."""


def _made(page: Callable[[], Page]) -> Page:
    try:
        return page()
    except Exception:  # a store that is busy or gone is no reason to end the process that is watched
        return Page(body=b"", status=503)


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower() == "localhost"


@contextmanager
def listening(pages: Pages, *, host: str, port: int, name: str) -> Iterator[int]:
    """Show pages for as long as the block runs.

    Args:
        pages: by path.
        host: an address of this machine.
        port: 0 for any that is free.
        name: of the settings' section, for the sentence of a refusal.

    Yields:
        The port.

    Raises:
        RingfenceError: RF-U570 it cannot be listened on.
    """
    reader = type(
        "Reader",
        (_PageReader,),
        {
            "pages": pages,
            "loopback_only": _is_loopback(host),
            "places": threading.Semaphore(_MOST_AT_ONCE),
        },
    )
    try:
        server = _Listener((host, port), reader)
    except OSError as error:
        raise RingfenceError(
            "RF-U570",
            N_(
                "Nothing can listen on {host} port {port} for [{name}]; something else may, or this user may "
                "not. Stop the other, or change the port in the settings."
            ),
            host=host,
            port=port,
            name=name,
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name=f"ringfence-{name}", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_LONGEST_SECONDS)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """What one reader does is no news."""
