"""Holders in two federations: one budget, and neither coordinator is shown anything of the other one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from kits.ledger_support import marked
from kits.two_kit import Side, Two
from sqlalchemy import text

from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.merkle import verify_consistency
from ringfence.clients import joining
from ringfence.clients.agent import Agent
from ringfence.clients.pipeline import admit
from ringfence.privacy.errors import BudgetError, StudyError, WaistError
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.protocol.control import COORDINATOR, StudyOffer, seal_message
from ringfence.privacy.protocol.endings import Finish
from ringfence.privacy.wire.fields import new_nonce
from ringfence.privacy.wire.heads import LedgerHead
from ringfence.server.coordinator import OpenStudy


@dataclass(frozen=True)
class Turn:
    """A study that was run, with what bank's ledger was charged and how much bank's logs grew.

    Attributes:
        opened: the study.
        spent: mu squared.
        grown: events of city's log, trade's log, and the house's.
    """

    opened: OpenStudy
    spent: Decimal
    grown: tuple[int, int, int]


RAN: dict[str, Turn] = {}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Both, after one study of each in turn."""
    made = Two.of(tmp_path_factory.mktemp("two"))
    banks = [made.sides[name].holders["bank"] for name in ("city", "trade")]

    def standing() -> tuple[Decimal, tuple[int, int, int]]:
        sizes = banks[0].log.size, banks[1].log.size, banks[0].house.size
        return banks[0].ledger.charged().mu_squared, sizes

    for name, side in made.sides.items():
        opened, (charged, sizes) = made.study(name, id=f"of-{name}"), standing()
        assert side.run(opened).holders == ("bank", "partner", "retailer")
        after, grown = standing()
        RAN[name] = Turn(
            opened=opened,
            spent=after - charged,
            grown=(grown[0] - sizes[0], grown[1] - sizes[1], grown[2] - sizes[2]),
        )
    return made


def view(side: Side) -> bytes:
    """All that a coordinator was sent, what it keeps of holders, and its own log."""
    shown = b"".join(reply for _name, _message, reply in side.wire.sent)
    keys = [each.identity.public for each in side.holders.values()]
    kept = b"".join(repr(side.coordinator.registry.last(key)).encode() for key in keys)
    return shown + kept + b"".join(event.leaf for event in side.coordinator.log.events())


def heads(side: Side) -> list[str]:
    known = (side.coordinator.registry.last(each.identity.public) for each in side.holders.values())
    return [each[0].mark for each in known if each is not None]


def offer(side: Side, opened: OpenStudy, holder: str, head: LedgerHead | None) -> StudyOffer:
    return StudyOffer(
        study=opened.document.to_json(),
        schema=opened.schema_document.to_json(),
        run=opened.run,
        nonce=new_nonce(),
        log_key=side.coordinator.log.verifier.raw.hex(),
        ledger=head,
        log=None,
    )


def known_head(side: Side, holder: str) -> LedgerHead:
    found = side.coordinator.registry.last(side.holders[holder].identity.public)
    assert found is not None
    return found[0]


def test_two_coordinators_spend_one_budget_and_see_nothing_of_each_other(two: Two) -> None:
    city, trade = two.sides["city"], two.sides["trade"]
    first, second = RAN["city"], RAN["trade"]
    assert first.spent == second.spent > 0, "each at the one ledger"
    assert first.grown[1] == second.grown[0] == 0, "what one asks does not move the other one's log"
    assert min(first.grown[2], second.grown[2]) > 0

    sides = ((city, first.opened, trade, second.opened), (trade, second.opened, city, first.opened))
    for own, mine, other, theirs in sides:
        seen = view(own)
        assert mine.digest.encode() in seen
        for holder in other.holders.values():
            root = read_unverified(holder.log.checkpoint()).root
            house = read_unverified(holder.house.checkpoint())
            secrets = [theirs.digest, theirs.run, holder.log.origin, root.hex(), house.root.hex()]
            secrets += [entry.hash.hex() for entry in holder.ledger.entries()]
            assert not [secret for secret in secrets if secret.encode() in seen]
            assert f"{holder.house.origin}\n".encode() not in seen, "no checkpoint of the house's log"
    marks = heads(city) + heads(trade)
    assert len({half for mark in marks for half in (mark[:64], mark[64:])}) == 2 * len(marks)


def test_the_house_is_committed_to_at_the_start_and_the_end_of_each_run(two: Two) -> None:
    """And the opened private part is what the house's log was."""
    for side in two.sides.values():
        holder = side.holders["retailer"]
        found = list(holder.log.events(action="house.committed"))
        joined = list(holder.log.events(action="study.joined"))
        assert len(found) == 2 * len(joined) > 0
        assert all(dict(each.event.public) == {} for each in found)
        for each in found:
            private = holder.log.open_event(each.seq).verify([holder.log.verifier]).private
            assert private["log"] == holder.house.origin
            size = int(str(private["size"]))
            nodes = holder.house.consistency(size)
            now = read_unverified(holder.house.checkpoint())
            verify_consistency(size, now.size, bytes.fromhex(str(private["root"])), now.root, nodes)


