"""Enters keys into server.toml: holders', from declarations or `.pub` files, and those of its officers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ringfence.privacy.agreements.declaration import Shown, shown_holder
from ringfence.privacy.command_line.trust import (
    Keys,
    enter_list,
    fingerprint_entry,
    key_entry,
    record_trusted,
)
from ringfence.privacy.crypto.public_files import read_public
from ringfence.privacy.errors import UsageError
from ringfence.privacy.succession.book import KeyBook
from ringfence.server.home import Office


def holders_shown(office: Office, files: Sequence[Path]) -> Keys:
    """The keys in the files, sorted by whether server.toml lists them.

    Raises:
        KeyFault or StudyError: a file is neither a declaration nor a holder's public key; RF-W433 the key was
            replaced, RF-K161 it has two successors.
    """
    shown = [shown_holder(file) for file in files]
    book = KeyBook(office.engine)
    for one in shown:
        book.require_current("holder", one.public, one.said)
    return Keys.sort(shown, office.holders())


def enter_holders(office: Office, keys: Keys) -> None:
    """Write the new ones into server.toml; each is an event.

    Raises:
        UsageError: RF-U660 the list is written in a way that cannot be changed safely.
    """
    enter_list(
        office.settings.file,
        "holders",
        [fingerprint_entry(one) for one in keys.new],
        UsageError,
        lambda: record_trusted(office.log, "holder", keys.new),
    )


def officers_shown(office: Office, files: Sequence[Path]) -> Keys:
    """The keys of people in `.pub` files, sorted by whether server.toml lists them.

    Raises:
        KeyFault: a file is no public key of an approver, or one that server.toml lists cannot be read.
    """
    known = [office.settings.public(name).fingerprint for name in office.settings.config.officers]
    return Keys.sort((Shown(public=read_public(file, "approver"), said=file.name) for file in files), known)


def enter_officers(office: Office, keys: Keys) -> None:
    """Write the new ones into server.toml; each is an event.

    Raises:
        UsageError: RF-U660 the list is written in a way that cannot be changed safely.
    """
    enter_list(
        office.settings.file,
        "officers",
        [key_entry(one) for one in keys.new],
        UsageError,
        lambda: record_trusted(office.log, "approver", keys.new),
    )
