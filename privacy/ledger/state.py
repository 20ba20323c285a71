"""What a ledger's entries add up to, and the rules each new entry must keep; pure functions over values.

One function, `apply`, is used to decide on a new entry and to re-read old ones, so a history that breaks a
rule cannot be opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import reduce
from types import MappingProxyType

from ringfence.privacy.accounting.amounts import add, as_text, subtract
from ringfence.privacy.accounting.filters import Amounts, FilterName, fits
from ringfence.privacy.errors import N_, BudgetError
from ringfence.privacy.ledger.chain import GENESIS, Entry
from ringfence.privacy.ledger.entries import (
    Charged,
    Committed,
    Created,
    EntryRecord,
    Frozen,
    Reserved,
    RunOfSeries,
    Thawed,
    ToppedUp,
)
from ringfence.privacy.ledger.equivalents import equivalent_mu_squared
from ringfence.privacy.ledger.losses import LostEntries, reasons_told, settled
from ringfence.privacy.ledger.marks import MarkedEntry
from ringfence.privacy.ledger.parts import (
    ByPart,
    dearest,
    in_every_part,
    nothing,
    same_axes,
    total,
    with_release,
    within,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A point of a ledger's history: number of the last entry and its hash as 64 hexadecimal digits.

    Neither leaves the home but to auditors; other parties are shown a mark.
    """

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Budget set aside for a study.

    Attributes:
        id: number of the ledger entry that made it.
        study_digest: of the signed study.
        limits: what was set aside for each part, by axis of the filter.
        taken: what was charged from it so far, by part.
        attempts: the (run, round, attempt) already charged.
        turn: of a series, its run and window.
        run: the run that it is for, and no other; empty where the first that charges it takes it.
    """

    id: int
    study_digest: str
    limits: ByPart
    taken: ByPart
    attempts: frozenset[tuple[str, int, int]] = frozenset()
    turn: RunOfSeries | None = None
    run: str = ""

    @property
    def window(self) -> int:
        """Number of its window, from 1; 0 for a study that is run once."""
        return 0 if self.turn is None else self.turn.window

    def of_run(self, run: str) -> bool:
        """Whether a run may spend it: the one it was made for, or the first that charged it."""
        return self.run in ("", run) and {each for each, _, _ in self.attempts} <= {run}

    @property
    def amounts(self) -> Amounts:
        """What was set aside, as any one customer may come to pay it."""
        return dearest(self.limits)

    @property
    def released(self) -> Amounts:
        """What was charged so far, as any one customer has paid it at most."""
        return dearest(self.taken)

    @property
    def mu_squared(self) -> Decimal:
        """What was set aside, as the price of a Gaussian event."""
        return equivalent_mu_squared(self.amounts, min)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A ledger at one head.

    Attributes:
        sequence: of the last entry.
        hash: of the last entry.
        id: the first 16 digits of the first entry's hash, by which events name the ledger.
        population, filter, epsilon, delta: what was fixed at creation.
        budget: by axis, top-ups included.
        settled: by axis, what closed reservations released and what was entered as missing, for ever.
        open: reservations not yet committed, by id.
        allowance: how much slack to epsilon, and how much total variation, the budget keeps room for.
        slack: how much of it all reservations took, for ever.
        frozen: why nothing may be spent, or empty.
        foreign: marks that other parties were shown (privacy/ledger/marks.py) and that caused the freeze.
        acknowledged: foreign marks whose missing spend two people entered.
        losses: found since the freeze, and not settled.
        gaps: losses that two people have settled.
        decisions: digests of what two people signed; each is carried out once.
    """

    sequence: int = 0
    hash: bytes = GENESIS
    id: str = ""
    population: str = ""
    filter: FilterName = "gdp"
    epsilon: Decimal = Decimal(0)
    delta: Decimal = Decimal(0)
    budget: Amounts = field(default_factory=dict)
    settled: Amounts = field(default_factory=dict)
    open: Mapping[int, Reservation] = field(default_factory=dict)
    allowance: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    slack: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    frozen: str = ""
    foreign: frozenset[str] = frozenset()
    acknowledged: frozenset[str] = frozenset()
    losses: tuple[LostEntries, ...] = ()
    gaps: tuple[LostEntries, ...] = ()
    decisions: frozenset[str] = frozenset()

    @property
    def head(self) -> Head:
        """Where the ledger stands."""
        return Head(sequence=self.sequence, hash=self.hash.hex())

    @property
    def terms(self) -> Mapping[str, str]:
        """What was fixed at creation, as texts: population, filter, epsilon, delta."""
        return {
            "population": self.population,
            "filter": self.filter,
            "epsilon": as_text(self.epsilon),
            "delta": as_text(self.delta),
        }

    @property
    def lacking(self) -> bool:
        """Whether it is frozen since it lacks entries."""
        return bool(self.losses or self.foreign)

    def known_lost(self, shown: MarkedEntry | None) -> bool:
        """Whether people are told of the loss of an entry already, with one that came after it."""
        return shown is not None and any(each.after < shown.sequence <= each.last for each in self.losses)

    def accounts_for(self, shown: MarkedEntry) -> bool:
        """Whether two people have settled the loss of an entry that is not here."""
        return any(each.covers(shown.sequence, shown.made) for each in self.gaps)

    @property
    def charged(self) -> Amounts:
        """What was released or entered as missing: the sum over studies of the dearer part of each."""
        return reduce(total, (each.released for each in self.open.values()), self.settled)

    @property
    def counted(self) -> Amounts:
        """Charged plus reserved: what counts as spent."""
        return reduce(total, (each.amounts for each in self.open.values()), self.settled)


