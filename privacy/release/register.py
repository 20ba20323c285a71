"""The register of tables of counts that left, in the gate's store, for comparing later ones with.

Invariant: a table is in the register, durably, before its file is written, so that a crash remembers too much
and never too little. What stands in it was released, or was about to be. Nothing is taken out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import BigInteger, Column, Connection, Engine, Integer, MetaData, String, Table, Text, select

from ringfence.privacy.release.differences import CountTable, refuse_small_difference

METADATA = MetaData()
_TABLES = Table(
    "released_tables",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("artefact", String(80), nullable=False),
    Column("content", Text, nullable=False),
)


class TableRegister:
    """Opened by `TableRegister.open` in the store of the holder or coordinator of the gate."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, engine: Engine) -> TableRegister:
        """Open the register in a store, making its table when it is absent."""
        with engine.begin() as connection:
            METADATA.create_all(connection)
        return cls(engine)

    def enter(self, tables: Iterable[tuple[str, CountTable]]) -> None:
        """Compare tables with all that left, and with one another, and remember them; or none of them.

        Args:
            tables: digest of the artefact each is in, and the table.

        Raises:
            ExportError: RF-X100, one of them tells of a few customers together with another.
        """
        with self._engine.begin() as connection:
            known = self._known(connection)
            for artefact, table in tables:
                if table in known:
                    continue
                for earlier in known:
                    refuse_small_difference(earlier, table)
                known.append(table)
                connection.execute(_TABLES.insert().values(artefact=artefact, content=_written(table)))

    @staticmethod
    def _known(connection: Connection) -> list[CountTable]:
        return [_read(text) for text in connection.scalars(select(_TABLES.c.content).order_by(_TABLES.c.id))]


def _written(table: CountTable) -> str:
    return json.dumps(
        {
            "names": table.names,
            "groups": table.groups,
            "counts": table.counts,
            "threshold": table.threshold,
            "whole": table.whole,
            **({"cohort": table.cohort} if table.cohort else {}),
        },
        ensure_ascii=False,
    )


def _read(text: str) -> CountTable:
    content = json.loads(text)
    return CountTable(
        names=tuple(content["names"]),
        groups=tuple(tuple(group) for group in content["groups"]),
        counts=tuple(content["counts"]),
        threshold=content["threshold"],
        whole=content["whole"],
        cohort=content.get("cohort", ""),
    )
