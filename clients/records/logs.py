"""A holder's logs in its store: the house's own, and one for each federation.

Invariant: a federation's log is that of one coordinator, whichever of its keys is in force.
"""

from __future__ import annotations

from sqlalchemy import Engine

from ringfence.audit.log import AuditLog
from ringfence.audit.note import Signer
from ringfence.audit.store import FIRST
from ringfence.clients.config import log_origin
from ringfence.clients.records.federations import Federations
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.stores.store import reading
from ringfence.privacy.succession.book import key_in_force

ACTOR = "client"


def make_log(engine: Engine, name: str, origin: str, signer: Signer, number: int = FIRST) -> AuditLog:
    """A log of the holder's in a store: the house's own, or under its number a federation's."""
    return AuditLog(
        engine,
        origin=origin,
        signer=signer,
        organisation=name,
        actor=ACTOR,
        profile="durable",
        number=number,
    )


def federation_log(
    engine: Engine, name: str, federation: str, coordinator: PublicIdentity, signer: Signer
) -> AuditLog:
    """A federation's log that was founded before, never a new one.

    Args:
        engine: the store.
        name: the holder's.
        federation: its name at this home.
        coordinator: as client.toml has it.
        signer: the log's key.

    Raises:
        WaistError: RF-W400 the store knows no such federation, or this home left it; RF-W401 it was entered
            with another coordinator's key.
        LogError: the log is not as it was left.
    """
    known = Federations(engine).find(federation)
    if known is None or known.left:
        raise WaistError(
            "RF-W400",
            N_(
                'The store keeps no log for the federation "{name}". Enter it by its coordinator\'s key, not '
                "by hand: ringfence-client federation add"
            ),
            name=federation,
        )
    with reading(engine) as connection:
        entered, named = (
            key_in_force(connection, "coordinator", each)
            for each in (PublicIdentity.from_hex(known.coordinator), coordinator)
        )
    if entered != named:
        raise WaistError(
            "RF-W401",
            N_(
                'client.toml names another coordinator for the federation "{name}" than it was entered with, '
                "and its log is that one's. Undo the change, or enter the other as a federation of its own."
            ),
            name=federation,
        )
    return make_log(engine, name, log_origin(name, known.mark), signer, known.number)
