"""`ringfence-client log`, and a whole study run by holders opened from their homes: what was sent is
shown.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from kits.command_kit import (
    NAMES,
    Town,
    client,
    events,
    read,
    refused,
    server,
    town,
    write_consents,
    write_table,
)

from ringfence.audit.cli import main as audit_main
from ringfence.audit.merkle import leaf_hash
from ringfence.clients.agent import Agent
from ringfence.clients.desk.assembling import serving
from ringfence.privacy.agreements.schema import load_schema
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import read_signed
from ringfence.server.coordinator import Coordinator, sign_study
from ringfence.server.home import open_office
from ringfence.server.registry import HolderRegistry
from ringfence.server.rounds import run_study

PEOPLE = 1500


@pytest.fixture
def here(tmp_path: Path) -> Town:
    return town(tmp_path)


class Direct:
    """Carries messages to agents in this process."""

    def __init__(self, agents: Mapping[str, Agent]) -> None:
        self.agents = agents

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return {name: self.agents[name].handle(data) for name, data in messages.items()}

    def present(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(names)


def test_homes_made_by_the_commands_run_a_study_and_show_what_they_sent(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    # The noise of the cohort count has a deviation below 50; 1,480 above min_cohort is more than 29 of them.
    signed = here.sign(epsilon="6")
    keys = [f"C{number}" for number in range(PEOPLE)]
    consents = write_consents(here.root / "consents.csv", keys)
    for name in NAMES:
        home = here.root / name
        write_table(home, rows=PEOPLE)
        assert client("consent", "import", consents, "--config", home) == 0
        for person in (here.ana, here.ben):
            assert client("study", "approve", signed, "--key", person, "--config", home) == 0
    reports: list[str] = []
    with ExitStack() as stack:
        office = stack.enter_context(open_office(here.desk, passphrases=Passphrases()))
        holders = {name: stack.enter_context(serving(here.root / name))["city"] for name in NAMES}
        study = Study.from_canonical(read_signed(signed).body)
        identity = office.key(Passphrases())
        opened = sign_study(identity, study, load_schema(here.root / "schema.toml"))
        coordinator = Coordinator(identity=identity, log=office.log, registry=HolderRegistry(office.engine))
        agents = {name: Agent(holder=holder, report=reports.append) for name, holder in holders.items()}
        release = run_study(coordinator, opened, Direct(agents))
    assert reports == []
    assert release.holders == NAMES
    sent = events(here.home, here.root / "sent.json", "--sent")
    sums = [event for event in sent if event["action"] == "waist.send"]
    assert len(sums) == len(opened.plan.rounds)
    assert {event["resource"] for event in sums} == {f"study:{opened.digest}"}
    assert "contract.declared" in {event["action"] for event in sent}
    for event in sums:
        assert set(event["public"]) >= {"round", "attempt", "entries", "mu_squared", "sent"}
    capsys.readouterr()
    assert client("log", "--sent", "--config", here.home) == 0
    shown = capsys.readouterr().out
    assert shown.count("mu^2=") == len(sums)
    assert shown.count("bytes=sha256:") == len(sums)
    assert client("log", "verify", "--config", here.home, "--json", here.root / "v.json") == 0
    house, city = read(here.root / "v.json")["logs"]
    assert (house["log"], house["signed"]) == ("ringfence/holder/north", 0), (
        "nobody was shown the house's log"
    )
    assert city["signed"] > 0
    assert server("holders", "--config", here.desk, "--json", here.root / "h.json") == 0
    seen = [row["log"] for row in read(here.root / "h.json")["seen"]]
    assert city["log"] in seen
    assert [re.sub("/[0-9a-f]{16}/", "/", log) for log in seen].count("ringfence/holder/north") == 1
    _the_house_is_committed_to(here, capsys)


def _the_house_is_committed_to(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    """An auditor of the federation, to whom one event is opened, finds the house's log as it stood."""
    told = here.root / "c.json"
    committed = events(here.home, told, "--type", "house.committed", "--federation", "city")
    assert [event["public"] for event in committed] == [{}, {}], (
        "at the start and at the end; no size, no root"
    )
    bundle, opened = here.root / "both", here.root / "opened.json"
    number = f"city/{committed[-1]['event']}"
    assert client("log", "open", number, "--out", opened, "--config", here.home) == 0
    assert client("log", "export", bundle, "--config", here.home) == 0
    assert client("log", "export", here.root / "alone", "--federation", "city", "--config", here.home) == 0
    key = (here.root / "alone" / "key.pub").read_text().strip()
    words = ("open", str(opened), "--trust", key, "--bundle", str(bundle))
    assert audit_main(list(words)) == 0
    assert "leads through" in capsys.readouterr().out
    log = bundle / "house" / "north" / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"kind":"holder"', b'"kind":"holdex"', 1))
    assert audit_main(list(words)) == 1
    assert "RF-A27" in capsys.readouterr().err


