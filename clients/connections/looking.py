"""Who answers where the gateway should: asked once, with nothing of this holder's shown.

A proxy that inspects TLS ends the connection itself and presents a certificate of its own. No holder ever
accepts it, so nothing is lost but the connection; what has to be done about it differs from every other
reason why a gateway is not reached, so it is told apart.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ringfence.clients.connections.routes import ProxyRoute, client_by
from ringfence.privacy.errors import N_, KeyFault, RingfenceError, WaistError

LOOK_SECONDS = 10.0
_LONGEST_NAME = 80


@dataclass(slots=True, kw_only=True)
class Seen:
    """What one connection met on its way.

    Attributes:
        arrived: TCP led to the gateway, or to the proxy where there is one.
        version: of TLS with whoever answered as the gateway, or empty.
        certificate: which it presented, or None.
        status: of its answer, or None.
    """

    arrived: bool = False
    version: str = ""
    certificate: x509.Certificate | None = None
    status: int | None = None
    _tunnel: bool = field(default=False)

    def noted(self, event: str, info: dict[str, Any]) -> None:
        """Take in what httpcore tells of a connection that it makes (its `trace` extension)."""
        if event == "connection.connect_tcp.complete":
            self.arrived = True
        elif event == ("proxy" if self._tunnel else "connection") + ".start_tls.complete":
            self.version, self.certificate = shown_by(info["return_value"])


def shown_by(stream: Any) -> tuple[str, x509.Certificate | None]:
    """TLS version of a stream of httpcore, and the certificate that its other side presented."""
    link = stream.get_extra_info("ssl_object")
    raw = None if link is None else link.getpeercert(True)  # positional: TLS within TLS knows no names
    return ("" if link is None else str(link.version())), None if not raw else _read(raw)


def _read(raw: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(raw)
    except ValueError:
        return None


def look(
    address: str,
    route: ProxyRoute | None,
    tls: ssl.SSLContext | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[Seen, Exception | None]:
    """Connect once, and ask for a page that no gateway has.

    Args:
        address: host and port of the gateway.
        route: the proxy, if any.
        tls: verifies the gateway and shows this holder's certificate; without it nothing is verified or shown
            and whoever answers is looked at.
        headers: sent along.

    Returns:
        What was met, and what ended it early.
    """
    seen = Seen(_tunnel=route is not None)
    try:
        with client_by(route, tls or _anybody(), LOOK_SECONDS) as client:
            answer = client.get(f"https://{address}/", headers=headers, extensions={"trace": seen.noted})
        seen.status = answer.status_code
    except (httpx.HTTPError, OSError, RingfenceError) as error:
        return seen, error
    return seen, None


def _anybody() -> ssl.SSLContext:
    """Accepts every certificate, to look at it; no secret is ever sent over it."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def reason_unreached(
    address: str, route: ProxyRoute | None, tls: ssl.SSLContext, error: BaseException
) -> RingfenceError | None:
    """Why a gateway was not reached, where it is one of the reasons that have a remedy of their own.

    Args:
        address, route, tls: of the connection that failed.
        error: with which.
    """
    try:
        return _reason(address, route, tls, error)
    except Exception:  # a stranger's bytes may fit no form; whoever asks goes on all the same
        return None


def _reason(
    address: str, route: ProxyRoute | None, tls: ssl.SSLContext, error: BaseException
) -> RingfenceError | None:
    chain = list(_chain(error))
    own = next((each for each in chain if isinstance(each, KeyFault)), None)
    if own is not None:
        return own
    refusal = next((each for each in chain if isinstance(each, httpx.ProxyError)), None)
    if refusal is not None and route is not None:
        return _refused_by_proxy(address, route, refusal)
    if not any(isinstance(each, ssl.SSLError | httpx.ConnectError) for each in chain):
        return None
    if route is None and not any(isinstance(each, ssl.SSLError) for each in chain):
        return None
    seen, met = look(address, route)
    if seen.certificate is not None:
        return None if signed_by(seen.certificate, tls) else inspected(address, seen.certificate)
    if route is not None and not seen.arrived:
        return WaistError(
            "RF-U563",
            N_("The proxy {proxy} cannot be reached. Is its address in client.toml right, and does it run?"),
            proxy=route.url,
        )
    if route is not None and any(isinstance(each, ssl.SSLCertVerificationError) for each in _chain(met)):
        return _untrusted_proxy(route)
    return None


def refused_login(error: RingfenceError | None) -> bool:
    """Whether trying again soon would only have the proxy lock a login."""
    return error is not None and error.code == "RF-U564"


def _refused_by_proxy(address: str, route: ProxyRoute, error: httpx.ProxyError) -> RingfenceError:
    status = re.match(r"\d{3}", str(error))  # what follows is the proxy's own wording
    if status is not None and status[0] == "407":
        return WaistError(
            "RF-U564",
            N_(
                "The proxy {proxy} wants a login, or does not take the one it was given. Put user:password "
                "into a file of mode 0600 and name it as proxy_login in client.toml."
            ),
            proxy=route.url,
        )
    return WaistError(
        "RF-U565",
        N_(
            "The proxy {proxy} makes no connection to {address} (status {status}). Ask those who run it to "
            "let this machine connect there."
        ),
        proxy=route.url,
        address=address,
        status="?" if status is None else status[0],
    )


def _untrusted_proxy(route: ProxyRoute) -> RingfenceError:
    return KeyFault(
        "RF-K132",
        N_(
            "The certificate of the proxy {proxy} itself is signed by nobody that is trusted for it. Name "
            "the authority that signs it as proxy_authority in client.toml."
        ),
        proxy=route.url,
    )


def inspected(address: str, certificate: x509.Certificate) -> RingfenceError:
    """Whoever answers as the gateway is not the federation's."""
    return KeyFault(
        "RF-K133",
        N_(
            "Somebody between here and the gateway {address} answers in its place, with a certificate issued "
            'by "{issuer}" and not by the federation\'s authority: a proxy that inspects TLS does so. Ask '
            "those who run it to leave connections to {address} uninspected; nothing of yours was sent."
        ),
        address=address,
        issuer=_name(certificate.issuer),
    )


def signed_by(certificate: x509.Certificate, tls: ssl.SSLContext) -> bool:
    """Whether an authority that is trusted for the gateway has signed this."""
    for raw in tls.get_ca_certs(binary_form=True):
        try:
            certificate.verify_directly_issued_by(x509.load_der_x509_certificate(raw))
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _name(name: x509.Name) -> str:
    """A name out of a stranger's certificate, as far as it can be shown."""
    said = name.rfc4514_string()
    return "".join(letter if letter.isprintable() else "?" for letter in said)[:_LONGEST_NAME]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    met: set[int] = set()
    while error is not None and id(error) not in met:
        met.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
