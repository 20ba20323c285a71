"""The graph of a large roster: regular, the same for everybody, and never split by those who may be missing.

Connectivity is shown exhaustively at small sizes (every set that may be taken out), by the structure of its
cuts at large ones, and against an oracle that searches for a path. What the order drawn from the hash adds
beyond the promise is computed exactly.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from itertools import combinations
from math import comb, log2

import pytest

from ringfence.privacy.agreements.terms import PrivacyTerms
from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg import graph as module
from ringfence.privacy.secagg.graph import CLIQUE, Graph, GraphDesign, Terms, design_of, graph_of
from ringfence.privacy.wire.fields import digest_of


def names_of(size: int) -> list[str]:
    return [f"holder-{i:03d}" for i in range(size)]


def graph(size: int, degree: int, seed: str = "roster") -> Graph:
    return graph_of(names_of(size), digest=digest_of(seed.encode()), degree=degree)


def connected(found: Graph, left: Iterable[str]) -> bool:
    """The oracle: whether everybody who is left is reached from one of them, over those who are left."""
    remaining = set(left)
    start = min(remaining)
    reached, frontier = {start}, [start]
    while frontier:
        for other in found.partners(frontier.pop()):
            if other in remaining and other not in reached:
                reached.add(other)
                frontier.append(other)
    return reached == remaining


@pytest.mark.parametrize(
    ("size", "degree"), [(2, 1), (5, 4), (32, 31), (40, 32), (41, 34), (100, 38), (256, 32)]
)
def test_everybody_has_as_many_partners_and_is_theirs(size: int, degree: int) -> None:
    found = graph(size, degree)
    partners = {name: found.partners(name) for name in names_of(size)}
    for name, others in partners.items():
        assert len(set(others)) == len(others) == degree
        assert name not in others
        assert list(others) == sorted(others)
        assert all(name in partners[other] for other in others)


def test_the_order_of_names_given_does_not_matter_and_the_hash_does() -> None:
    names = names_of(60)
    shuffled = random.Random(7).sample(names, len(names))  # an order for a test
    one = graph_of(names, digest=digest_of(b"a"), degree=32)
    assert graph_of(shuffled, digest=digest_of(b"a"), degree=32) == one
    assert graph_of(names, digest=digest_of(b"b"), degree=32) != one


def test_a_golden_graph() -> None:
    """Holders of two versions must draw the same graph; this one never changes."""
    assert graph_of(names_of(8), digest=digest_of(b"golden"), degree=4).circle == tuple(
        f"holder-00{i}" for i in GOLDEN
    )


GOLDEN = [2, 4, 5, 6, 7, 1, 3, 0]


def test_places_on_the_circle_are_uniform() -> None:
    """Chi-square over the places of two members in 20,000 orders; fails with probability below 1e-9.

    89 degrees of freedom, critical value 207 (chi2.isf(1e-9, 89) is 193.6). An order drawn with a sort by
    one byte of the hash would exceed it.
    """
    size, draws = 10, 20_000
    seen = Counter()
    for i in range(draws):
        circle = graph(size, 4, str(i)).circle
        seen[circle.index("holder-000"), circle.index("holder-007")] += 1
    expected = draws / (size * (size - 1))
    statistic = sum(
        (seen[a, b] - expected) ** 2 / expected for a in range(size) for b in range(size) if a != b
    )
    assert statistic < 207
    crooked = {pair: count * (1.2 if pair[0] < 5 else 0.8) for pair, count in seen.items()}
    assert sum((crooked[pair] - expected) ** 2 / expected for pair in crooked) > 207


@pytest.mark.parametrize(("size", "degree"), [(7, 2), (8, 4), (9, 4), (10, 6), (11, 6), (12, 4), (13, 6)])
def test_fewer_than_the_degree_taken_out_never_split_it(size: int, degree: int) -> None:
    """Every set of fewer than `degree` members, without exception; and `degree` of them can."""
    found = graph(size, degree)
    names = names_of(size)
    for out in range(degree):
        for gone in combinations(names, out):
            assert connected(found, set(names) - set(gone))
    isolated = set(names) - set(found.partners(names[0]))
    assert not connected(found, isolated)


@pytest.mark.parametrize(("size", "least"), [(40, 36), (64, 55), (100, 90), (256, 240)])
def test_whoever_may_be_missing_in_a_large_roster(size: int, least: int) -> None:
    """A cut of a circle of reach r is two gaps of r or more: the worst are two runs, all of which are
    tried.
    """
    terms = Terms(min_holders=least, colluders=1)
    design = design_of(size, terms)
    found = graph(size, design.degree)
    gone_at_most = size - least + 2
    assert gone_at_most < design.degree < size - 1
    for start in range(0, size, 1 if size < 100 else 7):
        for first in range(gone_at_most + 1):
            one = {found.circle[(start + i) % size] for i in range(first)}
            across = {found.circle[(start + size // 2 + i) % size] for i in range(gone_at_most - first)}
            if first in {0, gone_at_most // 2, gone_at_most} or start == 0:
                assert connected(found, set(found.circle) - one - across)
    # The oracle does find the split that the degree just rules out.
    half = design.degree // 2
    gaps = {found.circle[i] for i in range(half)} | {found.circle[size // 2 + i] for i in range(half)}
    assert not connected(found, set(found.circle) - gaps)


def settings_of(recover: bool) -> Iterable[tuple[int, Terms]]:
    for size in (2, 3, 4, 5, 8, 20, 32, 33, 34, 40, 64, 100, 150, 256):
        for least in {3, size // 2, size * 2 // 3, size * 9 // 10, size - 1, size}:
            for colluders in (0, 1, 3, 10):
                if 3 <= least <= size and least - 1 - colluders >= 1:
                    yield size, Terms(min_holders=least, colluders=colluders, recover=recover)


def test_the_design_keeps_its_promises_in_retry_mode() -> None:
    cases = list(settings_of(recover=False))
    assert len(cases) > 150
    for size, terms in cases:
        design = design_of(size, terms)
        strangers, colluding = size - terms.min_holders, 1 + terms.colluders
        assert design.needed == size
        assert design.threshold == 0
        assert design.degree == size - 1 or design.degree > strangers + colluding
        assert design.degree >= min(size - 1, CLIQUE)
        assert design.degree == size - 1 or design.degree % 2 == 0


def test_the_design_keeps_its_promises_in_recover_mode() -> None:
    cases = list(settings_of(recover=True))
    for size, terms in cases:
        design = design_of(size, terms)
        colluding, absent = 1 + terms.colluders, size - design.needed
        holders = design.degree + 1
        assert terms.min_holders <= design.needed <= size
        assert 2 * design.needed > size + colluding, "two quorums share an honest member"
        assert design.degree == size - 1 or design.degree > absent + colluding, "the honest stay connected"
        assert design.threshold > colluding, "colluders put no secret together"
        assert 2 * design.threshold > holders + colluding, "nor do two halves told different things"
        assert design.threshold <= holders - absent, "those who are left can"
    with_room = [size - design_of(size, terms).needed for size, terms in cases]
    assert max(with_room) > 50
    assert any(room == 0 for room in with_room)


def test_up_to_32_all_mask_with_all() -> None:
    for size in range(2, CLIQUE + 1):
        assert design_of(size, Terms(min_holders=min(size, 3), colluders=0)).degree == size - 1
    assert design_of(40, Terms(min_holders=40, colluders=0)).degree == CLIQUE
    assert design_of(100, Terms(min_holders=90, colluders=2)) == GraphDesign(
        degree=32, needed=100, threshold=0
    )
    assert design_of(100, Terms(min_holders=60, colluders=0)).degree == 42
    assert design_of(100, Terms(min_holders=80, colluders=0, recover=True)) == GraphDesign(
        degree=42, needed=80, threshold=23
    )
    assert design_of(4, Terms(min_holders=3, colluders=0, recover=True)) == GraphDesign(
        degree=3, needed=3, threshold=3
    )


@pytest.mark.parametrize(("size", "least", "colluders"), [(2, 2, 1), (3, 2, 1), (2, 1, 0)])
def test_no_recovery_without_an_honest_majority(size: int, least: int, colluders: int) -> None:
    with pytest.raises(WaistError, match="RF-W173"):
        design_of(size, Terms(min_holders=least, colluders=colluders, recover=True))


def test_a_stranger_has_no_place() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        graph(40, 32).partners("stranger")


def chance_of_two_gaps(size: int, gone: int, reach: int) -> Fraction:
    """Bound on the probability that `gone` random places of a circle leave two gaps of `reach`: over pairs of
    gaps.
    """
    if gone < 2 * reach:
        return Fraction(0)
    return comb(size, 2) * Fraction(comb(size - 2 * reach, gone - 2 * reach), comb(size, gone))


@pytest.mark.parametrize("size", [33, 40, 64, 100, 128, 200, 256])
def test_beyond_the_promise_a_third_of_the_holders_at_random_places(size: int) -> None:
    """More collude than the study says, at places that the hash drew: the honest are split with probability
    <= 2^-40.
    """
    chance = chance_of_two_gaps(size, size // 3, CLIQUE // 2)
    assert chance == 0 or log2(chance) < -40
    # With half as many partners that would not hold in the largest rosters.
    if size == 256:
        assert log2(chance_of_two_gaps(size, size // 3, CLIQUE // 4)) > -40


def test_the_bound_on_gaps_against_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every set of 6 of 12 places, on a circle where each sees two on either side."""
    monkeypatch.setattr(module, "CLIQUE", 4)
    found = graph(12, 4)
    names = names_of(12)
    split = sum(not connected(found, set(names) - set(gone)) for gone in combinations(names, 6))
    assert 0 < Fraction(split, comb(12, 6)) <= chance_of_two_gaps(12, 6, 2)