def advance(state: State, entry: Entry) -> State:
    """The state after an entry that stands in the ledger."""
    after = apply(state, entry.record)
    return replace(after, sequence=entry.sequence, hash=entry.hash, id=state.id or entry.hash.hex()[:16])


def apply(state: State, record: EntryRecord) -> State:
    """The state after an entry, or the reason why it may not be made.

    Raises:
        BudgetError: the entry breaks a rule of the ledger.
    """
    if isinstance(record, Created) and state.sequence:
        raise BudgetError(
            "RF-B322",
            N_("This store holds a budget ledger already; a budget is made once and never made anew."),
        )
    if not isinstance(record, Created) and not state.sequence:
        raise BudgetError(
            "RF-B302", N_("The budget ledger cannot hold an entry {kind} here."), kind=record.kind
        )
    match record:
        case Created():
            return _created(state, record)
        case Reserved():
            return _reserved(state, record)
        case Charged():
            return _charged(state, record)
        case Committed():
            return _committed(state, record)
        case Frozen():
            return _frozen(state, record)
        case Thawed():
            return _thawed(state, record)
        case ToppedUp():
            return _topped_up(state, record)


def _created(state: State, made: Created) -> State:
    return replace(
        state,
        population=made.population,
        filter=made.filter,
        epsilon=made.epsilon,
        delta=made.delta,
        budget=made.budget,
        settled=MappingProxyType(dict.fromkeys(made.budget, Decimal(0))),
        allowance=(made.epsilon_allowance, made.delta_allowance),
    )


def _reserved(state: State, asked: Reserved) -> State:
    _not_frozen(state)
    limits = _limits(asked)
    same_axes(state.budget, asked.amounts)
    if not fits(state.filter, state.budget, state.counted, asked.amounts):
        raise BudgetError(
            "RF-B303",
            N_(
                "The privacy budget does not cover study {study}: it may cost mu^2 {asked}, {left} is left. "
                "Ask for a smaller study, or for a top-up by two people."
            ),
            study=asked.study,
            asked=_short(equivalent_mu_squared(asked.amounts, max)),
            left=_short(left_mu_squared(state)),
        )
    slack = (add(state.slack[0], asked.epsilon_slack), add(state.slack[1], asked.delta_slack))
    if slack[0] > state.allowance[0] or slack[1] > state.allowance[1]:
        raise BudgetError(
            "RF-B304",
            N_("The inexactness of sampling in study {study} exceeds what this budget keeps room for."),
            study=asked.study,
        )
    reservation = Reservation(
        id=state.sequence + 1,
        study_digest=asked.study,
        limits=limits,
        taken=nothing(asked.amounts),
        turn=asked.turn,
        run=asked.bound,
    )
    return replace(state, open={**state.open, reservation.id: reservation}, slack=slack)


