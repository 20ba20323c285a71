"""Who is accused by whom: a log by its own signature alone; a name that only looks like another's is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from kits.audit_kit import StudyBundle, faults, lines, memory_log, resigned

from ringfence.audit import merkle
from ringfence.audit.canonical import dumps
from ringfence.audit.checkpoint import Checkpoint
from ringfence.audit.errors import AuditError, EventError
from ringfence.audit.events import draft_event
from ringfence.audit.note import MemorySigner
from ringfence.audit.verification.lookalike import look_alike, mixes_scripts
from ringfence.audit.verification.opening import Opening
from ringfence.audit.verification.report import Report
from ringfence.audit.verification.verify import examine_bundle, verify_bundle

BANK = "ringfence.example/holder/bank"
COORDINATOR = "ringfence.example/coordinator"


def accusing(whole: StudyBundle, **changes: object) -> None:
    """The coordinator anchors something else of the bank at its first anchor, and signs its log anew."""
    events = [json.loads(line) for line in lines(whole.folder("coordinator"))]
    first = next(e for e in events if e["data"]["public"].get("log") == BANK)
    first["data"]["public"].update(changes)
    resigned(
        whole.folder("coordinator"), [dumps(e) for e in events], whole.signers["coordinator"], COORDINATOR
    )


def of(report: Report, name: str) -> list[str]:
    (log,) = [log for log in report.logs if log.name == name]
    return [fault.error.code for fault in log.faults]


@pytest.mark.parametrize(
    "changes", [{"root": "00" * 32}, {"size": 3}, {"size": 900, "root": "11" * 32}, {"size": 0}]
)
def test_an_invented_anchor_accuses_nobody_but_its_author(
    whole: StudyBundle, changes: dict[str, object]
) -> None:
    accusing(whole, **changes)
    report = examine_bundle(whole.path)
    assert of(report, "holders/bank") == []
    assert of(report, "coordinator") == ["RF-A223"]
    sentence = report.all_faults()[0].error.sentence()
    assert "no checkpoint that ringfence.example/holder/bank signed shows it" in sentence
    assert "two histories" not in sentence


@pytest.mark.parametrize("changes", [{"size": -5}, {"size": True}, {"size": False}, {"size": "2"}])
def test_a_size_is_a_whole_number_from_nought(whole: StudyBundle, changes: dict[str, object]) -> None:
    accusing(whole, **changes)
    report = examine_bundle(whole.path)
    assert of(report, "coordinator") == ["RF-A056"]
    assert of(report, "holders/bank") == []


def test_a_log_is_accused_by_its_own_signature(whole: StudyBundle) -> None:
    forged = Checkpoint(origin=BANK, size=2, root=bytes(32)).sign(whole.signers["bank"])
    accusing(whole, size=2, root="00" * 32)
    (whole.folder("coordinator") / "anchors" / "000000000002-00000000").write_bytes(forged)
    report = examine_bundle(whole.path)
    assert of(report, "holders/bank") == ["RF-A095"]
    assert of(report, "coordinator") == []
    # The same words under another key are no signature of the bank.
    other = Checkpoint(origin=BANK, size=2, root=bytes(32)).sign(MemorySigner())
    (whole.folder("coordinator") / "anchors" / "000000000002-00000000").write_bytes(other)
    report = examine_bundle(whole.path)
    assert of(report, "holders/bank") == []
    assert of(report, "coordinator") == ["RF-A043", "RF-A223"]


def test_a_stranger_under_a_known_name_accuses_nobody(whole: StudyBundle) -> None:
    copy = whole.path / "other"
    shutil.copytree(whole.folder("bank"), copy)
    events = lines(copy)
    resigned(copy, [*events[:2], events[0]], MemorySigner(), BANK)
    report = examine_bundle(whole.path)
    assert of(report, "holders/bank") == []
    assert [fault.error.code for fault in report.faults] == ["RF-A225"]
    # With the bank's key it shows which of the two is the bank's.
    trusted = examine_bundle(whole.path, trusted=whole.all_keys())
    assert of(trusted, "holders/bank") == []
    assert "RF-A090" in of(trusted, "other")


def test_two_logs_that_anchor_different_roots_of_an_absent_log_are_told_together(
    whole: StudyBundle, tmp_path: Path
) -> None:
    shutil.rmtree(whole.folder("bank"))
    observer = memory_log("ringfence.example/observer")
    signer = whole.signers["bank"]
    forked = Checkpoint(origin=BANK, size=2, root=merkle.leaf_hash(b"x")).sign(signer)
    observer.anchor(forked, whole.holders["bank"].verifier)
    observer.export_bundle(whole.path / "observer")
    report = examine_bundle(whole.path)
    assert [fault.error.code for fault in report.faults] == ["RF-A224"]
    assert [fault.error.code for log in report.logs for fault in log.faults] == []


def renamed(whole: StudyBundle, name: str) -> None:
    """A stranger's log in the bank's folder, under a name like the bank's."""
    events = [line.replace(BANK.encode(), name.encode()) for line in lines(whole.folder("bank"))]
    resigned(whole.folder("bank"), events, MemorySigner(), name)


@pytest.mark.parametrize(
    "name",
    [
        "ringfence.example/holder/b\u0430nk",  # a Cyrillic letter
        "ringfence.example/holder/Bank",
        "ringfence.example/holder/b\uff41nk",  # a full-width letter
        "r\u0456ngfence.example/holder/bank",
        "ringfence.example/holder/b\u00e1nk",
    ],
)
def test_a_log_under_a_name_like_anothers_is_told(whole: StudyBundle, name: str) -> None:
    renamed(whole, name)
    report = examine_bundle(whole.path)
    codes = [gap.error.code for gap in report.gaps]
    assert report.verdict == "incomplete"
    assert "RF-A200" in codes  # the bank's own log is missed
    assert "RF-A209" in codes
    (alike,) = [gap.error for gap in report.gaps if gap.error.code == "RF-A209"]
    assert alike.sentence().isascii()
    assert name in report.unknown
    trusted = examine_bundle(whole.path, trusted=whole.all_keys())
    assert "RF-A090" in [fault.error.code for fault in trusted.all_faults()]


