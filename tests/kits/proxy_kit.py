"""A proxy on loopback that makes tunnels (CONNECT), over TCP or TLS, with or without a login; and one that
inspects TLS: it answers in the tunnel itself, with a certificate of its own.
"""

from __future__ import annotations

import base64
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kits.link_kit import NOW, link_files
from ringfence.server.connections.certificates import Authority


@dataclass
class Proxy:
    """A running proxy, and what it saw."""

    scheme: str
    port: int
    authority: Path | None = None
    asked: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    carried: bytearray = field(default_factory=bytearray)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@contextmanager
def proxy(
    folder: Path,
    *,
    tls: bool = False,
    login: str = "",
    status: int = 200,
    inspects: bool = False,
    oldest: bool = False,
) -> Iterator[Proxy]:
    """Run one.

    Args:
        folder: for its certificates.
        tls: it is spoken to over TLS.
        login: user:password that it wants.
        status: what it answers to CONNECT.
        inspects: it answers inside the tunnel itself.
        oldest: inspecting, it speaks TLS 1.2 alone.
    """
    files = link_files(folder / "proxy", Authority.found("House proxy", NOW))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(files.certificate, files.key)
    if oldest:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    listener = socket.create_server(("127.0.0.1", 0))
    found = Proxy("https" if tls else "http", listener.getsockname()[1], files.authority)

    def accept() -> None:
        while True:
            try:
                arrived, _ = listener.accept()
            except OSError:
                return
            given = (arrived, made, found, login, status, inspects)
            threading.Thread(target=_serve, args=given, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield found
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _serve(
    arrived: socket.socket, made: ssl.SSLContext, found: Proxy, login: str, status: int, inspects: bool
) -> None:
    with ExitStack() as open_, suppress(OSError, ValueError):
        open_.enter_context(arrived)
        arrived.settimeout(20)
        side = (
            open_.enter_context(made.wrap_socket(arrived, server_side=True))
            if found.scheme == "https"
            else arrived
        )
        target, given = _request(side)
        found.asked.append(target)
        found.logins.append(given)
        wanted = "Basic " + base64.b64encode(login.encode()).decode() if login else ""
        if login and given != wanted:
            side.sendall(b"HTTP/1.1 407 who are you, \x1b[31mstranger\r\ncontent-length: 0\r\n\r\n")
            return
        if status != 200:
            side.sendall(f"HTTP/1.1 {status} no\r\ncontent-length: 0\r\n\r\n".encode())
            return
        host, _, port = target.rpartition(":")
        if inspects:
            beyond, inside = socket.socketpair()
            threading.Thread(target=_answer_inside, args=(inside, made), daemon=True).start()
        else:
            beyond = socket.create_connection((host, int(port)), timeout=20)
        open_.enter_context(beyond)
        side.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
        _carry(side, beyond, found)


def _request(side: socket.socket) -> tuple[str, str]:
    """Target and login of a CONNECT."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = side.recv(4096)
        if not more:
            raise ValueError("cut off")
        data += more
    head, *lines = data.decode("latin-1").split("\r\n")
    method, target, _ = head.split(" ")
    if method != "CONNECT":
        raise ValueError(method)
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    return target, {name.lower(): value for name, value in headers.items()}.get("proxy-authorization", "")


def _answer_inside(inside: socket.socket, made: ssl.SSLContext) -> None:
    with suppress(OSError), inside:
        inside.settimeout(20)
        with made.wrap_socket(inside, server_side=True) as link:
            link.recv(4096)
            link.sendall(b"HTTP/1.1 200 ok\r\ncontent-length: 0\r\n\r\n")


def _carry(side: socket.socket, beyond: socket.socket, found: Proxy) -> None:
    """Both ways, in one thread: two may not use one TLS connection at once."""
    while True:
        waiting = isinstance(side, ssl.SSLSocket) and side.pending()
        ready = [side] if waiting else select.select([side, beyond], [], [], 20)[0]
        if not ready:
            return
        for one in ready:
            data = one.recv(65536)
            if not data:
                return
            found.carried += data
            (beyond if one is side else side).sendall(data)
