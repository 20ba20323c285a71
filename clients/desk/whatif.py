"""What a signed study would mean here, without running it: whether it is allowed, its price, its fit.

Nothing is read of the table and nothing is spent. The price is computed by this holder's own code from the
signed study, as `pipeline.admit` does before a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from ringfence.clients.desk.finding import signed_study
from ringfence.clients.desk.series import SeriesHere
from ringfence.clients.home import Home
from ringfence.models.catalogue import task_named
from ringfence.models.pricing import planned, price_of
from ringfence.models.task import StudyContext
from ringfence.privacy.accounting.amounts import as_text
from ringfence.privacy.accounting.study import StudyPrice
from ringfence.privacy.agreements.contract import LoadedContract
from ringfence.privacy.agreements.obligations import Decision
from ringfence.privacy.agreements.policy import Request, decide
from ringfence.privacy.agreements.series import bound_of
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.approvals import JudgedApprovals, PassedOver, SeriesBound, judge_each
from ringfence.privacy.errors import N_, BudgetError, RingfenceError, StudyError, _
from ringfence.privacy.ledger import Balance, Ledger, Quote
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.waist import StudyPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a study would take from the ledger.

    Attributes:
        quote: part by part, on the ledger's own axes.
        covered: whether what is left covers it.
        mu_squared: of a Gaussian event that takes as much; with the filter `rdp`, on the order where that is
            least.
        after: what would count as spent with it.
    """

    quote: Quote
    covered: bool
    mu_squared: Decimal
    after: Balance

    @classmethod
    def of(cls, plan: StudyPlan, ledger: Ledger) -> Demand:
        """Ask the ledger; nothing is spent.

        Raises:
            BudgetError: RF-B332 the ledger cannot take such a plan at all.
        """
        quote = ledger.quote(plan)
        return cls(
            quote=quote, covered=ledger.covers(quote), mu_squared=quote.mu_squared, after=ledger.after(quote)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What would become of a study.

    Attributes:
        study: the study, its coordinator's signature verified.
        digest: of the study.
        decision: of the policy, with all reasons.
        price: None where it cannot be computed.
        no_price: why not.
        demand: None where it has no price, or where the ledger cannot take it.
        no_demand: why the ledger cannot take it.
        left: the largest Gaussian event that still fits.
        reserved: whether the ledger holds an open reservation for it; of a series, for the run whose window
            is open, else for the next one.
        frozen: why nothing may be spent, or empty.
        approvals: how many different approvers' approvals are on file and hold.
        plan: everything the study asks, or None where it has no price.
        passed_over: approvals on file that do not count.
        series: how a series stands here; None for a study that is run once.
    """

    study: Study
    digest: str
    decision: Decision
    price: StudyPrice | None
    no_price: RingfenceError | None
    demand: Demand | None
    no_demand: BudgetError | None
    left: Balance
    reserved: bool
    frozen: str
    approvals: int
    plan: StudyPlan | None = None
    passed_over: tuple[PassedOver, ...] = ()
    series: SeriesHere | None = None

    @property
    def decoded(self) -> tuple[str, ...] | None:
        """Headers of the columns that it would decode; None where it is not allowed."""
        duties = self.decision.obligations
        return None if duties is None else duties.columns.touched

    @property
    def fits(self) -> bool:
        """Whether the ledger could take it now."""
        return self.demand is not None and not self.frozen and (self.reserved or self.demand.covered)

    def misfit(self) -> BudgetError | None:
        """Why a study that has a price cannot be paid for now; None when it can."""
        if self.price is None or self.fits:
            return None
        if self.frozen:
            return BudgetError(
                "RF-B406",
                N_(
                    "The ledger is frozen ({reason}), so no study can be paid for; two approvers open it "
                    "again with: ringfence-client budget thaw"
                ),
                reason=self.frozen,
            )
        if self.demand is None:
            return self.no_demand
        return BudgetError(
            "RF-B405",
            N_(
                "The study does not fit into the budget: it would reserve mu^2 {reserve}, and {left} is "
                "left. Two approvers can raise the budget with: ringfence-client budget top-up"
            ),
            reserve=_short(self.demand.mu_squared),
            left=_short(self.left.mu_squared),
        )

    def require_fit(self) -> None:
        """Refuse what the ledger could not take now.

        Raises:
            BudgetError: RF-B332 the ledger cannot take such a plan, RF-B405 the budget does not cover it,
                RF-B406 the ledger is frozen.
        """
        fault = self.misfit()
        if fault is not None:
            raise fault

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "study": self.study.id,
            "digest": self.digest,
            "purpose": self.study.purpose,
            "dropouts": self.study.privacy.dropouts,
            "allowed": self.decision.allow,
            "reasons": [
                {"code": reason.code, "sentence": reason.sentence} for reason in self.decision.reasons
            ],
            "separate_consents": None
            if self.decision.obligations is None
            else list(self.decision.obligations.columns.separate),
            "price": None if self.price is None else self.price.as_report(),
            "reserve_mu_squared": None if self.demand is None else as_text(self.demand.mu_squared),
            "reserve_by_part": None if self.demand is None else self.demand.quote.as_texts(),
            "epsilon_after": None if self.demand is None or self.reserved else self.demand.after.epsilon,
            "left_mu_squared": as_text(self.left.mu_squared),
            "fits": self.fits,
            "reserved": self.reserved,
            "frozen": self.frozen,
            "approvals": self.approvals,
            "approvals_passed_over": [
                {"person": each.person, "cause": each.cause} for each in self.passed_over
            ],
            "series": None if self.series is None else self.series.as_json(),
        }


def read_study(home: Home, path: Path) -> Study:
    """A signed study, verified to be this holder's coordinator's.

    Args:
        home: the holder's.
        path: its file, or the id of one in the inbox.

    Raises:
        KeyFault: not a signed study, or not signed by the coordinator.
        StudyError: it is not a study of this version, or RF-S436 nothing is called so.
        UsageError: no coordinator is configured.
    """
    document = signed_study(home, path)
    return Study.from_canonical(document.verify("study", [home.coordinator()]))


def answer(home: Home, study: Study, loaded: LoadedContract) -> Forecast:
    """Decide, price and compare with the ledger."""
    request = Request(
        study=study,
        contract=loaded.contract,
        schema=loaded.schema,
        now=datetime.now(UTC),
        key=home.identity,
        peers=KeyBook(home.engine).trusted("holder", loaded.contract.peers),
    )
    digest = study.digest()
    found: StudyPrice | None = None
    plan: StudyPlan | None = None
    demand: Demand | None = None
    no_price: RingfenceError | None = None
    no_demand: BudgetError | None = None
    try:
        plan = _plan(study, loaded)
        found = price_of(study, plan)
    except RingfenceError as error:
        no_price = error
    else:
        try:
            demand = Demand.of(plan, home.ledger)
        except BudgetError as error:
            no_demand = error
    now, window = request.now, _run_in_question(study, request.now)
    judged = judged_approvals(home, digest, bound_of(study.series, loaded.contract.digest()))
    return Forecast(
        study=study,
        digest=digest,
        decision=decide(request),
        price=found,
        no_price=no_price,
        demand=demand,
        no_demand=no_demand,
        left=home.ledger.left(),
        reserved=any(
            (one.study_digest, one.window) == (digest, window) for one in home.ledger.reservations()
        ),
        frozen=home.ledger.frozen(),
        approvals=len(judged.counted),
        plan=None if found is None else plan,
        passed_over=judged.passed_over,
        series=SeriesHere.of(home, study, None if demand is None else demand.quote, now),
    )


def _run_in_question(study: Study, now: datetime) -> int | None:
    """Number of the run that is asked about: in the window that is open, else in the next one.

    Of a series an earlier run may still be going on; what is reserved for that one pays for no other.
    0 for a study that is run once, None for a series that is over.
    """
    if study.series is None:
        return 0
    found = study.series.window_at(now) or study.series.window_after(now)
    return None if found is None else found.number


def judged_approvals(home: Home, digest: str, bound: SeriesBound | None) -> JudgedApprovals:
    """Who has approved a study, of those who may, and which files do not count.

    Args:
        home: the holder's.
        digest: of the study.
        bound: of a series, what its approvals have to name.

    Raises:
        KeyFault: a file of this study's approvals is malformed.
    """
    known = [home.settings.public(name, "approver") for name in home.settings.config.approvers]
    return judge_each(home.approvals(digest), digest, home.settings.name, known, bound)


def passed_over_lines(found: Forecast) -> list[str]:
    """The approvals on file that do not count, and why."""
    causes = {
        "nobody": _("an approval by {person} does not count: who may approve here is in client.toml"),
        "outdated": _(
            "the approval by {person} does not count: it was given under another contract; the study has to "
            "be approved anew"
        ),
    }
    return [causes[each.cause].format(person=each.person or "?") for each in found.passed_over]


def _plan(study: Study, loaded: LoadedContract) -> StudyPlan:
    if study.schema_ref != loaded.schema.digest():
        raise StudyError(
            "RF-S200",
            N_("The study is written for another schema than the contract, so it has no price here."),
        )
    return planned(task_named(study.task), StudyContext.of(study, loaded.schema))


def _short(amount: Decimal) -> str:
    return f"{float(amount):.6g}"


def seen_lines(study: Study) -> list[str]:
    """What the coordinator would see besides sums, for whoever approves."""
    if not study.privacy.visible:
        return []
    return [
        _(
            "uploads are visible: the coordinator sees each of this holder's noisy updates by itself, not "
            "only a sum"
        )
    ]


CONSENTS = {
    "sensitive-data": N_("use of sensitive data"),
    "provision": N_("provision to another handler"),
    "cross-border": N_("transfer to another country"),
}


def consents_told(separate: Sequence[str]) -> str:
    """Separate consents in words, each with its name in consent files."""
    return _(", ").join(f"{_(CONSENTS[name])} ({name})" for name in separate)


def consents_line(found: Forecast) -> str:
    """Which separate consents the study would ask of this holder's customers."""
    duties = found.decision.obligations
    separate = () if duties is None else duties.columns.separate
    return _("separate consents asked for: {consents}").format(
        consents=consents_told(separate) if separate else _("none")
    )


def dropout_line(study: Study) -> str:
    """What becomes of a round in which a holder drops out, as the study's `uploads` and `dropouts` say."""
    if study.privacy.visible:
        return _("if a holder drops out of a round, the round ends with the uploads of those who answered")
    if study.privacy.dropouts == "recover":
        return _(
            "dropouts recover: if a holder drops out of a round, the round ends with the sum of those who "
            "answered"
        )
    return _(
        "dropouts retry: if a holder drops out of a round, its sum is void and it is tried again, {attempts} "
        "attempts at most; each is paid for"
    ).format(attempts=study.privacy.max_attempts)


def price_lines(found: Forecast) -> list[str]:
    """The price and whether it fits, for people."""
    if found.price is None:
        return [] if found.no_price is None else [found.no_price.sentence()]
    report = found.price.as_report()
    lines = [
        *seen_lines(found.study),
        _(
            "customer, all holders: epsilon {epsilon} at delta {delta}; with every attempt spent {worst}"
        ).format(
            epsilon=report["customer_epsilon"],
            delta=report["delta"],
            worst=report["customer_epsilon_worst_case"],
        ),
        _("this holder alone:     epsilon {epsilon}; with every attempt spent {worst}").format(
            epsilon=report["holder_epsilon"], worst=report["holder_epsilon_worst_case"]
        ),
    ]
    if found.series is not None:
        lines += found.series.lines(found.price.series, report["delta"])
    if found.demand is not None and not found.reserved:
        lines += [
            _("the ledger would reserve mu^2 {reserve}; {left} is left").format(
                reserve=_short(found.demand.mu_squared), left=_short(found.left.mu_squared)
            ),
            _(
                "and would count epsilon {after:.4f} at delta {delta} as spent for good, were every attempt "
                "needed"
            ).format(after=found.demand.after.epsilon, delta=f"{found.left.delta:f}"),
        ]
    if found.frozen:
        lines.append(_("It does not fit: the ledger is frozen."))
    elif found.reserved:
        lines.append(_("It is reserved already."))
    elif found.no_demand is not None:
        lines.append(found.no_demand.sentence())
    else:
        lines.append(_("It fits.") if found.fits else _("It does not fit."))
    return lines
