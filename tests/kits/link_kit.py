"""A real SuperLink on loopback for tests, and a real gateway before it, with authorities of their own."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives import hashes, serialization

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
from ringfence.privacy.crypto.tls_keys import key_pem, request_for, tls_key
from ringfence.server.connections.certificates import Authority
from ringfence.server.connections.gateway import DoorFiles, Gateway, door_server
from ringfence.server.connections.superlink import MEMORY, LinkFiles, SuperLink

NOW = datetime.datetime.now(datetime.UTC)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def link_files(folder: Path, authority: Authority, database: str = MEMORY) -> LinkFiles:
    folder.mkdir(parents=True, exist_ok=True)
    key = tls_key()
    certificate = authority.for_server(key.public_key(), ("127.0.0.1",), NOW)
    files = LinkFiles(
        folder=folder,
        certificate=folder / "link.pem",
        key=folder / "link.key",
        authority=folder / "authority.pem",
        database=database,
    )
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.touch(mode=0o600)
    files.key.write_bytes(key_pem(key))
    files.authority.write_bytes(authority.pem)
    return files


@contextmanager
def superlink(folder: Path, database: str = MEMORY) -> Iterator[SuperLink]:
    link = SuperLink.start(link_files(folder, Authority.found("test", NOW), database), free_port())
    try:
        yield link
    finally:
        link.stop()


def trusting(link: SuperLink) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(link.files.authority))


@dataclass
class Door:
    """A running gateway, who is let in, and what a partner needs to come."""

    server: uvicorn.Server
    port: int
    authority: Authority
    folder: Path
    allowed: dict[str, bytes]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def partner(self, name: str, node_key: bytes, authority: Authority | None = None) -> ssl.SSLContext:
        """A partner's context, let in for its node key unless another authority signs its certificate."""
        key = tls_key()
        made = (authority or self.authority).for_holder(request_for(key, name), name, NOW)
        at, secret = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        at.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(key_pem(key))
        if authority is None:
            fingerprint = made.fingerprint(hashes.SHA256()).hex()
            self.allowed[fingerprint] = node_key
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        context.load_cert_chain(at, secret)
        return context


@contextmanager
def gateway(folder: Path, link_address: str, link_authority: Path, **options: Any) -> Iterator[Door]:
    """A real gateway in a thread."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, key, port = Authority.found("partners", NOW), tls_key(), free_port()
    files = DoorFiles(
        certificate=folder / "door.pem", key=folder / "door.key", partners=folder / "partners.pem"
    )
    made = authority.for_server(key.public_key(), ("127.0.0.1",), NOW)
    files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(key_pem(key))
    files.partners.write_bytes(authority.pem)
    allowed: dict[str, bytes] = {}
    app = Gateway(link=lambda: link_address, authority=link_authority, allowed=lambda: allowed, **options)
    server = door_server(app, files, "127.0.0.1", port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield Door(server=server, port=port, authority=authority, folder=folder, allowed=allowed)
    finally:
        server.should_exit = True
        thread.join(20)
