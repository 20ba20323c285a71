"""What a check says: the evidence it measured, the bound it must keep, and whether it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the proof's table.

    Attributes:
        evidence: what was measured, with its numbers.
        bound: what it must keep for the claim to stand.
        holds: whether it does.
    """

    evidence: str
    bound: str
    holds: bool


Check: TypeAlias = Callable[[], Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence about the product that one check can refute.

    Attributes:
        name: by which mutants and the command line call it.
        says: the sentence.
        check: run on the product as it is, and on each of its mutants.
    """

    name: str
    says: str
    check: Check