@pytest.mark.parametrize("colluders", [0, 1, 2, 5])
@pytest.mark.parametrize("recover", [False, True])
def test_a_graph_has_as_many_partners_as_its_promise_needs(colluders: int, recover: bool) -> None:
    """The three conditions of `design_of`, for every size and several least numbers of holders."""
    colluding, tight = 1 + colluders, 0
    for size in range(colluding + 2, 180):
        for least in {colluding + 1, size // 2, size // 2 + 4, size - 20, size - 9, size - 2, size - 1, size}:
            if not max(3, colluding + 1) <= least <= size:
                continue
            try:
                found = design_of(size, Terms(min_holders=least, colluders=colluders, recover=recover))
            except WaistError:
                assert recover
                continue
            absent = size - found.needed if recover else size - least
            wanted = 2 * absent + colluding if recover else absent + colluding
            assert found.degree == size - 1 or found.degree > wanted
            assert found.degree == size - 1 or (found.degree >= CLIQUE and found.degree % 2 == 0)
            # Nobody has more partners than that, so that large rosters stay quick.
            assert found.degree <= max(CLIQUE, wanted + 2) or found.degree == size - 1
            tight += wanted + 1 <= found.degree <= wanted + 2 < size - 1
            if recover:
                assert found.needed >= least
                assert 2 * found.needed > size + colluding
                assert found.threshold == found.degree + 1 - absent
                assert 2 * found.threshold > found.degree + 1 + colluding
            else:
                assert (found.needed, found.threshold) == (size, 0)
    assert tight > 10, "the least degree was never put to the test"


def test_draws_from_the_uneven_end_are_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^64 = 3 * (2^64 // 3) + 1: the one draw beyond would make the first of three places likelier."""
    top, blocks = (1 << 64) - 1, list[bytes]()

    class Fed:
        """Stands in for SHA-256; four numbers to a block."""

        def __init__(self, data: bytes) -> None:
            blocks.append(data)

        def digest(self) -> bytes:
            draws = [top, top - 1, top, 0] if len(blocks) == 1 else [1, 0, 0, 0]
            return b"".join(draw.to_bytes(8, "big") for draw in draws)

    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "sha256", Fed)
        found = graph_of(["c", "a", "b"], digest="sha256:x", degree=2)
    # The first draw is passed over, the second leaves the last where it is, the third the one before.
    assert found.circle == ("a", "b", "c")
    assert blocks == [b"ringfence/graph/v1\nsha256:x\n0"]
    blocks.clear()
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "sha256", Fed)
        graph_of(names_of(6), digest="sha256:x", degree=2)
    assert blocks == [f"ringfence/graph/v1\nsha256:x\n{counter}".encode() for counter in (0, 1)]


def test_the_terms_are_those_of_the_signed_study() -> None:
    given = {"epsilon": "1.0", "delta": "1e-6", "unit": "customer", "min_holders": 7, "colluders": 2}
    for dropouts, recover in (("retry", False), ("recover", True)):
        terms = PrivacyTerms.model_validate(given | {"noise": "distributed", "dropouts": dropouts})
        assert Terms.of(terms) == Terms(min_holders=7, colluders=2, recover=recover)
    assert Terms(min_holders=3, colluders=0).recover is False
