"""The gate logs before it acts, writes all or nothing, and refuses what it does not know."""

from __future__ import annotations

import errno
import hashlib
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kits.journal_kit import Notebook

from ringfence.privacy.errors import ExportError
from ringfence.privacy.release import Artefact, ColumnRule, ExportGate, ExportPolicy, ExportRefused, files

MAIL = "wang.fang@example.cn"
RULES = (ColumnRule(name="feature", sensitivity="plain"), ColumnRule(name="points", sensitivity="plain"))
GOOD = b"feature,points\ntenure,12\ncontract,-7\n"


def gate(policy: ExportPolicy | None = None) -> tuple[ExportGate, Notebook]:
    notebook = Notebook(failure=ExportError("RF-A999", "the log is full"))
    return ExportGate(notebook, policy or ExportPolicy()), notebook


def csv(name: str = "points.csv", content: Any = GOOD, **more: Any) -> Artefact:
    return Artefact(name=name, kind="csv", content=content, columns=more.pop("columns", RULES), **more)


def test_a_release_is_requested_decided_written_and_recorded(tmp_path: Path) -> None:
    door, notebook = gate(ExportPolicy(epsilon=Decimal(2)))
    release = door.release(csv(epsilon=Decimal(1), resource="study:telco-churn"), tmp_path)
    assert release.path == tmp_path / "points.csv"
    assert release.path.read_bytes() == GOOD
    assert release.path.stat().st_mode & 0o777 == 0o600
    assert release.digest == "sha256:" + hashlib.sha256(GOOD).hexdigest()
    assert (release.size, release.kind, release.event) == (len(GOOD), "csv", 3)
    assert os.listdir(tmp_path) == ["points.csv"]
    assert notebook.actions() == [("export.requested", "allow")] * 2 + [("export.released", "allow")]
    received, decided, released = (event.public for event in notebook.events)
    assert "digest" not in received
    assert decided["digest"] == released["digest"] == release.digest
    assert len({event.public["request"] for event in notebook.events}) == 1
    assert {event.resource for event in notebook.events} == {"study:telco-churn"}


def test_a_refusal_is_an_event_and_leaves_nothing(tmp_path: Path) -> None:
    door, notebook = gate()
    with pytest.raises(ExportRefused) as caught:
        door.release(csv(name="leak.csv", content=GOOD + f"{MAIL},1\n".encode()), tmp_path)
    assert caught.value.code == "RF-X040"
    assert caught.value.refused[0].name == "leak.csv"
    assert list(tmp_path.iterdir()) == []
    assert notebook.actions() == [("export.requested", "allow"), ("export.refused", "deny")]
    public = notebook.events[1].public
    assert public["reasons"] == ["RF-X040"]
    assert set(public) == {"request", "kind", "masking", "reasons"}
    for event in notebook.events:
        assert "leak" not in repr(event.public)
        assert "wang" not in repr(event)
        assert "sha256" not in repr(event.public)
    assert notebook.events[1].private["digest"].startswith("sha256:")


