"""The form of a holder's store: its tables as the code uses them, and its versions."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import MetaData

from ringfence.privacy.stores.schema import StoreSchema, gathered


def _tables() -> MetaData:
    from ringfence.audit import store
    from ringfence.clients.inbox import store as inbox
    from ringfence.clients.records import federations, offers, participations, snapshots, witness_memory
    from ringfence.privacy.consent import tables
    from ringfence.privacy.ledger import chain
    from ringfence.privacy.release import register
    from ringfence.privacy.secagg import attempts
    from ringfence.privacy.succession import book

    return gathered(
        (
            store.metadata,
            tables.metadata,
            chain.METADATA,
            attempts.METADATA,
            federations.METADATA,
            offers.METADATA,
            participations.METADATA,
            inbox.METADATA,
            witness_memory.METADATA,
            snapshots.METADATA,
            register.METADATA,
            book.METADATA,
        )
    )


HOLDER_STORE = StoreSchema(
    kind="holder",
    program="ringfence-client",
    revisions=("holder_0001",),
    folder=Path(__file__).with_name("versions"),
    tables=_tables,
    kept=(
        "audit_event",
        "audit_private",
        "audit_handover",
        "key_successions",
        "key_conflicts",
        "budget_ledger",
        "consent_event",
    ),
)
