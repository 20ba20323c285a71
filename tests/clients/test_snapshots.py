"""Copies of attested tables: written once, handed out unaltered, one in force, none left behind."""

from __future__ import annotations

import datetime
import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, inspect

from ringfence.clients.records.snapshots import Attestation, Snapshots
from ringfence.privacy.errors import TableError
from ringfence.privacy.stores.store import open_store

STUDY, OTHER = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32
CONTRACT = "sha256:" + "ef" * 32
NOW = datetime.datetime(2027, 5, 6, 7, 8, 9, 123, tzinfo=datetime.UTC)
TODAY = NOW.date()
DAY = datetime.timedelta(days=1)


@pytest.fixture
def engine() -> Engine:
    return open_store(None)


@pytest.fixture
def kept(engine: Engine, tmp_path: Path) -> Snapshots:
    return Snapshots(engine, tmp_path / "home" / "snapshots", b"k" * 32)


def made(study: str = STUDY, **changes: object) -> Attestation:
    fields: dict[str, object] = {
        "study": study,
        "contract": CONTRACT,
        "headers": ("key", "age"),
        "at": NOW,
        "expires": TODAY,
    }
    return Attestation(**(fields | changes))  # type: ignore[arg-type]


def passed(kept: Snapshots, content: bytes = b"rows", study: str = STUDY, **changes: object) -> Attestation:
    """An attestation that passed, put in force."""
    file, digest = kept.write(study, content)
    found = made(study, file=file, digest=digest, **changes)
    kept.put(found, lambda _: None)
    return found


def files(kept: Snapshots) -> set[str]:
    return {each.name for each in kept.folder.iterdir()}


class _Refused(Exception):
    """A premise that does not hold."""


def _refuse(_: Connection) -> None:
    raise _Refused


def test_a_copy_is_its_owners_and_named_for_its_study_and_by_chance(kept: Snapshots) -> None:
    named = {kept.write(STUDY, b"rows")[0] for _ in range(2)}
    assert len(named) == 2
    for name in named:
        assert re.fullmatch(r"abababababab-[0-9a-f]{16}\.arrow", name)
        assert b"rows" not in (kept.folder / name).read_bytes()
        assert (kept.folder / name).stat().st_mode & 0o777 == 0o600
    assert kept.folder.stat().st_mode & 0o777 == 0o700
    assert kept.write(STUDY, b"rows")[1] == "sha256:" + hashlib.sha256(b"rows").hexdigest()


