"""A log that changes its key: a chain leads from each key to the one in force, and every break is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from kits.audit_kit import COORDINATOR, HOLDER, check_log, faults, fill, lines, refit, resigned
from sqlalchemy import Engine

from ringfence.audit import merkle
from ringfence.audit.canonical import Json
from ringfence.audit.checkpoint import Checkpoint, read_unverified, verify_checkpoint
from ringfence.audit.errors import AuditError, LogError
from ringfence.audit.handing import KeyChange
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner, Verifier
from ringfence.audit.verification.report import Report
from ringfence.audit.verification.trust import TrustedKey, fingerprint
from ringfence.audit.verification.verify import examine_bundle

DOCUMENT = "sha256:" + 64 * "a"
Reopen = Callable[[MemorySigner], AuditLog]


@pytest.fixture
def engine(make_engine: Callable[[str], Engine]) -> Engine:
    return make_engine("keys")


@pytest.fixture
def reopen(engine: Engine) -> Reopen:
    def make(signer: MemorySigner) -> AuditLog:
        return AuditLog(
            engine, origin=HOLDER, signer=signer, organisation="bank-a", actor="client", profile="durable"
        )

    return make


def change(former: MemorySigner | None, successor: MemorySigner, reason: str = "routine") -> KeyChange:
    return KeyChange(former=former, successor=successor, reason=reason, document=DOCUMENT)


def replace(log: AuditLog, engine: Engine, made: KeyChange) -> bytes:
    with engine.begin() as connection:
        return log.hand_over(made, connection)


def grown(reopen: Reopen, engine: Engine, signers: Sequence[MemorySigner]) -> AuditLog:
    """A log of three events under each key."""
    log = reopen(signers[0])
    fill(log, 3)
    log.checkpoint()
    for former, successor in pairwise(signers):
        replace(log, engine, change(former, successor))
        log = reopen(successor)
        fill(log, 3)
        check_log(log)
    return log


def key_of(signer: MemorySigner, name: str = HOLDER) -> Verifier:
    return Verifier(name=name, raw=signer.public.raw)


def codes(report: Report) -> list[str]:
    return [fault.error.code for fault in report.all_faults()]


def test_every_key_of_a_chain_of_three_verifies_all_of_the_log(
    reopen: Reopen, engine: Engine, tmp_path: Path
) -> None:
    signers = [MemorySigner() for _ in range(3)]
    early = reopen(signers[0])
    fill(early, 2)
    old = early.checkpoint()
    log = grown(reopen, engine, signers)
    log.export_bundle(tmp_path / "log")
    assert len(list((tmp_path / "log" / "keys").iterdir())) == 2
    for signer in signers:
        for trusted in (key_of(signer), TrustedKey(text="", fingerprint=fingerprint(signer.public.raw))):
            report = examine_bundle(tmp_path / "log", trusted=[trusted], checkpoints={"old": old})
            assert (codes(report), report.verdict) == ([], "intact")
            assert report.logs[0].key == str(key_of(signers[2]))
            assert report.logs[0].fresh_to == 2
    assert examine_bundle(tmp_path / "log").verdict == "intact"
    assert faults(tmp_path / "log", trusted=[key_of(MemorySigner())])[0][0] == "RF-A090"


def test_the_log_says_it_under_both_keys(reopen: Reopen, engine: Engine) -> None:
    old, new = MemorySigner(), MemorySigner()
    log = reopen(old)
    fill(log, 3)
    note = replace(log, engine, change(old, new))
    assert verify_checkpoint(note, [key_of(old)]) == verify_checkpoint(note, [key_of(new)])
    assert read_unverified(note).size == 4
    (event,) = reopen(new).events(action="log.key_replaced")
    assert event.event.public == {
        "former": str(key_of(old)),
        "successor": str(key_of(new)),
        "number": 1,
        "reason": "routine",
        "document": DOCUMENT,
    }


def test_a_retired_key_signs_nothing_more(reopen: Reopen, engine: Engine, tmp_path: Path) -> None:
    old, new = MemorySigner(), MemorySigner()
    before = reopen(old)
    log = grown(reopen, engine, [old, new])
    with pytest.raises(LogError, match="RF-A257"):
        before.checkpoint()
    with pytest.raises(LogError, match="RF-A257"):
        reopen(old)
    # Whoever stole it signs the log as it is, beyond its end.
    log.export_bundle(tmp_path / "log")
    made = verify_checkpoint(log.checkpoint(), [log.verifier])
    stolen = Checkpoint(origin=HOLDER, size=made.size, root=made.root).sign(old)
    found = examine_bundle(tmp_path / "log", trusted=[key_of(old)], checkpoints={"stolen": stolen})
    assert codes(found) == ["RF-A254"]
    assert found.all_faults()[0].error.values["last"] == 4
    # The same beside another log that believed it, and as the checkpoint of the log itself.
    (tmp_path / "log" / "checkpoint").write_bytes(stolen)
    (tmp_path / "log" / "key.pub").write_text(f"{key_of(old)}\n")
    refit(tmp_path / "log")
    assert "RF-A254" in codes(examine_bundle(tmp_path / "log", trusted=[key_of(old)]))


def test_a_key_is_not_in_force_before_its_handover(reopen: Reopen, engine: Engine, tmp_path: Path) -> None:
    old, new = MemorySigner(), MemorySigner()
    log = grown(reopen, engine, [old, new])
    log.export_bundle(tmp_path / "log")
    hashes = [merkle.leaf_hash(line) for line in lines(tmp_path / "log")[:2]]
    early = Checkpoint(origin=HOLDER, size=2, root=merkle.root(2, merkle.list_node(hashes))).sign(new)
    assert codes(examine_bundle(tmp_path / "log", checkpoints={"early": early})) == ["RF-A254"]


def test_a_handover_that_is_missing_or_signed_by_one_key_is_not_believed(
    reopen: Reopen, engine: Engine, tmp_path: Path
) -> None:
    old, new = MemorySigner(), MemorySigner()
    grown(reopen, engine, [old, new]).export_bundle(tmp_path / "log")
    (file,) = (tmp_path / "log" / "keys").iterdir()
    note = file.read_bytes()
    text, _gap, signatures = note.rpartition(b"\n\n")
    own = [line for line in signatures.splitlines() if line]
    for kept in own:
        file.write_bytes(text + b"\n\n" + kept + b"\n")
        refit(tmp_path / "log")
        assert "RF-A253" in codes(examine_bundle(tmp_path / "log", trusted=[key_of(old)]))
    file.write_bytes(note)
    refit(tmp_path / "log")
    assert codes(examine_bundle(tmp_path / "log", trusted=[key_of(old)])) == []
    file.unlink()
    assert "RF-A253" in codes(examine_bundle(tmp_path / "log", trusted=[key_of(old)]))


def test_a_thief_without_the_old_key_invents_no_successor(
    reopen: Reopen, engine: Engine, tmp_path: Path
) -> None:
    old, thief = MemorySigner(), MemorySigner()
    log = reopen(old)
    fill(log, 3)
    log.export_bundle(tmp_path / "log")
    own = lines(tmp_path / "log")
    public: dict[str, Json] = {
        "former": str(key_of(old)),
        "successor": str(key_of(thief)),
        "number": 1,
        "reason": "routine",
        "document": DOCUMENT,
    }
    log.record("log.key_replaced", "allow", resource=f"log:{HOLDER}", public=public)
    events = [*own, next(iter(log.events(action="log.key_replaced"))).leaf]
    resigned(tmp_path / "log", events, thief, HOLDER)
    found = codes(examine_bundle(tmp_path / "log", trusted=[key_of(old)]))
    assert "RF-A253" in found
    assert examine_bundle(tmp_path / "log", trusted=[key_of(old)]).verdict == "refused"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"number": 0}, "RF-A250"),
        ({"former": "key"}, "RF-A250"),
        ({"successor": None}, "RF-A250"),
        ({"number": 3}, "RF-A252"),
        ({"former": "stranger", "number": 2}, "RF-A252"),
        ({"former": "second", "successor": "first", "number": 2}, "RF-A252"),
        ({"former": "first", "successor": "stranger", "number": 2}, "RF-A251"),
    ],
    ids=["number", "no key", "no successor", "gap", "other key", "circle", "fork"],
)
def test_a_chain_that_does_not_hold_is_named(
    reopen: Reopen, engine: Engine, tmp_path: Path, fields: dict[str, Json], code: str
) -> None:
    first, second = MemorySigner(), MemorySigner()
    log = grown(reopen, engine, [first, second])
    named = {"first": first, "second": second, "stranger": MemorySigner()}
    public: dict[str, Json] = {
        "former": str(key_of(second)),
        "successor": str(key_of(MemorySigner())),
        "number": 2,
        "reason": "routine",
        "document": DOCUMENT,
    }
    for member, value in fields.items():
        if value is None:
            del public[member]
        else:
            public[member] = str(key_of(named[str(value)])) if value in named else value
    number = log.record("log.key_replaced", "allow", resource=f"log:{HOLDER}", public=public)
    log.export_bundle(tmp_path / "log")
    assert faults(tmp_path / "log")[0] == (code, number)


def test_a_lost_key_vouches_for_nobody(reopen: Reopen, engine: Engine, tmp_path: Path) -> None:
    lost, new, newer = (MemorySigner() for _ in range(3))
    log = reopen(lost)
    fill(log, 3)
    old = log.checkpoint()
    replace(log, engine, change(None, new, "lost"))
    log = reopen(new)
    replace(log, engine, change(new, newer))
    reopen(newer).export_bundle(tmp_path / "log")
    found = examine_bundle(tmp_path / "log", trusted=[key_of(lost)])
    assert codes(found)[0] == "RF-A256"
    assert [gap.error.code for gap in found.gaps] == ["RF-A204"]
    for trusted in (new, newer):
        report = examine_bundle(tmp_path / "log", trusted=[key_of(trusted)], checkpoints={"old": old})
        assert report.verdict == "intact"


def test_two_copies_with_two_successors_of_one_key_are_a_fork(
    make_engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    first = MemorySigner()
    for name in ("one", "two"):
        engine, successor = make_engine(name), MemorySigner()

        def reopened(signer: MemorySigner, engine: Engine = engine) -> AuditLog:
            return AuditLog(
                engine, origin=HOLDER, signer=signer, organisation="bank-a", actor="c", profile="durable"
            )

        grown(reopened, engine, [first, successor]).export_bundle(tmp_path / "both" / name)
    assert "RF-A255" in codes(examine_bundle(tmp_path / "both", trusted=[key_of(first)]))


def test_an_old_copy_beside_a_new_one_is_the_same_log(reopen: Reopen, engine: Engine, tmp_path: Path) -> None:
    old, new = MemorySigner(), MemorySigner()
    log = reopen(old)
    fill(log, 2)
    log.export_bundle(tmp_path / "both" / "old")
    grown(reopen, engine, [old, new]).export_bundle(tmp_path / "both" / "new")
    # As of any old copy: it ends before the other one, and is no stranger's.
    assert codes(examine_bundle(tmp_path / "both", trusted=[key_of(old)])) == ["RF-A094"]


def test_what_another_log_anchored_under_the_old_key_still_counts(
    reopen: Reopen, engine: Engine, make_log: Callable[..., AuditLog], tmp_path: Path
) -> None:
    old, new = MemorySigner(), MemorySigner()
    log, coordinator = reopen(old), make_log("coordinator", COORDINATOR)
    fill(log, 2)
    coordinator.anchor(log.checkpoint(), log.verifier)
    log = grown(reopen, engine, [old, new])
    coordinator.anchor(log.checkpoint(), log.verifier, log.consistency(2))
    log.export_bundle(tmp_path / "all" / "holders" / "bank-a")
    coordinator.export_bundle(tmp_path / "all" / "coordinator")
    report = examine_bundle(tmp_path / "all", trusted=[key_of(old), coordinator.verifier])
    assert (codes(report), report.verdict) == ([], "intact")
    assert report.logs[1].anchored_to == {"coordinator": log.size - 1}


def test_a_change_stands_or_falls_with_its_transaction(reopen: Reopen, engine: Engine) -> None:
    old, new = MemorySigner(), MemorySigner()
    log = reopen(old)
    fill(log, 3)
    connection = engine.connect()
    turn = connection.begin()
    log.hand_over(change(old, new), connection)
    turn.rollback()
    connection.close()
    check_log(reopen(old))
    with pytest.raises(AuditError, match="RF-A069"):
        reopen(new)


@pytest.mark.parametrize("which", ["not its own", "the same", "no former", "lost with a former"])
def test_keys_that_do_not_fit_change_nothing(reopen: Reopen, engine: Engine, which: str) -> None:
    old, new = MemorySigner(), MemorySigner()
    log = reopen(old)
    fill(log, 1)
    made = {
        "not its own": change(MemorySigner(), new),
        "the same": change(old, old),
        "no former": change(None, new),
        "lost with a former": change(old, new, "lost"),
    }[which]
    with pytest.raises(LogError, match="RF-A258"):
        replace(log, engine, made)
    assert log.size == 1
