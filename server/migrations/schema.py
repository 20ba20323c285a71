"""The form of a coordinator's store: its tables as the code uses them, and its versions."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import MetaData

from ringfence.privacy.stores.schema import StoreSchema, gathered


def _tables() -> MetaData:
    from ringfence.audit import store
    from ringfence.privacy.release import register
    from ringfence.privacy.succession import book
    from ringfence.server import registry
    from ringfence.server.connections import admissions
    from ringfence.server.records import farewells, intents, runs, series, submissions

    return gathered(
        (
            store.metadata,
            registry.METADATA,
            admissions.METADATA,
            runs.METADATA,
            series.METADATA,
            intents.METADATA,
            farewells.METADATA,
            submissions.METADATA,
            register.METADATA,
            book.METADATA,
        )
    )


COORDINATOR_STORE = StoreSchema(
    kind="coordinator",
    program="ringfence-server",
    revisions=("coordinator_0001",),
    folder=Path(__file__).with_name("versions"),
    tables=_tables,
    kept=(
        "audit_event",
        "audit_private",
        "audit_handover",
        "key_successions",
        "key_conflicts",
        "registry_holders",
    ),
)
