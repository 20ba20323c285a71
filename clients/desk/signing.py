"""Signs a holder's contract and its declaration; the event is durable before the signed file has its name."""

from __future__ import annotations

import os
from pathlib import Path

from ringfence.clients.config import FederationSettings
from ringfence.clients.home import Home, require_own, signed_path
from ringfence.privacy.agreements.contract import Contract, LoadedContract, load_contract
from ringfence.privacy.agreements.declaration import DECLARATION, Declaration
from ringfence.privacy.agreements.policy import features_by_purpose
from ringfence.privacy.command_line.terminal import write_atomically
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_after
from ringfence.privacy.errors import N_, ContractError, UsageError
from ringfence.privacy.toml.editing import edited, with_value


def sign_contract(home: Home, path: Path, passphrases: Passphrases) -> tuple[LoadedContract, Path]:
    """Sign a contract; its signed form is written beside it.

    Raises:
        ContractError: it has faults, is another holder's, or changes a signed version without a new number.
        KeyFault: the key cannot be opened.
    """
    with home.refusals("contract.refused", f"contract:{home.settings.name}"):
        loaded = load_contract(path)
        require_own(home, loaded)
        target = signed_path(path)
        _require_newer(home, loaded.contract, target)
        body = loaded.contract.canonical()
        document = SignedDocument(kind="contract", body=body).signed_by(home.key(passphrases))

    def record() -> None:
        home.log.record("schema.accepted", "allow", resource=f"schema:{loaded.schema.digest()}")
        home.log.record(
            "contract.signed",
            "allow",
            resource=f"contract:{loaded.contract.digest()}",
            public={"contract": loaded.contract.digest(), "version": loaded.contract.version},
        )

    write_after(target, document, record)
    return loaded, target


def put_in_force(home: Home, path: Path) -> None:
    """Name a contract in client.toml as the one in force; everything else in the file stays.

    Raises:
        UsageError: RF-U660 the file is written in a way that cannot be changed safely.
    """
    name = os.path.relpath(path.resolve(), home.settings.folder.resolve())
    file = home.settings.file
    content = edited(file, UsageError, lambda text: with_value(text, "contract", name))
    write_atomically(file, content)


def is_in_force(home: Home, path: Path) -> bool:
    """Whether client.toml names this contract."""
    named = home.settings.config.contract
    return named is not None and (home.settings.folder / named).resolve() == path.resolve()


def _require_newer(home: Home, contract: Contract, target: Path) -> None:
    """A contract that differs from the one signed before needs a higher version."""
    if not target.exists():
        return
    before = Contract.from_canonical(read_signed(target).verify("contract", [home.identity]))
    if (
        before.id == contract.id
        and before.digest() != contract.digest()
        and contract.version <= before.version
    ):
        raise ContractError(
            "RF-C205",
            N_(
                "Version {version} of the contract {contract} is signed already with other content; give the "
                "change a higher version."
            ),
            version=before.version,
            contract=contract.id,
        )


def declare(
    home: Home, passphrases: Passphrases, target: Path, federation: FederationSettings | None
) -> Declaration:
    """Write what a coordinator enters into studies about this holder, signed by the holder; it is an event.

    The body holds public facts of the signed contract only.

    Args:
        home: the holder's; the event stands in the house's log, as all of its contract.
        passphrases: of the holder's key.
        target: file to write.
        federation: whose coordinator it is for, and whose log it names; None where the home belongs to none.

    Raises:
        WaistError: RF-W400 or RF-W401 the federation has no log here.
        ContractError: the contract is not signed in this form.
    """
    with home.refusals("contract.declared", f"contract:{home.settings.name}"):
        loaded = home.contract()
        contract = loaded.contract
        made = Declaration(
            name=home.settings.name,
            key=home.identity.hex,
            log_key=None if federation is None else home.of(federation).log.verifier.raw.hex(),
            max_customers=contract.max_customers,
            overlap=contract.overlap,
            jurisdiction=contract.jurisdiction,
            contract=contract.digest(),
            schema_ref=contract.schema_ref,
            allows=features_by_purpose(contract, loaded.schema),
        )
        document = SignedDocument(kind=DECLARATION, body=made.canonical()).signed_by(home.key(passphrases))

    def record() -> None:
        home.log.record(
            "contract.declared",
            "allow",
            resource=f"contract:{made.contract}",
            public={"contract": made.contract, "declaration": made.digest()},
        )

    write_after(target, document, record)
    return made
