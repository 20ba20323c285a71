"""What a coordinator can tell from joining: nothing about rows but a noisy count that is charged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kits.parties import Parties, federation_of

from ringfence.clients import attesting, joining
from ringfence.clients.agent import Agent
from ringfence.clients.attesting import attest
from ringfence.clients.records import offers
from ringfence.clients.records.offers import MOST_REFUSALS
from ringfence.privacy.errors import StudyError, TableError
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.membership import offer

Change = Callable[[Path], None]


def parties_of(folder: Path, customers: int = 400) -> Parties:
    """Three holders with `max_customers = 400`."""
    names = ("bank", "retailer", "partner")
    contracts = {name: {"max_customers": 400} for name in names}
    return Parties.of(federation_of(folder, customers=customers, contracts=contracts))


def offered(parties: Parties, times: int = 1) -> list[str]:
    """Kinds of the bank's replies to so many offers of the study."""
    for _ in range(times):
        offer(parties.federation.coordinator, parties.federation.opened, parties.wire, names=["bank"])
    return [read_header(reply).kind for name, _, reply in parties.wire.sent if name == "bank"][-times:]


def restarted(parties: Parties) -> None:
    """The bank's process begins anew over the same store."""
    parties.agents["bank"] = Agent(holder=parties.holders["bank"], report=parties.said["bank"].append)
    parties.wire.inner = type(parties.wire.inner)(agents=parties.agents)


def public(parties: Parties) -> list[tuple[str, str, frozenset[str], object]]:
    """What everybody may read of the bank's log, without what is fresh in every run."""
    return [
        (e.event.action, e.event.outcome, frozenset(e.event.public), e.event.public.get("reasons"))
        for e in parties.holders["bank"].log.events()
    ]


def stranger(file: Path) -> None:
    """A 401st customer, whom the consent registry has never heard of."""
    lines = file.read_text(encoding="utf-8").splitlines()
    row = lines[-1].split(",")
    row[-1] = "nobody-knows-me"
    file.write_text("\n".join([*lines, ",".join(row)]) + "\n", encoding="utf-8")


