"""Lines of JSON, the bounded end of a process, plain pages, findings, credentials and leases."""

from __future__ import annotations

import io
import json
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ringfence.privacy.command_line.findings import Examination, check_space, in_range
from ringfence.privacy.command_line.lasting import ended_in_time, leave_proxies_out
from ringfence.privacy.command_line.lines import SaidLines, complaining
from ringfence.privacy.command_line.listening import Page, listening
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.keyfile import write_key
from ringfence.privacy.crypto.secret_files import Passphrases, credential
from ringfence.privacy.errors import KeyFault, RingfenceError, UsageError
from ringfence.privacy.stores.lease import lease, leased
from ringfence.privacy.stores.store import open_store

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def lines() -> tuple[SaidLines, io.StringIO]:
    stream = io.StringIO()
    return SaidLines(say=lambda _: None, json=True, stream=stream, clock=lambda: NOW), stream


def test_a_line_is_one_object() -> None:
    made, stream = lines()
    made.tell("ready", "北岸 is\nready.")
    made.report("RF-W356: Flower's link ended.")
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert first == {
        "time": "2026-11-28T12:00:00.000+00:00",
        "level": "info",
        "event": "ready",
        "sentence": "北岸 is\nready.",
    }
    assert (second["level"], second["code"], second["sentence"]) == (
        "warning",
        "RF-W356",
        "Flower's link ended.",
    )


@pytest.mark.parametrize(
    "told",
    [
        "RF-T001: line 17 of customers.csv holds secret",
        "RF-N001: secret withdrew",
        "RF-W080: a fault. KeyError: secret",
        "RF-W331: not reached (ValueError: secret)",
        "KeyError: secret",
    ],
)
def test_a_line_repeats_nothing_that_hangs_on_rows_or_is_anybodys(told: str) -> None:
    made, stream = lines()
    made.report(told)
    assert "secret" not in stream.getvalue()
    assert "customers" not in stream.getvalue()
    said: list[str] = []
    SaidLines(say=said.append).report(told)
    assert said == [told], "for people nothing is left out"


@pytest.mark.parametrize(
    ("argv", "is_json"),
    [
        (["run", "--log-format", "json"], True),
        (["run", "--log-format=json"], True),
        (["run", "--log-format"], False),
        (["run", "--", "--log-format", "json"], False),
        (["run"], False),
    ],
)
def test_the_end_is_told_as_asked(capsys: pytest.CaptureFixture[str], argv: list[str], is_json: bool) -> None:
    complaining(argv)(UsageError("RF-U901", "No."))
    said = capsys.readouterr().err
    assert said.startswith("{") == is_json
    assert said.startswith("RF-U901: No.") != is_json


def test_what_does_not_end_in_time_is_abandoned_with_status_0() -> None:
    stop, left, told = threading.Event(), list[int](), list[str]()
    gone = threading.Event()

    def leave(status: int) -> None:
        left.append(status)
        gone.set()

    with ended_in_time(stop, lambda event, _said: told.append(event), seconds=0.01, leave=leave):
        stop.set()
        assert gone.wait(20)
    assert (left, told) == ([0], ["abandoned"])


def test_what_ends_in_time_is_left_alone() -> None:
    stop, left = threading.Event(), list[int]()
    with ended_in_time(stop, lambda *_: None, seconds=3600.0, leave=left.append):
        stop.set()
    assert left == []


def test_proxies_of_the_environment_are_left_out_and_said() -> None:
    environment = {"HTTPS_PROXY": "http://p:1", "http_proxy": "http://p:1", "no_proxy": "x", "ALL_PROXY": ""}
    said: list[str] = []
    leave_proxies_out(lambda _event, sentence: said.append(sentence), "Name one.", environment)
    assert environment == {"no_proxy": "x", "ALL_PROXY": ""}
    assert said == ["HTTPS_PROXY, http_proxy in the environment is not used by this process. Name one."]
    leave_proxies_out(lambda _event, sentence: said.append(sentence), "Name one.", environment)
    assert len(said) == 1


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(RingfenceError, match="RF-U570"),
            listening({}, host="127.0.0.1", port=port, name="metrics"),
        ):
            pass