def test_a_copy_is_on_the_disk_before_it_is_named(kept: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    name, _ = kept.write(STUDY, b"rows")
    assert synced == [(kept.folder / name).stat().st_size], "all of it had left the process"


def test_a_copy_is_never_written_over(kept: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.clients.records.snapshots.secrets.token_hex", lambda n: "0" * 2 * n)
    kept.write(STUDY, b"first")
    with pytest.raises(FileExistsError):
        kept.write(STUDY, b"second")
    assert len(files(kept)) == 1


def test_an_attestation_is_found_again_in_every_member(kept: Snapshots, engine: Engine) -> None:
    found = passed(kept)
    assert Snapshots(engine, kept.folder, b"k" * 32).find(STUDY) == found
    assert kept.find(OTHER) is None
    failed = made(OTHER, fault="RF-T040: no.", expires=TODAY + DAY)
    kept.put(failed, lambda _: None)
    assert kept.find(OTHER) == failed
    assert (found.passed, failed.passed) == (True, False)


def test_what_an_attestation_serves() -> None:
    found = made(digest="sha256:x")
    assert found.serves(CONTRACT)
    assert found.serves(CONTRACT, ("key", "age"))
    assert not found.serves(CONTRACT, ("key",))
    assert not found.serves(CONTRACT, ("age", "key"))
    assert not found.serves("sha256:another")
    assert not found.serves("sha256:another", ("key", "age"))
    assert not made().serves(CONTRACT)


def test_a_later_attestation_takes_the_place_and_the_copy_of_the_one_before(kept: Snapshots) -> None:
    passed(kept, b"first")
    aside = passed(kept, b"aside", OTHER)
    later = passed(kept, b"second")
    assert kept.find(STUDY) == later
    assert files(kept) == {later.file, aside.file}
    assert (kept.content(later), kept.content(aside)) == (b"second", b"aside")


@pytest.mark.parametrize(
    ("changes", "stays"),
    [({}, True), ({"headers": ("key",)}, True), ({"contract": "sha256:" + "0" * 64}, False)],
    ids=["the same terms", "other columns", "another contract"],
)
def test_one_that_did_not_pass_takes_no_place_under_the_same_contract(
    kept: Snapshots, changes: dict[str, object], stays: bool
) -> None:
    before, told = passed(kept), list[bool]()
    failed = made(fault="RF-T040: no.", **changes)
    kept.put(failed, lambda connection: told.append(isinstance(connection, Connection)))
    assert told == [True]
    assert kept.find(STUDY) == (before if stays else failed)
    assert files(kept) == ({before.file} if stays else set())


def test_a_second_failure_takes_the_place_of_the_first(kept: Snapshots) -> None:
    kept.put(made(fault="RF-T040: one."), lambda _: None)
    kept.put(made(fault="RF-T041: two."), lambda _: None)
    found = kept.find(STUDY)
    assert found is not None
    assert found.fault == "RF-T041: two."


def test_copies_of_studies_that_have_expired_go_with_the_next(kept: Snapshots) -> None:
    """On its last day a study may still begin."""
    passed(kept, study=OTHER, expires=TODAY - DAY)
    last = passed(kept, study="sha256:" + "12" * 32, expires=TODAY)
    mine = passed(kept)
    assert kept.find(OTHER) is None
    assert kept.find(last.study) == last
    assert files(kept) == {last.file, mine.file}


@pytest.mark.parametrize("who", ["record", "premise"])
def test_where_a_step_fails_all_stays_as_it_was(kept: Snapshots, who: str) -> None:
    before = passed(kept)
    file, digest = kept.write(STUDY, b"second")
    second = made(file=file, digest=digest)
    with pytest.raises(_Refused):
        kept.put(
            second,
            _refuse if who == "record" else lambda _: None,
            _refuse if who == "premise" else None,
        )
    assert kept.find(STUDY) == before
    assert files(kept) == {before.file}
    with pytest.raises(_Refused):
        kept.put(made(fault="RF-T040: no."), _refuse)
    assert files(kept) == {before.file}
    with pytest.raises(_Refused):
        kept.forget(STUDY, _refuse)
    assert (kept.find(STUDY), files(kept)) == (before, {before.file})


def test_the_premise_is_asked_before_anything_is_recorded(kept: Snapshots) -> None:
    order: list[str] = []
    file, digest = kept.write(STUDY, b"rows")
    kept.put(
        made(file=file, digest=digest),
        lambda _: order.append("record"),
        lambda _: order.append("premise"),
    )
    assert order == ["premise", "record"]


def test_a_forgotten_study_leaves_neither_row_nor_copy(kept: Snapshots) -> None:
    passed(kept)
    other = passed(kept, study=OTHER)
    asked: list[bool] = []
    kept.forget(STUDY, lambda connection: asked.append(isinstance(connection, Connection)))
    assert asked == [True]
    assert (kept.find(STUDY), kept.find(OTHER)) == (None, other)
    assert files(kept) == {other.file}
    kept.forget(OTHER)
    assert files(kept) == set()


def test_a_copy_that_no_process_lived_to_name_goes_after_a_day(kept: Snapshots) -> None:
    mine = passed(kept)
    fresh, old = kept.write(OTHER, b"fresh")[0], kept.write(OTHER, b"old")[0]
    aside = kept.folder / "note.txt"
    aside.write_text("of somebody")
    now = (kept.folder / fresh).stat().st_mtime
    os.utime(kept.folder / old, (now, now - 24 * 3600 - 60))
    os.utime(kept.folder / fresh, (now, now - 24 * 3600 + 600))
    os.utime(kept.folder / mine.file, (now, now - 90 * 24 * 3600))
    os.utime(aside, (now, now - 90 * 24 * 3600))
    kept.forget("sha256:" + "34" * 32)
    assert files(kept) == {mine.file, fresh, aside.name}


def test_a_copy_that_cannot_be_deleted_does_not_stop_the_others(
    kept: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = passed(kept), passed(kept, study=OTHER)
    unlink = Path.unlink

    def stubborn(self: Path, missing_ok: bool = False) -> None:
        if self.name == first.file:
            raise PermissionError
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", stubborn)
    kept.forget(STUDY)
    kept.forget(OTHER)
    assert files(kept) == {first.file}


def test_what_is_gone_or_altered_is_not_handed_out(kept: Snapshots) -> None:
    found = passed(kept)
    assert kept.content(found) == b"rows"
    (kept.folder / found.file).write_bytes(b"rowz")
    with pytest.raises(TableError, match="RF-T151"):
        kept.content(found)
    (kept.folder / found.file).unlink()
    with pytest.raises(TableError, match="RF-T151"):
        kept.content(found)
    # Nothing, read from nowhere, is no copy of an attestation that did not pass.
    with pytest.raises(TableError, match="RF-T151"):
        kept.content(made())
    empty = "sha256:" + hashlib.sha256(b"").hexdigest()
    with pytest.raises(TableError, match="RF-T151"):
        kept.content(replace(made(), digest=empty))


def test_one_that_was_replaced_or_forgotten_is_required_in_vain(kept: Snapshots, engine: Engine) -> None:
    first = passed(kept)
    with engine.begin() as connection:
        kept.require(first, connection)
    second = passed(kept, b"second")
    with engine.begin() as connection:
        kept.require(second, connection)
        with pytest.raises(TableError, match="RF-T170"):
            kept.require(first, connection)
    kept.forget(STUDY)
    with engine.begin() as connection, pytest.raises(TableError, match="RF-T170"):
        kept.require(second, connection)


def test_the_table_that_older_stores_have(kept: Snapshots, engine: Engine) -> None:
    columns = inspect(engine).get_columns("attested_tables")
    names = ["study", "window", "contract", "headers", "at", "expires", "digest", "file", "fault"]
    assert [(c["name"], c["nullable"], bool(c["primary_key"])) for c in columns] == [
        (name, False, name in {"study", "window"}) for name in names
    ]
    assert [getattr(c["type"], "length", None) for c in columns] == [71, None, 71, None, 40, 10, 71, 80, None]
