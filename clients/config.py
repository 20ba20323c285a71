"""`client.toml`: where a holder's store, keys, contract and people are; what is absent refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from ringfence.privacy.agreements.parties import HolderName, PartyName
from ringfence.privacy.crypto.identity import KeyKind, PublicIdentity
from ringfence.privacy.crypto.public_files import public_key
from ringfence.privacy.errors import N_, RingfenceError, UsageError
from ringfence.privacy.toml.canonical import Document, Text
from ringfence.privacy.toml.faults import Path_, Problem, settle
from ringfence.privacy.toml.settings import (
    HouseDocument,
    HouseSettings,
    Port,
    is_address,
    read_settings,
    settings_file,
    store_problems,
)

FILE_NAME = "client.toml"


class KeyFiles(Document):
    """Files of the holder's secrets, each readable by its owner only."""

    holder: Text = Field(
        default="keys/holder.key",
        description="The holder's identity: signs its contract and its messages.",
        examples=["keys/holder.key"],
    )
    log: Text = Field(
        default="keys/log.key", description="Signs checkpoints of the audit log.", examples=["keys/log.key"]
    )
    registry: Text = Field(
        default="keys/registry.key",
        description="Turns customer keys into pseudonyms in the consent registry, and ledger heads into "
        "marks.",
        examples=["keys/registry.key"],
    )
    attempts: Text = Field(
        default="keys/attempts.key",
        description="Encrypts stored answers and attested tables until a study ends.",
        examples=["keys/attempts.key"],
    )


class ConnectionSettings(Document):
    """How this holder reaches a coordinator's gateway, where that is not straight."""

    proxy: Text = Field(
        description="The house's own proxy, which is asked for a tunnel to the gateway: http:// or https://, "
        "host and port.",
        examples=["http://proxy.bank.example:3128"],
    )
    proxy_authority: Text | None = Field(
        default=None,
        description="Who signs an https proxy's certificate, a PEM file; trusted for the proxy alone. "
        "Without it, whom this machine trusts.",
        examples=["proxy-authority.pem"],
    )
    proxy_login: Text | None = Field(
        default=None,
        description="File with user:password for the proxy, readable by its owner only.",
        examples=["keys/proxy.login"],
    )


class FederationSettings(Document):
    """One federation that this home belongs to; its gateway and certificates come with the enrolment."""

    name: PartyName = Field(
        description="Short name of the federation at this home; commands take it as `--federation`.",
        examples=["city"],
    )
    coordinator: Text = Field(
        description="The coordinator whose studies are considered: its public key as a file or as 64 hex "
        "digits.",
        examples=["coordinator.key.pub"],
    )
    log: Text = Field(
        description="Signs checkpoints of this federation's own log, a key file of the holder's.",
        examples=["keys/log-city.key"],
    )
    people: tuple[Text, ...] = Field(
        default=(),
        description="Whom to call at the coordinator, for this house's own people; shown by `federation "
        "list` and nowhere else.",
        examples=[["Dora Lind, +49 30 1234"]],
    )
    connection: ConnectionSettings | None = Field(
        default=None, description="How the gateway is reached; without it, straight."
    )


class LoopbackPort(Document):
    """Something that listens on 127.0.0.1 alone."""

    port: Port = Field(
        description="Port on 127.0.0.1; nothing else can be chosen at a holder.", examples=[9464]
    )


class ClientConfig(HouseDocument):
    """One holder's settings; every path is relative to the file."""

    error: ClassVar[type[RingfenceError]] = UsageError

    name: HolderName = Field(description="Name of the holder, as in its contract.", examples=["north-bank"])
    store: Text = Field(
        description="The one store of consent, ledger and audit log: a SQLite file, or a PostgreSQL URL "
        "without a password.",
        examples=["holder.db"],
    )
    contract: Text | None = Field(
        default=None,
        description="The contract's file; its signed form stands beside it. Without it no study runs.",
        examples=["contract.toml"],
    )
    approvers: tuple[Text, ...] = Field(
        default=(),
        description="People who may approve studies and changes of the budget: public keys as files or as 64 "
        "hex digits, at least two. Without them no study runs.",
        examples=[["ana.key.pub", "ben.key.pub"]],
    )
    approvals: Text = Field(
        default="approvals", description="Folder of the approvals that people gave.", examples=["approvals"]
    )
    keys: KeyFiles = Field(default_factory=KeyFiles, description="Files of the holder's secrets.")
    federation: tuple[FederationSettings, ...] = Field(
        default=(),
        description="The federations that the home belongs to, one table each. Without one no study runs.",
    )
    metrics: LoopbackPort | None = Field(
        default=None, description="Where `run` shows its metrics; without it nowhere."
    )
    probes: LoopbackPort | None = Field(
        default=None, description="Where `run` answers probes of life and readiness; without it nowhere."
    )

    @model_validator(mode="after")
    def _whole(self) -> ClientConfig:
        found = [*store_problems(self.store), *_doubled(self.federation)]
        for number, each in enumerate(self.federation):
            found += _connection_problems(("federation", number, "connection"), each.connection)
        settle(found)
        return self


