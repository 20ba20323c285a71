"""What stands around a change of key: ended studies, left federations, lost files, restored homes."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kits.command_kit import NAMES, SCHEMA, client, read, refused, server
from kits.federation_kit import enrol
from kits.key_kit import Houses, founded, stock
from sqlalchemy import delete, select

from ringfence.clients.home import open_federation
from ringfence.clients.inbox.store import InboxStudy
from ringfence.clients.records.snapshots import METADATA
from ringfence.models.tables.noisy import NoisyFigure, NoisyRow, NoisyTable
from ringfence.models.tables.release import TableRelease
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.crypto.signed import read_signed
from ringfence.privacy.release import ExportRefused
from ringfence.server.home import open_office
from ringfence.server.post.ending import owed_ends
from ringfence.server.records.farewells import FAREWELLS, farewell_heard, owe_farewell
from ringfence.server.records.runs import RunStore
from ringfence.server.rounds import Release

SERIES = '\n[series]\nruns = 3\nevery = "month"\nbegins = {begins}\n'


@pytest.fixture
def here(tmp_path: Path) -> Houses:
    return founded(tmp_path)


def enter(here: Houses, name: str, key: Path) -> int:
    return here.do("north", "federation", "add", name, key, "--compared")


def second(here: Houses) -> Path:
    """North enters another federation; its coordinator's home."""
    desk = here.root / "desk2"
    assert server("init", desk, "--name", "other", "--no-passphrase") == 0
    people = [person.with_name(person.name + ".pub") for person in (here.town.ana, here.town.ben)]
    assert server("officer", "add", *people, "--compared", "--config", desk) == 0
    assert enter(here, "other", desk / "keys" / "coordinator.key.pub") == 0
    return desk


def passphrase(here: Houses) -> tuple[str, Path]:
    file = here.root / "words.txt"
    file.write_text("correct horse battery\n")
    file.chmod(0o600)
    return "--passphrase-file", file


def findings(here: Houses, name: str, grade: str) -> list[str]:
    """Names and sentences of what doctor finds."""
    out = here.root / "doctor.json"
    here.do(name, "doctor", "--json", out)
    return [f"{each['name']}: {each['sentence']}" for each in read(out)["findings"] if each["grade"] == grade]


