"""What a ledger's events tell everybody, what they keep for the holder, and the statement of account."""

from __future__ import annotations

from decimal import Decimal

from kits.ledger_support import DELTA, EPSILON, STUDY, TWO, charge, new_ledger, refused

from ringfence.privacy.ledger.statement import Spend
from ringfence.privacy.stores.journal import Json
from ringfence.privacy.stores.store import open_store

EVIDENCE: dict[str, Json] = {"signed": "by ann and bob"}
ALWAYS = {"ledger", "entry", "head"}


def amount(value: Json) -> Decimal:
    assert isinstance(value, str)
    return Decimal(value)


def test_every_entry_is_an_event_with_its_own_amount_and_head() -> None:
    ledger, journal = new_ledger(open_store(None))
    reservation = ledger.reserve(STUDY, Decimal("0.2"))
    charge(ledger, reservation, "0.05", 3, round_=7, part="train")
    ledger.commit(reservation)
    entries = ledger.entries()
    told = journal.told()
    assert len(told) == len(entries) == 4
    for (action, public, _), entry in zip(told, entries, strict=True):
        assert (public["entry"], public["head"]) == (entry.sequence, entry.hash.hex()), action
        assert public["ledger"] == f"ledger-{entries[0].hash.hex()[:16]}"
    created, reserved, charged, closed = (public for _, public, _ in told)
    assert set(created) == ALWAYS | {"filter", "epsilon", "delta"}
    assert (created["filter"], amount(created["epsilon"]), amount(created["delta"])) == (
        "gdp",
        EPSILON,
        DELTA,
    )
    assert told[0][2] == {"population": "cards"}
    assert set(reserved) == ALWAYS | {"mu_squared"}
    assert amount(reserved["mu_squared"]) == reservation.mu_squared
    assert set(charged) == ALWAYS | {"run", "round", "attempt", "part", "mu_squared"}
    assert [charged[name] for name in ("run", "round", "attempt", "part")] == ["run-1", 7, 3, "train"]
    assert amount(charged["mu_squared"]) == Decimal("0.05"), "what this attempt took, not what was set aside"
    assert set(closed) == ALWAYS
    assert [private for _, _, private in told[1:]] == [{}, {}, {}]


def test_events_name_what_they_are_about_and_how_it_ended() -> None:
    ledger, journal = new_ledger(open_store(None))
    reservation = ledger.reserve(STUDY, Decimal("0.2"))
    charge(ledger, reservation, "0.05")
    ledger.commit(reservation)
    assert refused(lambda: ledger.commit(reservation)) == "RF-B309"
    ledger.freeze("drill")
    ledger.thaw(TWO, missing_mu_squared=0, reason="over")
    ledger.top_up(TWO, mu_squared=1, reason="board")
    assert refused(lambda: ledger.thaw(TWO, missing_mu_squared=0, reason="over")) == "RF-B307"
    whole, study = f"budget:{ledger.entries()[0].hash.hex()[:16]}", f"study:{STUDY}"
    assert journal.outcomes() == [
        ("budget.created", "allow", whole),
        ("budget.reserved", "allow", study),
        ("budget.charged", "allow", study),
        ("budget.closed", "allow", study),
        ("budget.refused", "deny", study),
        ("budget.frozen", "error", whole),
        ("budget.thawed", "allow", whole),
        ("budget.topup", "allow", whole),
        ("budget.refused", "deny", whole),
    ]
    assert refused(lambda: new_ledger(open_store(None))[0].freeze("")) == "RF-B321"


def test_why_a_ledger_refused_stays_with_the_holder() -> None:
    """The sentence says how much budget is left; everybody reads the code alone."""
    ledger, journal = new_ledger(open_store(None))
    assert refused(lambda: ledger.reserve(STUDY, Decimal(99))) == "RF-B303"
    action, public, private = journal.told()[-1]
    assert action == "budget.refused"
    assert set(public) == {"asked", "code", "mu_squared"}
    assert (public["asked"], public["code"]) == ("reserved", "RF-B303")
    assert set(private) == {"refusal"}
    assert "mu^2" in str(private["refusal"])


def test_reasons_and_what_two_people_signed_stay_with_the_holder() -> None:
    ledger, journal = new_ledger(open_store(None))
    ledger.freeze("restored from a backup")
    assert ledger.entries()[-1].fields == {"reason": "restored from a backup", "known": ""}
    ledger.thaw(TWO, missing_mu_squared=Decimal("0.02"), reason="counted", evidence=EVIDENCE)
    ledger.top_up(TWO, mu_squared=Decimal("0.3"), reason="board", evidence=EVIDENCE)
    frozen, thawed, topped_up = journal.told()[1:]
    assert (frozen[0], set(frozen[1])) == ("budget.frozen", ALWAYS)
    assert frozen[2] == {"reason": "restored from a backup"}
    for (action, public, private), name, value, reason in (
        (thawed, "budget.thawed", "0.02", "counted"),
        (topped_up, "budget.topup", "0.3", "board"),
    ):
        assert (action, set(public)) == (name, ALWAYS | {"approvals", "mu_squared"})
        assert (public["approvals"], amount(public["mu_squared"])) == (list(TWO), Decimal(value))
        assert private == {"reason": reason, **EVIDENCE}
    # A refused decision holds nothing of what they signed.
    assert refused(lambda: ledger.thaw(TWO, missing_mu_squared=0, reason="x", evidence=EVIDENCE)) == "RF-B307"
    assert set(journal.told()[-1][2]) == {"reason", "refusal"}


def test_two_writings_of_one_persons_name_are_one_person() -> None:
    ledger, _ = new_ledger(open_store(None))
    ledger.freeze("drill")
    for approvals in (("ann", "ANN"), ("ann", " ann "), ("ann", ""), "ab"):
        thaw = lambda some=approvals: ledger.thaw(some, missing_mu_squared=0, reason="x")  # noqa: E731
        assert refused(thaw) == "RF-B320"


def test_a_statement_has_a_line_for_everything_spent_or_added() -> None:
    ledger, _ = new_ledger(open_store(None))
    reservation = ledger.reserve(STUDY, Decimal("0.2"))
    charge(ledger, reservation, "0.05", 1, round_=-1)
    charge(ledger, reservation, "0.03", 2, round_=4, part="test")
    ledger.freeze("drill")
    ledger.thaw(TWO, missing_mu_squared=Decimal("0.02"), reason="counted")
    ledger.top_up(TWO, mu_squared=Decimal("0.3"), reason="board")
    lines = ledger.statement()
    entries = {entry.sequence: entry for entry in ledger.entries()}
    for line in lines:
        assert (line.kind, line.time) == (entries[line.entry].kind, entries[line.entry].time)

    def told(line: Spend) -> tuple[object, ...]:
        return line.kind, line.study, line.run, line.round, line.attempt, line.part, line.cost

    assert [told(line) for line in lines] == [
        ("charged", STUDY, "run-1", -1, 1, "both", Decimal("0.05")),
        ("charged", STUDY, "run-1", 4, 2, "test", Decimal("0.03")),
        ("thawed", "", "", 0, 0, "both", Decimal("0.02")),
        ("topped-up", "", "", 0, 0, "both", Decimal("0.3")),
    ]
    totals = [Decimal(text) for text in ("0.05", "0.08", "0.1", "0.1")]
    assert [line.total.mu_squared for line in lines] == totals