def _doubled(federations: tuple[FederationSettings, ...]) -> Iterator[Problem]:
    """Two federations with one name, one coordinator or one log."""
    for number, each in enumerate(federations):
        for key in ("name", "coordinator", "log"):
            if any(getattr(each, key) == getattr(before, key) for before in federations[:number]):
                yield Problem(
                    code="RF-U720",
                    path=("federation", number, key),
                    template=N_(
                        "Two federations have the same {key}; each has a name, a coordinator and a log of "
                        "its own. Change one."
                    ),
                    values={"key": key},
                )


def _connection_problems(where: Path_, said: ConnectionSettings | None) -> Iterator[Problem]:
    if said is None:
        return
    at = (*where, "proxy")
    if "@" in said.proxy:
        yield Problem(
            code="RF-U560",
            path=at,
            template=N_(
                "The proxy's address holds a login. Leave it out, and put user:password into a file of mode "
                "0600 that proxy_login names."
            ),
        )
    elif not _is_proxy(said.proxy):
        yield Problem(
            code="RF-U561",
            path=at,
            template=N_(
                "This is not a proxy; expected http:// or https://, a host and a port, such as "
                "http://proxy.example:3128."
            ),
        )
    elif said.proxy_authority is not None and not said.proxy.startswith("https:"):
        yield Problem(
            code="RF-U562",
            path=(*where, "proxy_authority"),
            template=N_("An http:// proxy shows no certificate; leave proxy_authority out, or use https://."),
        )


def _is_proxy(url: str) -> bool:
    scheme, _colon, address = url.partition("://")
    return scheme in {"http", "https"} and is_address(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderSettings(HouseSettings[ClientConfig]):
    """A holder's configuration with the folder that its paths are relative to."""

    @property
    def origin(self) -> str:
        """Name of the house's own log in the world."""
        return log_origin(self.name)

    def contract(self) -> Path:
        """The contract's file.

        Raises:
            UsageError: RF-U401 when none is configured.
        """
        if self.config.contract is None:
            raise UsageError(
                "RF-U401",
                N_(
                    "{file} names no contract, so nothing may be read. Write one (ringfence-client contract "
                    "draft), sign it, and set contract there."
                ),
                file=FILE_NAME,
            )
        return self.folder / self.config.contract

    def federation(self, name: str | None) -> FederationSettings:
        """The federation of a name; where there is one, no name is needed.

        Raises:
            UsageError: RF-U402 there is none, RF-U721 there are several, RF-U722 none has this name.
        """
        found = self.config.federation
        if not found:
            raise UsageError(
                "RF-U402",
                N_(
                    "{file} names no federation, so no study is considered. Take up an invitation "
                    "(ringfence-client join), or enter the coordinator's key: ringfence-client federation add"
                ),
                file=FILE_NAME,
            )
        names = ", ".join(each.name for each in found)
        if name is None and len(found) > 1:
            raise UsageError(
                "RF-U721",
                N_("This home belongs to several federations ({names}); say which: --federation NAME"),
                names=names,
            )
        for each in found:
            if name in (None, each.name):
                return each
        raise UsageError(
            "RF-U722",
            N_('{file} names no federation "{name}"; it has: {names}'),
            file=FILE_NAME,
            name=name,
            names=names,
        )

    def coordinator(self, federation: FederationSettings) -> PublicIdentity:
        """The coordinator of a federation.

        Raises:
            KeyFault: its key cannot be read.
        """
        return self.public(federation.coordinator, "coordinator")

    def approvers(self) -> tuple[PublicIdentity, ...]:
        """The people who may approve.

        Raises:
            UsageError: RF-U403 fewer than two, RF-U404 one person twice.
            KeyFault: a key cannot be read.
        """
        found = tuple(self.public(name, "approver") for name in self.config.approvers)
        if len(found) < 2:
            raise UsageError(
                "RF-U403",
                N_(
                    "{file} names fewer than two approvers ({count}), so nothing can be approved. Enter the "
                    "keys of at least two people: ringfence-client approver add"
                ),
                file=FILE_NAME,
                count=len(found),
            )
        if len(set(found)) != len(found):
            raise UsageError(
                "RF-U404",
                N_("{file} names one approver twice; two people have two keys."),
                file=FILE_NAME,
            )
        return found

    def public(self, name: str, kind: KeyKind) -> PublicIdentity:
        """A public key written out, or in a file that does not call it of another kind or simulated.

        Raises:
            KeyFault: it cannot be read.
        """
        return public_key(self.folder, name, kind)


def log_origin(name: str, mark: str = "") -> str:
    """Name of a holder's log in the world: of the house, or of a federation, which `mark` tells apart."""
    return f"ringfence/holder/{mark}/{name}" if mark else f"ringfence/holder/{name}"


def load_settings(path: str | Path) -> HolderSettings:
    """The configuration in a file, or in the `client.toml` of a folder.

    Raises:
        UsageError: RF-U405 there is none; RF-C001, which lists every fault with its line.
    """
    path = settings_file(path, FILE_NAME)
    if not path.exists():
        raise UsageError(
            "RF-U405",
            N_(
                "There is no configuration {file}. Go to the holder's folder, name it with --config, or make "
                "one with ringfence-client init."
            ),
            file=str(path),
        )
    return HolderSettings(config=read_settings(path, ClientConfig), file=path)
