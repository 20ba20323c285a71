"""`ringfence-client consent`: all rows or none, withdrawals from a file, standing by purpose; no key in any
event.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kits.command_kit import Town, client, events, read, refused, town, write_consents

from ringfence.privacy.errors import use_language


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


def eligible(here: Town, key: str) -> bool:
    out = here.root / "status.json"
    assert client("consent", "status", key, "--config", here.home, "--json", out) == 0
    purposes = read(out)["purposes"]
    return bool(purposes.get("churn-prediction", {}).get("eligible", False))


def changes(here: Town) -> list[dict[str, Any]]:
    """Events of the log, newest first, but for looks into the registry."""
    return [event for event in events(here.home, here.root / "log.json") if event["action"] != "consent.read"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_consents_are_imported_and_counted(here: Town, encoding: str) -> None:
    file = write_consents(here.root / "c.csv", ["C1", "客户2"], encoding=encoding)
    out = here.root / "out.json"
    assert (
        client("consent", "import", file, "--config", here.home, "--encoding", encoding, "--json", out) == 0
    )
    assert (read(out)["rows"], read(out)["new_customers"]) == (2, 2)
    assert eligible(here, "C1")
    assert eligible(here, "客户2")
    assert not eligible(here, "C3")
    assert client("consent", "coverage", "--config", here.home, "--json", out) == 0
    assert read(out)["purposes"]["churn-prediction"]["eligible"] == 2
    newest = changes(here)[0]
    assert (newest["action"], newest["outcome"], newest["public"]) == ("consent.imported", "allow", {})


def test_a_faulty_file_is_refused_whole_and_the_refusal_is_one_event(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(changes(here))
    file = write_consents(here.root / "c.csv", ["C1", "C2"])
    file.write_text(file.read_text(encoding="utf-8").replace("C2,granted", "C2,grantet"), encoding="utf-8")
    capsys.readouterr()
    error = refused(capsys, client("consent", "import", file, "--config", here.home), "RF-N010")
    assert "c.csv:3" in error
    assert "C2" not in error
    assert not eligible(here, "C1")
    found = changes(here)
    assert len(found) == before + 1
    assert (found[0]["action"], found[0]["outcome"]) == ("consent.imported", "deny")
    capsys.readouterr()
    # The legal basis is judged by the contract's jurisdiction: PIPL has no legitimate interest.
    file.write_text(
        file.read_text(encoding="utf-8")
        .replace("grantet", "granted")
        .replace(",consent\n", ",legitimate-interest\n"),
        encoding="utf-8",
    )
    refused(capsys, client("consent", "import", file, "--config", here.home), "RF-N010")
    refused(capsys, client("consent", "import", here.root / "absent.csv", "--config", here.home), "RF-T001")
    refused(
        capsys, client("consent", "import", file, "--delimiter", "ab", "--config", here.home), "RF-U440", 2
    )
    assert [event["outcome"] for event in changes(here)[:2]] == ["deny", "deny"]
    assert len(changes(here)) == before + 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_withdrawals_come_from_a_file_or_the_command_line(here: Town, encoding: str) -> None:
    assert (
        client(
            "consent",
            "import",
            write_consents(here.root / "c.csv", ["C1", "客户2", "C3"]),
            "--config",
            here.home,
        )
        == 0
    )
    leaving = here.root / "leaving.txt"
    leaving.write_bytes("客户2\r\n\r stranger \n".encode(encoding))  # ends of lines of three systems
    out = here.root / "out.json"
    words = (
        "consent",
        "withdraw",
        "C1",
        "--file",
        leaving,
        "--encoding",
        encoding,
        "--purpose",
        "churn-prediction",
        "--config",
        here.home,
    )
    assert client(*words, "--json", out) == 0
    assert read(out) == {"recorded": 3, "unknown_before": 1, "purpose": "churn-prediction"}
    assert [eligible(here, key) for key in ("C1", "客户2", "C3")] == [False, False, True]
    found = changes(here)
    assert found[0]["action"] == "consent.withdrawn"
    assert not any(key in str(found) for key in ("C1", "客户2", "C3", "stranger"))
    assert (
        client("consent", "withdraw", "C3", "--purpose", "all", "--kind", "objected", "--config", here.home)
        == 0
    )
    assert not eligible(here, "C3")


def test_withdrawals_that_cannot_be_understood_record_nothing(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        client("consent", "import", write_consents(here.root / "c.csv", ["C1"]), "--config", here.home) == 0
    )
    capsys.readouterr()
    words = ("consent", "withdraw", "--config", here.home, "--purpose")
    refused(capsys, client(*words, "all"), "RF-U441", 2)
    refused(capsys, client(*words, "churn", "C1"), "RF-N005")
    refused(capsys, client(*words, "all", "--file", here.root / "absent.txt"), "RF-U909")
    bad = here.root / "bad.txt"
    bad.write_bytes(b"C1\xff\xff\n")
    refused(capsys, client(*words, "all", "--file", bad), "RF-N100")
    # A file of another encoding would name customers that nobody knows, and lose the withdrawals.
    for encoding in ("gb18030", "utf-16", "utf-16-le"):
        bad.write_bytes("客户1\n".encode(encoding))
        refused(capsys, client(*words, "all", "--file", bad), "RF-N100")
    refused(capsys, client(*words, "all", "--file", bad, "--encoding", "latin-1"), "RF-N100")
    assert eligible(here, "C1")
    assert changes(here)[0]["public"] == {"code": "RF-N005"}


def test_counts_are_said_of_one_as_of_many_and_headings_in_the_chosen_language(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_consents(here.root / "c.csv", ["C1"])
    capsys.readouterr()
    assert client("consent", "import", file, "--config", here.home) == 0
    assert "Events recorded: 1; new customers: 1." in capsys.readouterr().out
    assert client("consent", "coverage", "--config", here.home, "--lang", "zh") == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["可用", "已失效", "未生效", "被拒绝", "已撤回", "已反对", "主体"]
    assert [row.split() for row in rows] == [["churn-prediction", "1", "0", "0", "0", "0", "0", "1"]]
    assert client("consent", "withdraw", "C1", "--purpose", "all", "--config", here.home) == 0
    assert "Customers recorded: 1." in capsys.readouterr().out


def test_an_end_in_the_year_9999_has_a_status(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    forever = Path(__file__).parents[1] / "assets" / "consent_files" / "without_end_9999.csv"
    assert client("consent", "import", forever, "--config", here.home) == 0
    capsys.readouterr()
    assert client("consent", "status", "W1", "--config", here.home) == 0
    assert "may be used" in capsys.readouterr().out
    assert eligible(here, "W1")


def test_a_look_into_the_registry_is_an_event_that_names_nobody(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        client("consent", "import", write_consents(here.root / "c.csv", ["C1"]), "--config", here.home) == 0
    )
    out = here.root / "log.json"
    before = len(events(here.home, out))
    assert client("consent", "status", "C1", "--config", here.home) == 0
    assert client("consent", "coverage", "--config", here.home) == 0
    found = events(here.home, out)[: len(events(here.home, out)) - before]
    assert [(event["action"], event["public"]) for event in found] == [
        ("consent.read", {"use": "coverage"}),
        ("consent.read", {"use": "status"}),
    ]
    (here.home / "keys" / "registry.key").unlink()
    for words in (("status", "C1"), ("coverage",)):
        refused(capsys, client("consent", *words, "--config", here.home), "RF-K051")
        newest = events(here.home, out)[0]
        assert (newest["action"], newest["outcome"], newest["public"]) == (
            "consent.read",
            "deny",
            {"code": "RF-K051"},
        )
        capsys.readouterr()


def test_days_are_those_of_the_zone_that_the_contract_names(here: Town) -> None:
    contract = here.home / "contract.toml"
    text = contract.read_text(encoding="utf-8").replace("version = 1", "version = 2")
    contract.write_text('consent_time_zone = "Asia/Shanghai"\n' + text, encoding="utf-8")
    assert client("contract", "sign", contract, "--config", here.home) == 0
    file = write_consents(here.root / "c.csv", ["C1"])  # granted on 1 January 2026
    withdrawn = "C1,withdrawn,churn-prediction,2026-01-01T03:00:00+08:00,,,,,,\n"
    file.write_text(file.read_text(encoding="utf-8") + withdrawn, encoding="utf-8")
    assert client("consent", "import", file, "--config", here.home) == 0
    assert not eligible(here, "C1")


def test_events_are_named_in_the_chosen_language(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_consents(here.root / "c.csv", ["C1"])
    capsys.readouterr()
    assert client("consent", "import", file, "--config", here.home, "--lang", "zh") == 0
    assert client("consent", "status", "C1", "--config", here.home, "--lang", "zh") == 0
    said = capsys.readouterr().out
    use_language(None)
    assert said.count("已同意") == 2
    assert "granted" not in said
