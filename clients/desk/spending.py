"""What stands in the holder's ledger, and the three things its people may do to it by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import rfc8785

from ringfence.clients.home import Home, open_home
from ringfence.clients.inbox.set_aside import set_approvals_aside
from ringfence.privacy.accounting.amounts import add, allowed_amount, as_text, spent_amount
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, BudgetError, _
from ringfence.privacy.ledger import Balance, Head, Ledger, LostEntries, Reservation
from ringfence.privacy.ledger.terms import checked_text
from ringfence.privacy.stores.journal import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStanding:
    """A ledger as its people see it.

    Attributes:
        terms: fixed at creation.
        released: charged for ever.
        reserved: set aside for open studies and not released yet.
        left: the largest Gaussian event that still fits.
        frozen: why nothing may be spent, or empty.
        losses: what is lost and was not settled.
        open: the reservations.
        raised: mu squared that two people added since creation.
    """

    terms: Mapping[str, str]
    released: Balance
    reserved: Balance
    left: Balance
    frozen: str
    losses: tuple[LostEntries, ...]
    open: tuple[Reservation, ...]
    raised: Decimal

    @classmethod
    def of(cls, ledger: Ledger) -> BudgetStanding:
        """Read a ledger."""
        released = ledger.charged()
        return cls(
            terms=ledger.terms(),
            released=released,
            reserved=ledger.reserved(),
            left=ledger.left(),
            frozen=ledger.frozen(),
            losses=ledger.losses(),
            open=ledger.reservations(),
            raised=add(*(each.cost for each in ledger.statement() if each.kind == "topped-up")),
        )

    def heading(self) -> str:
        """Whose budget this is, and of what size."""
        said = [
            _("Budget of {population}: epsilon {epsilon} at delta {delta}, filter {filter}").format(
                **self.terms
            )
        ]
        if self.raised:
            said.append(_("raised by mu^2 {raised} since").format(raised=as_text(self.raised)))
        return _("; ").join(said)

    def rows(self) -> tuple[tuple[str, Balance], ...]:
        """Names for people, and balances."""
        return (_("released"), self.released), (_("reserved"), self.reserved), (_("left"), self.left)

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        rows = {"released": self.released, "reserved": self.reserved, "left": self.left}
        return {
            **self.terms,
            **{name: {"mu_squared": as_text(b.mu_squared), "epsilon": b.epsilon} for name, b in rows.items()},
            "raised_mu_squared": as_text(self.raised),
            "frozen": self.frozen,
            "losses": [{"after": one.after or None, "last": one.last or None} for one in self.losses],
            "reservations": [
                {"id": one.id, "study": one.study_digest, "mu_squared": as_text(one.mu_squared)}
                | ({"run": one.window} if one.window else {})
                for one in self.open
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Thaw:
    """A ledger that was opened again.

    Attributes:
        left: of the budget.
        lacking: whether it lacked entries.
        aside: how many approvals count no more since it did.
    """

    left: Balance
    lacking: bool
    aside: int


def thaw(config: Path, keys: Sequence[Path], missing: Decimal, reason: str, passphrases: Passphrases) -> Thaw:
    """Open a frozen ledger by two approvers; where it lacks entries, all approvals are set aside before."""
    with open_home(config) as home:
        seen = home.ledger.head()  # before keys are asked for: people decide about what they looked at
        decision = _decided(home, "thaw", keys, missing, reason, passphrases, seen)
        lacking, evidence, aside = home.ledger.lacking(), decision.evidence, 0
        if lacking:
            aside = set_approvals_aside(home.settings.path(home.settings.config.approvals))
            evidence = {**evidence, "approvals_set_aside": aside}
        home.ledger.thaw(
            decision.people,
            missing_mu_squared=missing,
            reason=reason,
            decision=decision.digest,
            evidence=evidence,
            seen=seen.sequence,
        )
        return Thaw(left=home.ledger.left(), lacking=lacking, aside=aside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """By how much two people raise a budget, or to how much; one of the two.

    Attributes:
        mu_squared: to be added.
        epsilon: what the budget is to be in all, at its delta.
    """

    mu_squared: Decimal | None = None
    epsilon: Decimal | None = None

    def said(self) -> dict[str, str]:
        """As people sign it; one text for one amount."""
        if self.epsilon is not None:
            return {"epsilon": as_text(allowed_amount(self.epsilon))}
        return {"mu_squared": as_text(allowed_amount(self.mu_squared or 0))}


def top_up(
    config: Path, keys: Sequence[Path], asked: Raise, reason: str, passphrases: Passphrases
) -> Balance:
    """Raise the budget by two approvers; return what is left."""
    with open_home(config) as home:
        decision = _decided(home, "top-up", keys, asked, reason, passphrases)
        home.ledger.top_up(
            decision.people,
            mu_squared=asked.mu_squared,
            epsilon=asked.epsilon,
            reason=reason,
            decision=decision.digest,
            evidence=decision.evidence,
        )
        return home.ledger.left()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """What two people decided.

    Attributes:
        people: their fingerprints.
        digest: of what they signed, by which the ledger knows it again.
        evidence: what they signed, for the event that carries it out: it stands in the store together with
            what it changed, in one transaction, and can be opened to an auditor.
    """

    people: list[str]
    digest: str
    evidence: Mapping[str, Json]


def _decided(
    home: Home,
    act: str,
    keys: Sequence[Path],
    amount: Decimal | Raise,
    reason: str,
    passphrases: Passphrases,
    seen: Head | None = None,
) -> _Decision:
    """The decision of two different approvers who signed this very act; a refusal is an event.

    Raises:
        BudgetError: RF-B401 not two keys, RF-B402 one person twice.
        KeyFault: a key cannot be opened, or is not an approver's of this holder.
    """
    ledger = home.ledger.entries()[0].hash.hex()[:16]
    with home.refusals("budget.refused", f"budget:{ledger}"):
        if len(keys) != 2:
            raise BudgetError(
                "RF-B401",
                N_("{count} key files were given; two approvers decide this: --key A --key B"),
                count=len(keys),
            )
        checked_text("reason", reason)
        if isinstance(amount, Raise):
            home.ledger.added(mu_squared=amount.mu_squared, epsilon=amount.epsilon)
        else:
            spent_amount(amount)
        people: list[Identity] = [
            passphrases.read_key(path, "approver", position=position) for position, path in enumerate(keys)
        ]
        if people[0].public == people[1].public:
            raise BudgetError(
                "RF-B402", N_("Both key files hold the key of one person; two different people decide this.")
            )
        decision = SignedDocument(kind="budget-decision", body=_body(home, act, amount, reason, seen))
        for person in people:
            decision = decision.signed_by(person)
        signers = decision.signers("budget-decision", home.settings.approvers(), threshold=2)
    return _Decision(
        people=[signer.fingerprint for signer in signers],
        digest="sha256:" + hashlib.sha256(decision.body).hexdigest(),
        evidence={"decision": json.loads(decision.to_json())},
    )


def _body(home: Home, act: str, amount: Decimal | Raise, reason: str, seen: Head | None) -> bytes:
    """What two people sign, by whose digest the ledger knows a decision that it has carried out.

    A thaw is for one moment, so the ledger's head stands in it as it was when they looked: who freezes for
    the same reason again has a new one, and what is found missing meanwhile is not settled by it. A top-up is
    for good, so the ledger itself stands in it: the same amount for the same reason is the same top-up
    whenever it is entered.
    """
    said = {"act": act, "holder": home.settings.name, "reason": " ".join(reason.split())}
    if isinstance(amount, Raise):
        return rfc8785.dumps(said | {"ledger": home.ledger.entries()[0].hash.hex(), **amount.said()})
    return rfc8785.dumps(said | {"head": (seen or home.ledger.head()).hash, "mu_squared": str(amount)})


def freeze(config: Path, reason: str, *, restored: bool = False) -> None:
    """Allow no spending until two approvers thaw the ledger; anybody who may open the home may stop it.

    Args:
        config: of the home.
        reason: for people.
        restored: the store is an older copy, and what came after it is lost.
    """
    with open_home(config) as home:
        ledger = home.ledger.entries()[0].hash.hex()[:16]
        with home.refusals("budget.refused", f"budget:{ledger}"):
            home.ledger.freeze(checked_text("reason", reason), restored=restored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What was closed by hand.

    Attributes:
        study: digest of the study.
        windows: of a series, numbers of the runs; 0 for a study that is run once.
        left: what is left of the budget now.
    """

    study: str
    windows: tuple[int, ...]
    left: Balance