def fewer(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")


def broken(file: Path) -> None:
    file.write_text('key,age\n"', encoding="utf-8")


CHANGES: dict[str, Change] = {
    "a 401st customer": stranger,
    "one customer less": fewer,
    "no table that can be read": broken,
    "no table at all": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_becomes_of_the_table_after_it_was_attested_shows_nowhere(
    tmp_path: Path, change: Change
) -> None:
    """The attack was: join with 400, add one, and be told `unavailable` for nothing, as often as asked."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    calm, changed = parties_of(tmp_path / "a"), parties_of(tmp_path / "b")
    change(tmp_path / "b" / "bank.csv")
    for parties in (calm, changed):
        assert offered(parties) == ["join"]
        restarted(parties)
        assert offered(parties) == ["join"], "after a restart, which reads the table again"
    assert public(calm) == public(changed)
    ledgers = [parties.holders["bank"].ledger.charged().mu_squared for parties in (calm, changed)]
    assert ledgers[0] == ledgers[1] > 0
    rows = [joined.joined.rows for joined in changed.agents["bank"]._runs.values()]
    assert len(rows) == 1


def test_the_kept_copy_gives_the_rows_that_the_source_gave(tmp_path: Path) -> None:
    from ringfence.clients.rows.table import attested, kept, read_table, restored
    from ringfence.privacy.agreements.policy import allowed_columns

    parties = parties_of(tmp_path)
    bank, opened = parties.holders["bank"], parties.federation.opened
    found = bank.snapshots.find(opened.digest)
    assert found is not None
    columns = allowed_columns(bank.contract, opened.study, bank.schema)
    read = attested(read_table(bank.contract, bank.schema, columns, bank.base))
    back = restored(columns, bank.snapshots.content(found))
    assert back.keys() == read.keys()
    assert kept(back) == kept(read) == bank.snapshots.content(found)


def test_a_table_over_its_limit_is_a_matter_of_its_people_alone(tmp_path: Path) -> None:
    """With 401 customers nobody can attest; the log says in public what it says of a table that passes."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    over, sound = parties_of(tmp_path / "a", customers=401), parties_of(tmp_path / "b")
    assert public(over) == public(sound)
    bank, study = over.holders["bank"], over.federation.opened.study
    with pytest.raises(TableError, match="RF-T043"):
        attest(bank.premises, study, bank.clock())
    assert offered(over) == ["unavailable"]
    assert over.said["bank"][0].startswith("RF-T152")
    assert "RF-T043" in over.said["bank"][0]
    assert bank.ledger.entries()[1:] == (), "nothing was reserved and nothing charged"
    assert ("table.read", "allow") not in over.actions("bank")[-2:]


def test_refused_offers_come_to_an_end_that_a_restart_does_not_undo(tmp_path: Path) -> None:
    parties = parties_of(tmp_path, customers=401)
    assert set(offered(parties, MOST_REFUSALS - 1)) == {"unavailable"}
    restarted(parties)
    assert set(offered(parties, 3)) == {"unavailable"}
    assert "RF-S320" in parties.said["bank"][-1]
    bank = parties.holders["bank"]
    size = len(list(bank.log.events()))
    offered(parties, 3)
    assert len(list(bank.log.events())) == size, "nothing is looked at and nothing logged any more"
    assert parties.actions("bank").count(("study.refused", "deny")) == MOST_REFUSALS
    fewer(tmp_path / "bank.csv")
    attest(bank.premises, parties.federation.opened.study, bank.clock())
    assert offered(parties) == ["join"], "its own people have opened it again"


def test_digests_that_a_coordinator_makes_up_fill_the_counts_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers, "MOST_STUDIES", 3)
    parties = parties_of(tmp_path, customers=401)
    bank, known = parties.holders["bank"], parties.federation.opened.digest
    made_up = [f"sha256:{number:064x}" for number in range(4)]
    with bank.engine.begin() as connection:
        counted = [bank.offers.refused(study, connection=connection) for study in made_up]
    assert counted.count(True) < 4
    with pytest.raises(StudyError, match="RF-S370"):
        bank.offers.check(made_up[3])
    bank.offers.reopen(known)
    bank.offers.check(known)
    with bank.engine.begin() as connection:
        assert [bank.offers.refused(known, connection=connection) for _ in range(MOST_REFUSALS + 1)] == [
            *([True] * MOST_REFUSALS),
            False,
        ]
    with pytest.raises(StudyError, match="RF-S320"):
        bank.offers.check(known)


def test_a_later_reading_that_fails_leaves_the_attested_copy_in_force(tmp_path: Path) -> None:
    parties = parties_of(tmp_path)
    bank, study = parties.holders["bank"], parties.federation.opened.study
    before = bank.snapshots.find(study.digest())
    stranger(tmp_path / "bank.csv")
    with pytest.raises(TableError, match="RF-T040"):
        attest(bank.premises, study, bank.clock())
    assert bank.snapshots.find(study.digest()) == before
    assert offered(parties) == ["join"]
    with pytest.raises(StudyError, match="RF-S321"):
        attest(bank.premises, study, bank.clock())


@pytest.mark.parametrize("broken", ["read_table", "kept"])
def test_a_reading_that_breaks_off_says_in_public_what_a_whole_one_says(
    tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the fault: the size of the log is shown to coordinators, and rows may decide whether it
    comes.
    """
    parties = parties_of(tmp_path)
    bank, study = parties.holders["bank"], parties.federation.opened.study
    attest(bank.premises, study, bank.clock())
    whole = public(parties)[-2:]

    def fails(*_: object) -> None:
        raise OverflowError("a row of 2026 days")

    monkeypatch.setattr(attesting, broken, fails)
    size = len(public(parties))
    with pytest.raises(OverflowError):
        attest(bank.premises, study, bank.clock())
    assert public(parties)[size:] == whole
    assert whole[-1][0] == "table.assessed"


def test_a_changed_copy_is_not_read(tmp_path: Path) -> None:
    parties = parties_of(tmp_path)
    (copy,) = parties.holders["bank"].snapshots.folder.iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    copy.write_bytes(copy.read_bytes()[:-1] + b"\0")
    assert offered(parties) == ["unavailable"]
    assert parties.said["bank"][0].startswith("RF-T151")
    assert parties.holders["bank"].ledger.entries()[1:] == ()


def test_an_attestation_is_good_for_its_contract(tmp_path: Path) -> None:
    parties = parties_of(tmp_path)
    bank = parties.holders["bank"]
    newer = replace(bank, contract=bank.contract.revised(version=2))
    parties.agents["bank"] = Agent(holder=newer, report=parties.said["bank"].append)
    parties.wire.inner = type(parties.wire.inner)(agents=parties.agents)
    assert offered(parties) == ["unavailable"]
    assert parties.said["bank"][0].startswith("RF-T152")


def test_a_join_that_fails_after_its_reservation_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parties = parties_of(tmp_path)
    bank = parties.holders["bank"]

    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(joining, "encoded", fails)
        assert offered(parties) == ["unavailable"]
    assert bank.ledger.reservations() == ()
    assert [entry.kind for entry in bank.ledger.entries()] == ["created", "reserved", "charged", "committed"]
    assert ("budget.closed", "allow") in parties.actions("bank")
    spent = bank.ledger.charged().mu_squared
    assert spent > 0, "what was counted stays charged"
    restarted(parties)
    assert offered(parties, 2) == ["unavailable", "unavailable"], "a second try would tell of the first"
    assert "RF-S064" in parties.said["bank"][-1]
    assert bank.ledger.charged().mu_squared == spent
    assert list(parties.holders["bank"].snapshots.folder.iterdir()) == []


def test_the_copy_goes_when_the_study_is_over(tmp_path: Path) -> None:
    from ringfence.server.rounds import run_study

    parties = parties_of(tmp_path)
    assert len(list(parties.holders["bank"].snapshots.folder.iterdir())) == 1
    run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
    assert list(parties.holders["bank"].snapshots.folder.iterdir()) == []
    assert {
        read_header(reply).kind
        for _, message, reply in parties.wire.sent
        if read_header(message).kind == MessageKind.STUDY_OFFER
    } == {"join"}
