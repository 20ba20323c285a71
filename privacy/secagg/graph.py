"""Who masks with whom: all with all in small rosters, a sparse graph in large ones.

Members stand on a circle in an order drawn from the roster's hash, and each is joined to the `degree / 2`
next on either side: a circulant Harary graph on permuted vertices, as in Bell, Bonawitz, Gascon, Lepoint,
Raykova (2020), "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead", section 3.

Invariant: whoever is dishonest or absent within what the study allows, and wherever the order puts them, the
honest members who are left stay connected, so that nothing but their whole sum shows. It holds for every
order, with certainty, because such a graph of degree k is k-connected (Harary 1962): fewer than k members
taken out never split it. A coordinator that sees the graph before it calls members absent, or that grinds
keys of colluding members until the order pleases it, gains nothing. (A bound for random members taken out, as
in the paper, would not stand here: the coordinator chooses.) No graph of a smaller degree could promise the
same: all partners of one member would do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ringfence.privacy.agreements.terms import PrivacyTerms
from ringfence.privacy.errors import N_, WaistError

CLIQUE = 32
"""Largest roster in which all mask with all, and the least degree in larger ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a signed study says about its sums.

    Attributes:
        min_holders: fewest holders in a sum.
        colluders: holders beyond one that may collude with the coordinator.
        recover: whether a sum outlives drop-outs within an attempt.
    """

    min_holders: int
    colluders: int
    recover: bool = False

    @classmethod
    def of(cls, terms: PrivacyTerms) -> Terms:
        """The terms of a study."""
        return cls(
            min_holders=terms.min_holders, colluders=terms.colluders, recover=terms.dropouts == "recover"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphDesign:
    """What follows from the terms for a roster of one size; the same at every member.

    Attributes:
        degree: partners of each member.
        needed: members that must answer, sign who answered, and help to unmask. All of the roster in retry
            mode.
        threshold: shares that give a member's secret; 0 in retry mode, where there are none.
    """

    degree: int
    needed: int
    threshold: int


def design_of(size: int, terms: Terms) -> GraphDesign:
    """Degree, quorum and threshold for a roster.

    Let c = 1 + colluders. Retry: everybody answers; at most c members collude and at most `size -
    min_holders` are strangers to some member, so `degree > size - min_holders + c`. Recover: any two sets of
    `needed` members have an honest one in common, `2 needed > size + c`; d = size - needed may be absent; and
    `degree > 2 d + c`, so that (1) the honest who are left stay connected, (2) `threshold = degree + 1 - d`
    members that hold a share of a member's secrets are always left, (3) twice the threshold is more than all
    who hold one and c besides, so that c colluders can neither put a secret together nor, with two halves of
    the honest who were told different things, put both together.

    Args:
        size: number of members, at least `min_holders`.
        terms: of the signed study.

    Raises:
        WaistError: RF-W173 when so small a roster has no honest majority to recover with.
    """
    colluding = 1 + terms.colluders
    if not terms.recover:
        return GraphDesign(
            degree=_even(size, size - terms.min_holders + colluding + 1), needed=size, threshold=0
        )
    needed = max(terms.min_holders, (size + colluding) // 2 + 1)
    if needed > size or terms.min_holders <= colluding:
        raise WaistError(
            "RF-W173",
            N_(
                "With {size} members of whom {colluding} may collude no sum can be recovered; use dropouts = "
                '"retry".'
            ),
            size=size,
            colluding=colluding,
        )
    absent = size - needed
    degree = _even(size, 2 * absent + colluding + 1)
    return GraphDesign(degree=degree, needed=needed, threshold=degree + 1 - absent)


def _even(size: int, least: int) -> int:
    """The degree to use when at least this much is needed: even, not below `CLIQUE`, all others at most."""
    degree = max(CLIQUE, least + least % 2)
    return size - 1 if size <= CLIQUE or degree >= size - 1 else degree


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Partners of every member.

    Attributes:
        circle: names of the members in the drawn order.
        degree: partners of each; even, or all others.
    """

    circle: tuple[str, ...]
    degree: int

    def partners(self, name: str) -> tuple[str, ...]:
        """Names of a member's partners, in order of name.

        Raises:
            ValueError: the name is not a member's.
        """
        size, place = len(self.circle), self.circle.index(name)
        if self.degree >= size - 1:
            return tuple(sorted(other for other in self.circle if other != name))
        steps = range(1, self.degree // 2 + 1)
        return tuple(sorted(self.circle[(place + step * side) % size] for step in steps for side in (1, -1)))


def graph_of(names: Sequence[str], *, digest: str, degree: int) -> Graph:
    """The graph of a roster: the same at every member, since all have signed its hash.

    Args:
        names: distinct names of the members.
        digest: the roster's hash, which holds the members' fresh keys.
        degree: from `design_of`.
    """
    circle = sorted(names)
    draws = _draws(digest)
    # Fisher and Yates, from the end.
    for last in range(len(circle) - 1, 0, -1):
        chosen = _below(last + 1, draws)
        circle[last], circle[chosen] = circle[chosen], circle[last]
    return Graph(circle=tuple(circle), degree=degree)


def _draws(digest: str) -> Iterator[int]:
    """64-bit numbers from SHA-256 of the hash and a counter."""
    counter = 0
    while True:
        block = hashlib.sha256(f"ringfence/graph/v1\n{digest}\n{counter}".encode()).digest()
        yield from (int.from_bytes(block[start : start + 8], "big") for start in range(0, 32, 8))
        counter += 1


def _below(limit: int, draws: Iterator[int]) -> int:
    """A uniform number in [0, limit): draws in the incomplete last stretch are thrown away."""
    whole = (1 << 64) - (1 << 64) % limit
    return next(draw for draw in draws if draw < whole) % limit
