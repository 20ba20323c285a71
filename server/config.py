"""`server.toml`: where a coordinator's store and keys are, and which holders it enters into studies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from ringfence.privacy.contract import Fingerprint
from ringfence.privacy.documents.canonical import Document, Slug, Text
from ringfence.privacy.documents.faults import Problem, settle
from ringfence.privacy.documents.settings import (
    HouseDocument,
    HouseSettings,
    read_settings,
    settings_file,
    store_problems,
)
from ringfence.privacy.errors import N_, RingfenceError, UsageError

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


class ServerConfig(HouseDocument):
    """One coordinator's settings; every path is relative to the file."""

    error: ClassVar[type[RingfenceError]] = UsageError

    name: Slug = Field(description="Name of the coordinator's organisation.", examples=["city-analytics"])
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
    keys: ServerKeys = Field(default_factory=ServerKeys, description="Files of the coordinator's secrets.")

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
class Settings(HouseSettings[ServerConfig]):
    """A coordinator's configuration with the folder that its paths are relative to."""

    @property
    def origin(self) -> str:
        """Name of the coordinator's log in the world."""
        return log_origin(self.name)


def log_origin(name: str) -> str:
    """Name of a coordinator's log in the world."""
    return f"ringfence/coordinator/{name}"


def load_settings(path: str | Path) -> Settings:
    """The configuration in a file, or in the `server.toml` of a folder.

    Raises:
        UsageError: RF-U501 there is none; RF-C001, which lists every fault with its line.
    """
    path = settings_file(path, FILE_NAME)
    if not path.exists():
        raise UsageError(
            "RF-U501",
            N_("There is no configuration {file}. Go to the coordinator's folder, name it with --config, or make one "
               "with ringfence-server init."),
            file=str(path),
        )  # fmt: skip
    return Settings(config=read_settings(path, ServerConfig), folder=path.parent)