def test_an_ended_study_is_let_out_and_a_second_key_is_not_entered(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    stock(here)
    study = here.town.sign()
    here.approve(study)
    here.run(study)
    retired = here.root / "retired.json"
    shutil.copy(here.root / "north.json", retired)
    paper = here.replace("north", "holder")
    here.declare("north")
    capsys.readouterr()
    words = ("holder", "add", here.root / "north.json", "--compared")
    assert "holder succession" in refused(capsys, here.do("desk", *words), "RF-K180")
    assert here.told("desk", paper) == 0
    assert here.do("desk", *words) == 0, "entered before"
    assert here.do("desk", "study", "release", study, "--out", here.root / "model") == 0
    assert list((here.root / "model").iterdir())
    capsys.readouterr()
    refused(capsys, here.do("desk", "study", "stop", study), "RF-S380")
    assert here.told("south", paper) == 0
    contract = (here.home("south") / "contract.toml").read_bytes()
    capsys.readouterr()
    refused(capsys, here.do("south", "peer", "add", retired, "--compared"), "RF-W433")
    assert here.do("south", "peer", "add", here.root / "north.json", "--compared") == 0
    assert (here.home("south") / "contract.toml").read_bytes() == contract, "the successor counts already"


def test_a_run_can_be_stopped_though_a_key_of_it_was_replaced(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    study = here.town.sign()
    assert here.told("desk", here.replace("north", "holder")) == 0
    with here.conductor(study) as opened:
        RunStore(opened.office.engine).take_up(opened.opened).admit(["south"])
    capsys.readouterr()
    assert here.do("desk", "study", "stop", study) == 0
    assert "RF-W431" in capsys.readouterr().out, "why nobody is told now"
    refused(capsys, here.do("desk", "study", "stop", study), "RF-S380")


def tables(here: Houses, name: str, basis: str = "consent") -> Path:
    """A study of tables as `study draft` writes it of the declarations, its blanks filled."""
    study = here.root / f"{name}.toml"
    (here.root / "schema.toml").write_text(SCHEMA, encoding="utf-8")
    words = ("--task", "statistics", "--out", study)
    assert here.do("desk", "study", "draft", here.root / "schema.toml", *declared(here), *words) == 0
    text = study.read_text(encoding="utf-8").replace('legal_basis = "???"', f'legal_basis = "{basis}"')
    text = text.replace('expires = "???"', "expires = 2099-12-31").replace('"???"', '"D-1"')
    lines = [f'id = "{name}"' if line.startswith("id = ") else line for line in text.splitlines()]
    study.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return study


def declared(here: Houses) -> list[object]:
    return [word for one in here.town.declarations for word in ("--declaration", one)]


def test_tables_are_planned_with_a_key_that_took_the_place_of_another(here: Houses) -> None:
    """As they are drafted and signed: `server.toml` goes on naming the key that was replaced."""
    assert here.told("desk", here.replace("north", "holder")) == 0
    here.declare("north")
    study, out = tables(here, "tables"), here.root / "plan.json"
    assert here.do("desk", "study", "plan", study, *declared(here), "--json", out) == 0
    assert read(out)["expected"]["answers"]


def counted(here: Houses, name: str, basic: int, gold: int, basis: str = "consent") -> None:
    """A study is signed, and a table of two counts leaves as its result."""
    signed = here.root / f"{name}.signed.json"
    assert here.do("desk", "study", "sign", tables(here, name, basis), *declared(here), "--out", signed) == 0
    with here.conductor(signed) as opened:
        rows = tuple(
            NoisyRow(group=(plan,), figures=(NoisyFigure(value=count, low=count - 9, high=count + 9),))
            for plan, count in (("basic", basic), ("gold", gold))
        )
        table = NoisyTable(
            name="question-1",
            question="count by plan",
            kind="count",
            by=("plan",),
            measures=("customers",),
            rows=rows,
            threshold=20,
            quasi=("plan",),
            deviation=4.5,
        )
        result = TableRelease.of(opened.opened.context, (table,), 3)
        opened.let_out(
            Release(
                result=result,
                figures=None,
                digest=result.digest(),
                holders=NAMES,
                absent=(),
                attempts=(1,),
            ),
            here.root / name,
        )


def test_a_holder_whose_key_was_replaced_has_the_customers_that_it_had(here: Houses) -> None:
    """Noisy counts of one cohort leave again, though they differ by few; exact ones would be kept back."""
    counted(here, "first", 900, 700)
    assert here.told("desk", here.replace("north", "holder")) == 0
    here.declare("north")
    counted(here, "second", 903, 698)
    assert here.told("desk", here.replace("north", "holder", 2)) == 0
    here.declare("north")
    counted(here, "third", 898, 704)
    with pytest.raises(ExportRefused, match="RF-X100"):
        counted(here, "other", 901, 701, "contract")


def test_an_enrolment_with_a_key_that_was_not_taken_in_lists_nothing(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here.do("desk", "gateway", "make", "--address", "analytics.example:8443") == 0
    enrol(here.town, "north")
    here.replace("north", "holder")
    for file in here.root.glob("north.*.json"):
        file.unlink()
    invitation, enrolment = here.root / "north.invitation.json", here.root / "north.enrolment.json"
    assert here.do("desk", "holder", "invite", "north", "--out", invitation) == 0
    assert here.do("north", "join", invitation, "--out", enrolment, "--compared") == 0
    listed = (here.town.desk / "server.toml").read_bytes()
    words = ("holder", "admit", enrolment, "--out", here.root / "admission.json", "--compared")
    capsys.readouterr()
    assert "holder succession" in refused(capsys, here.do("desk", *words), "RF-W353")
    assert (here.town.desk / "server.toml").read_bytes() == listed


def test_a_left_federation_is_entered_again_without_the_secret_half_that_was_destroyed(here: Houses) -> None:
    here.replace("north", "log")
    here.file("north", "log").unlink()
    assert here.do("north", "federation", "leave", "city") == 0
    given = passphrase(here)
    assert here.do("north", "backup", here.root / "home.backup", *given) == 0
    again = here.root / "again"
    assert client("restore", here.root / "home.backup", again, *given) == 0
    coordinator = here.town.desk / "keys" / "coordinator.key.pub"
    for home in (again, here.home("north")):
        kept = sorted(path.name for path in (home / "keys").iterdir())
        words = ("federation", "add", "city", coordinator, "--compared", "--config", home)
        assert client(*words) == 0
        assert sorted(path.name for path in (home / "keys").iterdir()) == kept, "no stray key was made"
        out = home / "bundle"
        assert client("log", "export", out, "--federation", "city", "--config", home) == 0


@pytest.mark.parametrize(("name", "role"), [("north", "holder"), ("north", "log"), ("desk", "coordinator")])
def test_doctor_misses_the_secret_half_that_is_in_force(here: Houses, name: str, role: str) -> None:
    here.replace(name, role)
    assert not [each for each in findings(here, name, "fault") if each.startswith("keys")]
    here.file(name, role, 1).unlink()
    assert [each for each in findings(here, name, "fault") if each.startswith("keys")]


def test_an_end_that_was_not_heard_is_owed_to_the_new_key(here: Houses) -> None:
    keys = {name: read_public(public_path(here.file(name, "holder")), "holder") for name in ("north", "west")}
    pins = {name: key.hex for name, key in keys.items()}
    with here.conductor(here.town.sign()) as opened:
        engine = opened.office.engine
        kept = RunStore(engine).take_up(opened.opened)
        kept.admit(keys)
        with kept.decided("stopped"):
            pass
        with kept.over():
            pass
        with engine.begin() as connection:
            owe_farewell(connection, kept.run, opened.opened.digest, 0, pins)
            owe_farewell(connection, 32 * "c", "", 0, pins)
            farewell_heard(connection, 32 * "c", keys, "2026-01-01T00:00:00+00:00")
    assert here.told("desk", here.replace("north", "holder")) == 0
    new = read_public(public_path(here.file("north", "holder", 1)), "holder")
    with open_office(here.town.desk) as office:
        (owed,) = owed_ends(office.engine)
        with office.engine.begin() as connection:
            heard = connection.scalars(select(FAREWELLS.c.identity).where(FAREWELLS.c.told != "")).all()
    assert {name: owed.holders[name] for name in keys} == {"north": new, "west": keys["west"]}
    assert sorted(heard) == sorted(pins.values()), "what was heard stays under the key that heard it"


def test_a_restored_home_says_which_keys_count_in_it(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    given, told = passphrase(here), here.root / "restored.json"
    assert here.told("north", here.replace("desk", "coordinator")) == 0
    for name in ("north", "desk"):
        assert not [each for each in findings(here, name, "warning") if each.startswith("restored")]
        assert here.do(name, "backup", here.root / f"{name}.backup", *given) == 0
    before = read_public(public_path(here.file("north", "holder")), "holder").fingerprint
    at_desk = read_public(public_path(here.file("desk", "coordinator", 1)), "coordinator").fingerprint
    assert here.told("desk", here.replace("north", "holder", 1, "--reason", "suspected")) == 0
    for name, run in (("north", client), ("desk", server)):
        shutil.rmtree(here.home(name))
        capsys.readouterr()
        words = ("restore", here.root / f"{name}.backup", here.home(name), *given)
        assert run(*words, "--json", told, "--lang", "en") == 0
        assert "counts here again" in capsys.readouterr().out
        keys = {each["fingerprint"]: each["changes"] for each in read(told)["keys"]}
        assert keys[at_desk] == 1
        assert keys[before] == 0, "the key that was stolen counts again, and people see it"
        assert [each for each in findings(here, name, "warning") if each.startswith("restored")]


def arrive(here: Houses, file: Path) -> None:
    """A series as it stands in the inbox once it was delivered; no table is attested for its window."""
    document = read_signed(file)
    study = Study.from_canonical(document.body)
    values = dict.fromkeys(InboxStudy.__dataclass_fields__, "")
    values |= {"study": study.digest(), "name": study.id, "expires": str(study.expires), "received": "now"}
    with open_federation(here.home("north"), "city") as home:
        found = InboxStudy(**{**values, "runs": study.runs if study.series else 0})  # type: ignore[arg-type]
        documents = (document.to_json(), document.to_json())
        home.inbox.keep(home.coordinator(), found, documents, lambda *_: None)
        home.snapshots()
        with home.engine.begin() as connection:
            connection.execute(delete(METADATA.tables["attested_tables"]))


def test_an_approved_series_that_names_a_replaced_key_waits_for_nobody(here: Houses) -> None:
    begins = datetime.now(UTC).date().replace(day=1)
    file = here.town.sign("series.signed.json", series=SERIES.format(begins=begins))
    here.approve(file, "north")
    arrive(here, file)
    out = here.root / "status.json"

    def status() -> tuple[int, list[str]]:
        assert here.do("north", "status", "--json", out) == 0
        said = read(out)
        return len(said["attestations_due"]), [each["state"] for each in said["outdated"]]

    assert status() == (1, [])
    assert here.told("north", here.replace("south", "holder")) == 0
    assert status() == (0, ["outdated"])
    listed = here.root / "list.json"
    assert here.do("north", "study", "list", "--json", listed) == 0
    assert [each["state"] for each in read(listed)["studies"]] == ["outdated"]
    assert read(listed)["attestations_due"] == []
    (line,) = [each for each in findings(here, "north", "warning") if each.startswith("series")]
    assert "south" in line
    assert "attest" not in line


def test_one_frozen_coordinator_is_named_and_hides_nothing_of_the_others(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = second(here)
    begins = datetime.now(UTC).date().replace(day=1)
    file = here.town.sign("series.signed.json", series=SERIES.format(begins=begins))
    for person in (here.town.ana, here.town.ben):
        assert here.do("north", "study", "approve", file, "--key", person, "--federation", "city") == 0
    arrive(here, file)
    copy, papers = here.root / "copy", []
    shutil.copytree(desk, copy)
    for home in (desk, copy):
        assert server("key", "replace", "coordinator", "--no-passphrase", "--config", home) == 0
        for person in (here.town.ana, here.town.ben):
            assert server("key", "sign", "coordinator", "--key", person, "--config", home) == 0
        assert server("key", "enact", "coordinator", "--config", home) == 0
        papers.append(home / "keys" / "coordinator+1.succession.json")
    words = ("coordinator", "succession", "--compared", "--federation", "other")
    assert here.do("north", *words, papers[0]) == 0
    assert here.do("north", *words, papers[1]) == 1
    out = here.root / "status.json"
    capsys.readouterr()
    assert here.do("north", "status", "--json", out) == 0
    assert "RF-K161" in capsys.readouterr().out
    said = {each["name"]: each["fault"] for each in read(out)["federations"]}
    assert said["city"] == ""
    assert "RF-K161" in said["other"]
    assert [each for each in findings(here, "north", "fault") if each.startswith("people")]
    assert [each for each in findings(here, "north", "warning") if each.startswith("series")]
