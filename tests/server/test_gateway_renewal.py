"""A gateway's certificate is renewed while it listens: new connections see it, open ones go on."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from kits.command_kit import server, town

from ringfence.privacy.crypto.tls_keys import key_pem, request_for, tls_key
from ringfence.privacy.stores.store import open_store
from ringfence.server.connections.admissions import Admissions
from ringfence.server.connections.premises import GatewayFolder
from ringfence.server.connections.serving import Serving, free_loopback_port

NOW = datetime.now(UTC)


class Scene:
    def __init__(self, path: Path) -> None:
        self.folder, self.told = GatewayFolder(path / "gateway"), list[str]()
        self.authority = self.folder.found("test", NOW)
        self.folder.issue("127.0.0.1", NOW)
        self.serving = Serving(
            folder=self.folder,
            admissions=Admissions(open_store(None)),
            host="127.0.0.1",
            port=free_loopback_port(),
            report=self.told.append,
        )
        key = tls_key()
        made = self.authority.for_holder(request_for(key, "bank"), "bank", NOW)
        (path / "bank.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (path / "bank.key").write_bytes(key_pem(key))
        self.context = ssl.create_default_context(cadata=self.authority.pem.decode())
        self.context.load_cert_chain(path / "bank.pem", path / "bank.key")
        self.serving._allowed = {made.fingerprint(hashes.SHA256()).hex(): b"node key"}

    def connected(self) -> ssl.SSLSocket:
        made = socket.create_connection(("127.0.0.1", self.serving.port), timeout=30)
        return self.context.wrap_socket(made, server_hostname="127.0.0.1")

    def shown(self) -> bytes:
        with self.connected() as connection:
            return connection.getpeercert(binary_form=True) or b""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    found = Scene(tmp_path)
    with found.serving._door(lambda: "127.0.0.1:1"):
        yield found


def test_new_connections_see_the_new_certificate_and_open_ones_go_on(scene: Scene) -> None:
    with scene.connected() as before:
        first = scene.shown()
        scene.serving._renew()
        assert (scene.shown(), scene.told) == (first, []), "nothing was renewed yet"
        made = scene.folder.renew_door("127.0.0.1", NOW)
        scene.serving._renew()
        assert scene.shown() == made.public_bytes(serialization.Encoding.DER) != first
        assert len(scene.told) == 1
        before.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert before.recv(1000).split()[1] == b"403"


def test_a_key_that_does_not_fit_yet_leaves_the_certificate_that_is_shown(scene: Scene) -> None:
    """The two files are written one after the other, and may be looked at in between."""
    first, files = scene.shown(), scene.folder.door_files()
    key = tls_key()
    other = scene.authority.for_server(key.public_key(), ("127.0.0.1",), NOW)
    files.certificate.write_bytes(other.public_bytes(serialization.Encoding.PEM))
    scene.serving._renew()
    assert (scene.shown(), scene.told) == (first, [])
    files.key.write_bytes(key_pem(key))
    scene.serving._renew()
    assert scene.shown() == other.public_bytes(serialization.Encoding.DER)


def test_the_command_renews_under_the_same_authority_and_says_so(tmp_path: Path) -> None:
    here = town(tmp_path)
    assert server("gateway", "renew", "--config", here.desk) == 2, "there is none"
    words = ("--address", "127.0.0.1:8443", "--config", here.desk)
    assert server("gateway", "make", *words) == 0
    assert server("gateway", "renew", "--config", here.desk) == 0
    files = GatewayFolder(here.desk / "gateway").door_files()
    made = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    authority = x509.load_pem_x509_certificate(files.partners.read_bytes())
    made.verify_directly_issued_by(authority)
    assert files.key.stat().st_mode & 0o077 == 0
    told = tmp_path / "log.json"
    assert server("log", "--type", "gateway.renewed", "--config", here.desk, "--json", told) == 0
    assert "gateway.renewed" in told.read_text(encoding="utf-8")
