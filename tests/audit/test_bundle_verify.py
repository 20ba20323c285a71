"""Offline verification: every alteration of a bundle is found, and the first bad event is named."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from kits.audit_kit import (
    COORDINATOR,
    HOLDER,
    Evidence,
    edited,
    faults,
    fill,
    lines,
    refit,
    rewrite,
    signed_log,
)

from ringfence.audit import merkle
from ringfence.audit.bundle import LogFiles, write_log
from ringfence.audit.canonical import dumps
from ringfence.audit.checkpoint import Checkpoint, verify_checkpoint
from ringfence.audit.errors import BundleError
from ringfence.audit.events import parse_event
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner, Verifier
from ringfence.audit.verification.report import BundleIncomplete, BundleRefused, LogReport, Report
from ringfence.audit.verification.verify import examine_bundle, verify_bundle

MakeLog = Callable[..., AuditLog]


def report_of(report: Report, name: str) -> LogReport:
    (found,) = [log for log in report.logs if log.name == name]
    return found


def test_whole_bundle_verifies(evidence: Evidence) -> None:
    report = verify_bundle(evidence.path)
    assert [log.name for log in report.logs] == ["coordinator", "holders/bank-a"]
    holder = report_of(report, "holders/bank-a")
    assert (holder.origin, holder.size, holder.fresh_to) == (HOLDER, 10, None)
    assert holder.anchored_to["coordinator"] == 9
    assert (
        holder.root == verify_checkpoint(evidence.holder.checkpoint(), [evidence.holder.verifier]).root.hex()
    )
    assert not holder.trusted
    assert json.loads(json.dumps(report.to_json()))["intact"] is True


def test_freshness_and_trust_are_shown_by_what_the_caller_brings(evidence: Evidence) -> None:
    trusted = [evidence.holder.verifier, evidence.coordinator.verifier]
    report = verify_bundle(evidence.path, checkpoints={"old": evidence.earlier}, trusted=trusted)
    holder = report_of(report, "holders/bank-a")
    assert holder.fresh_to == 5
    assert holder.trusted
    assert holder.notices == []
    assert report_of(report, "coordinator").fresh_to is None
    assert report.to_json()["intact"] is True


def test_one_log_alone_is_a_bundle(evidence: Evidence) -> None:
    report = verify_bundle(evidence.holder_path)
    assert [log.name for log in report.logs] == ["."]
    with pytest.raises(BundleIncomplete) as caught:
        verify_bundle(evidence.path / "coordinator")
    assert [gap.error.code for gap in caught.value.report.gaps] == ["RF-A200", "RF-A205"]
    assert caught.value.report.to_json()["missing"] == [HOLDER]


Alteration = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("alter", "code", "event"),
    [
        (lambda e: [*e[:3], edited(e[3]), *e[4:]], "RF-A084", 3),
        (lambda e: [edited(line) for line in e], "RF-A084", 0),
        (lambda e: [*e[:3], *e[4:]], "RF-A080", 3),
        (lambda e: [*e[:3], *e[6:]], "RF-A080", 3),
        (lambda e: e[1:], "RF-A080", 0),
        (lambda e: e[:-1], "RF-A081", 9),
        (lambda e: e[:4], "RF-A081", 4),
        (lambda e: [], "RF-A081", 0),
        (lambda e: [*e[:3], edited(e[7]), *e[3:]], "RF-A082", 3),
        (lambda e: [*e, edited(e[7])], "RF-A082", 10),
        (lambda e: [*e[:4], e[3], *e[4:]], "RF-A082", 4),
        (lambda e: [*e[:3], e[4], e[3], *e[5:]], "RF-A083", 3),
        (lambda e: e[::-1], "RF-A083", 0),
        (lambda e: [*e[:2], b"", *e[2:]], "RF-A082", 2),
        (lambda e: [*e[:2], b"{}", *e[3:]], "RF-A084", 2),
    ],
)
def test_altered_events_are_named(evidence: Evidence, alter: Alteration, code: str, event: int) -> None:
    rewrite(evidence.holder_path, alter(lines(evidence.holder_path)))
    with pytest.raises(BundleRefused) as caught:
        verify_bundle(evidence.path)
    first = report_of(caught.value.report, "holders/bank-a").faults[0]
    assert (first.error.code, first.event) == (code, event)
    assert str(event) in first.error.sentence()
    assert caught.value.code == caught.value.report.all_faults()[0].error.code


def test_missing_last_newline_and_over_long_lines_are_named(evidence: Evidence) -> None:
    path = evidence.holder_path / "log.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert ("RF-A084", 9) in faults(evidence.path)
    path.write_bytes(b"x" * 200_000 + whole)
    assert ("RF-A084", 0) in faults(evidence.path)


@pytest.mark.parametrize("alter", [lambda e: [*e[:6], edited(e[6]), *e[7:]], lambda e: [*e[:6], *e[7:]]])
def test_with_the_table_altered_too_earlier_checkpoints_bound_the_place(
    evidence: Evidence, alter: Alteration
) -> None:
    rewrite(evidence.holder_path, alter(lines(evidence.holder_path)), hashes=True)
    first = report_of(examine_bundle(evidence.path), "holders/bank-a").faults[0]
    assert first.error.code == "RF-A093"
    assert first.error.values["low"] == 5
    assert first.error.values["high"] == 8
    assert first.event is not None
    assert 5 <= first.event <= 6


def test_with_the_table_altered_elsewhere_a_sequence_gap_tells_more(evidence: Evidence) -> None:
    events = lines(evidence.holder_path)
    rewrite(evidence.holder_path, [*events[:3], *events[4:]])
    table = bytearray((evidence.holder_path / "hashes").read_bytes())
    table[0] ^= 1
    (evidence.holder_path / "hashes").write_bytes(table)
    assert ("RF-A093", 3) in faults(evidence.path)


def test_altered_table_over_whole_events_is_told_apart(evidence: Evidence) -> None:
    path = evidence.holder_path / "hashes"
    table = path.read_bytes()
    path.write_bytes(table[:64] + bytes(32) + table[96:])
    refit(evidence.holder_path)
    assert faults(evidence.path) == [("RF-A092", 2)]
    path.write_bytes(table[:-5])
    refit(evidence.holder_path)
    assert faults(evidence.path) == [("RF-A092", 9)]
    path.unlink()
    assert [code for code, _ in faults(evidence.path)] == ["RF-A072", "RF-A097"]


def test_truncation_and_replay_show_only_against_a_checkpoint(make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log()
    fill(log, 3)
    log.export_bundle(tmp_path / "old")
    fill(log, 3)
    newer = log.checkpoint()
    verify_bundle(tmp_path / "old")
    assert faults(tmp_path / "old", checkpoints={"new": newer}) == [("RF-A094", 4)]


def test_anchor_in_another_log_shows_an_old_copy(evidence: Evidence, make_log: MakeLog) -> None:
    log = evidence.holder
    shutil.rmtree(evidence.holder_path)
    events = [logged.leaf for logged in log.events(stop=5)]
    files = LogFiles(checkpoint=evidence.earlier, verifier=log.verifier)
    write_log(evidence.holder_path, files, ((leaf, merkle.leaf_hash(leaf)) for leaf in events))
    assert set(faults(evidence.path)) == {("RF-A094", 5)}


def forge(evidence: Evidence, events: list[bytes], name: str) -> bytes:
    """A second history with a good signature by the log's own key."""
    tree = merkle.Frontier()
    for line in events:
        tree.append(merkle.leaf_hash(line))
    log = evidence.holder
    note = Checkpoint(origin=HOLDER, size=tree.size, root=tree.root()).sign(log._signer)
    folder = evidence.path.parent / name
    write_log(
        folder, LogFiles(checkpoint=note, verifier=log.verifier), ((e, merkle.leaf_hash(e)) for e in events)
    )
    return note