def test_a_name_of_two_scripts_is_told_though_nobody_else_is_like_it(tmp_path: Path) -> None:
    log = memory_log("ringfence.example/holder/b\u0430nk")
    log.record("table.read", "allow", resource="table:x")
    log.export_bundle(tmp_path / "bundle")
    assert [gap.error.code for gap in examine_bundle(tmp_path / "bundle").gaps] == ["RF-A210"]
    assert verify_bundle(tmp_path / "bundle", trusted=[log.verifier]).verdict == "intact"


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("a/bank", "a/bank", False),
        ("a/bank", "a/BANK", True),
        ("a/bill", "a/biIl", True),
        ("a/bank-1", "a/bank-l", True),
        ("a/bank-0", "a/bank-o", True),
        ("a/burn", "a/bum", True),
        ("a/bank\u200b", "a/bank", True),
        ("a/\u03bfne", "a/one", True),
        ("a/holder-1", "a/holder-2", False),
        ("a/holder-1", "a/holder-11", False),
        ("a/\u94f6\u884c\u7532", "a/\u94f6\u884c\u4e59", False),
        ("a/partner", "a/retailer", False),
    ],
)
def test_names_that_look_alike(one: str, other: str, alike: bool) -> None:
    assert look_alike(one, other) is alike
    assert look_alike(other, one) is alike


def test_names_of_one_script_are_nothing_special() -> None:
    for name in (
        "a/bank",
        "a/\u94f6\u884c\u7532",
        "a/\u0431\u0430\u043d\u043a",
        "a/m\u00fcller-\u94f6\u884c",
    ):
        assert not mixes_scripts(name)
    for name in ("a/b\u0430nk", "a/b\u03bfok", "a/b\uff41nk"):
        assert mixes_scripts(name)


NUMBERS: list[tuple[str, object]] = [
    ("round", True),
    ("round", "1"),
    ("round", -2),
    ("attempt", False),
    ("attempt", -1),
    ("entries", -1),
    ("entry", True),
    ("size", -5),
    ("rounds", True),
    ("version", -1),
    ("word_bits", [1]),
]


@pytest.mark.parametrize(("name", "value"), NUMBERS)
def test_numbers_of_an_event_are_whole_ones_of_their_range(
    whole: StudyBundle, name: str, value: object
) -> None:
    with pytest.raises(EventError, match="RF-A226"):
        draft_event("waist.send", "allow", resource="study:x", public={name: value})  # type: ignore[dict-item]
    # A log that was written otherwise is refused, though everything in it is signed.
    event = json.loads(lines(whole.folder("bank"))[0])
    event["data"]["public"][name] = value
    resigned(
        whole.folder("bank"),
        [dumps(event), *lines(whole.folder("bank"))[1:]],
        whole.signers["bank"],
        BANK,
    )
    assert ("RF-A226", 0) in faults(whole.folder("bank"), alone=True)


def test_numbers_of_their_range_are_taken() -> None:
    smallest = {"round": -1, "attempt": 0, "size": 0, "version": 1}
    assert draft_event("waist.send", "allow", resource="x", public=smallest).public == smallest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"index":0', b'"index":true'),
        (b'"index":0', b'"index":-1'),
        (b'"index":0', b'"index":"0"'),
        (b'"index":0', b'"index":0,"inside":1'),
        (b'"proof":[', b'"proof":[1,'),
        (b'"salt":"', b'"salt":"0'),
    ],
)
def test_an_opening_is_read_strictly(made: StudyBundle, old: bytes, new: bytes) -> None:
    data = made.holders["bank"].open_event(0).dumps()
    Opening.loads(data)
    assert old in data
    with pytest.raises(AuditError, match="RF-A055"):
        Opening.loads(data.replace(old, new))


@pytest.mark.parametrize("size", [True, -1, "4"])
def test_a_manifests_size_is_a_whole_number(whole: StudyBundle, size: object) -> None:
    path = whole.folder("bank") / "manifest.json"
    path.write_bytes(dumps({**json.loads(path.read_bytes()), "size": size}) + b"\n")
    assert faults(whole.path) == [("RF-A076", None)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.replace(b'"checkpoint":"', b'"checkpoint":1,"x":"', 1),
        lambda data: data[:-1] + b"\n\n",
        lambda data: data[:-1] + b" \n",
        lambda data: data + b"{}",
        lambda data: data.replace(b'"size":', b'"size":1,"size":', 1),
        lambda data: data.replace(b'"origin":"', b'"origin":"\\ud800', 1),
        lambda data: data.replace(b'"size":', b'"size":1e9,"s":', 1),
        lambda data: data.replace(b'"size":', b'"size":NaN,"s":', 1),
        lambda data: data.replace(b'"size":', b'"size":' + b"9" * 30, 1),
        lambda data: b"\xef\xbb\xbf" + data,
    ],
)
def test_a_manifest_is_read_strictly(whole: StudyBundle, spoil: Callable[[bytes], bytes]) -> None:
    path = whole.folder("bank") / "manifest.json"
    data = path.read_bytes()
    assert spoil(data) != data
    path.write_bytes(spoil(data))
    (fault,) = faults(whole.path)
    assert fault[0] in ("RF-A001", "RF-A002", "RF-A005", "RF-A006", "RF-A007", "RF-A008", "RF-A076")
