"""The budget as a statement of account: every spend with the total after it, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

from ringfence.clients.desk.spending import BudgetStanding
from ringfence.privacy.accounting.amounts import as_text
from ringfence.privacy.command_line.alignment import padded
from ringfence.privacy.errors import _
from ringfence.privacy.ledger import Ledger, Spend
from ringfence.privacy.ledger.entries import COHORT_ROUND

_DIGITS = 12  # of a digest, enough to tell studies apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A ledger's spends and where it stands.

    Attributes:
        standing: what is released, reserved and left now.
        spends: oldest first.
    """

    standing: BudgetStanding
    spends: tuple[Spend, ...]

    @classmethod
    def of(cls, ledger: Ledger) -> Account:
        """Read a ledger."""
        return cls(standing=BudgetStanding.of(ledger), spends=ledger.statement())

    def lines(self) -> list[str]:
        """The statement for people."""
        head = self.standing.heading()
        if all(each.kind == "topped-up" for each in self.spends):
            head += "\n" + _("Nothing was ever released from this population.")
        if not self.spends:
            return [head, *self._rows()]
        titles = (
            _("when (UTC)"),
            _("study"),
            _("run"),
            _("round"),
            _("attempt"),
            _("part"),
            "mu^2",
            _("total mu^2"),
            _("epsilon"),
        )
        told = [_cells(each) for each in self.spends]
        return [head, *_table([titles, *told]), *self._rows()]

    def as_json(self) -> dict[str, object]:
        """The same for programs: amounts as exact decimals, epsilon at the ledger's delta."""
        return {
            **self.standing.as_json(),
            "spends": [_as_json(each) for each in self.spends],
        }

    def _rows(self) -> list[str]:
        return [
            f"{padded(name, 12)}{float(balance.mu_squared):>14.6g}  {balance.epsilon:.4f}"
            for name, balance in self.standing.rows()
        ]


def _as_json(spend: Spend) -> dict[str, object]:
    released = spend.kind == "charged"
    return {
        "entry": spend.entry,
        "time": spend.time,
        "kind": spend.kind,
        "study": spend.study or None,
        "run": spend.run or None,
        "round": spend.round if released else None,
        "attempt": spend.attempt if released else None,
        "part": spend.part if released else None,
        "mu_squared": as_text(spend.cost),
        "total_mu_squared": as_text(spend.total.mu_squared),
        "total_epsilon": spend.total.epsilon,
    }


def _cells(spend: Spend) -> tuple[str, ...]:
    figures = f"{float(spend.cost):.6g}", f"{float(spend.total.mu_squared):.6g}", f"{spend.total.epsilon:.4f}"
    when = spend.time[:19].replace("T", " ")
    if spend.kind == "thawed":
        return (when, _("entered by two people"), "", "", "", "", *figures)
    if spend.kind == "topped-up":
        return (when, _("raised by two people"), "", "", "", "", "+" + figures[0], *figures[1:])
    round_ = _("cohort") if spend.round == COHORT_ROUND else str(spend.round)
    part = {"train": _("train"), "test": _("test"), "both": _("all")}[spend.part]
    study = spend.study.removeprefix("sha256:")[:_DIGITS]
    return (when, study, spend.run[:_DIGITS], round_, str(spend.attempt), part, *figures)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns under each other, figures to the right."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        texts = [padded(text, width) for text, width in zip(row[:6], widths[:6], strict=True)]
        figures = [
            " " * (width - _width(text)) + text for text, width in zip(row[6:], widths[6:], strict=True)
        ]
        lines.append("  ".join([*texts, *figures]).rstrip())
    return lines


def _width(text: str) -> int:
    """Columns a terminal needs: two for a Chinese letter."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