def test_split_view_is_proved_by_two_checkpoints(evidence: Evidence) -> None:
    events = lines(evidence.holder_path)
    note = forge(evidence, [*events[:2], edited(events[2]), *events[3:]], "forged")
    verify_bundle(evidence.path.parent / "forged")
    assert faults(evidence.path.parent / "forged", checkpoints={"old": evidence.earlier}) == [
        ("RF-A095", None)
    ]
    assert ("RF-A095", None) in faults(evidence.path, checkpoints={"other": note})


def test_second_history_is_found_by_anchors_and_by_a_copy(evidence: Evidence) -> None:
    events = lines(evidence.holder_path)
    forge(evidence, [*events[:7], edited(events[7]), *events[8:]], "evidence/other")
    found = examine_bundle(evidence.path)
    assert {fault.error.code for fault in report_of(found, "other").faults} == {"RF-A095"}
    assert {fault.error.values["low"] for fault in report_of(found, "other").faults} == {5}
    assert [fault.error.code for fault in report_of(found, "holders/bank-a").faults] == ["RF-A095"]


def test_gap_in_a_sequence_is_found_though_everything_is_signed(evidence: Evidence, tmp_path: Path) -> None:
    events = lines(evidence.holder_path)
    path = signed_log(tmp_path, [*events[:4], *events[5:]], MemorySigner())
    assert faults(path) == [("RF-A057", 4)]


