"""Says the end of runs again to holders that were away when it was said.

The farewell is the one of the run: the model and its proof where there is one, and none otherwise. A holder
settles its reservation by it exactly as it would have at the time; one that heard it before answers again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Engine, select

from ringfence.audit.errors import AuditError
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import RingfenceError
from ringfence.privacy.protocol.control import COORDINATOR, seal_message
from ringfence.privacy.stores.store import reading
from ringfence.privacy.wire.fields import utc_now
from ringfence.server.connections.admissions import Admissions
from ringfence.server.connections.pacing import held_for
from ringfence.server.coordinator import Coordinator
from ringfence.server.flower import FlowerTransport
from ringfence.server.letters import Letters
from ringfence.server.membership import Ending, take_end
from ringfence.server.records.farewells import FAREWELLS, farewell_heard
from ringfence.server.records.intents import farewell, read_intent, read_withdrawn
from ringfence.server.records.runs import MEMBERS, RUNS, RunStore
from ringfence.server.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedEnd:
    """A run that is over, and who has not heard it.

    Attributes:
        run: its id.
        study: digest of its study.
        model: digest of what was released, or empty.
        held: seconds that a holder keeps its answer back.
        holders: public key of each, by name.
        joined: all that are known to have joined; of the others it is not known.
    """

    run: str
    study: str
    model: str
    held: int
    holders: Mapping[str, PublicIdentity]
    joined: frozenset[str] = frozenset()


def owed_ends(engine: Engine) -> tuple[OwedEnd, ...]:
    """Ends that somebody has not heard, in the order of the runs."""
    RunStore(engine)
    over = select(FAREWELLS, RUNS.c.model).join(RUNS, RUNS.c.run == FAREWELLS.c.run)
    with reading(engine) as connection:
        rows = connection.execute(
            over.where(RUNS.c.ended != "", FAREWELLS.c.told == "").order_by(RUNS.c.started, RUNS.c.run)
        ).all()
        joined = connection.execute(select(MEMBERS.c.run, MEMBERS.c.holder)).all()
    runs = {row.run: row for row in rows}
    return tuple(
        OwedEnd(
            run=run,
            study=row.study,
            model=row.model,
            held=row.held,
            holders={each.holder: PublicIdentity.from_hex(each.identity) for each in rows if each.run == run},
            joined=frozenset(each.holder for each in joined if each.run == run),
        )
        for run, row in runs.items()
    )


def say_ends(
    coordinator: Coordinator,
    carrier: FlowerTransport,
    nodes: Mapping[str, int],
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Tell everybody who is there and has not heard.

    Args:
        coordinator: who says it.
        carrier: reaches them; its nodes are not looked at.
        nodes: Flower's number of each holder that is let in, by public key, hex.
        report: told, in sentences for the coordinator's people, what is not believed.
    """
    for owed in owed_ends(coordinator.registry.engine):
        let_in = {each.identity for each in Admissions(coordinator.registry.engine).let_in()}
        keys = {name: key.hex for name, key in owed.holders.items() if key.hex in let_in}
        at = {name: nodes[key] for name, key in keys.items() if key in nodes}
        say_end(coordinator, owed, held_for(replace(carrier, nodes=at), owed.held), report)


def say_end(
    coordinator: Coordinator,
    owed: OwedEnd,
    carrier: Transport,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Tell those of one run who are there, and keep who answered.

    An answer that does not count, `Unavailable` among them, is told and changes nothing: that holder is told
    again.
    """
    there = carrier.present(owed.holders)
    if not there:
        return
    with reading(coordinator.registry.engine) as connection:
        intent, withdrawn = read_intent(connection, owed.run), read_withdrawn(connection, owed.run)
    message = farewell(coordinator, intent, owed.model or None, withdrawn)
    letters = Letters(carrier=carrier, identity=coordinator.identity, holders=owed.holders, report=report)
    try:
        replies = letters.exchange(
            {
                name: seal_message(
                    coordinator.identity,
                    message,
                    study=owed.study,
                    run=owed.run,
                    sender=COORDINATOR,
                    recipient=name,
                )
                for name in sorted(there)
            }
        )
    finally:
        letters.close()
    for name, data in replies.items():
        try:
            ending = Ending(study=owed.study, run=owed.run, joined=name in owed.joined)
            take_end(coordinator, ending, name, owed.holders[name], data)
        except (RingfenceError, AuditError) as error:
            report(f"{name}: {error}")
            continue
        at = utc_now().isoformat(timespec="seconds")
        with coordinator.registry.engine.begin() as connection:
            farewell_heard(connection, owed.run, [name], at)
