"""A series for the holder's people: what its runs cost here, which were used, and what waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ringfence.clients.home import Home
from ringfence.clients.inbox.by_file import kept_series
from ringfence.clients.records.turns import waiting_window
from ringfence.privacy.accounting.study import SeriesPrice
from ringfence.privacy.agreements.series import SeriesTerms, Window, utc_told
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, RingfenceError, _
from ringfence.privacy.ledger import Ledger, Quote
from ringfence.privacy.ledger.series import booked_runs

EVERY = {
    "day": N_("day"),
    "week": N_("week"),
    "month": N_("month"),
    "quarter": N_("quarter"),
    "year": N_("year"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHere:
    """How a series stands at this holder.

    Attributes:
        terms: of the signed study.
        used: runs that were reserved here, failed ones counted.
        window: the window that a run may still start in, or the next one; None where none is to come.
        covered: how many of the runs to come the budget covers with every attempt; None without a price.
    """

    terms: SeriesTerms
    used: int
    window: Window | None
    covered: int | None

    @classmethod
    def of(cls, home: Home, study: Study, asked: Quote | None, now: datetime) -> SeriesHere | None:
        """Read it; None for a study that is run once."""
        if study.series is None:
            return None
        used = len(booked_runs(home.ledger, study.digest()))
        return cls(
            terms=study.series,
            used=used,
            window=waiting_window(home.ledger, home.participations, study, now),
            covered=None if asked is None else _covered(home.ledger, asked, study.runs - used),
        )

    def lines(self, price: SeriesPrice | None, delta: object) -> Iterator[str]:
        """For people."""
        runs = self.terms.runs
        yield _(
            "a series: {runs} runs at most, one every {every}, from {begins} to {ends}; used here: {used}"
        ).format(
            runs=runs,
            every=_(EVERY[self.terms.every]),
            begins=utc_told(self.terms.window(1).opens),
            ends=utc_told(self.terms.ends()),
            used=self.used,
        )
        if price is not None:
            yield _(
                "all {runs} runs together: epsilon {epsilon} at delta {delta} for a customer over all "
                "holders; with every attempt spent {worst}, and {own_worst} at this holder alone"
            ).format(
                runs=runs,
                epsilon=price.as_report()["series_customer_epsilon"],
                delta=delta,
                worst=price.as_report()["series_customer_epsilon_worst_case"],
                own_worst=price.as_report()["series_holder_epsilon_worst_case"],
            )
        if self.covered is not None:
            yield _("the budget covers {covered} of the {left} runs to come, with every attempt").format(
                covered=self.covered, left=runs - self.used
            )

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "runs": self.terms.runs,
            "every": self.terms.every,
            "used": self.used,
            "next": None if self.window is None else self.window.number,
            "opens": None if self.window is None else self.window.opens.isoformat(),
            "closes": None if self.window is None else self.window.closes.isoformat(),
            "covered": self.covered,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationDue:
    """A run that this holder's people have to attest their table for.

    Attributes:
        study: name of the series.
        runs: how many it has.
        window: of the run.
        open: whether the window is open now.
        federation: which it is of, where this home belongs to several; empty where to one.
    """

    study: str
    runs: int
    window: Window
    open: bool
    federation: str = ""

    def line(self) -> str:
        """For people."""
        told_so = (
            _(
                "The table is not attested for run {number} of {runs} of {study}, whose window is open until "
                "{closes}: ringfence-client table attest {asked}"
            )
            if self.open
            else _(
                "The table is not attested yet for run {number} of {runs} of {study}, whose window opens at "
                "{opens}: ringfence-client table attest {asked}"
            )
        )
        asked = f"{self.study} --federation {self.federation}" if self.federation else self.study
        values = {"number": self.window.number, "runs": self.runs, "study": self.study, "asked": asked}
        return told_so.format(**values, **self.window.told())

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "federation": self.federation or None,
            "study": self.study,
            "run": self.window.number,
            "opens": self.window.opens.isoformat(),
            "closes": self.window.closes.isoformat(),
            "open": self.open,
        }


def attestations_due(home: Home, approved: frozenset[str], now: datetime) -> tuple[AttestationDue, ...]:
    """Of the approved series, the runs whose table nobody has attested, the soonest first.

    Args:
        home: the holder's.
        approved: digests of the studies that two people approved and nobody rejected.
        now: the present moment, UTC.
    """
    found = list[AttestationDue]()
    several = len(home.settings.config.federation) > 1
    federation = home.federation.name if several and home.federation is not None else ""
    try:
        contract = home.contract().contract.digest()
    except RingfenceError:  # doctor says what is wrong with it; no copy serves without a contract
        contract = ""
    for study in _known(home, approved):
        window = waiting_window(home.ledger, home.participations, study, now)
        if window is None:
            continue
        kept = home.snapshots().find(study.digest(), window.number)
        if kept is None or not kept.serves(contract):
            found.append(
                AttestationDue(
                    study=study.id,
                    runs=study.runs,
                    window=window,
                    open=window.opens <= now,
                    federation=federation,
                )
            )
    return tuple(sorted(found, key=lambda one: (one.window.opens, one.study)))


def _known(home: Home, digests: frozenset[str]) -> Iterator[Study]:
    """The studies of these digests, from the inbox or as people approved them from a file."""
    inbox, coordinator = home.inbox, home.coordinator()
    kept = kept_series(home.approvals_folder, coordinator)
    for digest in sorted(digests):
        text = inbox.document(coordinator, digest)
        document = kept.get(digest) if text is None else SignedDocument.from_json(text)
        if document is not None:
            yield Study.from_canonical(document.verify("study", [coordinator]))


def series_over(home: Home, study: Study, now: datetime) -> bool:
    """Whether no run of a series is going on here and none is to come."""
    still = any(each.open for each in booked_runs(home.ledger, study.digest()))
    return not still and waiting_window(home.ledger, home.participations, study, now) is None


def _covered(ledger: Ledger, asked: Quote, most: int) -> int:
    """The most runs, up to a number, that the ledger could reserve one after another with every attempt."""
    low, high = 0, max(most, 0)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if ledger.covers(asked.times(middle)) else (low, middle - 1)
    return low
