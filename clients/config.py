"""`client.toml`: where a holder's store, keys, contract and people are. What is absent refuses (DESIGN, 6.8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.keyfile import read_public
from ringfence.privacy.documents.canonical import Document, Slug, Text
from ringfence.privacy.documents.faults import Problem, settle
from ringfence.privacy.documents.findings import build
from ringfence.privacy.documents.toml import read_toml
from ringfence.privacy.errors import N_, KeyFault, RingfenceError, UsageError

FILE_NAME = "client.toml"
HEX_DIGITS = 64


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
        description="Turns customer keys into pseudonyms in the consent registry.",
        examples=["keys/registry.key"],
    )
    attempts: Text = Field(
        default="keys/attempts.key",
        description="Encrypts stored answers until a study ends.",
        examples=["keys/attempts.key"],
    )


class ClientConfig(Document):
    """One holder's settings; every path is relative to the file."""

    error: ClassVar[type[RingfenceError]] = UsageError

    name: Slug = Field(description="Name of the holder, as in its contract.", examples=["north-bank"])
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
    coordinator: Text | None = Field(
        default=None,
        description="The coordinator whose studies are considered: its public key as a file or as 64 hex "
        "digits. Without it no study runs.",
        examples=["coordinator.key.pub"],
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

    @model_validator(mode="after")
    def _whole(self) -> ClientConfig:
        settle(store_problems(self.store))
        return self


def store_problems(store: str) -> Iterator[Problem]:
    """What is wrong with the name of a store."""
    if "://" not in store:
        return
    try:
        parts = urlsplit(store)
        secret = parts.password is not None or "password=" in parts.query.lower()
    except ValueError:
        secret = False
    if secret:
        yield Problem(
            code="RF-C200",
            path=("store",),
            template=N_(
                "The URL holds a password. Leave it out, and give it by the database's own password file or "
                "environment."
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A holder's configuration with the folder that its paths are relative to.

    Attributes:
        config: what the file says.
        folder: where the file stands.
    """

    config: ClientConfig
    folder: Path

    @property
    def name(self) -> str:
        """The holder's name."""
        return self.config.name

    @property
    def origin(self) -> str:
        """Name of the holder's log in the world."""
        return log_origin(self.config.name)

    @property
    def store(self) -> Path | str:
        """The store as `open_store` takes it."""
        return self.config.store if "://" in self.config.store else self.folder / self.config.store

    def path(self, name: str) -> Path:
        """A path of the file, made absolute or relative to the present folder."""
        return self.folder / name

    def contract(self) -> Path:
        """The contract's file.

        Raises:
            UsageError: RF-U401 when none is configured.
        """
        if self.config.contract is None:
            raise UsageError(
                "RF-U401",
                N_("{file} names no contract, so nothing may be read. Write one (ringfence-client contract draft), "
                   "sign it, and set contract there."),
                file=FILE_NAME,
            )  # fmt: skip
        return self.folder / self.config.contract

    def coordinator(self) -> PublicIdentity:
        """The coordinator whose studies are considered.

        Raises:
            UsageError: RF-U402 when none is configured.
            KeyFault: its key cannot be read.
        """
        if self.config.coordinator is None:
            raise UsageError(
                "RF-U402",
                N_("{file} names no coordinator, so no study is considered. Set coordinator to its public key."),
                file=FILE_NAME,
            )
        return self._public(self.config.coordinator, "coordinator")

    def approvers(self) -> tuple[PublicIdentity, ...]:
        """The people who may approve.

        Raises:
            UsageError: RF-U403 fewer than two, RF-U404 one person twice.
            KeyFault: a key cannot be read.
        """
        found = tuple(self._public(name, "approver") for name in self.config.approvers)
        if len(found) < 2:
            raise UsageError(
                "RF-U403",
                N_("{file} names {count} approver(s), so nothing can be approved. Set approvers to the public keys of "
                   "at least two people."),
                file=FILE_NAME,
                count=len(found),
            )  # fmt: skip
        if len(set(found)) != len(found):
            raise UsageError(
                "RF-U404",
                N_("{file} names one approver twice; two people have two keys."),
                file=FILE_NAME,
            )
        return found

    def _public(self, name: str, kind: str) -> PublicIdentity:
        """A public key written out, or in a file that does not say it is of another kind."""
        if len(name) == HEX_DIGITS and set(name) <= set("0123456789abcdef"):
            return PublicIdentity.from_hex(name)
        path = self.folder / name
        identity = read_public(path)
        said = noted_kind(path)
        if said is not None and said != kind:
            raise KeyFault(
                "RF-K050",
                N_("The file {file} holds the public half of a key for {found}; one for {expected} is needed."),
                file=path.name,
                found=said,
                expected=kind,
            )
        return identity


def noted_kind(path: Path) -> str | None:
    """The kind that a `.pub` file notes on its second line; None when it notes none."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    words = lines[1].removeprefix("#").split() if len(lines) > 1 else []
    return words[0] if words else None


def log_origin(name: str) -> str:
    """Name of a holder's log in the world."""
    return f"ringfence/holder/{name}"


def load_settings(path: str | Path) -> Settings:
    """The configuration in a file, or in the `client.toml` of a folder.

    Raises:
        UsageError: RF-U405 there is none; RF-C001, which lists every fault with its line.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    if not path.exists():
        raise UsageError(
            "RF-U405",
            N_("There is no configuration {file}. Go to the holder's folder, name it with --config, or make one with "
               "ringfence-client init."),
            file=str(path),
        )  # fmt: skip
    file = read_toml(path, UsageError)
    config, problems = build(ClientConfig, file.data)
    file.settle(problems, UsageError)
    assert config is not None  # otherwise there was a problem
    return Settings(config=config, folder=path.parent)