def test_malformed_events_are_found_though_everything_is_signed(evidence: Evidence, tmp_path: Path) -> None:
    events = lines(evidence.holder_path)
    anchor = lines(evidence.path / "coordinator")[0].replace(b'"size":5', b'"size":"5"')
    unknown = events[1].replace(b"ringfence.waist.send", b"ringfence.later.thing")
    path = signed_log(tmp_path, [events[0], b"[]", unknown, anchor], MemorySigner())
    assert faults(path) == [("RF-A053", 1), ("RF-A056", 3)]
    assert any("does not know" in notice for notice in examine_bundle(path).logs[0].notices)


def test_two_anchors_that_exclude_each_other_are_found(evidence: Evidence, tmp_path: Path) -> None:
    anchor = parse_event(lines(evidence.path / "coordinator")[0])
    other = anchor.__class__(
        **{name: getattr(anchor, name) for name in anchor.__slots__}
        | {"sequence": 1, "public": {**anchor.public, "root": "0" * 64}}
    )
    path = signed_log(tmp_path, [anchor.leaf(), other.leaf()], MemorySigner())
    assert ("RF-A101", 1) in faults(path)


def test_wrong_keys_are_refused(evidence: Evidence) -> None:
    stranger = Verifier(name=HOLDER, raw=MemorySigner().public.raw)
    codes = {code for code, _ in faults(evidence.holder_path, trusted=[stranger])}
    assert {"RF-A090", "RF-A043"} <= codes
    (evidence.holder_path / "key.pub").write_text(f"{stranger}\n")
    refit(evidence.holder_path)
    assert {"RF-A043"} == {code for code, _ in faults(evidence.holder_path)}


def test_given_checkpoints_must_belong_and_verify(evidence: Evidence) -> None:
    stranger = Checkpoint(origin="ringfence.example/else", size=1, root=bytes(32)).sign(MemorySigner())
    forged = Checkpoint(origin=HOLDER, size=1, root=bytes(32)).sign(MemorySigner())
    assert faults(evidence.path, checkpoints={"a": stranger}) == [("RF-A100", None)]
    assert faults(evidence.path, checkpoints={"a": forged}) == [("RF-A043", None)]
    assert faults(evidence.path, checkpoints={"a": b"no note"}) == [("RF-A041", None)]


def test_removed_log_shows_when_its_checkpoint_is_brought(evidence: Evidence) -> None:
    shutil.rmtree(evidence.holder_path)
    assert faults(evidence.path) == []
    assert faults(evidence.path, checkpoints={"a": evidence.earlier}) == [("RF-A100", None)]