def ask(port: int, head: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(f"{head}\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        return link.makefile(encoding="latin-1").read()


def test_pages_are_read_only_and_a_page_that_fails_ends_nothing() -> None:
    def fails() -> Page:
        raise ValueError("secret")

    pages = {"/a": lambda: Page(body=b"all is well"), "/b": fails}
    with listening(pages, host="127.0.0.1", port=0, name="probes") as port:
        assert "all is well" in ask(port, "GET /a HTTP/1.0")
        assert "all is well" not in ask(port, "HEAD /a HTTP/1.0")
        assert " 501 " in ask(port, "POST /a HTTP/1.0")
        said = ask(port, "GET /b HTTP/1.0")
        assert " 503 " in said
        assert "secret" not in said
        assert " 200 " in ask(port, "GET /a HTTP/1.0")


@pytest.mark.parametrize(
    ("found", "inside"),
    [("1.41.0", True), ("1.41.9", True), ("1.42.0", False), ("1.40.9", False), ("2.0", False)],
)
def test_a_version_lies_in_its_range_or_not(found: str, inside: bool) -> None:
    assert in_range(found, "flwr<1.42,>=1.41") is inside
    assert not in_range(found, "")


@pytest.mark.parametrize(("gib", "grade"), [(50.0, "ok"), (1.0, "warning"), (0.1, "fault")])
def test_a_disk_that_fills_is_told(tmp_path: Path, gib: float, grade: str) -> None:
    made = Examination()
    check_space(made, tmp_path, lambda _path: int(gib * (1 << 30)))
    assert [each.grade for each in made.found] == [grade]
    assert made.status == (grade == "fault")


def test_a_check_that_fails_in_any_way_is_a_finding(tmp_path: Path) -> None:
    made = Examination()

    def absent() -> str:
        return (tmp_path / "absent").read_text(encoding="utf-8")

    def odd() -> str:
        raise KeyError("secret")

    assert not made.check("one", absent)
    assert not made.check("two", odd)
    assert made.check("three", lambda: None)
    assert [(each.name, each.code) for each in made.found] == [("one", "RF-U571"), ("two", "RF-U572")]
    assert "secret" not in made.found[1].sentence


def credentials(folder: Path, mode: int = 0o400, **named: str) -> dict[str, str]:
    for name, text in named.items():
        path = folder / name.replace("_", "-")
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def test_a_process_takes_its_passphrase_from_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "holder.key"
    write_key(key, Identity.generate("holder"), "correct horse", unwrapped=False)
    given = credentials(tmp_path, ringfence_passphrase="correct horse\n")
    monkeypatch.setenv(*next(iter(given.items())))
    assert Passphrases().read_key(key, "holder").kind == "holder"


def test_a_key_may_have_a_credential_of_its_own_and_a_persons_has_none(tmp_path: Path) -> None:
    given = credentials(tmp_path, ringfence_passphrase="all", ringfence_passphrase_log="log only")
    assert credential("holder", given) == "all"
    assert credential("log", given) == "log only"
    assert credential("approver", given) is None
    assert credential("holder", {}) is None
    assert credential("holder", {"CREDENTIALS_DIRECTORY": str(tmp_path / "absent")}) is None


@pytest.mark.parametrize("mode", [0o404, 0o420, 0o410, 0o444])
def test_a_credential_that_others_have_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyFault, match="RF-K134"):
        credential("holder", credentials(tmp_path, mode, ringfence_passphrase="x"))


def test_a_credential_by_an_access_list_is_taken_and_a_link_is_not(tmp_path: Path) -> None:
    given = credentials(tmp_path, 0o440, ringfence_passphrase="x")
    assert credential("holder", given) == "x"
    (tmp_path / "ringfence-passphrase-log").symlink_to(tmp_path / "ringfence-passphrase")
    with pytest.raises(KeyFault, match="RF-K134"):
        credential("log", given)


def test_a_lease_that_is_held_is_seen_and_looking_takes_none(tmp_path: Path) -> None:
    engine = open_store(tmp_path / "s.db")
    assert not leased(engine)
    assert list(tmp_path.glob("*.lease")) == []
    with lease(engine):
        assert leased(engine)
        assert not leased(engine, "study")
    assert not leased(engine)
    with lease(engine, "study"):
        assert leased(engine, "study")
        assert not leased(engine)
    engine.dispose()
