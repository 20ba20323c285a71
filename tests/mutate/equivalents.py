"""Changes that no test could notice, each with its reason, and the check that they still fit the source."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutate.generating import Change, Mutant, changes

FILE = Path(__file__).with_name("equivalents.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalent:
    """A change that behaves like the original.

    Attributes:
        module: its file.
        minus, plus: the lines that go and come, as a mutant prints them.
        reason: why nothing can tell them apart.
    """

    module: str
    minus: str
    plus: str
    reason: str

    def fits(self, mutant: Mutant) -> bool:
        """Whether a mutant is this change."""
        return (self.module, self.minus, self.plus) == (mutant.module, mutant.minus, mutant.plus)


def known() -> tuple[Equivalent, ...]:
    """All of the file."""
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(Equivalent(**each) for each in table.get("equivalent", ()))


def stale(entries: Sequence[Equivalent]) -> list[Equivalent]:
    """Entries that no change of their module is any more."""
    left = list(entries)
    for module in sorted({each.module for each in entries}):
        wanted = [each for each in left if each.module == module]
        for mutant in _made(changes(module), wanted):
            left = [each for each in left if not each.fits(mutant)]
    return left


def _made(every: Iterable[Change], wanted: Sequence[Equivalent]) -> Iterable[Mutant]:
    """Mutants of the changes that begin on a line some entry takes away."""
    for change in every:
        line = change.text.splitlines()[change.line - 1].strip() if change.line else ""
        if any(line in each.minus or each.minus in line for each in wanted):
            mutant = change.mutant()
            if mutant is not None:
                yield mutant