def test_unsigned_log_is_held_against_its_table(evidence: Evidence) -> None:
    note = (evidence.holder_path / "checkpoint").read_bytes()
    signature = base64.b64encode(evidence.holder.verifier.key_id + bytes(64))
    (evidence.holder_path / "checkpoint").write_bytes(note[: note.rindex(b" ")] + b" " + signature + b"\n")
    events = lines(evidence.holder_path)
    rewrite(evidence.holder_path, [*events[:6], edited(events[6]), *events[7:]])
    codes = faults(evidence.holder_path)
    assert ("RF-A036", None) in codes
    assert ("RF-A084", 6) in codes
    (evidence.holder_path / "hashes").write_bytes(b"short")
    assert ("RF-A092", 0) in faults(evidence.holder_path)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("log.jsonl", "RF-A077"),
        ("hashes", "RF-A072"),
        ("checkpoint", "RF-A072"),
        ("key.pub", "RF-A072"),
        ("manifest.json", "RF-A072"),
    ],
)
def test_missing_files_are_found(evidence: Evidence, name: str, code: str) -> None:
    (evidence.holder_path / name).unlink()
    assert code in [found for found, _ in faults(evidence.path)]


def test_links_and_huge_files_are_not_read(evidence: Evidence, tmp_path: Path) -> None:
    for name in ("log.jsonl", "checkpoint"):
        (tmp_path / name).write_bytes((evidence.holder_path / name).read_bytes())
        (evidence.holder_path / name).unlink()
        (evidence.holder_path / name).symlink_to(tmp_path / name)
    assert {"RF-A072", "RF-A077"} <= {code for code, _ in faults(evidence.path)}
    (evidence.path / "coordinator" / "checkpoint").write_bytes(b"x" * 1_000_001)
    assert "RF-A074" in [code for code, _ in faults(evidence.path)]


def test_manifest_is_compared(evidence: Evidence) -> None:
    path = evidence.holder_path / "manifest.json"
    whole = json.loads(path.read_bytes())
    for change, code in (
        ({"size": 9}, "RF-A096"),
        ({"origin": COORDINATOR}, "RF-A096"),
        ({"format": "other"}, "RF-A076"),
        ({"more": 1}, "RF-A076"),
        ({"files": {**whole["files"], "../x": "0"}}, "RF-A097"),
        ({"files": {**whole["files"], "key.pub": "0"}}, "RF-A098"),
        ({"files": {}}, "RF-A099"),
    ):
        path.write_bytes(dumps({**whole, **change}) + b"\n")
        assert [found for found, _ in faults(evidence.path)] == [code]
    path.write_bytes(dumps(whole))
    assert faults(evidence.path) == [("RF-A076", None)]
    path.write_bytes(dumps(whole) + b"\n")
    (evidence.holder_path / "extra.txt").write_text("x")
    assert any(
        "does not name: extra.txt" in n
        for n in report_of(examine_bundle(evidence.path), "holders/bank-a").notices
    )


def test_foreign_notes_among_history_and_anchors_are_found(evidence: Evidence) -> None:
    other = evidence.coordinator.checkpoint()
    (evidence.holder_path / "history" / "0").write_bytes(other)
    assert "RF-A043" in [code for code, _ in faults(evidence.path)]
    both = [evidence.holder.verifier, evidence.coordinator.verifier]
    assert "RF-A091" in [code for code, _ in faults(evidence.path, trusted=both)]
    (evidence.holder_path / "history" / "0").unlink()
    forged = Checkpoint(origin=HOLDER, size=3, root=bytes(32)).sign(MemorySigner())
    (evidence.path / "coordinator" / "anchors" / "0").write_bytes(forged)
    assert [code for code, _ in faults(evidence.path)] == ["RF-A043"]


def test_folder_without_a_log_and_folder_in_use_are_refused(evidence: Evidence, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="RF-A075"):
        verify_bundle(tmp_path / "empty")
    with pytest.raises(BundleError, match="RF-A070"):
        evidence.holder.export_bundle(evidence.holder_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="RF-A071"):
        evidence.holder.export_bundle(tmp_path / "file" / "below")
