"""The command `ringfence-audit`: what it prints, its exit statuses, and that it needs no more than it
says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from kits.audit_kit import HOLDER, Evidence

from ringfence.audit import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return status, captured.out, captured.err


def test_intact_bundle(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "verify", evidence.path)
    assert status == 0
    assert "INTACT: verified logs: 2" in out
    assert out.count("freshness not shown") == 2
    assert "anchored in coordinator at size 9" in out


def test_checkpoint_and_trust(evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old.checkpoint").write_bytes(evidence.earlier)
    key = tmp_path / "holder.pub"
    key.write_text(f"{evidence.holder.verifier}\n")
    arguments = ["--checkpoint", tmp_path / "old.checkpoint", "--trust", key]
    arguments += ["--trust", evidence.coordinator.verifier]
    status, out, _ = run(capsys, "verify", evidence.path, *arguments)
    assert status == 0
    assert "continues the checkpoint given, of size 5" in out
    assert out.count("freshness not shown") == 1
    assert "taken from the bundle" not in out


def test_altered_bundle(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    path = evidence.holder_path / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b"run-4", b"run-9"))
    status, out, _ = run(capsys, "verify", evidence.path)
    assert status == 1
    assert "RF-A084" in out
    assert "event 4 " in out
    assert "REFUSED: faults found: 1, " in out


def test_show_says_when_no_event_fits(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("budget.topup", "budget."):
        status, out, _ = run(capsys, "show", evidence.path, "--type", kind, "--since", "2999")
        assert (status, out) == (0, "No event fits.\n")
    _, out, _ = run(capsys, "show", evidence.path)
    assert "No event fits" not in out


@pytest.mark.parametrize(
    ("kind", "known"),
    [("nosuch", "waist."), ("", "budget."), ("log", "log.exported"), ("budget.nosuch", "budget.topup")],
)
def test_show_refuses_a_type_that_there_is_not_and_names_those_there_are(
    evidence: Evidence, capsys: pytest.CaptureFixture[str], kind: str, known: str
) -> None:
    status, out, err = run(capsys, "show", evidence.path, "--type", kind, "--json", "-")
    assert (status, out) == (2, "")
    refusal = err.splitlines()[-1]
    assert refusal.startswith(f"RF-A113: There is no event type {kind}.")
    assert known in refusal
    assert "budget.created" not in refusal or kind == "budget.nosuch"


def test_show_lists_types_of_a_newer_log(
    evidence: Evidence, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.audit.catalogue.EVENT_TYPES", {"budget.created": "known"})
    assert run(capsys, "show", evidence.path, "--type", "checkpoint.anchored")[0] == 0
    assert run(capsys, "show", evidence.path, "--type", "budget.topup")[0] == 2


def test_json_on_standard_output_leaves_people_standard_error(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "verify", evidence.path, "--json", "-")
    report = json.loads(out)
    assert status == 0
    assert report["intact"] is True
    assert [log["name"] for log in report["logs"]] == ["coordinator", "holders/bank-a"]
    assert "INTACT" in err


def test_json_to_a_file(evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (evidence.path / "coordinator" / "checkpoint").unlink()
    stranger = Path(evidence.holder_path / "checkpoint").read_bytes().replace(b"bank-a", b"bank-b")
    (tmp_path / "stranger").write_bytes(stranger)
    arguments = ("--json", tmp_path / "report.json", "--checkpoint", tmp_path / "stranger")
    status, out, _ = run(capsys, "verify", evidence.path, *arguments)
    report = json.loads((tmp_path / "report.json").read_text())
    assert status == 1
    assert report["intact"] is False
    assert report["faults"][0]["code"] == "RF-A100"
    assert "log (unknown)" in out
    assert "RF-A100" in out


def test_show_lists_and_filters(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "show", evidence.path)
    assert status == 0
    assert len(out.splitlines()) == 16
    assert "only `ringfence-audit verify`" in err
    assert len(run(capsys, "show", evidence.path, "--type", "checkpoint.anchored")[1].splitlines()) == 2
    assert len(run(capsys, "show", evidence.path, "--type", "log.")[1].splitlines()) == 2
    assert run(capsys, "show", evidence.path, "--type", "log")[0] == 2
    assert run(capsys, "show", evidence.path, "--since", "2999-01-01")[1] == "No event fits.\n"
    listed = json.loads(run(capsys, "show", evidence.path, "--since", "2020-01-01", "--json", "-")[1])
    assert len(listed) == 16
    assert listed[0]["action"] == "checkpoint.anchored"
    # The moment of the last event in another zone finds that event, and the span searched is told.
    last = max(datetime.fromisoformat(each["time"]) for each in listed)
    there = last.astimezone(timezone(timedelta(hours=8))).isoformat()
    _, out, err = run(capsys, "show", evidence.path, "--since", there, "--until", there)
    assert out.count(f"{last:%Y-%m-%dT%H:%M:%S}") == len(out.splitlines()) >= 1
    assert "Searched: events from " + f"{last:%Y-%m-%dT%H:%M:%S.%f}Z" in err
    for bad in ("27.11.2026", "2026-13-45"):
        status, out, err = run(capsys, "show", evidence.path, "--since", bad)
        assert (status, out, "RF-U600" in err) == (2, "", True)


def test_show_goes_on_past_a_line_that_is_no_event(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    path = evidence.holder_path / "log.jsonl"
    path.write_bytes(b"\x1b[2J\n" + path.read_bytes())
    status, out, _ = run(capsys, "show", evidence.holder_path)
    assert status == 1
    assert ". 0 RF-A007" in out
    assert len(out.splitlines()) == 11


def test_nothing_in_a_bundle_can_steer_the_terminal(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    path = evidence.holder_path / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"run-4"', b'"\\u001b[2J"'))
    (evidence.holder_path / "na\x1bme").write_text("x")
    for command in ("verify", "show"):
        status, out, err = run(capsys, command, evidence.path)
        assert status in (0, 1)
        assert "\x1b" not in out + err


def test_open_shows_a_genuine_event_and_refuses_another(
    evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opening = evidence.holder.open_event(2)
    path = tmp_path / "event.json"
    path.write_bytes(opening.dumps())
    key = evidence.holder.verifier
    status, out, _ = run(capsys, "open", path, "--trust", key)
    assert status == 0
    assert f"genuine: event 2 of log {HOLDER}" in out
    assert '{"rows": 1002}' in out
    assert json.loads(run(capsys, "open", path, "--trust", key, "--json", "-")[1])["private"] == {
        "rows": 1002
    }
    # The digits alone may stand in a digest of the file too.
    altered = opening.dumps().replace(rb"\"rows\":1002", rb"\"rows\":1003")
    assert altered != opening.dumps()
    path.write_bytes(altered)
    status, _, err = run(capsys, "open", path, "--trust", key)
    assert status == 1
    assert "RF-A054" in err
    assert run(capsys, "open", path)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ([], 2, "RF-A110"),
        (["fly"], 2, "RF-A110"),
        (["verify"], 2, "RF-A110"),
        (["verify", "nowhere", "--colour"], 2, "RF-A110"),
        (["verify", "nowhere"], 1, "RF-A075"),
        (["verify", "nowhere", "--trust", "no key"], 1, "RF-A034"),
        (["verify", "nowhere", "--checkpoint", "absent"], 1, "RF-A072"),
        (["open", "absent", "--trust", "x"], 1, "RF-A072"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], status: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (status, "")
    assert err.startswith(code)
    assert len(err.splitlines()) == 1


def test_unwritable_json_is_one_sentence(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "verify", evidence.path, "--json", evidence.path / "none" / "report.json")
    assert status == 1
    assert err.startswith("RF-A112")


def test_interrupt_ends_quietly(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "examine_bundle", interrupt)
    assert run(capsys, "verify", evidence.path)[0] == 130


@pytest.mark.parametrize("words", [(), ("--type", "waist.send")])
def test_closed_pipe_ends_without_a_traceback(evidence: Evidence, words: tuple[str, ...]) -> None:
    """Whether the output is more than a buffer holds or less, so that it is written at the end alone."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "ringfence.audit.cli", "show", str(evidence.path), *words],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (["--help"], "examples:"),
        (["--version"], "ringfence-audit "),
        (["verify", "-h"], "FILE"),
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 0
        assert expected in capsys.readouterr().out