def close(config: Path, study: str, number: int | None = None, *, every: bool = False) -> Closed:
    """Close the open reservation of a study, by its digest or the first digits of it.

    Args:
        config: the holder's.
        study: the digits.
        number: of a series, the run that is closed; not needed where one is open.
        every: close all runs of a series.

    Raises:
        BudgetError: RF-B403 there is none, RF-B404 several begin so; RF-S562 several runs of the series are
            open, RF-S563 the run that is named is not; the ledger is frozen.
    """
    with open_home(config) as home:
        wanted = study.removeprefix("sha256:").lower()
        found = [
            one
            for one in home.ledger.reservations()
            if one.study_digest.removeprefix("sha256:").startswith(wanted)
        ]
        with home.refusals("budget.refused", f"budget:{home.settings.name}"):
            if not found or not wanted:
                raise BudgetError(
                    "RF-B403",
                    N_(
                        "No study with the digest {study} has an open reservation; ringfence-client budget "
                        "lists them."
                    ),
                    study=study,
                )
            if len({one.study_digest for one in found}) > 1:
                raise BudgetError(
                    "RF-B404", N_("Several open studies begin with {study}; give more digits."), study=study
                )
            digest = found[0].study_digest
            chosen = found if every else _of_one_run(found, number)
        for one in chosen:
            home.ledger.commit(one)
            home.snapshots().forget(digest, window=one.window)
        windows = tuple(sorted(one.window for one in chosen))
        return Closed(study=digest, windows=windows, left=home.ledger.left())


def _of_one_run(found: Sequence[Reservation], number: int | None) -> Sequence[Reservation]:
    """The open reservations of one run: of a series the others may still be going on, and keep theirs."""
    runs = sorted({one.window for one in found})
    told = ", ".join(str(each) for each in runs if each)
    if number is None and len(runs) > 1:
        raise BudgetError(
            "RF-S562",
            N_(
                "Several runs of the series {study} are open ({runs}); close the one that will not go on "
                "with --run N, or all of them with --all-runs."
            ),
            study=found[0].study_digest,
            runs=told,
        )
    if number is not None and number not in runs:
        raise BudgetError(
            "RF-S563",
            N_("Run {number} of {study} has no open reservation; runs that have one: {runs}."),
            number=number,
            study=found[0].study_digest,
            runs=told or "-",
        )
    return [one for one in found if number in (None, one.window)]
