"""Who is still to hear how a run ended: kept until the holder has answered, however long it is away.

A holder that joined keeps its reservation until it hears the end. Any other that was offered the run may have
reserved as well, so all are kept before the first offer, and each is told until it answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, and_, insert, select, update

METADATA = MetaData()
FAREWELLS = Table(
    "study_farewells",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("holder", String(64), primary_key=True),
    Column("study", String(71), nullable=False),
    Column("identity", String(64), nullable=False),
    Column("held", Integer, nullable=False),
    Column("told", String(40), nullable=False),
)


def owe_farewell(connection: Connection, run: str, study: str, held: int, holders: Mapping[str, str]) -> None:
    """Keep that these holders are to be told the end, those that are known already apart.

    Args:
        connection: of the transaction.
        run: its id.
        study: digest of its study.
        held: seconds that a holder keeps its answer back.
        holders: public key of each, hex, by name.
    """
    known = connection.scalars(select(FAREWELLS.c.holder).where(FAREWELLS.c.run == run)).all()
    rows = [
        {"run": run, "holder": name, "study": study, "identity": holders[name], "held": held, "told": ""}
        for name in sorted(holders.keys() - set(known))
    ]
    if rows:
        connection.execute(insert(FAREWELLS), rows)


def farewell_heard(connection: Connection, run: str, names: Collection[str], at: str) -> None:
    """Keep that these have heard the end."""
    which = and_(FAREWELLS.c.run == run, FAREWELLS.c.holder.in_(names))
    connection.execute(update(FAREWELLS).where(which).values(told=at))


def follow_farewells(connection: Connection, old: str, new: str) -> None:
    """Owe the successor of a holder's key, both hex, the ends that the holder has not heard."""
    which = and_(FAREWELLS.c.identity == old, FAREWELLS.c.told == "")
    connection.execute(update(FAREWELLS).where(which).values(identity=new))


def still_owed(connection: Connection, run: str) -> frozenset[str]:
    """Those who have not heard the end of a run."""
    which = and_(FAREWELLS.c.run == run, FAREWELLS.c.told == "")
    return frozenset(connection.scalars(select(FAREWELLS.c.holder).where(which)))
