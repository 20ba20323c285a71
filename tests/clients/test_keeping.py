"""Backup, restore and migrate of both homes, on SQLite and PostgreSQL: whole or not at all, and frozen."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kits.command_kit import client, events, init, read, refused, server, town
from kits.postgres_kit import postgresql_database

from ringfence.clients.desk.assembling import serving
from ringfence.clients.home import open_home
from ringfence.clients.migrations.schema import HOLDER_STORE
from ringfence.privacy.crypto import wrapped_secrets
from ringfence.privacy.errors import BudgetError, StoreError
from ringfence.privacy.stores import schema as schemas
from ringfence.privacy.stores.archive import Member, open_archive, write_archive

REVISION = "holder_0001"


@pytest.fixture(autouse=True)
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapped_secrets, "LOG2_COST", 4)


@pytest.fixture
def phrase(tmp_path: Path) -> Path:
    file = tmp_path / "phrase"
    file.write_text("correct horse battery\n", encoding="utf-8")
    file.chmod(0o600)
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database, or nothing for a file in the home."""
    if request.param == "sqlite":
        yield ""
    else:
        with postgresql_database(request.getfixturevalue("postgresql")) as made:
            yield made


@pytest.fixture
def other(url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    if not url:
        yield ""
    else:
        with postgresql_database(request.getfixturevalue("postgresql")) as made:
            yield made


def stored(url: str) -> tuple[str, ...]:
    return ("--store", url) if url else ()


def backup(home: Path, file: Path, phrase: Path) -> None:
    assert client("backup", file, "--config", home, "--passphrase-file", phrase) == 0


def test_a_home_comes_back_as_it_was_and_frozen(tmp_path: Path, phrase: Path, url: str, other: str) -> None:
    home, file = tmp_path / "bank", tmp_path / "b.backup"
    assert init(home, "--no-passphrase", *stored(url)) == 0
    with open_home(home) as before:
        head, population = before.ledger.head(), before.ledger.terms()["population"]
    backup(home, file, phrase)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = tmp_path / "again"
    assert client("restore", file, again, "--passphrase-file", phrase, *stored(other)) == 0
    assert sorted(path.name for path in (again / "keys").iterdir()) == sorted(
        path.name for path in (home / "keys").iterdir()
    )
    for name in ("holder.key", "registry.key", "attempts.key", "log.key"):
        assert (again / "keys" / name).read_bytes() == (home / "keys" / name).read_bytes()
        assert stat.S_IMODE((again / "keys" / name).stat().st_mode) == 0o600
    with open_home(again) as opened:
        assert opened.ledger.frozen() == "restored from a backup"
        assert opened.ledger.terms()["population"] == population
        assert opened.ledger.entries()[head.sequence - 1].hash.hex() == head.hash
        with pytest.raises(BudgetError, match="RF-B308"):
            opened.ledger.reserve("sha256:" + 64 * "0", 0)
        opened.registry()
    actions = [event["action"] for event in events(again, tmp_path / "log.json")]
    assert actions[:4] == ["budget.refused", "store.restored", "budget.frozen", "store.copied"]


def test_a_home_moves_from_postgresql_to_a_file_and_goes_on_counting(
    tmp_path: Path, phrase: Path, postgresql: str
) -> None:
    home, file = tmp_path / "bank", tmp_path / "b.backup"
    with postgresql_database(postgresql) as made:
        assert init(home, "--no-passphrase", "--store", made) == 0
        backup(home, file, phrase)
    words = ("--passphrase-file", phrase, "--store", "holder.db")
    assert client("restore", file, tmp_path / "file", *words) == 0
    backup(tmp_path / "file", tmp_path / "c.backup", phrase)
    with postgresql_database(postgresql) as made:
        words = ("--passphrase-file", phrase, "--store", made)
        assert client("restore", tmp_path / "c.backup", tmp_path / "back", *words) == 0
        assert client("log", "verify", "--config", tmp_path / "back") == 0


def test_secrets_are_under_the_passphrase_and_the_table_stays_at_home(tmp_path: Path, phrase: Path) -> None:
    here, file = town(tmp_path), tmp_path / "b.backup"
    backup(here.home, file, phrase)
    with open_archive(file) as archive:
        names = set(archive.names)
        whole = b"".join(archive.read(name) for name in archive.names)
    assert {"store.db", "secrets", "home/client.toml", "home/contract.signed.json"} <= names
    assert not [name for name in names if "customers" in name or name.endswith(".key")]
    for name in ("registry.key", "attempts.key", "holder.key"):
        assert (here.home / "keys" / name).read_bytes().strip() not in whole


def test_a_backup_is_made_while_the_home_serves(tmp_path: Path, phrase: Path) -> None:
    here = town(tmp_path)
    with serving(here.home):
        backup(here.home, tmp_path / "b.backup", phrase)
    assert client("restore", tmp_path / "b.backup", tmp_path / "x", "--passphrase-file", phrase) == 0


def test_nothing_is_overwritten(tmp_path: Path, phrase: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, file = tmp_path / "bank", tmp_path / "b.backup"
    assert init(home) == 0
    backup(home, file, phrase)
    before = file.read_bytes()
    capsys.readouterr()
    words = ("--config", home, "--passphrase-file", phrase)
    refused(capsys, client("backup", file, *words), "RF-U432", 2)
    refused(capsys, client("restore", file, home, "--passphrase-file", phrase), "RF-U410", 2)
    refused(capsys, server("restore", file, tmp_path / "x", "--passphrase-file", phrase), "RF-B619")
    assert file.read_bytes() == before
    with pytest.raises(StoreError, match="RF-B608"):
        write_archive(file, {}, [], tmp_path / "scratch")
    assert file.read_bytes() == before


def test_a_wrong_passphrase_leaves_nothing(
    tmp_path: Path, phrase: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(tmp_path / "bank") == 0
    backup(tmp_path / "bank", tmp_path / "b.backup", phrase)
    phrase.write_text("another one entirely\n", encoding="utf-8")
    capsys.readouterr()
    status = client("restore", tmp_path / "b.backup", tmp_path / "x", "--passphrase-file", phrase)
    refused(capsys, status, "RF-B614")
    phrase.write_text("short\n", encoding="utf-8")
    words = ("--config", tmp_path / "bank", "--passphrase-file", phrase)
    refused(capsys, client("backup", tmp_path / "c.backup", *words), "RF-B613")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.backup", "bank", "phrase"]


def test_a_database_that_holds_something_is_not_filled(
    tmp_path: Path, phrase: Path, postgresql: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with postgresql_database(postgresql) as made:
        assert init(tmp_path / "bank", "--no-passphrase", "--store", made) == 0
        backup(tmp_path / "bank", tmp_path / "b.backup", phrase)
        capsys.readouterr()
        status = client("restore", tmp_path / "b.backup", tmp_path / "x", "--passphrase-file", phrase)
        refused(capsys, status, "RF-U543", 2)
        assert not (tmp_path / "x").exists()
        with open_home(tmp_path / "bank") as home:
            assert home.ledger.frozen() == ""


def rewritten(file: Path, change: Callable[[zipfile.ZipFile, zipfile.ZipFile], None]) -> Path:
    target = file.with_name("bad.backup")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        change(old, new)
    return target


def keep(old: zipfile.ZipFile, new: zipfile.ZipFile, *, but: str = "") -> None:
    for info in old.infolist():
        if info.filename != but:
            new.writestr(info, old.read(info))


def entry(name: str, mode: int = stat.S_IFREG | 0o600) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def spoilt(file: Path, how: str) -> Path:
    def change(old: zipfile.ZipFile, new: zipfile.ZipFile) -> None:
        match how:
            case "outside":
                keep(old, new)
                new.writestr(entry("../evil"), b"x")
            case "absolute":
                keep(old, new)
                new.writestr(entry("/tmp/evil"), b"x")
            case "link":
                keep(old, new)
                new.writestr(entry("home/link", stat.S_IFLNK | 0o777), b"/etc/passwd")
            case "packed":
                keep(old, new)
                new.writestr(entry("home/bomb"), bytes(1 << 20), compress_type=zipfile.ZIP_DEFLATED)
            case "extra":
                keep(old, new)
                new.writestr(entry("home/more.toml"), b"x")
            case "missing":
                keep(old, new, but="home/client.toml")
            case "changed":
                keep(old, new, but="home/client.toml")
                new.writestr(entry("home/client.toml"), b"name = 'other'\n")
            case "no manifest":
                keep(old, new, but="manifest.json")
            case _:
                said = json.loads(old.read("manifest.json"))
                said.update(json.loads(how))
                keep(old, new, but="manifest.json")
                new.writestr(entry("manifest.json"), json.dumps(said))

    return rewritten(file, change)


@pytest.mark.parametrize(
    ("how", "code", "status"),
    [
        ("outside", "RF-B610", 1),
        ("absolute", "RF-B610", 1),
        ("link", "RF-B610", 1),
        ("packed", "RF-B6", 1),
        ("extra", "RF-B611", 1),
        ("missing", "RF-B611", 1),
        ("changed", "RF-B611", 1),
        ("no manifest", "RF-B609", 1),
        ('{"format": "ringfence-backup-9"}', "RF-B612", 1),
        ('{"format": 1}', "RF-B612", 1),
        ('{"members": 1}', "RF-B609", 1),
        ('{"revision": "holder_9999"}', "RF-U540", 2),
        ('{"identity": "ed25519:00000000000000000000000000000000"}', "RF-B618", 1),
        ('{"name": "south"}', "RF-B618", 1),
    ],
)
def test_an_archive_that_was_touched_is_one_sentence(
    tmp_path: Path, phrase: Path, capsys: pytest.CaptureFixture[str], how: str, code: str, status: int
) -> None:
    assert init(tmp_path / "bank") == 0
    backup(tmp_path / "bank", tmp_path / "b.backup", phrase)
    bad = spoilt(tmp_path / "b.backup", how)
    capsys.readouterr()
    found = client("restore", bad, tmp_path / "x", "--passphrase-file", phrase)
    error = capsys.readouterr().err
    assert (found, error.count("\n")) == (status, 1)
    assert error.startswith(code)
    assert not list(tmp_path.glob(".x*")) + list(tmp_path.glob("x"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", bytes(2000)])
def test_what_is_no_archive_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "a").write_bytes(content)
    refused(capsys, client("restore", tmp_path / "a", tmp_path / "x"), "RF-B609")


def test_an_archive_cut_anywhere_is_refused(
    tmp_path: Path, phrase: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(tmp_path / "bank") == 0
    backup(tmp_path / "bank", tmp_path / "b.backup", phrase)
    whole = (tmp_path / "b.backup").read_bytes()
    for part in (1, 2, 3):
        (tmp_path / "cut").write_bytes(whole[: len(whole) * part // 4])
        refused(capsys, client("restore", tmp_path / "cut", tmp_path / "x"), "RF-B609")
    assert zipfile.is_zipfile(io.BytesIO(whole))


def test_a_store_with_a_changed_ledger_is_neither_copied_nor_restored(
    tmp_path: Path, phrase: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, file = tmp_path / "bank", tmp_path / "b.backup"
    assert init(home) == 0
    backup(home, file, phrase)
    with open_archive(file) as archive:
        members = [Member(name, archive.read(name)) for name in archive.names if name != "store.db"]
        archive.extract("store.db", tmp_path / "s.db")
        said = {key: value for key, value in archive.said.items() if key != "format"}
    with sqlite3.connect(tmp_path / "s.db") as database:
        database.execute("UPDATE audit_event SET leaf = ? WHERE seq = 1", (b"{}",))
    bad = [Member("store.db", tmp_path / "s.db"), *members]
    write_archive(tmp_path / "bad.backup", said, bad, tmp_path / "scratch")
    capsys.readouterr()
    status = client("restore", tmp_path / "bad.backup", tmp_path / "x", "--passphrase-file", phrase)
    refused(capsys, status, "RF-B616")
    with sqlite3.connect(home / "holder.db") as database:
        database.execute("UPDATE audit_private SET body = ? WHERE seq = 0", (b"{}",))
    words = ("--config", home, "--passphrase-file", phrase)
    assert client("backup", tmp_path / "c.backup", *words) == 1
    assert not (tmp_path / "c.backup").exists()


def test_a_restored_coordinator_has_no_open_invitation(tmp_path: Path, phrase: Path) -> None:
    here, file = town(tmp_path), tmp_path / "d.backup"
    assert server("gateway", "make", "--address", "a.example:8443", "--config", here.desk) == 0
    words = ("--out", tmp_path / "i.json", "--config", here.desk)
    assert server("holder", "invite", "north", *words) == 0
    assert server("backup", file, "--config", here.desk, "--passphrase-file", phrase) == 0
    assert server("restore", file, tmp_path / "d", "--passphrase-file", phrase) == 0
    key = Path("gateway", "authority.key")
    assert (tmp_path / "d" / key).read_bytes() == (here.desk / key).read_bytes()
    for folder, count in ((here.desk, 1), (tmp_path / "d", 0)):
        with sqlite3.connect(folder / "coordinator.db") as database:
            query = "SELECT count(*) FROM federation_invitations WHERE used = ''"
            assert database.execute(query).fetchone() == (count,)
    assert server("log", "--config", tmp_path / "d", "--json", tmp_path / "l.json") == 0
    assert read(tmp_path / "l.json")["events"][0]["action"] == "store.restored"


def test_versions_of_other_code_and_other_kinds_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(tmp_path / "bank") == 0
    capsys.readouterr()
    for version, code in (("holder_9999", "RF-B601"), ("coordinator_0001", "RF-B602")):
        with sqlite3.connect(tmp_path / "bank" / "holder.db") as database:
            database.execute(f"UPDATE {schemas.VERSION_TABLE} SET version_num = ?", (version,))
        for words in (("budget",), ("migrate",)):
            refused(capsys, client(*words, "--config", tmp_path / "bank"), code)
    with sqlite3.connect(tmp_path / "bank" / "holder.db") as database:
        database.execute(f"DELETE FROM {schemas.VERSION_TABLE}")
    refused(capsys, client("budget", "--config", tmp_path / "bank"), "RF-B604")
    (tmp_path / "bank" / "holder.db").write_bytes(b"")
    refused(capsys, client("budget", "--config", tmp_path / "bank"), "RF-B603")


def test_a_store_from_before_versions_is_taken_when_its_tables_are_those(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "bank"
    assert init(home) == 0
    with sqlite3.connect(home / "holder.db") as database:
        database.executescript(f"DROP TABLE {schemas.VERSION_TABLE}; DROP TABLE participations;")
    capsys.readouterr()
    refused(capsys, client("budget", "--config", home), "RF-B600")
    assert client("migrate", "--config", home, "--json", tmp_path / "out.json") == 0
    assert read(tmp_path / "out.json")["reached"] == [REVISION]
    assert client("budget", "--config", home) == 0
    kept = Path(read(tmp_path / "out.json")["backup"])
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert client("migrate", "--config", home, "--json", tmp_path / "out.json") == 0
    assert read(tmp_path / "out.json") == {"found": REVISION, "reached": [], "backup": None}
    assert client("restore", kept, tmp_path / "x", "--secrets-of", home) == 0
    capsys.readouterr()
    refused(capsys, client("restore", kept, tmp_path / "y"), "RF-U541", 2)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE refused_offers ADD COLUMN more INTEGER",
        "CREATE TABLE extra (a INTEGER)",
        "DROP INDEX ix_audit_event_action",
        "DROP TABLE budget_ledger",
    ],
)
def test_a_store_without_a_version_and_with_other_tables_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    home = tmp_path / "bank"
    assert init(home) == 0
    with sqlite3.connect(home / "holder.db") as database:
        database.executescript(f"DROP TABLE {schemas.VERSION_TABLE}; {change};")
    before = sorted(path.name for path in home.iterdir())
    capsys.readouterr()
    refused(capsys, client("migrate", "--config", home), "RF-B606")
    assert sorted(path.name for path in home.iterdir()) == before
    assert HOLDER_STORE.head == REVISION
