"""The way to the coordinator's gateway: straight, or by a tunnel through the house's own proxy.

Invariants: TLS to the gateway is end to end inside the tunnel; the proxy sees a name, a port and sizes.
    The proxy's authority is trusted for the proxy alone, the federation's for the gateway alone.
    What the environment says of proxies is not gone by: client.toml is, or none.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from ringfence.clients.config import FederationSettings, HolderSettings
from ringfence.privacy.crypto.secret_files import secret_bytes
from ringfence.privacy.errors import N_, KeyFault, WaistError

_MOST_LOGIN = 1024
MOST_PAGE = 1 << 20
"""Bytes of an answer, where none of the link's is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRoute:
    """A proxy that is asked for a tunnel (CONNECT, RFC 9110 section 9.3.6).

    Attributes:
        url: `http://host:port` or `https://host:port`.
        authority: who signs an `https` proxy's certificate, PEM; None for those that this machine trusts.
        login: file with `user:password` in its first line, or None.
    """

    url: str
    authority: Path | None = None
    login: Path | None = None

    def opened(self) -> httpx.Proxy:
        """The proxy for one connection; files are read anew, so that a new password needs no restart.

        Raises:
            KeyFault: RF-K051 or RF-K052 the login's file is missing or unsafe, RF-K130 it holds none,
                RF-K131 the authority cannot be read.
        """
        context = self._context() if self.url.startswith("https:") else None
        return httpx.Proxy(self.url, ssl_context=context, auth=self._login())

    def _context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.authority is None:
            made.load_default_certs()
            return made
        try:
            made.load_verify_locations(cafile=self.authority)
        except (OSError, ssl.SSLError) as error:
            raise KeyFault(
                "RF-K131",
                N_(
                    "The file {file} holds no certificate that can be read; expected that of the authority "
                    "which signs the proxy's, in PEM (proxy_authority in client.toml)."
                ),
                file=self.authority.name,
            ) from error
        return made

    def _login(self) -> tuple[str, str] | None:
        if self.login is None:
            return None
        lines = secret_bytes(self.login).decode("utf-8", "replace").splitlines()
        user, colon, password = (lines[0] if lines else "").partition(":")
        if not (user and colon and lines[0].isprintable() and len(lines[0]) <= _MOST_LOGIN):
            raise KeyFault(
                "RF-K130",
                N_(
                    "The file {file} does not hold a login of the proxy; its first line is expected to be "
                    "user:password."
                ),
                file=self.login.name,
            )
        return user, password


def route_of(settings: HolderSettings, federation: FederationSettings) -> ProxyRoute | None:
    """The proxy that client.toml names for a federation, or None where connections go straight."""
    said = federation.connection
    if said is None:
        return None
    return ProxyRoute(
        url=said.proxy,
        authority=None if said.proxy_authority is None else settings.path(said.proxy_authority),
        login=None if said.proxy_login is None else settings.path(said.proxy_login),
    )


def client_by(
    route: ProxyRoute | None, tls: ssl.SSLContext, seconds: float, *, most: int = MOST_PAGE
) -> httpx.Client:
    """A client of HTTP that goes this way and no other; redirects are not followed.

    A redirect would have this process send its signed bodies to any address of the holder's network.

    Args:
        route: the proxy, if any.
        tls: verifies the gateway.
        seconds: that one step of an exchange takes at most.
        most: bytes of one answer. Of a longer one no more is read (RF-W487), nor of one that is packed, since
            a few bytes would unpack to as many as the sender likes.

    Raises:
        KeyFault: as `ProxyRoute.opened`.
    """

    def bound(answer: httpx.Response) -> None:
        """Before the body is read."""
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise _too_long(most)
        answer.stream = _Bounded(answer.stream, most)

    return httpx.Client(
        verify=tls,
        proxy=None if route is None else route.opened(),
        timeout=seconds,
        trust_env=False,
        follow_redirects=False,
        headers={"accept-encoding": "identity"},
        event_hooks={"response": [bound]},
    )


class _Bounded(httpx.SyncByteStream):
    """The body of an answer, up to a length."""

    def __init__(self, whole: httpx.SyncByteStream | httpx.AsyncByteStream, most: int) -> None:
        assert isinstance(whole, httpx.SyncByteStream)
        self._whole, self._most = whole, most

    def __iter__(self) -> Iterator[bytes]:
        taken = 0
        for piece in self._whole:
            taken += len(piece)
            if taken > self._most:
                raise _too_long(self._most)
            yield piece

    def close(self) -> None:
        """Give the connection back."""
        self._whole.close()


def _too_long(most: int) -> WaistError:
    return WaistError(
        "RF-W487",
        N_(
            "Whoever answers as the gateway sent more than {most} bytes at once, or packed ones, and they "
            "were not read. Ask the coordinator's people, and those who run a proxy on the way, what sends "
            "it."
        ),
        most=most,
    )
