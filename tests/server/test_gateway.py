"""The partners' door lets in whom it knows, over TLS 1.3, to nine routes: through real connections."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from kits.link_kit import NOW, Door, gateway

from ringfence.privacy.crypto.tls_keys import key_pem, tls_key
from ringfence.server.connections import gateway as door_module
from ringfence.server.connections.certificates import Authority
from ringfence.server.connections.gateway import AT_ONCE, BURST, MOST_BYTES, ROUTES

KEY, OTHER = b"node key of the bank", b"node key of the shop"
SIGNED = {"flwr-public-key": base64.b64encode(KEY).decode(), "content-type": "application/x-protobuf"}


class Link(BaseHTTPRequestHandler):
    """Stands where Flower's link stands, and tells what reached it."""

    reached: list[tuple[str, bytes, dict[str, str]]] = []  # noqa: RUF012
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.reached.append((self.path, body, {k.lower(): v for k, v in self.headers.items()}))
        self.send_response(200)
        for name, value in (
            ("content-type", "application/x-protobuf"),
            ("x-inner", "1"),
            ("content-length", "6"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"answer")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    authority, key = Authority.found("link", NOW), tls_key()
    made = authority.for_server(key.public_key(), ("127.0.0.1",), NOW)
    (folder / "link.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "link.key").write_bytes(key_pem(key))
    (folder / "authority.pem").write_bytes(authority.pem)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Link)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "link.pem", folder / "link.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with gateway(folder, f"127.0.0.1:{server.server_port}", folder / "authority.pem") as running:
        yield running
    server.shutdown()
    server.server_close()


def client(door: Door, name: str, key: bytes = KEY) -> httpx.Client:
    return httpx.Client(base_url=f"https://{door.address}", verify=door.partner(name, key), trust_env=False)


def test_nine_routes_reach_the_link_and_its_answer_comes_back(door: Door) -> None:
    Link.reached.clear()
    with client(door, "nine") as bank:
        for route in sorted(ROUTES):
            answer = bank.post(route, content=b"asked", headers={**SIGNED, "cookie": "x", "x-other": "y"})
            assert (answer.status_code, answer.content) == (200, b"answer")
            assert "x-inner" not in answer.headers
            assert "server" not in answer.headers
    assert [path for path, _, _ in Link.reached] == sorted(ROUTES)
    assert len(ROUTES) == 9
    for _, body, headers in Link.reached:
        assert body == b"asked"
        assert headers["flwr-public-key"] == SIGNED["flwr-public-key"]
        assert not {"cookie", "x-other"} & headers.keys()


def test_a_peer_that_withholds_its_bodies_has_few_under_way(door: Door) -> None:
    context = door.partner("withholding", KEY)
    Link.reached.clear()
    head = "".join(f"{name}: {value}\r\n" for name, value in SIGNED.items())
    started = f"POST {min(ROUTES)} HTTP/1.1\r\nhost: x\r\n{head}content-length: 100\r\n\r\nhalf".encode()
    held: list[ssl.SSLSocket] = []

    def asked() -> int:
        with httpx.Client(base_url=f"https://{door.address}", verify=context, trust_env=False) as same:
            return same.post(min(ROUTES), content=b"asked", headers=SIGNED).status_code

    try:
        # More and more of them, since a request that asks meanwhile takes a place of its own for a moment.
        while asked() != 429:
            assert len(held) < 10 * AT_ONCE
            connection = context.wrap_socket(
                socket.create_connection(("127.0.0.1", door.port)), server_hostname="127.0.0.1"
            )
            connection.sendall(started)
            held.append(connection)
            time.sleep(0.1)  # else the request that asks is taken before it
        assert len(held) >= AT_ONCE
    finally:
        for connection in held:
            connection.close()
    for _ in range(300):
        if asked() == 200:
            break
        time.sleep(0.1)
    else:
        pytest.fail("what was cut off still takes places")
    assert {body for _, body, _ in Link.reached} == {b"asked"}, "what was cut off is not passed on"


def test_a_body_that_does_not_arrive_is_waited_for_so_long(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "BODY_SECONDS", 0.3)
    context = door.partner("slow", KEY)
    head = "".join(f"{name}: {value}\r\n" for name, value in SIGNED.items())
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", door.port), timeout=30), server_hostname="127.0.0.1"
    ) as slow:
        slow.sendall(
            f"POST {min(ROUTES)} HTTP/1.1\r\nhost: x\r\n{head}content-length: 9\r\n\r\nhalf".encode()
        )
        assert slow.recv(1000).split()[1] == b"408"


def test_a_header_that_no_node_sends_is_left_out(door: Door) -> None:
    Link.reached.clear()
    with client(door, "letters") as bank:
        strange = {**SIGNED, "flwr-strange": "é".encode("latin-1")}
        assert bank.post(min(ROUTES), content=b"asked", headers=strange).status_code == 200
    ((_, _, headers),) = Link.reached
    assert "flwr-strange" not in headers