def test_a_call_without_a_language_takes_none_from_the_call_before(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verify", str(evidence.path), "--lang", "zh"]) == 0
    assert "INTACT" not in capsys.readouterr().out
    assert cli.main(["verify", str(evidence.path)]) == 0
    assert "INTACT" in capsys.readouterr().out


def test_a_language_that_is_not_named_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--lang"]) == 2
    assert "--lang" in capsys.readouterr().err


def test_language_falls_back_to_english(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--lang", "zh"], ["--lang=en"]):
        status, out, _ = run(capsys, *arguments, "verify", evidence.path)
        assert status == 0
        assert HOLDER in out


def test_progress_is_shown_to_a_terminal(
    evidence: Evidence, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.audit.verification.scan.PROGRESS_STEP", 4)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    _, _, err = run(capsys, "verify", evidence.path)
    assert "holders/bank-a: events read: 4" in err


BLOCKED = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"sqlalchemy", "numpy", "pydantic", "rfc8785", "rich", "torch", "flwr"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from ringfence.audit.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_verify_runs_without_any_other_package(evidence: Evidence) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, "verify", str(evidence.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "INTACT" in done.stdout
    # The block works: the writing half cannot be imported under it.
    writing = BLOCKED.replace("from ringfence.audit.cli import main", "import ringfence.audit.log")
    failed = subprocess.run([sys.executable, "-c", writing], capture_output=True, text=True, check=False)
    assert "ImportError: sqlalchemy" in failed.stderr


def test_help_and_wrong_calls_are_in_the_readers_language(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verify", "--lang", "zh"]) == 2
    assert "缺少以下参数：bundle" in capsys.readouterr().err
    assert cli.main(["verify", str(evidence.path), "--json", "/nowhere/e.json", "--lang", "zh"]) == 1
    assert "没有这样的文件或文件夹" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["verify", "--help", "--lang", "zh"])
    shown = capsys.readouterr().out
    assert shown.startswith("用法：ringfence-audit verify")
    for english in ("usage", "positional", "options", "show this"):
        assert english not in shown
