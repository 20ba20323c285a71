"""Signs a holder's contract and its declaration; the event is durable before the signed file has its name."""

from __future__ import annotations

from pathlib import Path

from ringfence.clients.home import Home, require_own, signed_path
from ringfence.privacy.contract import Contract, LoadedContract, load_contract
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_after
from ringfence.privacy.declaration import DECLARATION, Declaration
from ringfence.privacy.errors import N_, ContractError


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


def declare(home: Home, passphrases: Passphrases, target: Path) -> Declaration:
    """Write what a coordinator enters into studies about this holder, signed by the holder; it is an event.

    The body holds public facts of the signed contract only.

    Raises:
        ContractError: the contract is not signed in this form.
    """
    with home.refusals("contract.declared", f"contract:{home.settings.name}"):
        contract = home.contract().contract
        made = Declaration(
            name=home.settings.name,
            key=home.identity.hex,
            log_key=home.log.verifier.raw.hex(),
            max_customers=contract.max_customers,
            overlap=contract.overlap,
            contract=contract.digest(),
            schema_ref=contract.schema_ref,
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