def test_events_are_listed_newest_first_by_filters(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    out = here.root / "log.json"
    every = events(here.home, out)
    assert [event["action"] for event in every if event.get("log") == "city"] == [
        "key.trusted",
        "key.created",
    ]
    assert [event["time"] for event in every] == sorted((event["time"] for event in every), reverse=True)
    assert client("log", "--house", "--federation", "city", "--config", here.home) == 2
    house = events(here.home, out, "--house")
    assert house == [event for event in every if "log" not in event]
    assert events(here.home, out, "--federation", "city") == [event for event in every if "log" in event]
    numbers = [event["event"] for event in house]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) > 4
    assert [event["event"] for event in events(here.home, out, "--house", "--limit", "2")] == numbers  # --all
    assert client("log", "--house", "--config", here.home, "--limit", "2", "--json", out) == 0
    assert [event["event"] for event in read(out)["events"]] == numbers[:2]
    assert {event["action"] for event in events(here.home, out, "--house", "--type", "key.")} == {
        "key.created"
    }
    assert len(events(here.home, out, "--house", "--type", "budget.created")) == 1
    assert events(here.home, out, "--house", "--outcome", "deny") == []
    assert len(events(here.home, out, "--house", "--resource", "schema:")) == 1
    first = house[-1]["time"]
    assert len(events(here.home, out, "--house", "--since", first)) == len(numbers)
    assert events(here.home, out, "--house", "--since", "2999") == []
    assert len(events(here.home, out, "--house", "--until", first[:10])) >= 1
    assert events(here.home, out, "--house", "--until", "2000-01-01") == []
    moment = datetime.fromisoformat(first)
    for zone in (timezone(timedelta(hours=8)), timezone(timedelta(hours=-5)), UTC):
        spelt = moment.astimezone(zone).isoformat(" ")
        assert len(events(here.home, out, "--house", "--since", spelt)) == len(numbers)
        assert [event["time"] for event in events(here.home, out, "--house", "--until", spelt)] == [first]
    assert [event["action"] for event in events(here.home, out, "--house", "--sent")] == ["contract.declared"]
    capsys.readouterr()
    # An empty list is an all-clear for what was searched only.
    assert client("log", "--sent", "--until", "2000-01-01", "--config", here.home, "--json", out) == 0
    text = capsys.readouterr().out
    assert "No event fits." in text
    assert "events before 2000-01-02T00:00:00.000000Z, in UTC" in text
    assert read(out)["searched"] == {"from": None, "before": "2000-01-02T00:00:00.000000Z"}
    # The log's own sentences and refusals speak the chosen language too.
    assert client("log", "--since", "2999", "--config", here.home, "--lang", "zh") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("已搜索：从 2999-01-01T00:00:00.000000Z 起")
    assert client("log", "--since", "2999-13", "--config", here.home, "--lang", "zh") == 2
    assert "不是时间" in capsys.readouterr().err
    assert client("log", "--house", "--limit", "2", "--config", here.home, "--json", out) == 0
    assert "--all lists the older ones" in capsys.readouterr().out
    assert read(out)["more"] is True
    for bad in ("27.11.2026", "2026-13-45", "yesterday"):
        refused(capsys, client("log", "--since", bad, "--config", here.home), "RF-U600", 2)
        refused(capsys, client("log", "--until", bad, "--config", here.home), "RF-U600", 2)
    refused(capsys, client("log", "--since", "2999", "--until", "2998", "--config", here.home), "RF-U601", 2)
    refused(capsys, client("log", "--limit", "0", "--config", here.home), "RF-U451", 2)
    refused(capsys, client("log", "--outcome", "maybe", "--config", here.home), "RF-U901", 2)
    refused(capsys, client("log", "--type", "no.such", "--config", here.home), "RF-A113", 2)
    refused(capsys, client("log", "--type", "budget", "--config", here.home), "RF-A113", 2)
    assert client("log", "--type", "budget.thawed", "--config", here.home) == 0
    assert "No event fits" in capsys.readouterr().out


def test_what_was_refused_was_not_sent(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    out = here.root / "log.json"
    path = here.home / "contract.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("max_customers = 5000", "max_customers = 4000"),
        encoding="utf-8",
    )
    refused(
        capsys,
        client("contract", "declare", "--config", here.home, "--out", here.root / "again.json"),
        "RF-C204",
    )
    denied = events(here.home, out, "--type", "contract.declared", "--outcome", "deny")
    assert len(denied) == 1
    assert denied[0]["event"] not in {event["event"] for event in events(here.home, out, "--sent")}
    refused(capsys, client("log", "--sent", "--outcome", "deny", "--config", here.home), "RF-U454", 2)


