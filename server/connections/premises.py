"""The gateway's folder in a coordinator's home: the authority, what the link and the door are started with,
and where the link is.

The authority's key and certificate last; those of link and door are made anew at each start, and the door's
also while it listens.
"""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ringfence.privacy.command_line.terminal import write_atomically
from ringfence.privacy.crypto.secret_files import secret_bytes
from ringfence.privacy.crypto.tls_keys import key_pem, tls_key, write_tls_key
from ringfence.privacy.errors import N_, StoreError, UsageError
from ringfence.server.connections.certificates import Authority
from ringfence.server.connections.gateway import DoorFiles
from ringfence.server.connections.superlink import LinkFiles, no_gateway

FOLDER = "gateway"
_AUTHORITY_KEY, _AUTHORITY = "authority.key", "authority.pem"
_RUNNING = "running.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where a gateway that runs has its link.

    Attributes:
        port: of the link, on loopback.
        nodes: Flower's number of each holder's node, by the holder's public key, hex.
    """

    port: int
    nodes: dict[str, int]


@dataclass(frozen=True, slots=True)
class GatewayFolder:
    """The folder.

    Attributes:
        path: it.
    """

    path: Path

    def found(self, name: str, now: datetime.datetime) -> Authority:
        """Make the folder with a new authority.

        Raises:
            UsageError: RF-U521 there is one already.
        """
        if (self.path / _AUTHORITY).exists():
            raise UsageError(
                "RF-U521",
                N_("There is a gateway already, and holders trust its authority: {folder}"),
                folder=str(self.path),
            )
        self.path.mkdir(mode=0o700, exist_ok=True)
        authority = Authority.found(name, now)
        write_tls_key(self.path / _AUTHORITY_KEY, authority.key)
        write_atomically(self.path / _AUTHORITY, authority.pem)
        return authority

    def authority(self) -> Authority:
        """The authority.

        Raises:
            KeyFault: RF-K051 or RF-K052 its key is missing or unsafe, RF-K100 it cannot be read.
            StoreError: RF-B411 its certificate is missing.
        """
        try:
            certificate = (self.path / _AUTHORITY).read_bytes()
        except OSError as error:
            raise StoreError(
                "RF-B411",
                N_("The authority of the gateway is gone from {folder}; restore it from a backup."),
                folder=str(self.path),
            ) from error
        return Authority.read(secret_bytes(self.path / _AUTHORITY_KEY), certificate)

    def link_files(self) -> LinkFiles:
        """Where the link's files are, whether or not they are made."""
        return LinkFiles(
            folder=self.path / "link",
            certificate=self.path / "link.pem",
            key=self.path / "link.key",
            authority=self.path / _AUTHORITY,
        )

    def door_files(self) -> DoorFiles:
        """Where the door's files are, whether or not they are made."""
        return DoorFiles(
            certificate=self.path / "door.pem", key=self.path / "door.key", partners=self.path / _AUTHORITY
        )

    def issue(self, host: str, now: datetime.datetime) -> None:
        """Make keys and certificates of link and door for one start."""
        self._issue(self.link_files(), "127.0.0.1", now)
        self.renew_door(host, now)

    def renew_door(self, host: str, now: datetime.datetime) -> x509.Certificate:
        """A new key and certificate of the door; one that listens shows them from its next connection on."""
        return self._issue(self.door_files(), host, now)

    def _issue(self, files: LinkFiles | DoorFiles, host: str, now: datetime.datetime) -> x509.Certificate:
        key = tls_key()
        certificate = self.authority().for_server(key.public_key(), (host,), now)
        _write_secret(files.key, key_pem(key))
        write_atomically(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        return certificate

    def tell_running(self, running: Running) -> None:
        """Say where the link is, for the coordinator's other processes."""
        said = {"port": running.port, "nodes": running.nodes}
        write_atomically(self.path / _RUNNING, json.dumps(said).encode())

    def running(self) -> Running:
        """Where the link is.

        Raises:
            WaistError: RF-W342 no gateway runs.
        """
        try:
            said = json.loads((self.path / _RUNNING).read_bytes())
            return Running(port=int(said["port"]), nodes={str(k): int(v) for k, v in said["nodes"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise no_gateway() from error

    def ended(self) -> None:
        """The gateway runs no more."""
        (self.path / _RUNNING).unlink(missing_ok=True)


def _write_secret(path: Path, content: bytes) -> None:
    """Replace a key's file; it is never readable by others."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