def test_a_second_study_is_refused_by_the_ledger_that_the_first_drained(two: Two) -> None:
    city, trade = two.sides["city"], two.sides["trade"]
    bank = city.holders["bank"]
    left = bank.ledger.left().mu_squared
    drained = bank.ledger.reserve("sha256:" + "d" * 64, left * Decimal("0.99"))
    with pytest.raises(WaistError, match="RF-W200"):
        trade.run(two.study("trade", id="too-much"))
    assert any(sentence.startswith("RF-B303") for sentence in trade.said["bank"])
    assert "B303" not in view(trade).decode("latin-1"), "it learns that bank stays away, and no reason"
    *_, refused = bank.house.events(action="budget.refused")
    assert refused.event.public["asked"] == "reserved"
    bank.ledger.commit(drained)


def test_a_study_is_of_one_federation(two: Two) -> None:
    """The same bytes, signed by the other coordinator as well: no run or reservation is taken over."""
    city, trade = two.sides["city"], two.sides["trade"]
    ours = two.study("city", id="shared")
    city.run(ours)
    theirs = two.study("trade", id="shared")
    assert theirs.digest == ours.digest
    bank = trade.holders["bank"]
    assert bank.participations.find(ours.digest, ours.run) is None
    assert bank.participations.elsewhere(ours.digest)
    admitted = admit(bank, offer(trade, theirs, "bank", None))
    with pytest.raises(StudyError, match="RF-S500"):
        joining.join(bank, admitted)
    # Offering the other one's run, and ending it, frees nothing of what that one has reserved.
    bank.log.record("study.offered", "allow", resource=f"study:{ours.digest}", public={"run": ours.run})
    reserved = bank.ledger.reserve(ours.digest, Decimal("0.0001"))
    joining.close_left(bank, ours.digest, ours.run)
    assert reserved.id in {each.id for each in bank.ledger.reservations()}
    joining.close_left(city.holders["bank"], ours.digest, ours.run)
    assert reserved.id not in {each.id for each in bank.ledger.reservations()}


def test_a_coordinator_ends_no_reservation_of_another_ones_study(two: Two) -> None:
    """It can write an offer of that study into its own log here, and no more than that."""
    city, trade = two.sides["city"], two.sides["trade"]
    theirs, own = two.study("city", id="begun"), two.study("trade", id="beside")
    # As between the reservation and what is kept of a run that was joined.
    reserved = city.holders["bank"].ledger.reserve(theirs.digest, Decimal("0.0001"))
    agent, run = Agent(holder=trade.holders["bank"]), "ab" * 16
    finish = Finish(
        model=None,
        checkpoint=trade.coordinator.log.checkpoint().decode(),
        release=None,
        proof=(),
        withdrawn=(),
    )
    for message in (replace(offer(trade, own, "bank", None), run=run), finish):
        sealed = seal_message(
            trade.coordinator.identity,
            message,
            study=theirs.digest,
            run=run,
            sender=COORDINATOR,
            recipient="bank",
        )
        agent.handle(sealed)
    told = trade.holders["bank"].log.events(action="study.offered", resource=f"study:{theirs.digest}")
    assert [each.event.public["run"] for each in told] == [run]
    still = city.holders["bank"].ledger.reservations()
    assert reserved.id in {each.id for each in still}
    city.holders["bank"].ledger.commit(reserved)


def test_a_rollback_is_found_through_either(two: Two) -> None:
    city, trade = two.sides["city"], two.sides["trade"]
    again = {"city": two.study("city", id="after-1"), "trade": two.study("trade", id="after-2")}
    bank = city.holders["bank"]
    # A head that one was shown does not count when the other one shows it, and freezes nobody.
    with pytest.raises(WaistError, match="RF-W166"):
        admit(trade.holders["bank"], offer(trade, again["trade"], "bank", known_head(city, "bank")))
    for name, side in two.sides.items():
        admit(side.holders["bank"], offer(side, again[name], "bank", known_head(side, "bank")))
    assert bank.ledger.frozen() == ""
    for side in two.sides.values():
        holder, head = side.holders["bank"], known_head(side, "bank")
        with (
            bank.engine.connect() as connection
        ):  # taken back at the end, so that the other one finds it whole
            last = marked(holder.marks, head.mark).sequence
            later = text("select * from budget_ledger where sequence >= :n")
            kept = connection.execute(later, {"n": last}).all()
            connection.execute(text("delete from budget_ledger where sequence >= :n"), {"n": last})
            connection.commit()
        rolled_back = Ledger.open(bank.engine, bank.house)
        with pytest.raises(BudgetError, match="RF-B312"):
            rolled_back.check_mark(holder.marks, head.mark)
        assert rolled_back.frozen()
        with bank.engine.connect() as connection:
            connection.execute(text("delete from budget_ledger where sequence >= :n"), {"n": last})
            into = text("insert into budget_ledger (sequence, entry, hash) values (:sequence, :entry, :hash)")
            connection.execute(into, [dict(row._mapping) for row in kept])
            connection.commit()
        Ledger.open(bank.engine, bank.house).check_mark(holder.marks, head.mark)
