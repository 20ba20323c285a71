"""A log that is restored from a backup behind what others saw of it, and goes on by two people a side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import Town, client, read, refused, server
from kits.postgres_kit import postgresql_database
from kits.recovery_kit import (
    OTHER,
    RUNS,
    WHY,
    Fresh,
    acceptance,
    asked,
    backed_up,
    exported,
    grown,
    home_of,
    keys,
    lost_coordinator,
    office_of,
    recovery,
    restored,
    seen_by_holder,
    verified,
    witnessed,
    witnessed_town,
)

from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.cli import main as audit_main
from ringfence.audit.errors import AuditError
from ringfence.clients.desk.assembling import load_holder
from ringfence.clients.standing import ledger_head, log_checkpoint, log_proof
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.releases import proof_of
from ringfence.server.desk.conducting import coordinator_of
from ringfence.server.membership import anchor_holder


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest) -> Iterator[Fresh]:
    """Makes the words of a command for an empty store of the coordinator, in each database."""
    with ExitStack() as databases:

        def words() -> tuple[str, ...]:
            if request.param == "sqlite":
                return ()
            socket = request.getfixturevalue("postgresql")
            return ("--store", databases.enter_context(postgresql_database(socket)))

        yield words


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return witnessed_town(tmp_path)


def test_a_coordinator_s_log_goes_on_by_two_people_on_each_side(
    here: Town, fresh: Fresh, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = lost_coordinator(here, fresh)
    # The restored log is behind, and once it has grown it is another history: refused either way.
    behind = witnessed(here, RUNS[2])
    assert behind.cosignature is None
    grown(here, 9)
    with office_of(here) as office:
        event = next(office.log.events(action="release.intended", stop=None)).seq
    with pytest.raises(WaistError, match="RF-W230"):
        asked(here, RUNS[0], event)
    status, report = verified(here, exported(here, "before"))
    assert (status, "RF-A095" in report) == (1, True)

    capsys.readouterr()
    out, told = here.root / "recovery.json", here.root / "told.json"
    refused(capsys, server(*recovery(here, seen, "cem")), "RF-U793")
    refused(capsys, server(*recovery(here, seen, "cem", "cem")), "RF-U794")
    refused(capsys, server(*recovery(here, seen, "cem", "eve")), "RF-U795")
    refused(capsys, server(*recovery(here, here.desk / "server.toml", "cem", "dee")), "RF-U797")
    assert not out.exists()
    assert server(*recovery(here, seen, "cem", "dee"), "--json", told) == 0
    said = capsys.readouterr().out
    assert WHY in said
    assert "ringfence-client coordinator accept-recovery" in said
    kept = read(told)["kept"]
    assert read(told)["lost"] == [behind.stands]
    assert 0 < kept < behind.stands

    # The coordinator's word alone excuses nothing that a holder anchored and did not give up.
    status, report = verified(here, exported(here, "between"))
    assert (status, "RF-A095" in report, "RF-A267" in report) == (1, True, True)

    capsys.readouterr()
    assert client(*acceptance(here, out)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("RF-U799: ")
    assert f"Lost: up to {behind.stands - kept} events" in captured.out
    refused(capsys, client(*acceptance(here, out, "ana")), "RF-U793")
    refused(capsys, client(*acceptance(here, out, "ana", "eve")), "RF-U795")
    refused(capsys, client(*acceptance(here, seen, "ana", "ben")), "RF-U797")
    assert client(*acceptance(here, out, "ana", "ben")) == 0
    assert RUNS[1] in capsys.readouterr().out
    refused(capsys, client(*acceptance(here, out, "ana", "ben")), "RF-A268")

    _shown_and_kept(here, kept, behind.stands)


def _shown_and_kept(here: Town, kept: int, stands: int) -> None:
    """After a recovery: what auditors find, and what the holder witnesses."""
    place = exported(here, "after")
    status, report = verified(here, place)
    assert (status, json.loads(report)["verdict"]) == (3, "incomplete")
    assert f"it had signed {stands} events, and those from {kept} on" in report
    # Both histories are kept, and both lie in the holder's bundle.
    anchors = place / "north" / "city" / "north" / "anchors"
    notes = [read_unverified(each.read_bytes()) for each in anchors.iterdir()]
    with home_of(here) as home, office_of(here) as office:
        now = home.log.anchored(office.log.origin)
    assert now is not None
    assert {now.size, stands, kept} <= {note.size for note in notes}

    # What was witnessed in the lost part is shown against the new log, and its model stays the only one.
    pairs = here.root / "pairs.json"
    assert audit_main(["reconcile", str(place), "--json", str(pairs)]) == 3
    lost = [each for each in read(pairs)["findings"] if each["lost"]]
    assert {(each["run"], each["what"]) for each in lost} == {(RUNS[1], "witnessed"), (RUNS[1], "intended")}
    assert not any(each["contradiction"] for each in lost)
    with pytest.raises(WaistError, match="RF-W233"):
        witnessed(here, RUNS[1], OTHER)
    assert witnessed(here, RUNS[1]).cosignature
    assert witnessed(here, RUNS[3]).cosignature
    with pytest.raises(WaistError, match="RF-W450"):
        witnessed(here, RUNS[0])


def test_a_recovery_of_another_loss_or_another_log_is_not_taken(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = lost_coordinator(here)
    out = here.root / "recovery.json"
    assert server(*recovery(here, seen, "cem", "dee")) == 0
    whole, people = read(out), ("ana", "ben")
    capsys.readouterr()

    def altered(**changes: Any) -> Path:
        file = here.root / "altered.json"
        text = json.dumps(whole | changes, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        file.write_text(text, encoding="utf-8")
        return file

    with office_of(here) as office:
        (here.root / "own.checkpoint").write_bytes(office.log.checkpoint())
        leaf = next(office.log.events(0, stop=1)).leaf.decode()
        size = read_unverified(whole["checkpoint"].encode()).size
        nodes = list(proof_of(office.log.inclusion(0, size)))
    own = recovery(here, here.root / "own.checkpoint", "cem", "dee", out="other.json")
    refused(capsys, server(*own), "RF-A264")
    statement = json.loads(whole["statement"])
    fewer = json.dumps(statement | {"signatures": statement["signatures"][:2]})
    forged = json.dumps(statement | {"body": statement["body"].replace(WHY, "nothing much")})
    wrong = [{"size": each["size"], "proof": []} for each in whole["proofs"]]
    for changes, code in (
        ({"statement": fewer}, "RF-K015"),
        ({"statement": forged}, "RF-K003"),
        ({"leaf": leaf}, "RF-A023"),
        ({"event": 0, "leaf": leaf, "inclusion": nodes}, "RF-A269"),
        ({"proofs": []}, "RF-A268"),
        ({"proofs": wrong}, "RF-A028"),
    ):
        refused(capsys, client(*acceptance(here, altered(**changes), *people)), code)
    # Another holder has cosigned nothing of this log.
    words = ("coordinator", "accept-recovery", out, *keys(here, *people), "--config", here.root / "south")
    refused(capsys, client(*words), "RF-W458")
    with home_of(here) as home, home.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE witnessed_logs SET origin = 'ringfence/coordinator/other'")
    refused(capsys, client(*acceptance(here, out, *people)), "RF-W459")
    with home_of(here) as home:
        told = [each.event.outcome for each in home.log.events(action="recovery.accepted")]
        assert told == ["deny"] * 7
        assert home.log.anchored("ringfence/coordinator/city") is not None


def test_every_state_that_a_holder_keeps_is_named_or_the_recovery_is_not_for_it(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint between the kept and the last lost state could be of a third history."""
    assert witnessed(here, RUNS[0]).cosignature
    file = backed_up(here, server, here.desk)
    assert witnessed(here, RUNS[1]).cosignature
    assert witnessed(here, RUNS[2]).cosignature
    restored(here, server, file, here.desk)
    seen = seen_by_holder(here)
    notes = read(seen)["checkpoints"]
    assert len(notes) == 3
    some = here.root / "some.json"
    fewer = read(seen) | {"checkpoints": [notes[0], notes[2]]}
    text = json.dumps(fewer, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    some.write_text(text, encoding="utf-8")
    assert server(*recovery(here, some, "cem", "dee")) == 0
    capsys.readouterr()
    refused(capsys, client(*acceptance(here, here.root / "recovery.json", "ana", "ben")), "RF-A268")
    assert server(*recovery(here, seen, "cem", "dee", out="whole.json")) == 0
    assert client(*acceptance(here, here.root / "whole.json", "ana", "ben")) == 0


def test_a_second_loss_is_another_one(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    """The first recovery is of no use for it, and both lost histories stay known."""
    seen = lost_coordinator(here)
    out = here.root / "recovery.json"
    assert server(*recovery(here, seen, "cem", "dee")) == 0
    assert client(*acceptance(here, out, "ana", "ben")) == 0
    file = backed_up(here, server, here.desk, "second.backup")
    grown(here, 12)
    assert witnessed(here, RUNS[3]).cosignature
    restored(here, server, file, here.desk)
    capsys.readouterr()
    refused(capsys, client(*acceptance(here, out, "ana", "ben")), "RF-A268")
    again = seen_by_holder(here, "seen-2.json")
    assert server(*recovery(here, again, "cem", "dee", out="recovery-2.json")) == 0
    assert client(*acceptance(here, here.root / "recovery-2.json", "ana", "ben")) == 0
    assert witnessed(here, RUNS[4]).cosignature
    status, report = verified(here, exported(here, "after"))
    assert (status, json.loads(report)["verdict"]) == (3, "incomplete")
    assert sum("RF-A267" in str(each) for each in json.loads(report)["gaps"]) == 2


def test_a_holder_s_log_goes_on_by_two_people_on_each_side(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    def anchored() -> None:
        """The coordinator anchors the holder's log, as at a join."""
        with office_of(here) as office, home_of(here) as home:
            holder, coordinator = load_holder(home), coordinator_of(office, office.key(Passphrases()))
            known = coordinator.registry.last(home.identity)
            note, _ = log_checkpoint(holder)
            proof = log_proof(holder, known[1].position if known else None)
            anchor_holder(coordinator, home.identity, holder.log_key, note, proof, ledger_head(holder))

    anchored()
    file = backed_up(here, client, here.home)
    for number in range(4):
        with home_of(here) as home:
            home.log.record("key.created", "allow", resource=f"key:{number}")
    anchored()
    restored(here, client, file, here.home)
    with pytest.raises(AuditError):
        anchored()
    seen, out = here.root / "seen.json", here.root / "recovery.json"
    capsys.readouterr()
    words = ("holder", "checkpoints", "nobody", "--out", seen, "--config", here.desk)
    refused(capsys, server(*words), "RF-W460")
    assert server("holder", "checkpoints", "north", "--out", seen, "--config", here.desk) == 0
    making = ("log", "recover", "--lost", seen, "--reason", WHY, "--out", out, "--config", here.home)
    capsys.readouterr()
    refused(capsys, client(*making, *keys(here, "ana", "cem")), "RF-U795")
    assert client(*making, *keys(here, "ana", "ben")) == 0
    taking = ("holder", "accept-recovery", out, "--config", here.desk)
    capsys.readouterr()
    refused(capsys, server(*taking, *keys(here, "cem", "ana")), "RF-U795")
    assert server(*taking, *keys(here, "cem", "dee")) == 0
    capsys.readouterr()
    refused(capsys, server(*taking, *keys(here, "cem", "dee")), "RF-A268")
    anchored()
    status, report = verified(here, exported(here, "after"))
    assert (status, json.loads(report)["verdict"], "RF-A267" in report) == (3, "incomplete", True)
