"""Signs a holder's contract and its declaration; the event is durable before the signed file has its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import rfc8785

from ringfence.clients.home import Home, another_key, require_own, signed_path
from ringfence.clients.secret_files import Passphrases
from ringfence.privacy.contract import Contract, LoadedContract, load_contract
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.errors import N_, ContractError

DECLARATION = "declaration"


def own_key(home: Home, passphrases: Passphrases) -> Identity:
    """The holder's key pair, which must be the one of this home."""
    path = home.settings.path(home.settings.config.keys.holder)
    identity = passphrases.read_key(path, "holder")
    if identity.public != home.identity:
        raise another_key(path)
    return identity


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
        document = SignedDocument(kind="contract", body=body).signed_by(own_key(home, passphrases))

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


def _require_newer(home: Home, contract: Contract, target: Path) -> None:
    """A contract that differs from the one signed before needs a higher version."""
    if not target.exists():
        return
    before = Contract.from_canonical(read_signed(target).verify("contract", [home.identity]))
    if before.id == contract.id and before.digest() != contract.digest() and contract.version <= before.version:
        raise ContractError(
            "RF-C205",
            N_("Version {version} of the contract {contract} is signed already with other content; give the change a "
               "higher version."),
            version=before.version,
            contract=contract.id,
        )  # fmt: skip


def declare(home: Home, passphrases: Passphrases, target: Path) -> dict[str, object]:
    """Write what a coordinator enters into studies about this holder, signed by the holder.

    The body holds public facts of the signed contract only.

    Raises:
        ContractError: the contract is not signed in this form.
    """
    contract = home.contract().contract
    body: dict[str, object] = {
        "name": home.settings.name,
        "key": home.identity.hex,
        "log_key": home.log.verifier.raw.hex(),
        "max_customers": contract.max_customers,
        "contract": contract.digest(),
        "schema": contract.schema_ref,
    }
    if contract.overlap is not None:
        body["overlap"] = contract.overlap
    canonical = rfc8785.dumps(body)  # type: ignore[arg-type]  # texts and integers
    write_signed(target, SignedDocument(kind=DECLARATION, body=canonical).signed_by(own_key(home, passphrases)))
    return body


def write_after(target: Path, document: SignedDocument, record: Callable[[], None]) -> None:
    """Write a document under another name, record the event, then give the document its name.

    A folder that cannot be written is thus found before the event, and a crash leaves an event without its effect,
    never an effect without its event.
    """
    waiting = target.with_name(f".{target.name}.new")
    try:
        write_signed(waiting, document)
        record()
        os.replace(waiting, target)
    except BaseException:
        with suppress(OSError):
            waiting.unlink()
        raise
