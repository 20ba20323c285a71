"""A bundle at the edge of what its checks compare: sizes off by one, first events, bounds, largest leaves."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from kits.audit_kit import StudyBundle, faults, lines, memory_log, resigned, rewrite, signed_log
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from ringfence.audit import merkle
from ringfence.audit.canonical import dumps
from ringfence.audit.checkpoint import Checkpoint
from ringfence.audit.cli import main
from ringfence.audit.events import MAX_LEAF, parse_event
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner
from ringfence.audit.verification.verify import examine_bundle, verify_bundle

BANK = "ringfence.example/holder/bank"


def spoil(whole: StudyBundle, events: list[bytes]) -> None:
    resigned(whole.folder("bank"), events, whole.signers["bank"], BANK)


def test_a_producer_counts_from_nought(whole: StudyBundle) -> None:
    spoil(whole, lines(whole.folder("bank"))[1:])
    assert ("RF-A057", 0) in faults(whole.folder("bank"), alone=True)


def test_a_missing_log_is_missed_up_to_the_largest_anchor(whole: StudyBundle) -> None:
    shutil.rmtree(whole.folder("bank"))
    (gap,) = [gap for gap in examine_bundle(whole.path).gaps if gap.error.code == "RF-A200"]
    assert gap.error.values["size"] == 4


def test_a_copy_that_is_one_event_behind_is_told(tmp_path: Path) -> None:
    log = memory_log(BANK)
    log.record("waist.send", "allow", resource="study:x")
    log.export_bundle(tmp_path / "old")
    same = log.checkpoint()
    log.record("waist.send", "allow", resource="study:x")
    next_one = log.checkpoint()
    assert faults(tmp_path / "old", checkpoints={"same": same}) == []
    assert faults(tmp_path / "old", checkpoints={"next": next_one}) == [("RF-A094", 2)]


def test_freshness_is_that_of_the_newest_checkpoint_given(tmp_path: Path) -> None:
    log = memory_log(BANK)
    log.record("waist.send", "allow", resource="study:x")
    older = log.checkpoint()
    log.record("waist.send", "allow", resource="study:x")
    newer = log.checkpoint()
    log.export_bundle(tmp_path / "log")
    for given in ({"a": older, "b": newer}, {"a": newer, "b": older}):
        assert verify_bundle(tmp_path / "log", checkpoints=given).logs[0].fresh_to == 2


def test_events_of_a_simulation_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    log = AuditLog(
        engine, origin=BANK, signer=MemorySigner(), organisation="bank", actor="client", profile="simulation"
    )
    log.record("waist.send", "allow", resource="study:x")
    log.export_bundle(tmp_path / "log")
    assert verify_bundle(tmp_path / "log").logs[0].simulation == 2
    assert main(["--lang", "en", "verify", str(tmp_path / "log")]) == 0
    assert "events that come from a simulation: 2" in capsys.readouterr().out


def test_a_checkpoint_over_more_events_than_its_root_holds_is_refused(whole: StudyBundle) -> None:
    folder = whole.folder("bank")
    events = lines(folder)
    tree = merkle.Frontier()
    for line in events:
        tree.append(merkle.leaf_hash(line))
    for size in (tree.size + 1, tree.size - 1):
        note = Checkpoint(origin=BANK, size=size, root=tree.root()).sign(whole.signers["bank"])
        (folder / "checkpoint").write_bytes(note)
        assert any(code in ("RF-A093", "RF-A081", "RF-A082") for code, _ in faults(folder, alone=True))


def test_two_histories_are_bounded_by_the_logs_own_signatures(whole: StudyBundle) -> None:
    for folder in (whole.folder("coordinator") / "anchors", whole.folder("bank") / "history"):
        for note in folder.glob("000000000002-*"):
            if BANK.encode() in note.read_bytes():
                note.unlink()
    forged = Checkpoint(origin=BANK, size=4, root=bytes(32)).sign(whole.signers["bank"])
    (found,) = [
        flaw.error
        for log in examine_bundle(whole.path, checkpoints={"forged": forged}).logs
        for flaw in log.faults
        if flaw.error.code == "RF-A095"
    ]
    # The coordinator's word for the first two events is no signature of the bank's.
    assert found.values["low"] == 0


def test_an_invented_anchor_does_not_move_the_place_of_an_alteration(whole: StudyBundle) -> None:
    folder = whole.folder("coordinator")
    events = [json.loads(line) for line in lines(folder)]
    first = next(e for e in events if e["data"]["public"].get("log") == BANK)
    first["data"]["public"].update(size=3, root="00" * 32)
    resigned(folder, [dumps(e) for e in events], whole.signers["coordinator"], whole.coordinator.origin)
    own = lines(whole.folder("bank"))
    changed = own[3].replace(b'"run"', b'"ran"')
    assert changed != own[3]
    rewrite(whole.folder("bank"), [*own[:3], changed, *own[4:]], hashes=True)
    (found,) = [
        flaw for log in examine_bundle(whole.path).logs for flaw in log.faults if flaw.error.code == "RF-A093"
    ]
    assert (found.error.values["low"], found.error.values["high"]) == (2, 3)


def test_files_behind_a_linked_folder_are_not_the_logs_own(whole: StudyBundle, tmp_path: Path) -> None:
    folder = whole.folder("coordinator")
    shutil.move(folder / "anchors", tmp_path / "anchors")
    (folder / "anchors").symlink_to(tmp_path / "anchors", target_is_directory=True)
    assert {"RF-A227", "RF-A097"} == {code for code, _ in faults(whole.path)}


def test_the_largest_leaf_is_read_whole(whole: StudyBundle, tmp_path: Path) -> None:
    event = parse_event(lines(whole.folder("bank"))[0])
    room = MAX_LEAF - len(replace(event, public={"a": ""}).leaf())
    path = signed_log(tmp_path, [replace(event, public={"a": "x" * room}).leaf()], MemorySigner())
    assert faults(path) == []


def test_a_manifest_names_files_by_their_whole_names(whole: StudyBundle) -> None:
    folder = whole.folder("bank")
    note = next((folder / "history").iterdir())
    longer = note.with_name(note.name + "x")
    shutil.copy(note, longer)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    digest = manifest["files"][f"history/{note.name}"]
    manifest["files"][f"history/{longer.name}"] = digest
    (folder / "manifest.json").write_bytes(dumps(manifest) + b"\n")
    assert faults(whole.path) == [("RF-A097", None)]


def test_two_names_that_look_alike_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    logs = [memory_log(f"ringfence.example/holder/{name}") for name in ("bank-1", "bank-l")]
    for number, log in enumerate(logs):
        log.record("table.read", "allow", resource="table:x")
        log.export_bundle(tmp_path / "two" / str(number))
    keys = [log.verifier for log in logs]
    assert [gap.error.code for gap in examine_bundle(tmp_path / "two").gaps] == ["RF-A209"]
    assert verify_bundle(tmp_path / "two", trusted=keys).verdict == "intact"


def test_a_log_alone_is_still_searched_for_what_was_not_read(whole: StudyBundle, tmp_path: Path) -> None:
    folder = whole.folder("bank")
    assert verify_bundle(folder, alone=True).verdict == "intact"
    (folder / "more").symlink_to(tmp_path, target_is_directory=True)
    report = examine_bundle(folder, alone=True)
    assert [gap.error.code for gap in report.gaps] == ["RF-A206"]


def test_the_history_of_a_bundle_is_older_than_the_bundle(whole: StudyBundle) -> None:
    sizes = [int(note.name[:12]) for note in sorted((whole.folder("bank") / "history").iterdir())]
    assert sizes == [2, 4]
    assert len(lines(whole.folder("bank"))) == 5


def test_a_holder_that_was_only_asked_names_nobody(tmp_path: Path) -> None:
    log = memory_log(BANK)
    log.record("study.offered", "allow", resource="study:x", public={"run": "0f" * 16})
    log.record("study.refused", "deny", resource="study:x", public={"run": "0f" * 16})
    log.export_bundle(tmp_path / "holders" / "bank")
    assert verify_bundle(tmp_path).verdict == "intact"


def test_one_missing_coordinator_is_missed_once_for_all_its_runs(tmp_path: Path) -> None:
    log = memory_log(BANK)
    for run in ("0e" * 16, "0f" * 16):
        log.record("study.joined", "allow", resource="study:x", public={"run": run})
        end = {"run": run, "coordinator_log": "ringfence.example/coordinator"}
        log.record("study.finished", "allow", resource="study:x", public={**end})
    log.export_bundle(tmp_path / "holders" / "bank")
    report = examine_bundle(tmp_path)
    assert [gap.error.code for gap in report.gaps] == ["RF-A202"]
    assert report.gaps[0].missing == "ringfence.example/coordinator"


def test_case_makes_no_other_folder(tmp_path: Path) -> None:
    log = memory_log(BANK)
    log.export_bundle(tmp_path / "holders" / "BANK")
    assert not any("is called" in notice for notice in verify_bundle(tmp_path).logs[0].notices)


def test_the_manifest_speaks_of_the_events_as_well(whole: StudyBundle) -> None:
    path = whole.folder("bank") / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["files"]["log.jsonl"] = "0" * 64
    path.write_bytes(dumps(manifest) + b"\n")
    assert faults(whole.path) == [("RF-A098", None)]


def test_a_table_that_is_longer_than_the_log_is_no_table_of_it(whole: StudyBundle) -> None:
    folder = whole.folder("bank")
    own, table = lines(folder), (folder / "hashes").read_bytes()
    changed = own[3].replace(b'"run"', b'"ran"')
    rewrite(folder, [*own[:3], changed, *own[4:]])
    assert ("RF-A084", 3) in faults(whole.path)
    (folder / "hashes").write_bytes(table + bytes(32))
    assert "RF-A093" in [code for code, _ in faults(whole.path)]


def test_anchors_of_logs_that_a_log_alone_does_not_bring_are_left_out_and_no_gap(whole: StudyBundle) -> None:
    report = examine_bundle(whole.folder("coordinator"), alone=True)
    assert (report.verdict, report.gaps) == ("intact", ())
    assert {gap.error.code for gap in report.left_out} >= {"RF-A200", "RF-A205"}
