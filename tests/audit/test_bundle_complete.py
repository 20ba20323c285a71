"""What a bundle must hold: what its logs name and is not there, or is there under another's name, is told."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from kits.audit_kit import RUN, StudyBundle, faults, fill, lines, memory_log, study_bundle

from ringfence.audit import cli
from ringfence.audit.canonical import dumps
from ringfence.audit.errors import AuditUsageError
from ringfence.audit.note import MemorySigner, Verifier
from ringfence.audit.verification.report import BundleIncomplete, Report
from ringfence.audit.verification.verify import examine_bundle, verify_bundle

ORIGIN = "ringfence.example/holder/"


def gaps(report: Report) -> list[str]:
    return [gap.error.code for gap in report.gaps]


def missing(report: Report) -> set[str]:
    return {gap.missing for gap in report.gaps if gap.missing}


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = cli.main(["--lang", "en", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_a_whole_bundle_is_intact_and_says_who_is_unknown(
    whole: StudyBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    report = verify_bundle(whole.path)
    assert (report.verdict, report.gaps, report.notices) == ("intact", (), ())
    assert report.unknown == [log.origin for log in [whole.coordinator, *whole.holders.values()]]
    status, out = call(capsys, "verify", whole.path)
    assert status == 0
    assert out.splitlines()[-2] == "INTACT: verified logs: 4"
    assert out.splitlines()[-1].startswith("UNKNOWN: nothing shows whose these logs are")
    assert all(origin in out.splitlines()[-1] for origin in report.unknown)
    trusted = verify_bundle(whole.path, trusted=whole.all_keys())
    assert (trusted.unknown, [log.notices for log in trusted.logs]) == ([], [[]] * 4)


@pytest.mark.parametrize(
    ("removed", "named"),
    [
        (["bank"], {ORIGIN + "bank"}),
        (["partner"], {ORIGIN + "partner"}),
        (["bank", "partner"], {ORIGIN + "bank", ORIGIN + "partner"}),
        (["bank", "partner", "retailer"], {ORIGIN + name for name in ("bank", "partner", "retailer")}),
        (["coordinator"], {"ringfence.example/coordinator"}),
        (["coordinator", "partner"], {"ringfence.example/coordinator", "partner"}),
        (["coordinator", "partner", "bank"], {"ringfence.example/coordinator", "partner", "bank"}),
    ],
)
def test_a_log_that_others_name_is_missed(
    whole: StudyBundle, removed: list[str], named: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in removed:
        shutil.rmtree(whole.folder(name))
    report = examine_bundle(whole.path)
    assert (report.verdict, missing(report), report.all_faults()) == ("incomplete", named, [])
    assert report.to_json()["intact"] is False
    assert set(map(str, report.to_json()["missing"])) == named  # type: ignore[arg-type]
    with pytest.raises(BundleIncomplete):
        verify_bundle(whole.path)
    status, out = call(capsys, "verify", whole.path)
    assert status == 3
    assert "INTACT" not in out
    verdict = out[out.index("INCOMPLETE: ") :]
    assert all(name in verdict for name in named)


def test_without_an_end_the_coordinator_is_missed_by_the_run(tmp_path: Path) -> None:
    made = study_bundle(tmp_path / "bundle", named=False)
    shutil.rmtree(made.folder("coordinator"))
    report = examine_bundle(made.path)
    assert gaps(report) == ["RF-A203"]
    assert missing(report) == {"coordinator"}
    assert report.gaps[0].error.values["run"] == RUN


def test_anchored_checkpoints_that_could_not_be_checked_stand_in_the_verdict(
    whole: StudyBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(whole.folder("partner"))
    report = examine_bundle(whole.path)
    assert gaps(report) == ["RF-A200", "RF-A205"]
    assert report.gaps[1].error.values["count"] == 2
    # With the missing log's key its checkpoints can be checked, and the log is missed all the same.
    known = examine_bundle(whole.path, trusted=whole.all_keys())
    assert gaps(known) == ["RF-A200"]
    _, out = call(capsys, "verify", whole.path)
    assert "RF-A205" in out[out.index("INCOMPLETE: ") :]
    stranger = Verifier(name=ORIGIN + "partner", raw=MemorySigner().public.raw)
    keys = [key for key in whole.all_keys() if key.name != stranger.name]
    assert ("RF-A043", None) in faults(whole.path, trusted=[*keys, stranger])


def test_a_run_of_another_federation_is_a_notice(whole: StudyBundle, tmp_path: Path) -> None:
    other, study = "ee" * 16, "study:other"
    bank = memory_log(ORIGIN + "bank", MemorySigner())
    bank.record("study.joined", "allow", resource=study, public={"run": other})
    roster = ["bank", "insurer"]
    bank.record("waist.send", "allow", resource=study, public={"run": other, "roster": [*roster]})
    shop = memory_log("ringfence.example/shop/coordinator", organisation="shop")
    shop.record("study.joined", "allow", resource="study:shop", public={"run": "dd" * 16, "holder": "bank"})
    bank.export_bundle(tmp_path / "two" / "bank")
    shop.export_bundle(tmp_path / "two" / "shop")
    report = examine_bundle(tmp_path / "two")
    assert (report.verdict, gaps(report)) == ("intact", [])
    assert any("not in this bundle: 1." in notice for notice in report.logs[0].notices)
    # As soon as a second log here names the run, it is this bundle's run.
    insurer = memory_log(ORIGIN + "insurer")
    insurer.record("study.joined", "allow", resource=study, public={"run": other})
    insurer.export_bundle(tmp_path / "two" / "insurer")
    assert gaps(examine_bundle(tmp_path / "two")) == ["RF-A203"]
    assert report.logs[0].origin == ORIGIN + "bank"


def test_who_refused_or_was_only_asked_is_not_missed(tmp_path: Path) -> None:
    coordinator = memory_log("ringfence.example/coordinator")
    asked = {"run": RUN, "holders": ["bank", "partner"]}
    coordinator.record("study.offered", "allow", resource="study:x", public=asked)  # type: ignore[arg-type]
    coordinator.record("study.joined", "deny", resource="study:x", public={"run": RUN, "holder": "partner"})
    coordinator.export_bundle(tmp_path / "bundle" / "coordinator")
    assert verify_bundle(tmp_path / "bundle").verdict == "intact"


def test_one_log_alone_says_what_it_was_not_asked_for(
    whole: StudyBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = whole.folder("bank")
    assert examine_bundle(folder).verdict == "incomplete"
    status, out = call(capsys, "verify", folder, "--alone")
    assert status == 0
    assert "INTACT: verified logs: 1\nVerified alone, so not asked for: 3\n" in out
    assert "RF-A202" in out
    report = verify_bundle(folder, alone=True)
    assert [gap.error.code for gap in report.left_out] == ["RF-A201", "RF-A201", "RF-A202"]
    with pytest.raises(AuditUsageError, match="RF-A231"):
        verify_bundle(whole.path, alone=True)
    # What is wrong in the folder itself is no matter of other logs.
    (folder / "more").mkdir()
    (folder / "more" / "x").write_text("x")
    (whole.path / "link").symlink_to(folder)
    assert "RF-A072" not in [fault.error.code for fault in examine_bundle(folder, alone=True).all_faults()]


def test_swapped_and_doubled_folders_are_refused(whole: StudyBundle, tmp_path: Path) -> None:
    bank, partner = whole.folder("bank"), whole.folder("partner")
    shutil.move(bank, tmp_path / "bank")
    shutil.move(partner, bank)
    shutil.move(tmp_path / "bank", partner)
    assert faults(whole.path) == [("RF-A221", None), ("RF-A221", None)]
    # One holder's log in the place of another's, which is then missing.
    shutil.rmtree(bank)
    shutil.copytree(partner, bank)
    report = examine_bundle(whole.path)
    assert report.verdict == "refused"
    assert missing(report) == {ORIGIN + "partner"}
    assert "RF-A221" in [fault.error.code for fault in report.all_faults()]
    assert any("a second time" in notice for log in report.logs for notice in log.notices)


def test_a_copy_is_no_further_log(whole: StudyBundle, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(whole.folder("bank"), whole.path / "copy")
    status, out = call(capsys, "verify", whole.path)
    assert status == 0
    assert "INTACT: verified logs: 4\n" in out
    assert out.count("The bundle holds this log a second time") == 2


def test_a_holders_log_in_the_coordinators_place_is_refused(whole: StudyBundle, tmp_path: Path) -> None:
    shutil.move(whole.folder("coordinator"), tmp_path / "kept")
    shutil.move(whole.folder("bank"), whole.folder("coordinator"))
    shutil.move(tmp_path / "kept", whole.folder("bank"))
    assert faults(whole.path) == [("RF-A221", None), ("RF-A221", None)]


def test_a_folder_of_a_name_of_its_own_is_a_notice(whole: StudyBundle) -> None:
    whole.folder("bank").rename(whole.path / "evidence of November")
    report = verify_bundle(whole.path)
    (log,) = [log for log in report.logs if log.name == "evidence of November"]
    assert any("is called evidence of November" in notice for notice in log.notices)


@pytest.mark.parametrize("inside", [False, True])
def test_a_folder_replaced_by_a_link_is_told(whole: StudyBundle, tmp_path: Path, inside: bool) -> None:
    target = whole.path / "hidden" if inside else tmp_path / "elsewhere"
    shutil.move(whole.folder("partner"), target)
    whole.folder("partner").symlink_to(target, target_is_directory=True)
    report = examine_bundle(whole.path)
    assert report.verdict == "incomplete"
    assert "RF-A206" in gaps(report)
    assert missing(report) == (set() if inside else {ORIGIN + "partner"})


@pytest.mark.parametrize("name", ["anchors", "history"])
def test_a_folder_of_notes_replaced_by_a_link_is_refused(
    whole: StudyBundle, tmp_path: Path, name: str
) -> None:
    folder = whole.folder("coordinator")
    if not (folder / name).is_dir():
        (folder / name).mkdir()
    shutil.move(folder / name, tmp_path / name)
    (folder / name).symlink_to(tmp_path / name, target_is_directory=True)
    assert ("RF-A227", None) in faults(whole.path)


def test_links_beside_the_logs_are_told(whole: StudyBundle) -> None:
    (whole.path / "note.txt").symlink_to("/etc/hostname")
    assert gaps(examine_bundle(whole.path)) == ["RF-A206"]


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"{name}.bak",
        str.upper,
        lambda name: f"old-{name}",
        lambda name: {"manifest.json": "a", "log.jsonl": "b", "checkpoint": "c"}.get(name, name),
    ],
)
def test_a_folder_whose_files_were_renamed_is_told(whole: StudyBundle, rename: object) -> None:
    folder = whole.folder("partner")
    for name in ("manifest.json", "log.jsonl", "checkpoint"):
        (folder / name).rename(folder / rename(name))  # type: ignore[operator]
    report = examine_bundle(whole.path)
    assert report.verdict == "incomplete"
    assert gaps(report).count("RF-A208") == 1
    assert missing(report) == {ORIGIN + "partner"}


def test_a_renamed_log_beside_others_is_told_and_a_letter_is_a_notice(whole: StudyBundle) -> None:
    (whole.path / "letter.txt").write_text("Dear officer")
    assert verify_bundle(whole.path).notices == ("Files that belong to no log: letter.txt.",)
    (whole.path / "LOG.JSONL").write_text("{}")
    assert gaps(examine_bundle(whole.path)) == ["RF-A208"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_told(whole: StudyBundle) -> None:
    (whole.path / "closed").mkdir(mode=0o000)
    assert gaps(examine_bundle(whole.path)) == ["RF-A207"]
    (whole.path / "closed").chmod(0o700)


def test_a_folder_that_the_walk_cannot_enter_is_told(
    whole: StudyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def scandir(path: str | Path) -> object:
        if Path(path).name == "partner":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = examine_bundle(whole.path)
    assert "RF-A207" in gaps(report)
    assert missing(report) == {ORIGIN + "partner"}


@pytest.mark.parametrize(
    "name",
    [
        "/etc/hostname",
        "../coordinator/checkpoint",
        "history/../../coordinator/checkpoint",
        "C:\\Windows\\win.ini",
        "\\\\server\\share\\file",
        "CON",
        "checkpoint:stream",
        "/dev/zero",
        "~/.ssh/id",
        "./checkpoint",
        "",
        "history/",
        "history/x",
        "anchors/000000000001-0000000g",
        "checkpoint\0",
    ],
)
def test_a_manifest_names_no_file_outside_its_folder(whole: StudyBundle, name: str) -> None:
    path = whole.folder("bank") / "manifest.json"
    manifest = json.loads(path.read_bytes())
    path.write_bytes(dumps({**manifest, "files": {**manifest["files"], name: "0" * 64}}) + b"\n")
    assert faults(whole.path) == [("RF-A097", None)]


def test_a_file_that_is_a_link_or_a_device_is_no_file_of_a_log(whole: StudyBundle, tmp_path: Path) -> None:
    folder = whole.folder("bank")
    note = next((folder / "history").iterdir(), None)
    assert note is not None
    shutil.move(note, tmp_path / "note")
    note.symlink_to(tmp_path / "note")
    assert ("RF-A097", None) in faults(whole.path)
    note.unlink()
    os.mkfifo(note)
    assert ("RF-A097", None) in faults(whole.path)


def test_an_empty_log_among_others_is_nobodys(whole: StudyBundle) -> None:
    lone = memory_log("ringfence.example/holder/insurer")
    fill(lone, 1)
    lone.export_bundle(whole.folder("insurer"))
    assert verify_bundle(whole.path).logs[2].name == "holders/insurer"
    assert len(lines(whole.folder("insurer"))) == 2
