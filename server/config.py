"""`server.toml`: where a coordinator's store and keys are, and which holders it enters into studies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from ringfence.privacy.agreements.contract import Fingerprint
from ringfence.privacy.agreements.parties import PartyName
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.public_files import public_key
from ringfence.privacy.errors import N_, RingfenceError, UsageError
from ringfence.privacy.protocol.enrolment import Address
from ringfence.privacy.toml.canonical import Document, Text
from ringfence.privacy.toml.faults import Problem, settle
from ringfence.privacy.toml.settings import (
    HouseDocument,
    HouseSettings,
    Port,
    read_settings,
    settings_file,
    store_problems,
)

FILE_NAME = "server.toml"


class ServerKeys(Document):
    """Files of the coordinator's secrets, each readable by its owner only."""

    coordinator: Text = Field(
        default="keys/coordinator.key",
        description="The coordinator's identity: signs schemas, studies and messages.",
        examples=["keys/coordinator.key"],
    )
    log: Text = Field(
        default="keys/log.key", description="Signs checkpoints of the audit log.", examples=["keys/log.key"]
    )


class GatewaySettings(Document):
    """Where holders reach this coordinator."""

    address: Address = Field(
        description="Host and port that holders connect to; their invitations and the gateway's certificate "
        "name it.",
        examples=["analytics.example:8443"],
    )
    bind: Address = Field(
        description="Address and port that the gateway listens on, at this machine.",
        examples=["0.0.0.0:8443"],
    )


class Listener(Document):
    """Something that `serve` shows to those who watch its machine."""

    port: Port = Field(description="Port that it listens on.", examples=[9465])
    host: Text = Field(
        default="127.0.0.1",
        description="Address of this machine that it listens on; others than loopback need a wall around "
        "them.",
        examples=["127.0.0.1"],
    )


class ServerConfig(HouseDocument):
    """One coordinator's settings; every path is relative to the file."""

    error: ClassVar[type[RingfenceError]] = UsageError

    name: PartyName = Field(
        description="Name of the coordinator's organisation.", examples=["city-analytics"]
    )
    store: Text = Field(
        description="Store of the audit log and of what was last seen of each holder: a SQLite file, or a "
        "PostgreSQL URL without a password.",
        examples=["coordinator.db"],
    )
    holders: tuple[Fingerprint, ...] = Field(
        default=(),
        description="Fingerprints of the holders' keys, learnt from each holder by a way other than its "
        "declaration. A holder that is not listed enters no study.",
        examples=[["ed25519:0123456789abcdef0123456789abcdef"]],
    )
    officers: tuple[Text, ...] = Field(
        default=(),
        description="People who sign for this coordinator: that an intent to release is withdrawn (one of "
        "them), that a key is replaced, which of two successors of a holder's key counts, or that a log goes "
        "on from an older copy (two): public keys as files or as 64 hex digits.",
        examples=[["ada.key.pub", "bob.key.pub"]],
    )
    keys: ServerKeys = Field(default_factory=ServerKeys, description="Files of the coordinator's secrets.")
    gateway: GatewaySettings | None = Field(
        default=None, description="Where holders reach this coordinator; without it nothing listens."
    )
    metrics: Listener | None = Field(
        default=None, description="Where `serve` shows its metrics; without it nowhere."
    )
    probes: Listener | None = Field(
        default=None, description="Where `serve` answers probes of life and readiness; without it nowhere."
    )

    @model_validator(mode="after")
    def _whole(self) -> ServerConfig:
        settle(_problems(self))
        return self


def _problems(config: ServerConfig) -> Iterator[Problem]:
    for position, holder in enumerate(config.holders):
        if holder in config.holders[:position]:
            yield Problem(
                code="RF-C210", path=("holders", position), template=N_("This fingerprint is listed twice.")
            )
    yield from store_problems(config.store)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorSettings(HouseSettings[ServerConfig]):
    """A coordinator's configuration with the folder that its paths are relative to."""

    @property
    def origin(self) -> str:
        """Name of the coordinator's log in the world."""
        return log_origin(self.name)

    def officers(self, least: int = 2) -> tuple[PublicIdentity, ...]:
        """The people who sign for this coordinator.

        Raises:
            UsageError: RF-U763 they are fewer than `least`, RF-U791 one stands there twice.
            KeyFault: a key cannot be read.
        """
        found = tuple(self.public(name) for name in self.config.officers)
        if len(found) < least:
            raise UsageError(
                "RF-U763",
                N_(
                    "{file} names too few officers for this ({count}, {least} at least). Enter the keys of "
                    "the people who sign for this coordinator: ringfence-server officer add"
                ),
                file=FILE_NAME,
                count=len(found),
                least=least,
            )
        if len(set(found)) != len(found):
            raise UsageError(
                "RF-U791", N_("{file} names one person twice; two people have two keys."), file=FILE_NAME
            )
        return found

    def public(self, name: str) -> PublicIdentity:
        """A person's public key, written out or in a file.

        Raises:
            KeyFault: it cannot be read.
        """
        return public_key(self.folder, name, "approver")

    @property
    def gateway(self) -> GatewaySettings:
        """Where holders reach this coordinator.

        Raises:
            UsageError: RF-U520 when it is not configured.
        """
        if self.config.gateway is None:
            raise UsageError(
                "RF-U520",
                N_(
                    "{file} has no gateway, so no holder can connect. Make one: ringfence-server gateway make"
                ),
                file=FILE_NAME,
            )
        return self.config.gateway


def log_origin(name: str) -> str:
    """Name of a coordinator's log in the world."""
    return f"ringfence/coordinator/{name}"


def load_settings(path: str | Path) -> CoordinatorSettings:
    """The configuration in a file, or in the `server.toml` of a folder.

    Raises:
        UsageError: RF-U501 there is none; RF-C001, which lists every fault with its line.
    """
    path = settings_file(path, FILE_NAME)
    if not path.exists():
        raise UsageError(
            "RF-U501",
            N_(
                "There is no configuration {file}. Go to the coordinator's folder, name it with --config, or "
                "make one with ringfence-server init."
            ),
            file=str(path),
        )
    return CoordinatorSettings(config=read_settings(path, ServerConfig), file=path)