def test_the_bundle_is_verified_by_the_officers_command(
    here: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = here.root / "bundle"
    assert (
        client("log", "export", bundle, "--house", "--config", here.home, "--json", here.root / "out.json")
        == 0
    )
    key = read(here.root / "out.json")["key"]
    assert audit_main(["verify", str(bundle), "--trust", key]) == 0
    assert events(here.home, here.root / "log.json", "--sent")[0]["action"] == "log.exported"
    capsys.readouterr()
    refused(capsys, client("log", "export", bundle, "--config", here.home), "RF-U452", 2)
    (here.home / "keys" / "log.key").chmod(0o644)
    refused(capsys, client("log", "export", here.root / "second", "--config", here.home), "RF-K035")
    assert not (here.root / "second").exists()


def test_one_event_is_opened_for_an_auditor(here: Town, capsys: pytest.CaptureFixture[str]) -> None:
    target = here.root / "event.json"
    assert client("log", "open", "1", "--out", target, "--config", here.home) == 0
    assert target.stat().st_mode & 0o777 == 0o600
    bundle = here.root / "opened"
    assert client("log", "export", bundle, "--house", "--config", here.home) == 0
    key = (bundle / "key.pub").read_text().strip()
    assert audit_main(["open", str(target), "--trust", key]) == 0
    target.write_text(target.read_text().replace("private", "prlvate", 1))
    assert audit_main(["open", str(target), "--trust", key]) == 1
    capsys.readouterr()
    refused(capsys, client("log", "open", "1", "--out", target, "--config", here.home), "RF-U453", 2)
    for bad in ("town/1", "x", "1/", "-1", "city/x"):
        words = ("--out", here.root / "no.json", "--config", here.home)
        refused(capsys, client("log", "open", *words, "--", bad), "RF-U728", 2)
    assert client("log", "open", "99999", "--out", here.root / "no.json", "--config", here.home) == 1
    assert not (here.root / "no.json").exists()


def test_a_whole_log_is_verified(here: Town) -> None:
    out = here.root / "v.json"
    assert client("log", "verify", "--config", here.home, "--json", out) == 0
    found = read(out)
    assert found["intact"]
    assert [(each["signed"], each["erased"]) for each in found["logs"]] == [(0, 0), (0, 0)]
    assert sum(each["events"] for each in found["logs"]) == len(events(here.home, here.root / "log.json"))


def altered(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "holder.db")) as database, database:
        database.execute(statement)


def tables(home: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(home / "holder.db")) as database:
        names = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
        return {name: [row[1] for row in database.execute(f"pragma table_info({name})")] for name in names}


def table_with(home: Path, *columns: str) -> str:
    (name,) = [name for name, found in tables(home).items() if set(columns) <= set(found)]
    return name


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (
            "update {event} set leaf = cast(replace(cast(leaf as text), 'allow', 'allox') as blob) where seq "
            "= 3",
            "RF-U421",
        ),
        ("update {event} set leaf = cast(leaf as text) where seq = 3", "RF-U421"),
        ("update {private} set body = cast('{{}}' as blob) where seq = 0", "RF-U423"),
        ("delete from {event} where seq = 1", "RF-U420"),
        ("delete from {event} where seq = 3", "RF-A061"),
    ],
)
def test_an_altered_log_is_found(
    here: Town, capsys: pytest.CaptureFixture[str], statement: str, code: str
) -> None:
    event, private = table_with(here.home, "leaf", "closed"), table_with(here.home, "salt", "body")
    altered(here.home, statement.format(event=event, private=private))
    capsys.readouterr()
    assert client("log", "verify", "--config", here.home) == 1
    assert capsys.readouterr().err.startswith(code)


@pytest.mark.parametrize(
    ("signed", "old", "new", "code"),
    [
        (True, b'"outcome":"allow"', b'"outcome":"perhaps"', "RF-A0"),
        (True, b'"kind":"log"', b'"kind":"lag"', "RF-U422"),
        (False, b'"kind":"log"', b'"kind":"lag"', "RF-A0"),
        (False, b'"sequence":2', b'"sequence":7', "RF-U424"),
    ],
)
def test_an_event_that_was_exchanged_together_with_its_hash_is_found(
    here: Town, capsys: pytest.CaptureFixture[str], signed: bool, old: bytes, new: bytes, code: str
) -> None:
    """Event 2 hashes into a part of the tree that opening the log does not look at."""
    if signed:
        assert client("log", "export", here.root / "bundle", "--config", here.home) == 0
    name = table_with(here.home, "leaf", "closed")
    with closing(sqlite3.connect(here.home / "holder.db")) as database, database:
        (leaf, closed) = database.execute(f"select leaf, closed from {name} where seq = 2").fetchone()
        assert old in leaf
        leaf = leaf.replace(old, new)
        closed = leaf_hash(leaf) + closed[32:]
        database.execute(f"update {name} set leaf = ?, closed = ? where seq = 2", (leaf, closed))
    capsys.readouterr()
    assert client("log", "verify", "--config", here.home) == 1
    error = capsys.readouterr().err
    assert error.startswith(code), error


def test_an_erased_private_part_is_told_and_stops_nothing(here: Town) -> None:
    altered(here.home, f"delete from {table_with(here.home, 'salt', 'body')} where seq = 0")
    out = here.root / "v.json"
    assert client("log", "verify", "--config", here.home, "--json", out) == 0
    assert [each["erased"] for each in read(out)["logs"]] == [1, 0]
