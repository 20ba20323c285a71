"""`ringfence-server`: a home all or nothing, schemas and studies signed over verified declarations, its
log.
"""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
from checkout import ROOT
from kits.command_kit import SCHEMA, STUDY, Town, fingerprint, new_key, read, refused, server, town
from pydantic import BaseModel

from ringfence.audit.cli import main as audit_main
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.errors import UsageError
from ringfence.privacy.toml.faults import faults_of
from ringfence.server import home as office
from ringfence.server.config import GatewaySettings, Listener, ServerConfig, ServerKeys, load_settings

PAGE = (ROOT / "docs" / "reference" / "server.toml.md").read_text(encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def log(here: Town, *words: object) -> list[dict[str, object]]:
    out = here.root / "log.json"
    assert server("log", *words, "--config", here.desk, "--json", out) == 0
    found: list[dict[str, object]] = read(out)["events"]
    return found


@pytest.mark.parametrize("model", [ServerConfig, ServerKeys, GatewaySettings, Listener])
def test_every_key_is_documented_with_its_meaning(model: type[BaseModel]) -> None:
    for name, info in model.model_fields.items():
        rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
        assert len(rows) == 1, f"docs/reference/server.toml.md needs one row for `{name}`"
        assert info.description
        assert info.description in rows[0]
        assert ("required" in rows[0]) == info.is_required()
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE))
    models = (ServerConfig, ServerKeys, GatewaySettings, Listener)
    assert documented == {name for each in models for name in each.model_fields}


