"""A holder's own model: where it stands, what is said of it, and what becomes of a disk that is full."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ringfence.clients.own_model import FOLDER, Kept, leave_own, own_path
from ringfence.privacy.errors import WaistError

DIGEST = "sha256:0123456789abcdef" + "0" * 48


@dataclass
class _Log:
    """Keeps what is recorded."""

    events: list[Any] = field(default_factory=list)

    def record(self, action: str, outcome: str, **rest: Any) -> None:
        self.events.append((action, outcome, rest))


RUN = "ab" * 16
FILE = f"churn-0123456789ab-{RUN}.safetensors"


def admitted(file: Any, run: str = RUN, window: int = 0) -> Any:
    study = SimpleNamespace(id="churn", digest=lambda: DIGEST)
    task = SimpleNamespace(personal=None if file is None else SimpleNamespace(file=file))
    return SimpleNamespace(
        study=study, task=task, digest=DIGEST, run=run, window=window, context="the context"
    )


def holder(folder: Path) -> Any:
    return SimpleNamespace(models=folder, name="bank", log=_Log())


def kept() -> Kept:
    found = Kept()
    found.keep(3, "first")
    found.keep(3, "again")
    found.keep(5, "last")
    return found


def told(bank: Any, content: bytes, outcome: str) -> None:
    public = {"run": "ab" * 16, "rounds": 2}
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    private = {"file": FILE, "digest": digest}
    rest = {"resource": f"study:{DIGEST}", "public": public, "private": private}
    assert bank.log.events == [("model.kept", outcome, rest)]


def test_where_own_models_stand() -> None:
    assert FOLDER == "own"
    study = cast(Any, SimpleNamespace(id="churn", digest=lambda: DIGEST))
    assert own_path(Path("there"), study, RUN) == Path("there") / FILE
    series = own_path(Path("there"), study, RUN, 7)
    assert series.name == f"churn-0123456789ab-7-{RUN}.safetensors"


def test_each_run_keeps_its_own(tmp_path: Path) -> None:
    """Another window, another run of one window, and one whose id begins alike: nothing is overwritten."""
    bank = holder(tmp_path / "own")
    runs = [(RUN, 1), (RUN, 2), ("ac" * 16, 1), (RUN[:-1] + "c", 1), (RUN, 0)]
    for number, (run, window) in enumerate(runs):
        assert leave_own(bank, admitted(lambda *_, n=number: b"%d" % n, run, window), kept()) == ""
    assert sorted(each.read_bytes() for each in (tmp_path / "own").iterdir()) == [
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
    ]


def test_the_last_charged_state_is_left_in_a_folder_of_the_holders_own(tmp_path: Path) -> None:
    asked: list[tuple[object, ...]] = []

    def file(*arguments: object) -> bytes:
        asked.append(arguments)
        return b"weights"

    folder = tmp_path / "deep" / "own"
    bank = holder(folder)
    for _ in range(2):
        bank.log.events.clear()
        assert leave_own(bank, admitted(file), kept()) == ""
        told(bank, b"weights", "allow")
    assert asked == [("the context", "last", "bank")] * 2
    assert [(each.name, each.read_bytes()) for each in folder.iterdir()] == [(FILE, b"weights")]
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("file", [None, lambda *_: b"weights"], ids=["no such task", "nothing charged"])
def test_where_there_is_nothing_nothing_is_left_or_said(tmp_path: Path, file: Any) -> None:
    bank = holder(tmp_path / "own")
    assert leave_own(bank, admitted(file), kept() if file is None else Kept()) == ""
    assert bank.log.events == []
    assert not (tmp_path / "own").exists()


def test_a_disk_that_takes_nothing_is_told_by_its_kind(tmp_path: Path) -> None:
    (tmp_path / "own").write_bytes(b"not a folder")
    bank = holder(tmp_path / "own")
    assert leave_own(bank, admitted(lambda *_: b"weights"), kept()) == "FileExistsError"
    told(bank, b"weights", "error")


def test_a_fault_of_its_own_is_told_in_its_words(tmp_path: Path) -> None:
    def file(*_: object) -> bytes:
        raise WaistError("RF-W065", "no")  # type: ignore[arg-type]

    bank = holder(tmp_path / "own")
    assert leave_own(bank, admitted(file), kept()) == "RF-W065: no"
    told(bank, b"", "error")


def test_rounds_are_counted_once_and_a_first_round_begins_from_nothing() -> None:
    fresh = Kept()
    assert (fresh.latest, fresh.rounds, fresh.before(0), fresh.before(-1)) == (None, 0, None, None)
    fresh.keep(0, "one")
    assert (fresh.latest, fresh.rounds, fresh.before(0), fresh.before(1)) == ("one", 1, None, "one")
    fresh.keep(0, "one again")
    assert (fresh.latest, fresh.rounds, fresh.before(0), fresh.before(1)) == (
        "one again",
        1,
        None,
        "one again",
    )
    fresh.keep(4, "two")
    assert (fresh.rounds, fresh.before(4), fresh.before(5)) == (2, "one again", "two")