def _charged(state: State, release: Charged) -> State:
    _not_frozen(state)
    reservation = _open(state, release.reservation)
    attempt = (release.run, release.round, release.attempt)
    if reservation.run not in ("", release.run):
        raise BudgetError(
            "RF-B620", N_("What was reserved for one run is not spent by another run; each has its own.")
        )
    if attempt in reservation.attempts:
        raise BudgetError(
            "RF-B305",
            N_("Attempt {attempt} of round {round} was charged before; its noise may not be drawn twice."),
            round=release.round,
            attempt=release.attempt,
        )
    taken = with_release(reservation.taken, release.scope, release.amounts)
    if not within(taken, reservation.limits):
        raise BudgetError(
            "RF-B306",
            N_(
                "Attempt {attempt} of round {round} costs more than is left of what was reserved for the "
                "study."
            ),
            round=release.round,
            attempt=release.attempt,
        )
    after = replace(reservation, taken=taken, attempts=reservation.attempts | {attempt})
    return replace(state, open={**state.open, after.id: after})


def _committed(state: State, end: Committed) -> State:
    _not_frozen(state)
    closed = _open(state, end.reservation)
    return replace(
        state,
        settled=total(state.settled, closed.released),
        open={id_: each for id_, each in state.open.items() if id_ != closed.id},
    )


def _frozen(state: State, stop: Frozen) -> State:
    losses = state.losses if stop.loss is None else (*state.losses, stop.loss)
    lacks = stop.known or stop.loss
    told = reasons_told(state.frozen, state.losses, stop.reason) if lacks else state.frozen or stop.reason
    return replace(state, frozen=told, foreign=state.foreign | {stop.known} - {""}, losses=losses)


def _thawed(state: State, decided: Thawed) -> State:
    if not state.frozen:
        raise BudgetError("RF-B307", N_("The budget ledger is not frozen; there is nothing to thaw."))
    if decided.seen not in (0, state.sequence) or (state.losses and not decided.until):
        raise BudgetError(
            "RF-U851",
            N_(
                "While two people decided, the budget ledger was frozen once more ({reason}). Look what is "
                "missing, and thaw it again."
            ),
            reason=state.frozen,
        )
    return replace(
        state,
        frozen="",
        settled=total(state.settled, decided.amounts),
        foreign=frozenset(),
        acknowledged=state.acknowledged | state.foreign,
        losses=(),
        gaps=state.gaps + settled(state.losses, decided.until),
        decisions=_carried_out(state, decided),
    )


def _topped_up(state: State, decided: ToppedUp) -> State:
    _not_frozen(state)
    return replace(state, budget=total(state.budget, decided.amounts), decisions=_carried_out(state, decided))


def _carried_out(state: State, decided: Thawed | ToppedUp) -> frozenset[str]:
    """The decisions carried out, with this one."""
    if not decided.decision:
        return state.decisions
    if decided.decision in state.decisions:
        raise BudgetError(
            "RF-B333",
            N_(
                "This decision of two people was carried out before; each is good for one act. "
                "A further one of the same amount needs a reason of its own."
            ),
        )
    return state.decisions | {decided.decision}


def left_mu_squared(state: State) -> Decimal:
    """The largest mu squared of a Gaussian event that still fits; zero when overdrawn."""
    counted = state.counted
    left = {axis: subtract(budget, counted[axis]) for axis, budget in state.budget.items()}
    return max(equivalent_mu_squared(left, max), Decimal(0))


def _not_frozen(state: State) -> None:
    if state.frozen:
        raise BudgetError(
            "RF-B308",
            N_(
                "The budget ledger is frozen: {reason}. Two people must enter what was spent beyond it "
                "(ringfence-client budget thaw)."
            ),
            reason=state.frozen,
        )


def _open(state: State, id_: int) -> Reservation:
    found = state.open.get(id_)
    if found is None:
        raise BudgetError(
            "RF-B309",
            N_("Reservation {id} is closed or was never made; nothing may be released from it."),
            id=id_,
        )
    return found


def _limits(asked: Reserved) -> ByPart:
    """What a reservation sets aside for each part; one without parts may spend its total in either."""
    if asked.parts is None:
        return in_every_part(asked.amounts)
    for each in asked.parts.values():
        same_axes(asked.amounts, each)
    if dearest(asked.parts) != asked.amounts:
        raise BudgetError("RF-B331", N_("A reservation's parts do not add up to what it sets aside."))
    return asked.parts


def _short(amount: Decimal) -> str:
    return f"{float(amount):.4g}"
