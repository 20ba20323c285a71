"""Enters other parties' keys: peers into the contract, approvers into client.toml.

Each is an event before it is written. A contract that was signed gets a higher version with its new peers,
and counts again once it is signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ringfence.clients.home import Home, signed_path
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.declaration import Shown, shown_holder
from ringfence.privacy.command_line.trust import (
    Keys,
    enter,
    enter_list,
    fingerprint_entry,
    key_entry,
    record_trusted,
)
from ringfence.privacy.crypto.identity import KeyKind
from ringfence.privacy.crypto.public_files import read_public
from ringfence.privacy.crypto.signed import read_signed
from ringfence.privacy.errors import ContractError, UsageError
from ringfence.privacy.toml.editing import edited, with_entries, with_value
from ringfence.privacy.toml.reading import read_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Keys for a contract.

    Attributes:
        keys: sorted.
        file: the contract's file.
        version: what the contract's version becomes, where it was signed with this one; None where it stays.
    """

    keys: Keys
    file: Path
    version: int | None


def peers_shown(home: Home, files: Sequence[Path], contract: Path | None) -> Peers:
    """Keys of holders in declarations or `.pub` files, and the contract they would enter.

    Args:
        home: the holder's.
        files: what the other holders sent; the own one among them is left out.
        contract: its file; the one in client.toml by default.

    Raises:
        UsageError: RF-U401 no contract is named here or in client.toml.
        ContractError: the contract is no TOML file.
        KeyFault or StudyError: a file is neither a declaration nor a holder's public key.
    """
    path = contract or home.settings.contract()
    data = read_toml(path, ContractError).data
    listed = data.get("peers", [])
    known = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    keys = Keys.sort((shown_holder(file) for file in files), known, home.identity.fingerprint)
    return Peers(keys=keys, file=path, version=_next_version(home, path, data.get("version")))


def _next_version(home: Home, path: Path, version: object) -> int | None:
    """The version after the one that was signed, if the contract still has that one."""
    signed = signed_path(path)
    if not signed.exists() or not isinstance(version, int):
        return None
    before = Contract.from_canonical(read_signed(signed).verify("contract", [home.identity]))
    return before.version + 1 if version <= before.version else None


def enter_peers(home: Home, found: Peers) -> None:
    """Write the new ones into the contract.

    Raises:
        UsageError: RF-U660 the file is written in a way that cannot be changed safely.
    """
    if not found.keys.new:
        return

    def change(text: str) -> str:
        made = with_entries(text, "peers", [fingerprint_entry(one) for one in found.keys.new])
        return made if found.version is None else with_value(made, "version", found.version)

    content = edited(found.file, ContractError, change)
    enter(found.file, content, lambda: record_trusted(home.log, "holder", found.keys.new))


def approvers_shown(home: Home, files: Sequence[Path]) -> Keys:
    """Keys of people in `.pub` files, sorted by whether client.toml lists them.

    Raises:
        KeyFault: a file is no public key of an approver, or one that client.toml lists cannot be read.
    """
    known = [home.settings.public(name, "approver").fingerprint for name in home.settings.config.approvers]
    return Keys.sort((_shown(file, "approver") for file in files), known)


def enter_approvers(home: Home, keys: Keys) -> None:
    """Write the new ones into client.toml.

    Raises:
        UsageError: RF-U660 the file is written in a way that cannot be changed safely.
    """
    enter_list(
        home.settings.file,
        "approvers",
        [key_entry(one) for one in keys.new],
        UsageError,
        lambda: record_trusted(home.log, "approver", keys.new),
    )


def coordinator_shown(file: Path) -> Shown:
    """The key of a coordinator in a `.pub` file.

    Raises:
        KeyFault: it is none.
    """
    return _shown(file, "coordinator")


def _shown(file: Path, kind: KeyKind) -> Shown:
    return Shown(public=read_public(file, kind), said=file.name)
