"""Settings of a house in a TOML file: where a store is, what a path is relative to, how the file is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic import Field

from ringfence.privacy.errors import N_, UsageError
from ringfence.privacy.toml.canonical import Document, Slug, Text
from ringfence.privacy.toml.faults import Problem
from ringfence.privacy.toml.reading import read_toml
from ringfence.privacy.toml.validation import build

Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]
"""A port that something listens on."""
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]")


def is_address(text: str) -> bool:
    """Whether this is a host or an address, and a port; an address of IPv6 in brackets."""
    host, _colon, port = text.rpartition(":")
    return bool(_HOST.fullmatch(host) and re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535)


class HouseDocument(Document):
    """What every house's settings hold."""

    name: Slug
    store: Text


Config = TypeVar("Config", bound=HouseDocument)


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseSettings(Generic[Config]):
    """A configuration with the folder that its paths are relative to.

    Attributes:
        config: what the file says.
        file: the file itself.
    """

    config: Config
    file: Path

    @property
    def folder(self) -> Path:
        """Where the file stands."""
        return self.file.parent

    @property
    def name(self) -> str:
        """The house's name."""
        return self.config.name

    @property
    def store(self) -> Path | str:
        """The store as `open_store` takes it."""
        return self.config.store if "://" in self.config.store else self.folder / self.config.store

    def path(self, name: str) -> Path:
        """A path of the file, made absolute or relative to the present folder."""
        return self.folder / name


def settings_file(path: str | Path, name: str) -> Path:
    """The file itself, or the one of that name in a folder."""
    path = Path(path)
    return path / name if path.is_dir() else path


def read_settings(path: Path, model: type[Config]) -> Config:
    """What a file says.

    Raises:
        UsageError: RF-C001, which lists every fault with its line.
    """
    file = read_toml(path, UsageError)
    config, problems = build(model, file.data)
    file.settle(problems, UsageError)
    assert config is not None  # otherwise there was a problem
    return config


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
