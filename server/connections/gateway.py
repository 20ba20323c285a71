"""The one door for partners: TLS 1.3 with certificates of both sides, nine routes, and the link behind it.

Flower's link accepts TLS 1.2, reads bodies without a limit, and offers some eighty routes, among them those
that start runs and register nodes. Partners never reach it: this door passes on the nine that a node needs,
from certificates that are let in at this moment, and each certificate speaks for its own node key alone.

Invariants: a stranger gets no bytes; what is let in is asked again at every connection and request, and a
    connection whose certificate was revoked is cut within `RECHECK_SECONDS`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

PREFIX = "/v1/fleet/"
ROUTES = frozenset(
    PREFIX + name
    for name in (
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "get-run",
        "push-object",
        "pull-object",
        "confirm-message-received",
    )
)
MOST_BYTES = 16 << 20
RECHECK_SECONDS = 30.0
REQUESTS_A_SECOND, BURST = 200, 400
AT_ONCE, BODY_SECONDS = 8, 60.0
"""Requests of one peer under way, and how long a body may take to arrive."""
_PASSED_ON = ("content-type", "accept")
_NODE_KEY = "flwr-public-key"
_TIMEOUT = 120.0

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Allowed = Callable[[], Mapping[str, bytes]]
"""Node key of every certificate that is let in, by the hexadecimal SHA-256 of the certificate (DER)."""


class TooLarge(Exception):
    """A body is larger than any of the protocol."""


class BodyCutOff(Exception):
    """A connection ended in the middle of a body."""


@dataclass(slots=True, kw_only=True)
class Gateway:
    """The door as an ASGI application.

    Attributes:
        link: tells the address of the link, host and port; a link that was started again has another.
        authority: file of the authority that signed the link's certificate.
        allowed: who is let in at this moment.
        clock: seconds that only grow.
        told: hears of each answer: the certificate, and the status.
    """

    link: Callable[[], str]
    authority: Path
    allowed: Allowed
    clock: Callable[[], float] = time.monotonic
    told: Callable[[str, int], None] = lambda *_: None
    _client: httpx.AsyncClient | None = None
    _under_way: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _tokens: defaultdict[str, tuple[float, float]] = field(
        default_factory=lambda: defaultdict(lambda: (float(BURST), 0.0))
    )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the beginning and end of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            peer = scope["state"].get("peer", "")

            async def heard(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    self.told(peer, message["status"])
                await send(message)

            await self._request(scope, receive, heard)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                trusted = ssl.create_default_context(cafile=str(self.authority))
                self._client = httpx.AsyncClient(verify=trusted, timeout=_TIMEOUT, trust_env=False)
                await send({"type": "lifespan.startup.complete"})
            else:
                assert self._client is not None
                await self._client.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        peer = scope["state"].get("peer", "")
        node_key = self.allowed().get(peer)
        if node_key is None or not _same_key(headers.get(_NODE_KEY, ""), node_key):
            await _answer(send, 403)
        elif scope["method"] != "POST" or scope["path"] not in ROUTES or scope["query_string"]:
            await _answer(send, 404)
        elif not self._spend(peer):
            await _answer(send, 429)
        else:
            await self._take(scope["path"], headers, peer, receive, send)

    async def _take(
        self, path: str, headers: Mapping[str, str], peer: str, receive: Receive, send: Send
    ) -> None:
        """Read one body and pass it on; each peer has so many under way, and so long for each."""
        if self._under_way[peer] >= AT_ONCE:
            await _answer(send, 429)
            return
        self._under_way[peer] += 1
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(headers, receive)
            await self._pass_on(path, headers, body, send)
        except TooLarge:
            await _answer(send, 413)
        except TimeoutError:
            await _answer(send, 408)
        except BodyCutOff:
            return
        finally:
            self._under_way[peer] -= 1

    async def _pass_on(self, path: str, headers: Mapping[str, str], body: bytes, send: Send) -> None:
        assert self._client is not None
        kept = {
            name: value
            for name, value in headers.items()
            if value.isascii() and (name in _PASSED_ON or name.startswith("flwr-"))
        }
        try:
            answer = await self._client.post(f"https://{self.link()}{path}", content=body, headers=kept)
        except httpx.HTTPError:
            await _answer(send, 503)
            return
        back = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.items()
            if name == "content-type" or name.startswith("flwr-")
        ]
        await _answer(send, answer.status_code, answer.content, back)

    def _spend(self, peer: str) -> bool:
        """Whether a peer may ask once more: so many requests a second, and so many at once."""
        left, at = self._tokens[peer]
        now = self.clock()
        left = min(float(BURST), left + (now - at) * REQUESTS_A_SECOND)
        self._tokens[peer] = (max(left - 1.0, 0.0), now)
        return left >= 1.0


async def _body(headers: Mapping[str, str], receive: Receive) -> bytes:
    """The body, as long as it is small enough.

    Raises:
        TooLarge: it is not, by what it says or by what comes.
    """
    said = headers.get("content-length", "0")
    if not said.isdigit() or int(said) > MOST_BYTES:
        raise TooLarge
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BodyCutOff
        size += len(message.get("body", b""))
        if size > MOST_BYTES:
            raise TooLarge
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _answer(
    send: Send, status: int, content: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    length = (b"content-length", str(len(content)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*(headers or []), length]})
    await send({"type": "http.response.body", "body": content})


def _same_key(said: str, expected: bytes) -> bool:
    """Whether a request speaks for the node key that its certificate stands for."""
    try:
        return base64.b64decode(said, validate=True) == expected
    except ValueError:
        return False


def door_protocol(allowed: Allowed) -> type[H11Protocol]:
    """Connections that know their peer's certificate, and end when it is let in no more."""

    class Door(H11Protocol):
        """One connection."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
            self.peer = hashlib.sha256(certificate).hexdigest()
            super().connection_made(transport)
            self.app_state = {**self.app_state, "peer": self.peer}
            self.check()

        def check(self) -> None:
            """Cut the connection, without a byte, when its certificate is let in no more."""
            if self.transport.is_closing():
                return
            if self.peer not in allowed():
                self.transport.abort()
                return
            asyncio.get_running_loop().call_later(RECHECK_SECONDS, self.check)

    return Door


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorFiles:
    """The door's own certificate and key, and who signs those of partners; PEM files."""

    certificate: Path
    key: Path
    partners: Path


def door_server(gateway: Gateway, files: DoorFiles, host: str, port: int) -> uvicorn.Server:
    """A server that is ready to run."""

    def context(_config: uvicorn.Config, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.load_cert_chain(files.certificate, files.key)
        made.load_verify_locations(files.partners)
        made.verify_mode = ssl.CERT_REQUIRED
        made.num_tickets = 0  # a session that is resumed would not look at the certificate again
        return made

    return uvicorn.Server(
        uvicorn.Config(
            gateway,
            host=host,
            port=port,
            http=door_protocol(gateway.allowed),
            ws="none",
            ssl_context_factory=context,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            h11_max_incomplete_event_size=1 << 16,
            timeout_graceful_shutdown=5,
        )
    )
