"""The one place where an entry's members are read: strictly, into the record of its kind.

A record says what its fields say and nothing else. An unknown field, a second writing of an amount or a part
that does not exist is refused; it never passes for something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from ringfence.privacy.accounting.amounts import from_text
from ringfence.privacy.accounting.filters import MU_AXIS, Amounts, FilterName, rdp_axis
from ringfence.privacy.errors import BudgetError
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
from ringfence.privacy.ledger.losses import LostEntries
from ringfence.privacy.ledger.parts import PARTS, ByPart, scope_of
from ringfence.privacy.waist import Scope


class Misread(ValueError):
    """An entry holds something that is not of its form.

    Attributes:
        place: where.
    """

    def __init__(self, place: str) -> None:
        self.place = place


def record_of(kind: object, fields: object) -> EntryRecord:
    """Read an entry's kind and fields.

    Raises:
        Misread: there is no such kind, or its fields are others or of another form.
    """
    if not isinstance(fields, dict):
        raise Misread("fields")
    record = _read(kind, Given(fields))
    only(fields, record.fields())
    return record


def only(found: Mapping[str, object], expected: Iterable[str]) -> None:
    """Check that there are members of these names and no others.

    Raises:
        Misread: at the first name that is missing or too much.
    """
    others = sorted(found.keys() ^ set(expected))
    if others:
        raise Misread(others[0] if others[0].isidentifier() else "fields")


def _read(kind: object, given: Given) -> EntryRecord:
    match kind:
        case "created":
            return _created(given)
        case "reserved":
            return _reserved(given)
        case "charged":
            return _charged(given)
        case "committed":
            return Committed(reservation=given.number("reservation"))
        case "frozen":
            return _frozen(given)
        case "thawed":
            return _thawed(given)
        case "topped-up":
            return ToppedUp(**_decided(given))
    raise Misread("kind")


def _created(given: Given) -> Created:
    filter, budget = given.filter("filter"), given.amounts("budget")
    if not (budget.keys() == {MU_AXIS} if filter == "gdp" else MU_AXIS not in budget):
        raise Misread("budget")
    return Created(
        population=given.text("population"),
        filter=filter,
        epsilon=given.amount("epsilon"),
        delta=given.amount("delta"),
        budget=budget,
        epsilon_allowance=given.amount("epsilon_allowance"),
        delta_allowance=given.amount("delta_allowance"),
    )


def _reserved(given: Given) -> Reserved:
    parts: ByPart | None = None
    if not given.found.keys().isdisjoint(PARTS):
        parts = {part: given.amounts(part) for part in PARTS}
    return Reserved(
        study=given.text("study"),
        amounts=given.amounts("amounts"),
        parts=parts,
        epsilon_slack=given.amount("epsilon_slack"),
        delta_slack=given.amount("delta_slack"),
        turn=_turn(given) if "window" in given.found else None,
        run=given.text("run") if "run" in given.found and "window" not in given.found else "",
    )


def _turn(given: Given) -> RunOfSeries:
    found = RunOfSeries(run=given.text("run"), window=given.number("window"))
    if found.window < 1 or not found.run:
        raise Misread("window")
    return found


def _charged(given: Given) -> Charged:
    return Charged(
        reservation=given.number("reservation"),
        run=given.text("run"),
        round=given.number("round"),
        attempt=given.number("attempt"),
        part=given.scope("part") if "part" in given.found else None,
        amounts=given.amounts("amounts"),
    )


def _frozen(given: Given) -> Frozen:
    loss = _loss(given) if "lost_until" in given.found else None
    return Frozen(reason=given.text("reason"), known=given.text("known"), loss=loss)


def _loss(given: Given) -> LostEntries:
    found = LostEntries(**{name: given.number(f"lost_{name}") for name in ("after", "last", "until")})
    if min(found.after, found.last, found.until) < 0:
        raise Misread("lost_until")
    return found


def _thawed(given: Given) -> Thawed:
    numbers: dict[str, Any] = {name: given.number(name) for name in ("until", "seen") if name in given.found}
    for name, number in numbers.items():
        if number < 1:
            raise Misread(name)
    return Thawed(**_decided(given), **numbers)


def _decided(given: Given) -> dict[str, Any]:
    return {
        "approvals": given.people("approvals"),
        "amounts": given.amounts("amounts"),
        "reason": given.text("reason"),
        "decision": given.text("decision") if "decision" in given.found else "",
    }


@dataclass(frozen=True, slots=True)
class Given:
    """Members of an object as they were read, each to be taken in its form.

    Raises:
        Misread: by every method; the member is missing or of another form.
    """

    found: Mapping[str, object]

    def text(self, name: str) -> str:
        """A text."""
        value = self.found.get(name)
        if not isinstance(value, str):
            raise Misread(name)
        return value

    def number(self, name: str) -> int:
        """An integer; true and false are none."""
        value = self.found.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Misread(name)
        return value

    def amount(self, name: str) -> Decimal:
        """An amount in its one writing."""
        return _amount(name, self.found.get(name))

    def amounts(self, name: str) -> Amounts:
        """Amounts by axis, at least one."""
        value = self.found.get(name)
        if not isinstance(value, dict) or not value or not all(map(_is_axis, value)):
            raise Misread(name)
        return MappingProxyType({axis: _amount(name, text) for axis, text in value.items()})

    def people(self, name: str) -> tuple[str, ...]:
        """Two or more texts, each once and in order."""
        value = self.found.get(name)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Misread(name)
        if len(value) < 2 or value != sorted(set(value)):
            raise Misread(name)
        return tuple(value)

    def scope(self, name: str) -> Scope:
        """A part of the customers, or both."""
        try:
            return scope_of(self.text(name))
        except BudgetError:
            raise Misread(name) from None

    def filter(self, name: str) -> FilterName:
        """The name of a filter."""
        match self.text(name):
            case "gdp":
                return "gdp"
            case "rdp":
                return "rdp"
        raise Misread(name)


def _amount(name: str, text: object) -> Decimal:
    if isinstance(text, str):
        with suppress(BudgetError):
            return from_text(text)
    raise Misread(name)


def _is_axis(axis: str) -> bool:
    """Whether a key of amounts is mu squared, or a Renyi order above 1 in its one writing."""
    if axis == MU_AXIS:
        return True
    with suppress(BudgetError):
        order = from_text(axis.removeprefix("rdp:"))
        return order > 1 and axis == rdp_axis(order)
    return False
