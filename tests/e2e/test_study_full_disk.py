"""A disk that is full, at a holder or at the coordinator: one sentence on that side, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from kits.parties import Parties, federation_of
from sqlalchemy import Engine, text

from ringfence.privacy.errors import StoreError
from ringfence.privacy.protocol.control import COORDINATOR, Unavailable, open_message
from ringfence.privacy.wire.envelope import read_header
from ringfence.server.records.runs import RunStore
from ringfence.server.rounds import Release, run_study


def fill(engine: Engine) -> None:
    """Let the log's next event find no room; SQLite answers a limit of its pages as it does a full disk."""
    with engine.begin() as connection:
        connection.execute(text("create table filling (x blob)"))
        connection.execute(
            text(
                "create trigger filled before insert on audit_event "
                "begin insert into filling values (zeroblob(1000000)); end"
            )
        )
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def free(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        connection.execute(text("drop trigger filled"))
        connection.execute(text("drop table filling"))


def go(parties: Parties) -> Release:
    coordinator = parties.federation.coordinator
    return run_study(
        coordinator, parties.federation.opened, parties.wire, runs=RunStore(coordinator.registry.engine)
    )


def charges(parties: Parties, name: str) -> list[tuple[object, object]]:
    entries = [entry.fields for entry in parties.holders[name].ledger.entries() if entry.kind == "charged"]
    return [(each["round"], each["attempt"]) for each in entries]


def test_a_holder_whose_disk_is_full_is_unavailable_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150))
    bank, replies = parties.holders["bank"], list[bytes]()

    def is_it(name: str, message: bytes) -> bool:
        header = read_header(message)
        return (name, header.kind, header.round, header.attempt) == ("bank", "round-call", 1, 0)

    def before(name: str, message: bytes, _reply: bytes) -> bytes:
        if is_it(name, message):
            fill(bank.engine)
        return message

    def after(name: str, message: bytes, reply: bytes) -> bytes:
        if is_it(name, message):
            free(bank.engine)
            replies.append(reply)
        return reply

    parties.wire.on_message, parties.wire.on_reply = before, after
    release = go(parties)
    assert release.attempts[1] == 2
    assert "bank" in release.holders
    opened = parties.federation.opened
    open_message(
        Unavailable,
        replies[0],
        senders={"bank": opened.participants["bank"]},
        study=opened.digest,
        run=opened.run,
        recipient=COORDINATOR,
        round=1,
        attempt=0,
    )
    assert parties.said["bank"][0].startswith("RF-B111")
    assert ("1", "0") not in [(str(r), str(a)) for r, a in charges(parties, "bank")], "nothing left it"
    assert ("1", "1") in [(str(r), str(a)) for r, a in charges(parties, "bank")]
    sends = [each.event.public for each in bank.log.events(action="waist.send")]
    assert len(sends) + 1 == len(charges(parties, "bank")), "each has its event, the cohort's count besides"


@pytest.mark.parametrize("kind", ["study-offer", "roster-call", "round-call", "witness-call", "finish"])
def test_a_coordinator_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(
    tmp_path: Path, kind: str
) -> None:
    parties = Parties.of(federation_of(tmp_path, customers=150, model={"iterations": 1}))
    engine, filled = parties.federation.coordinator.registry.engine, list[str]()

    def before(_name: str, message: bytes, _reply: bytes) -> bytes:
        if read_header(message).kind == kind and not filled:
            filled.append(kind)
            fill(engine)
        return message

    parties.wire.on_message = before
    with pytest.raises(StoreError, match="RF-B111"):
        go(parties)
    assert filled
    free(engine)
    release = go(parties)
    assert release.holders == ("bank", "partner", "retailer")
    assert all(holder.ledger.reservations() == () for holder in parties.holders.values())
    actions = [each.event.action for each in parties.federation.coordinator.log.events()]
    assert (actions.count("model.released"), actions.count("study.finished")) == (1, 1)