def test_a_session_is_not_resumed(door: Door) -> None:
    """A certificate that has ended meanwhile would not be looked at."""
    context = door.partner("resuming", KEY)
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", door.port)), server_hostname="127.0.0.1"
    ) as first:
        first.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        first.recv(1000)
        session = first.session
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", door.port)), server_hostname="127.0.0.1", session=session
    ) as second:
        assert not second.session_reused


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs", "/openapi.json", "/v1/control/start-run", "/v1/control/register-node"),
        *(
            "/v1/fleet/register-node",
            "/v1/fleet/unregister-node",
            "/v1/fleet/get-fab",
            "/v1/runtime/get-nodes",
        ),
        *("/v1/fleet/pull-messages/", "//v1/fleet/pull-messages", "/v1/fleet//pull-messages"),
        *(
            "/v1/fleet/../control/start-run",
            "/v1/fleet/%2e%2e/control/start-run",
            "/v1/fleet/pull-messages?x=1",
        ),
        *("/v1/fleet/pull-messages%2f..%2f..%2fcontrol%2fstart-run", "/V1/fleet/pull-messages"),
    ],
)
def test_nothing_else_does(door: Door, path: str) -> None:
    Link.reached.clear()
    context = door.partner("else", KEY)
    with (
        socket.create_connection(("127.0.0.1", door.port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(
            f"POST {path} HTTP/1.1\r\nhost: x\r\nflwr-public-key: {SIGNED['flwr-public-key']}\r\n"
            "content-length: 0\r\n\r\n".encode()
        )
        assert tls.recv(64).startswith(b"HTTP/1.1 404")
    assert Link.reached == []


def test_other_methods_do_not_either(door: Door) -> None:
    Link.reached.clear()
    with client(door, "methods") as bank:
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD"):
            assert bank.request(method, "/v1/fleet/get-run", headers=SIGNED).status_code == 404
    assert Link.reached == []


def test_a_certificate_speaks_for_its_own_node_key_alone(door: Door) -> None:
    Link.reached.clear()
    other = {**SIGNED, "flwr-public-key": base64.b64encode(OTHER).decode()}
    with client(door, "key") as bank:
        for headers in (other, {"content-type": "x"}, {**SIGNED, "flwr-public-key": "not base64!"}):
            assert bank.post("/v1/fleet/pull-messages", headers=headers).status_code == 403
    assert Link.reached == []


@pytest.mark.parametrize("said", [str(MOST_BYTES + 1), "-1", "nonsense"])
def test_a_body_that_says_it_is_too_large_is_not_read(door: Door, said: str) -> None:
    context = door.partner("large", KEY)
    with (
        socket.create_connection(("127.0.0.1", door.port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(
            f"POST /v1/fleet/push-object HTTP/1.1\r\nhost: x\r\nflwr-public-key: {SIGNED['flwr-public-key']}"
            f"\r\ncontent-length: {said}\r\n\r\n".encode()
        )
        assert tls.recv(64)[:12] in (b"HTTP/1.1 413", b"HTTP/1.1 400")


def test_a_body_that_turns_out_too_large_is_refused(door: Door) -> None:
    Link.reached.clear()
    with client(door, "chunks") as bank:
        chunks = (bytes(1 << 20) for _ in range(17))
        answer = bank.post("/v1/fleet/push-object", content=chunks, headers=SIGNED, timeout=60)
        assert answer.status_code == 413
    assert Link.reached == []


def attempt(door: Door, context: ssl.SSLContext) -> None:
    """Ask once; raises what a stranger meets."""
    with httpx.Client(base_url=f"https://{door.address}", verify=context, trust_env=False) as stranger:
        stranger.post("/v1/fleet/get-run", headers=SIGNED)


def test_a_stranger_gets_no_bytes(door: Door) -> None:
    Link.reached.clear()
    bare = ssl.create_default_context(cadata=door.authority.pem.decode())
    old = door.partner("old", KEY)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    foreign = door.partner("foreign", KEY, Authority.found("somebody", NOW))
    for context in (bare, old, foreign):
        with pytest.raises(httpx.TransportError):
            attempt(door, context)
    assert Link.reached == []


def drained(tls: ssl.SSLSocket) -> None:
    """Read until the other side ends the connection; no end is the test's own time limit."""
    try:
        while tls.recv(1024):
            pass
    except (ssl.SSLError, ConnectionError):
        return


def test_a_revoked_partner_is_cut_off_and_does_not_come_in_again(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "RECHECK_SECONDS", 0.05)
    context = door.partner("revoked", KEY)
    with (
        socket.create_connection(("127.0.0.1", door.port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(
            f"POST /v1/fleet/get-run HTTP/1.1\r\nhost: x\r\nflwr-public-key: {SIGNED['flwr-public-key']}\r\n"
            "content-length: 0\r\n\r\n".encode()
        )
        assert tls.recv(1024).startswith(b"HTTP/1.1 200")
        door.allowed.clear()
        started = time.monotonic()
        drained(tls)
        assert time.monotonic() - started < 5
    with pytest.raises(httpx.TransportError):
        attempt(door, context)


def test_who_asks_too_often_is_told_to_wait(tmp_path: Path) -> None:
    now = [0.0]
    authority = tmp_path / "authority.pem"
    authority.write_bytes(Authority.found("link", NOW).pem)
    with (
        gateway(tmp_path, "127.0.0.1:9", authority, clock=lambda: now[0]) as door,
        client(door, "busy") as bank,
        client(door, "calm", OTHER) as shop,
    ):
        answers = [bank.post("/v1/fleet/get-run", headers=SIGNED).status_code for _ in range(BURST + 2)]
        assert answers == [503] * BURST + [429] * 2, "the link is not there; the door is"
        other = {**SIGNED, "flwr-public-key": base64.b64encode(OTHER).decode()}
        assert shop.post("/v1/fleet/get-run", headers=other).status_code == 503
        now[0] = 1.0
        assert bank.post("/v1/fleet/get-run", headers=SIGNED).status_code == 503