def test_the_documented_example_is_valid_and_faults_have_lines(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "server.toml"
    path.write_text("\ufeff" + example, encoding="utf-8")
    assert load_settings(tmp_path).config.holders
    twice = "ed25519:" + "0" * 32
    path.write_text(
        f'name = "a b"\nstore = "postgresql://u:p@h/d"\nholders = ["{twice}", "{twice}"]\nport = 1\n',
        encoding="utf-8",
    )
    with pytest.raises(UsageError) as refusal:
        load_settings(path)
    assert {(fault.line, fault.code) for fault in faults_of(refusal.value)} >= {
        (1, "RF-C024"),
        (4, "RF-C026"),
    }
    path.write_text(
        f'name = "a"\nstore = "postgresql://u:p@h/d"\nholders = ["{twice}", "{twice}"]\n', encoding="utf-8"
    )
    with pytest.raises(UsageError) as refusal:
        load_settings(path)
    assert {(fault.line, fault.code) for fault in faults_of(refusal.value)} == {
        (2, "RF-C200"),
        (3, "RF-C210"),
    }


def test_init_is_all_or_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = tmp_path / "desk"
    words = ("init", desk, "--name", "city", "--no-passphrase")
    with monkeypatch.context() as patch:
        patch.setattr(office, "record_key", lambda *_: 1 / 0)
        assert server(*words) == 1
    assert list(tmp_path.iterdir()) == []
    capsys.readouterr()
    refused(capsys, server("init", desk, "--name", "two words", "--no-passphrase"), "RF-U412", 2)
    refused(
        capsys, server("init", tmp_path / "no" / "desk", "--name", "city", "--no-passphrase"), "RF-U411", 2
    )
    refused(capsys, server("init", desk, "--name", "city"), "RF-U407", 2)
    assert list(tmp_path.iterdir()) == []
    assert server(*words, "--json", tmp_path / "out.json") == 0
    for secret in ("coordinator.db", "keys/coordinator.key", "keys/log.key"):
        assert stat.S_IMODE((desk / secret).stat().st_mode) == 0o600
    assert read(tmp_path / "out.json")["coordinator_fingerprint"] == fingerprint(
        desk / "keys" / "coordinator.key"
    )
    refused(capsys, server(*words), "RF-U410", 2)


def test_wrapped_keys_are_opened_by_a_private_file_or_at_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pass"
    file.write_text("a long passphrase\n", encoding="utf-8")
    words = ("init", tmp_path / "desk", "--name", "city")
    refused(capsys, server(*words, "--passphrase-file", file), "RF-K052")
    refused(capsys, server(*words, "--passphrase-file", tmp_path / "absent"), "RF-K051")
    file.chmod(0o600)
    refused(capsys, server(*words, "--passphrase-file", file, "--no-passphrase"), "RF-U430", 2)
    assert server(*words, "--passphrase-file", file) == 0
    schema = tmp_path / "schema.toml"
    schema.write_text(SCHEMA, encoding="utf-8")
    sign = ("schema", "sign", schema, "--config", tmp_path / "desk")
    capsys.readouterr()
    refused(capsys, server(*sign), "RF-U407", 2)
    answers = iter(["wrong passphrase", "a long passphrase", "one of two", "two of two"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(answers))
    refused(capsys, server(*sign), "RF-K040")
    assert not (tmp_path / "schema.signed.json").exists()
    assert server(*sign) == 0
    assert server(*sign, "--passphrase-file", file) == 0
    capsys.readouterr()
    refused(capsys, server("init", tmp_path / "second", "--name", "city"), "RF-U406", 2)


def test_a_study_holds_what_the_holders_declared(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    signed, out = here.sign(), here.root / "show.json"
    document = read_signed(signed)
    coordinator = read_key(here.desk / "keys" / "coordinator.key", "coordinator").public
    study = Study.from_canonical(document.verify("study", [coordinator]))
    declared = [json.loads(read_signed(path).body) for path in here.declarations]
    assert [(h.name, h.key, h.max_customers) for h in study.holders] == [
        (d["name"], d["key"], d["max_customers"]) for d in declared
    ]
    assert server("study", "show", signed, "--config", here.desk, "--json", out) == 0
    assert read(out)["digest"] == study.digest()
    newest = log(here)[0]
    assert (newest["action"], newest["resource"]) == ("study.signed", f"study:{study.digest()}")
    capsys.readouterr()
    assert here.sign() == signed  # the same study again changes nothing
    assert "customer_epsilon" in capsys.readouterr().out
    refused(capsys, server("study", "show", here.declarations[0], "--config", here.desk), "RF-K012")


def sign(here: Town, *declarations: Path, study: str | None = None, **fields: str) -> int:
    (here.root / "schema.toml").write_text(SCHEMA, encoding="utf-8")
    values = {"purpose": "churn-prediction", "epsilon": "1.0", "expires": "2099-12-31"} | fields
    path = here.root / "study.toml"
    path.write_text(study or STUDY.format(**values), encoding="utf-8")
    words = [word for one in declarations for word in ("--declaration", one)]
    return server("study", "sign", path, *words, "--config", here.desk)


def test_what_does_not_fit_is_refused_and_nothing_is_written(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    north, south, west = here.declarations
    altered = here.root / "altered.json"
    altered.write_text(north.read_text(encoding="utf-8").replace(":5000", ":5001"), encoding="utf-8")
    forged = here.root / "forged.json"
    body = json.loads(read_signed(north).body)
    stranger = read_key(new_key(here.root / "stranger.key", "holder"), "holder")
    write_signed(
        forged,
        SignedDocument(
            kind="declaration",
            body=read_signed(north).body.replace(body["key"].encode(), stranger.public.hex.encode()),
        ).signed_by(stranger),
    )
    text = STUDY.format(purpose="churn-prediction", epsilon="1.0", expires="2099-12-31")
    holder = f'\n[[holders]]\nname = "x"\nkey = "{64 * "0"}"\nmax_customers = 5\n'
    count = len(log(here))
    capsys.readouterr()
    refused(capsys, sign(here), "RF-U901", 2)
    refused(capsys, sign(here, north, south, altered), "RF-K003")
    refused(capsys, sign(here, north, south, forged), "RF-S211")
    refused(capsys, sign(here, north, south, here.root / "south" / "contract.signed.json"), "RF-S210")
    refused(capsys, sign(here, north, south, here.root / "study.toml"), "RF-K016")
    assert "RF-S014" in refused(capsys, sign(here, north, south), "RF-C001")
    assert "RF-S011" in refused(capsys, sign(here, north, south, north), "RF-C001")
    assert "RF-S021" in refused(capsys, sign(here, north, south, west, expires="2001-01-01"), "RF-C001")
    refused(capsys, sign(here, north, south, west, study=text.replace('"scorecard"', '"magic"')), "RF-S050")
    refused(
        capsys,
        sign(here, north, south, west, study=text.replace('"schema.toml"', '"sha256:' + 64 * "0" + '"')),
        "RF-S213",
    )
    refused(
        capsys,
        sign(
            here,
            north,
            south,
            west,
            study=text.replace("min_holders = 3", "min_holders = 1").replace("distributed", "local") + holder,
        ),
        "RF-S212",
    )
    other = here.root / "other"
    other.mkdir()
    (other / "schema.toml").write_text(SCHEMA.replace("version = 1", "version = 2"), encoding="utf-8")
    (other / "study.toml").write_text(text, encoding="utf-8")
    words = [word for one in here.declarations for word in ("--declaration", one)]
    refused(capsys, server("study", "sign", other / "study.toml", *words, "--config", here.desk), "RF-S214")
    assert not list(here.root.glob("study.signed.json"))
    assert not list(other.glob("*signed*"))
    assert len(log(here)) == count


def test_what_approvals_are_bound_to_is_not_replaced(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    signed = here.sign()
    before = signed.read_bytes()
    capsys.readouterr()
    refused(capsys, sign(here, *here.declarations, epsilon="2.0"), "RF-U510", 2)
    assert signed.read_bytes() == before


def test_a_schema_is_signed_beside_its_file(
    here: Town, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = here.root / "schema.toml"
    schema.write_text(SCHEMA, encoding="utf-8")
    words = ("schema", "sign", schema, "--config", here.desk)

    def refuse(path: Path, _document: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("ringfence.privacy.crypto.signed.write_signed", refuse)
        refused(capsys, server(*words), "RF-U908")
    assert not list(here.root.glob("schema.signed.json"))
    assert server(*words) == 0
    key = PublicIdentity.from_hex(
        (here.desk / "keys" / "coordinator.key.pub").read_text(encoding="utf-8").split()[0]
    )
    read_signed(here.root / "schema.signed.json").verify("schema", [key])
    assert log(here, "--type", "schema.")[0]["action"] == "schema.accepted"
    schema.write_text(SCHEMA.replace("bounds", "bound"), encoding="utf-8")
    capsys.readouterr()
    refused(capsys, server(*words), "RF-C001")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ("store", "RF-B410"),
        ("rights", "RF-K035"),
        ("simulation", "RF-K038"),
        ("another", "RF-U409"),
        ("config", "RF-U501"),
    ],
)
def test_a_home_that_is_not_as_it_was_left_is_refused(
    here: Town, capsys: pytest.CaptureFixture[str], spoil: str, code: str
) -> None:
    key = here.desk / "keys" / "coordinator.key"
    match spoil:
        case "store":
            (here.desk / "coordinator.db").unlink()
        case "rights":
            key.chmod(0o644)
        case "simulation" | "another":
            key.unlink()
            made = new_key(here.root / "new.key", "coordinator", simulation=spoil == "simulation")
            key.write_bytes(made.read_bytes())
            key.chmod(0o600)
        case "config":
            (here.desk / "server.toml").unlink()
    refused(capsys, sign(here, *here.declarations), code, 2 if code.startswith("RF-U") else 1)
    assert not list(here.root.glob("study.signed.json"))


def test_the_log_is_listed_and_exported(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    assert [event["action"] for event in log(here, "--type", "key.")] == ["key.created"] * 2
    assert len(log(here, "--limit", "1")) == 1
    bundle = here.root / "bundle"
    assert server("log", "export", bundle, "--config", here.desk, "--json", here.root / "out.json") == 0
    assert audit_main(["verify", str(bundle), "--trust", read(here.root / "out.json")["key"]]) == 0
    capsys.readouterr()
    refused(capsys, server("log", "export", bundle, "--config", here.desk), "RF-U452", 2)
    refused(capsys, server("log", "--limit", "0", "--config", here.desk), "RF-U451", 2)
    assert server("holders", "--config", here.desk, "--json", here.root / "out.json") == 0
    assert (len(read(here.root / "out.json")["fingerprints"]), read(here.root / "out.json")["seen"]) == (
        3,
        [],
    )