def test_no_intent_event_no_file(tmp_path: Path) -> None:
    for skip in (0, 1):
        door, notebook = gate()
        notebook.fail_at, notebook.skip = "export.requested", skip
        with pytest.raises(ExportError, match="RF-A999"):
            door.release(csv(), tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_no_final_event_and_the_file_is_taken_back(tmp_path: Path) -> None:
    door, notebook = gate()
    notebook.fail_at = "export.released"
    with pytest.raises(ExportError, match="RF-A999"):
        door.release(csv(), tmp_path)
    with pytest.raises(ExportError, match="RF-A999"):
        door.release_all([csv()], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_inside_a_reader_refuses_and_keeps_its_text_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(MAIL)

    monkeypatch.setattr("ringfence.privacy.release.gate.examine", broken)
    door, notebook = gate()
    with pytest.raises(ExportRefused, match="RF-X055") as caught:
        door.release(csv(), tmp_path)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert notebook.actions()[-1] == ("export.refused", "deny")
    assert list(tmp_path.iterdir()) == []


# --- several at once
# ----------------------------------------------------------------------------------------------


def test_all_of_them_leave_into_a_fresh_folder(tmp_path: Path) -> None:
    door, notebook = gate()
    note = Artefact(name="note.txt", kind="text", content="发布说明\n".encode())
    released = door.release_all([csv(), note], tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["out"]
    assert sorted(os.listdir(tmp_path / "out")) == ["note.txt", "points.csv"]
    assert [r.path.read_bytes() for r in released] == [GOOD, "发布说明\n".encode()]
    assert [a for a, _ in notebook.actions()] == ["export.requested"] * 4 + ["export.released"] * 2


def test_one_refusal_refuses_all(tmp_path: Path) -> None:
    door, notebook = gate()
    bad = csv(name="bad.csv", content=GOOD + f"{MAIL},1\n".encode())
    with pytest.raises(ExportRefused, match="RF-X040"):
        door.release_all([csv(), bad], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    assert [a for a, _ in notebook.actions()] == ["export.requested"] * 2 + ["export.refused"] * 2


def test_two_of_one_name_and_none_at_all_are_refused(tmp_path: Path) -> None:
    door, _ = gate()
    with pytest.raises(ExportRefused, match="RF-X054"):
        door.release_all([csv(), csv(name="POINTS.csv")], tmp_path / "out")
    with pytest.raises(ExportRefused, match="RF-X066"):
        door.release_all([], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# --- the disk
# -----------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = os.write

    def half(descriptor: int, data: Any) -> int:
        if len(data) < len(GOOD):
            raise OSError(errno.ENOSPC, "full")
        return written(descriptor, data[:5])

    monkeypatch.setattr("os.write", half)
    door, notebook = gate()
    for release in (
        lambda: door.release(csv(), tmp_path),
        lambda: door.release_all([csv()], tmp_path / "out"),
    ):
        with pytest.raises(ExportError, match=r"RF-X052.*No space left"):
            release()
        assert list(tmp_path.iterdir()) == []
        assert notebook.actions()[-1] == ("export.refused", "error")
        assert notebook.events[-1].public["reasons"] == ["RF-X052"]


@pytest.mark.parametrize("call", ["os.replace", "os.rename", "os.fsync"])
def test_a_failing_rename_or_sync_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "io")

    monkeypatch.setattr(call, fail)
    door, _ = gate()
    if call != "os.rename":
        with pytest.raises(ExportError, match="RF-X052"):
            door.release(csv(), tmp_path)
    if call != "os.replace":
        with pytest.raises(ExportError, match="RF-X052"):
            door.release_all([csv()], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refuse(path: Any, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:  # as a user without rights sees it; tests may run as root, who has them all
            raise PermissionError(errno.EACCES, "no")
        return opened(path, flags, mode)

    monkeypatch.setattr("os.open", refuse)
    door, _ = gate()
    with pytest.raises(ExportError, match=r"RF-X052.*Permission denied"):
        door.release(csv(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_bytes_on_the_disk_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.write", lambda descriptor, data: len(data))  # a disk that forgets
    door, _ = gate()
    with pytest.raises(ExportError, match="RF-X053"):
        door.release(csv(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_bytes(b"older")
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    door, _ = gate()
    for name in ("points.csv", "link.csv"):
        with pytest.raises(ExportError, match="RF-X050"):
            door.release(csv(name=name), tmp_path)
    with pytest.raises(ExportError, match="RF-X050"):
        door.release_all([csv()], tmp_path)
    assert (tmp_path / "points.csv").read_bytes() == b"older"
    assert (tmp_path / "link.csv").is_symlink()
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    door, _ = gate()
    with pytest.raises(ExportError, match="RF-X051"):
        door.release(csv(), tmp_path / "none")
    with pytest.raises(ExportError, match="RF-X051"):
        door.release_all([csv()], tmp_path / "none" / "out")


# --- names and kinds
# ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../points.csv", "RF-X001"),
        ("a/points.csv", "RF-X001"),
        (".points.csv", "RF-X001"),
        ("points.csv\n", "RF-X001"),
        ("points\x00.csv", "RF-X001"),
        ("ｐoints.csv", "RF-X001"),
        ("", "RF-X001"),
        ("points.json", "RF-X002"),
        ("points.exe.csv", "RF-X002"),
        ("points.CSV", "RF-X002"),
        ("points", "RF-X002"),
        (f"{MAIL.replace('@', '(at)')}.csv", "RF-X002"),
        ("13800138001.csv", "RF-X040"),
        ("王小明先生.csv", "RF-X040"),
    ],
)
def test_names_that_are_not_plain_or_tell_a_person_are_refused(tmp_path: Path, name: str, code: str) -> None:
    door, notebook = gate()
    with pytest.raises(ExportRefused, match=code):
        door.release(csv(name=name), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert notebook.actions()[-1] == ("export.refused", "deny")


def test_unknown_kinds_and_resources_are_refused(tmp_path: Path) -> None:
    door, notebook = gate()
    with pytest.raises(ExportRefused, match="RF-X006"):
        door.release(Artefact(name="m.pkl", kind="pickle", content=b"x"), tmp_path)  # type: ignore[arg-type]
    assert notebook.events[-1].public["kind"] == "unknown"
    with pytest.raises(ExportRefused, match="RF-X067"):
        door.release(csv(resource=f"customer {MAIL}"), tmp_path)
    assert all("wang" not in repr(event) for event in notebook.events)


def test_frames_leave_in_the_kinds_of_tables_only(tmp_path: Path) -> None:
    door, _ = gate()
    frame = pd.DataFrame({"feature": ["a"], "points": [1]})
    for kind in ("csv", "json", "parquet"):
        door.release(Artefact(name=f"t.{kind}", kind=kind, content=frame, columns=RULES), tmp_path)
    with pytest.raises(ExportRefused, match="RF-X064"):
        door.release(Artefact(name="t.html", kind="html", content=frame, columns=RULES), tmp_path)
    twice = pd.DataFrame([[1, 2]], columns=["points", "points"])
    with pytest.raises(ExportRefused, match="RF-X065"):
        door.release(csv(content=twice), tmp_path)


def test_size_is_limited(tmp_path: Path) -> None:
    door, _ = gate(ExportPolicy(max_bytes=10))
    with pytest.raises(ExportRefused, match="RF-X005"):
        door.release(csv(), tmp_path)


def test_the_writer_checks_digests_itself(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="RF-X053"):
        files.write_one(b"x", "sha256:00", tmp_path / "x.txt")
    assert list(tmp_path.iterdir()) == []
