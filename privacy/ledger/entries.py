"""The kinds of entry that a ledger has, one record each, and the fields that it writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import ClassVar, Literal, TypeAlias

from ringfence.privacy.accounting.amounts import as_text
from ringfence.privacy.accounting.filters import Amounts, FilterName
from ringfence.privacy.ledger.losses import LostEntries
from ringfence.privacy.ledger.parts import ByPart
from ringfence.privacy.waist import BOTH, Scope

Fields: TypeAlias = "Mapping[str, str | int | list[str] | dict[str, str]]"

# The cohort count is charged under this round: it belongs to the join, before round 0.
COHORT_ROUND = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A budget is opened.

    Attributes:
        population: the holder's subject key space.
        filter: which rule says what fits.
        epsilon, delta: for everything that will ever be released.
        budget: what they stand for, by axis.
        epsilon_allowance, delta_allowance: how much slack to epsilon, and how much total variation, the
            budget keeps room for.
    """

    kind: ClassVar[Literal["created"]] = "created"
    population: str
    filter: FilterName
    epsilon: Decimal
    delta: Decimal
    budget: Amounts
    epsilon_allowance: Decimal
    delta_allowance: Decimal

    def fields(self) -> Fields:
        """As the ledger holds it."""
        return {
            "population": self.population,
            "filter": self.filter,
            "epsilon": as_text(self.epsilon),
            "delta": as_text(self.delta),
            "budget": texts(self.budget),
            "epsilon_allowance": as_text(self.epsilon_allowance),
            "delta_allowance": as_text(self.delta_allowance),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOfSeries:
    """One run of a study that is a series.

    Attributes:
        run: its id.
        window: number of the window in which it started, from 1.
    """

    run: str
    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """Budget is set aside for a study.

    Attributes:
        study: digest of the signed study.
        amounts: the total, the dearer part on each axis.
        parts: limits by part; None where each part may come to the whole.
        epsilon_slack, delta_slack: of all its draws.
        turn: of a series, which of its runs it is for.
        run: of a study that is run once, the run it is for; empty where none was named.
    """

    kind: ClassVar[Literal["reserved"]] = "reserved"
    study: str
    amounts: Amounts
    parts: ByPart | None
    epsilon_slack: Decimal
    delta_slack: Decimal
    turn: RunOfSeries | None = None
    run: str = ""

    @property
    def bound(self) -> str:
        """The one run that may spend it; empty where any may."""
        return self.run if self.turn is None else self.turn.run

    def fields(self) -> Fields:
        """As the ledger holds it."""
        return {
            "study": self.study,
            "amounts": texts(self.amounts),
            **{part: texts(amounts) for part, amounts in (self.parts or {}).items()},
            "epsilon_slack": as_text(self.epsilon_slack),
            "delta_slack": as_text(self.delta_slack),
            **({"run": self.bound} if self.bound else {}),
            **({"window": self.turn.window} if self.turn else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """One attempt at a round is charged.

    Attributes:
        reservation: number of the entry that set its budget aside.
        run, round, attempt: of the release; the cohort count is `COHORT_ROUND`.
        part: whose rows it read; None in ledgers from before there were parts, which read everybody's.
        amounts: its price.
    """

    kind: ClassVar[Literal["charged"]] = "charged"
    reservation: int
    run: str
    round: int
    attempt: int
    part: Scope | None
    amounts: Amounts

    @property
    def scope(self) -> Scope:
        """Whose rows it read."""
        return self.part or BOTH

    def fields(self) -> Fields:
        """As the ledger holds it."""
        return {
            "reservation": self.reservation,
            "run": self.run,
            "round": self.round,
            "attempt": self.attempt,
            **({"part": self.part} if self.part else {}),
            "amounts": texts(self.amounts),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A reservation is closed.

    Attributes:
        reservation: number of the entry that made it.
    """

    kind: ClassVar[Literal["committed"]] = "committed"
    reservation: int

    def fields(self) -> Fields:
        """As the ledger holds it."""
        return {"reservation": self.reservation}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """All spending ends.

    Attributes:
        reason: for people.
        known: the mark of a head that another party was shown and that is not here; empty where there is
            none.
        loss: which entries are lost, where that is why.
    """

    kind: ClassVar[Literal["frozen"]] = "frozen"
    reason: str
    known: str
    loss: LostEntries | None = None

    def fields(self) -> Fields:
        """As the ledger holds it."""
        lost = {} if self.loss is None else {f"lost_{name}": n for name, n in asdict(self.loss).items()}
        return {"reason": self.reason, "known": self.known, **lost}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """What two people decided.

    Attributes:
        approvals: the distinct people, in order.
        amounts: what they entered or added.
        reason: for the people who read the log.
        decision: digest of what they signed; empty in ledgers from before there was one.
    """

    approvals: tuple[str, ...]
    amounts: Amounts
    reason: str
    decision: str

    def fields(self) -> Fields:
        """As the ledger holds it."""
        return {
            "approvals": list(self.approvals),
            "amounts": texts(self.amounts),
            "reason": self.reason,
            **({"decision": self.decision} if self.decision else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Thawed(_Decided):
    """Spending goes on; `amounts` were spent beyond this copy.

    Attributes:
        until: where a loss was settled, the moment in milliseconds since 1970; 0 where none was.
        seen: number of the last entry that they looked at before they decided; 0 where nobody wrote it.
    """

    kind: ClassVar[Literal["thawed"]] = "thawed"
    until: int = 0
    seen: int = 0

    def fields(self) -> Fields:
        """As the ledger holds it."""
        numbers = {"until": self.until, "seen": self.seen}
        return {**_Decided.fields(self), **{name: number for name, number in numbers.items() if number}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToppedUp(_Decided):
    """The budget is raised by `amounts`."""

    kind: ClassVar[Literal["topped-up"]] = "topped-up"


EntryRecord: TypeAlias = Created | Reserved | Charged | Committed | Frozen | Thawed | ToppedUp


def texts(amounts: Amounts) -> dict[str, str]:
    """Amounts as an entry holds them."""
    return {axis: as_text(amount) for axis, amount in amounts.items()}
