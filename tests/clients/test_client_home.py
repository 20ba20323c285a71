"""`ringfence-client init` and `key`: all or nothing, nothing overwritten, keys of the right kind and
rights.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from kits.command_kit import client, configure, events, init, new_key, read, refused, town, write_contract
from kits.postgres_kit import postgresql_database
from sqlalchemy import Engine

from ringfence.clients.commands.cli import SHORT
from ringfence.clients.desk.assembling import load_holder, serving
from ringfence.clients.home import open_home
from ringfence.privacy.command_line.commands import in_full
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import BudgetError, RingfenceError
from ringfence.privacy.stores.store import open_store

PASSPHRASE = "correct horse battery"


def passphrase_file(path: Path, text: str = PASSPHRASE, mode: int = 0o600) -> Path:
    path.write_text(text + "\n", encoding="utf-8")
    path.chmod(mode)
    return path


def test_init_makes_everything_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "bank"
    assert init(home, "--no-passphrase", "--json", tmp_path / "out.json") == 0
    made = {path.relative_to(home).as_posix() for path in home.rglob("*")} - {"holder.db-journal"}
    assert made == {
        "approvals",
        "client.toml",
        "holder.db",
        "keys",
        "keys/attempts.key",
        "keys/registry.key",
        "keys/holder.key",
        "keys/holder.key.pub",
        "keys/log.key",
        "keys/log.key.pub",
    }
    for secret in ("holder.db", "keys/holder.key", "keys/log.key", "keys/registry.key", "keys/attempts.key"):
        assert stat.S_IMODE((home / secret).stat().st_mode) == 0o600, secret
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert not list(tmp_path.glob(".*"))
    actions = [event["action"] for event in events(home, tmp_path / "log.json")]
    assert sorted(actions) == ["budget.created", "key.created", "key.created"]
    assert read(tmp_path / "out.json")["holder_fingerprint"].startswith("ed25519:")
    with open_home(home) as opened:
        assert opened.ledger.terms()["population"] == "people"
        assert opened.log.profile == "durable"


def test_an_empty_folder_may_be_used_and_anything_else_is_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "bank"
    home.mkdir()
    assert init(home) == 0
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    capsys.readouterr()
    refused(capsys, init(home), "RF-U410", 2)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
    refused(capsys, init(tmp_path / "absent" / "bank"), "RF-U411", 2)


def test_the_present_folder_may_be_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bank").mkdir()
    monkeypatch.chdir(tmp_path / "bank")
    assert init(Path()) == 0
    assert (tmp_path / "bank" / "client.toml").exists()


def test_a_failure_in_the_middle_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BudgetError("RF-B317", "no budget")

    monkeypatch.setattr("ringfence.clients.desk.founding.Ledger.create", fail)
    refused(capsys, init(tmp_path / "bank"), "RF-B317")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, dir: Path, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    said = refused(capsys, init(tmp_path / "bank"), "RF-U908")
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        (("--budget-epsilon", "0"), "RF-B314", 1),
        (("--budget-epsilon", "much"), "RF-U431", 2),
        (("--budget-delta", "1"), "RF-B315", 1),
        (("--budget-delta", "nan"), "RF-U431", 2),
        (("--name", "two words"), "RF-U412", 2),
        (("--population", ""), "RF-U412", 2),
        (("--store", "postgresql://me:pw@host/db"), "RF-U412", 2),
        (("--store", "mysql://host/db"), "RF-B104", 1),
        (("--filter", "magic"), "RF-U901", 2),
    ],
)
def test_bad_terms_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], code: str, status: int
) -> None:
    refused(capsys, init(tmp_path / "bank", "--no-passphrase", *change), code, status)
    assert list(tmp_path.iterdir()) == []


def test_the_rdp_filter_can_be_chosen(tmp_path: Path) -> None:
    assert init(tmp_path / "bank", "--no-passphrase", "--filter", "rdp") == 0
    with open_home(tmp_path / "bank") as home:
        assert home.ledger.terms()["filter"] == "rdp"


def test_keys_are_wrapped_unless_expressly_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = passphrase_file(tmp_path / "pass")
    home = tmp_path / "bank"
    assert init(home, "--passphrase-file", file) == 0
    with pytest.raises(RingfenceError, match="RF-K039"):
        read_key(home / "keys" / "holder.key", "holder")
    assert read_key(home / "keys" / "holder.key", "holder", PASSPHRASE)
    configure(home, contract="contract.toml")
    contract = write_contract(home)
    capsys.readouterr()
    # Without a terminal there is nobody to ask.
    refused(capsys, client("contract", "sign", contract, "--config", home), "RF-U407", 2)
    wrong = passphrase_file(tmp_path / "wrong", "another passphrase")
    refused(
        capsys, client("contract", "sign", contract, "--config", home, "--passphrase-file", wrong), "RF-K040"
    )
    assert not (home / "contract.signed.json").exists()
    assert client("contract", "sign", contract, "--config", home, "--passphrase-file", file) == 0


def test_a_passphrase_is_asked_twice_at_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    answers = iter([PASSPHRASE, "something else", PASSPHRASE, PASSPHRASE, PASSPHRASE])
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(answers))
    words = ("key", "new", "--kind", "approver", tmp_path / "ana.key")
    refused(capsys, client(*words), "RF-U406", 2)
    assert list(tmp_path.iterdir()) == []
    assert client(*words) == 0
    assert Passphrases().read_key(tmp_path / "ana.key", "approver").kind == "approver"


def test_passphrase_files_that_others_can_read_and_both_choices_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = passphrase_file(tmp_path / "pass", mode=0o644)
    words = ("key", "new", "--kind", "log", tmp_path / "a.key", "--passphrase-file")
    refused(capsys, client(*words, file), "RF-K052")
    refused(capsys, client(*words, tmp_path / "absent"), "RF-K051")
    refused(capsys, client(*words, passphrase_file(tmp_path / "short", "short")), "RF-K031")
    (tmp_path / "link").symlink_to(tmp_path / "short")
    refused(capsys, client(*words, tmp_path / "link"), "RF-K052")
    refused(capsys, client(*words, file, "--no-passphrase"), "RF-U430", 2)
    assert not (tmp_path / "a.key").exists()


def test_key_new_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = passphrase_file(tmp_path / "pass")
    for kind in ("holder", "log", "approver", "coordinator"):
        path = tmp_path / f"{kind}.key"
        more = ("--no-passphrase",) if kind != "log" else ("--passphrase-file", file)
        assert client("key", "new", "--kind", kind, path, *more, "--json", tmp_path / "new.json") == 0
        for shown in (path, Path(f"{path}.pub")):
            assert client("key", "show", shown, "--json", tmp_path / "show.json") == 0
            seen = read(tmp_path / "show.json")
            assert {name: seen[name] for name in ("kind", "fingerprint", "key")} == read(
                tmp_path / "new.json"
            )
        assert client("key", "show", path, "--json", tmp_path / "show.json") == 0
        assert read(tmp_path / "show.json")["wrapped"] == ("yes" if kind == "log" else "no")
    new_key(tmp_path / "sim.key", simulation=True)
    for shown in ("sim.key", "sim.key.pub"):
        assert client("key", "show", tmp_path / shown, "--json", tmp_path / "show.json") == 0
        assert read(tmp_path / "show.json")["simulation"] == "yes"
    capsys.readouterr()
    refused(capsys, client("key", "new", "--kind", "log", tmp_path / "log.key", "--no-passphrase"), "RF-K032")
    refused(capsys, client("key", "show", tmp_path / "absent.key"), "RF-K034")
    (tmp_path / "holder.key").chmod(0o644)
    refused(capsys, client("key", "show", tmp_path / "holder.key"), "RF-K035")
    refused(capsys, client("key", "show", passphrase_file(tmp_path / "text")), "RF-K036")


def test_the_whole_holder_is_loaded_and_only_one_process_serves_it(tmp_path: Path) -> None:
    here = town(tmp_path)
    with serving(here.home) as holders:
        holder = holders["city"]
        assert holder.name == "north"
        assert len(holder.approvers) == 2
        assert holder.contract.holder == "north"
        assert holder.log.checkpoint()
        with pytest.raises(RingfenceError, match="RF-B120"), serving(here.home):
            pass


def test_a_lost_store_is_never_begun_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = town(tmp_path)
    (here.home / "holder.db").unlink()
    for words in (("budget",), ("log",), ("consent", "coverage")):
        refused(capsys, client(*words, "--config", here.home), "RF-B400")
    assert not (here.home / "holder.db").exists()


def test_a_store_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = town(tmp_path)

    def in_memory(_target: object) -> Engine:
        return open_store(None)

    monkeypatch.setattr("ringfence.clients.home.open_store", in_memory)
    with pytest.raises(RingfenceError, match="RF-B102"), open_home(here.home):
        pass


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ("rights", "RF-K035"),
        ("kind", "RF-K037"),
        ("simulation", "RF-K038"),
        ("another", "RF-U409"),
        ("secret-rights", "RF-K052"),
        ("secret-content", "RF-K053"),
        ("secret-missing", "RF-K051"),
        ("registry", "RF-N003"),
        ("contract", "RF-C204"),
        ("unsigned", "RF-C203"),
        ("stranger", "RF-K015"),
    ],
)
def test_a_home_that_is_not_as_it_was_left_is_refused(tmp_path: Path, spoil: str, code: str) -> None:
    here = town(tmp_path)
    keys, contract = here.home / "keys", here.home / "contract.toml"
    match spoil:
        case "rights":
            (keys / "holder.key").chmod(0o640)
        case "kind":
            os.replace(keys / "log.key", keys / "holder.key")
        case "simulation":
            (keys / "holder.key").unlink()
            new_key(tmp_path / "sim.key", "holder", simulation=True)
            os.replace(tmp_path / "sim.key", keys / "holder.key")
        case "another":
            new_key(tmp_path / "other.key", "holder")
            os.replace(tmp_path / "other.key", keys / "holder.key")
        case "secret-rights":
            (keys / "attempts.key").chmod(0o644)
        case "secret-content":
            (keys / "attempts.key").write_text("not hex", encoding="ascii")
        case "secret-missing":
            (keys / "attempts.key").unlink()
        case "registry":
            (keys / "registry.key").write_text("00" * 32, encoding="ascii")
        case "contract":
            text = contract.read_text(encoding="utf-8").replace(
                "max_customers = 5000", "max_customers = 4000"
            )
            contract.write_text(text, encoding="utf-8")
        case "unsigned":
            (here.home / "contract.signed.json").unlink()
        case "stranger":
            os.replace(here.root / "south" / "contract.signed.json", here.home / "contract.signed.json")
    with pytest.raises(RingfenceError) as refusal, open_home(here.home) as home:
        load_holder(home)
    assert refusal.value.code == code


def test_the_installed_command_helps_quickly_and_loads_nothing_heavy() -> None:
    script = Path(sys.executable).with_name("ringfence-client")
    command = (
        [str(script)]
        if script.exists()
        else [sys.executable, "-c", "from ringfence.clients.commands.cli import main; main()"]
    )
    before = os.times()
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert helped.returncode == 0
    assert "study" in helped.stdout
    after = os.times()
    assert (after.children_user + after.children_system) - (before.children_user + before.children_system) < 1
    code = (
        "import sys; from ringfence.clients.commands.cli import parser; parser(); "
        "from ringfence.server.commands.cli import parser as p; "
        "p();print(sorted({'numpy', 'pandas', 'sqlalchemy', 'pydantic', 'pyarrow', 'torch', 'flwr', 'rich'} "
        "& set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert loaded.stdout.strip() == "[]"
    refused_ = subprocess.run(
        [*command, "log", "--limit", "x"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (refused_.returncode, refused_.stdout) == (2, "")
    assert refused_.stderr.startswith("RF-U901: ")
    assert refused_.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("log", "log list"),
        ("log --sent", "log list --sent"),
        ("--lang zh budget --entries", "--lang zh budget show --entries"),
        ("--lang=zh log", "--lang=zh log list"),
        ("log verify", "log verify"),
        ("budget --help", "budget --help"),
        ("consent coverage", "consent coverage"),
        ("", ""),
    ],
)
def test_log_and_budget_stand_for_their_first_sub_command(given: str, full: str) -> None:
    assert in_full(given.split(), SHORT) == full.split()


def test_json_goes_to_standard_output_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "bank", "--no-passphrase", "--json", "-") == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["name"] == "north"
    assert "holder key" in out.err


def test_a_home_may_keep_its_store_in_postgresql(
    postgresql: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with postgresql_database(postgresql) as url:
        assert init(tmp_path / "bank", "--no-passphrase", "--store", url) == 0
        assert not (tmp_path / "bank" / "holder.db").exists()
        assert [event["action"] for event in events(tmp_path / "bank", tmp_path / "log.json")][
            -1
        ] == "budget.created"
        assert client("log", "verify", "--config", tmp_path / "bank") == 0
        capsys.readouterr()
        # The database has a log and a ledger; a second home over it is refused whole.
        assert init(tmp_path / "second", "--no-passphrase", "--store", url) == 1
        assert capsys.readouterr().err.startswith("RF-")
        assert not (tmp_path / "second").exists()
        assert len(events(tmp_path / "bank", tmp_path / "log.json", "--type", "key.")) == 2
