"""What a coordinator takes from a survivor, and sums of rounds and attempts other than the first."""

from __future__ import annotations

import pytest
from kits.circle_kit import FIVE, Circle, five, forty, vectors_of

from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.recovery import OpenShare, Revealed
from ringfence.privacy.secagg.unmask import check_revealed


def test_masks_come_off_in_any_round_and_attempt() -> None:
    """Both are parts of every mask's name, so that none comes off under another's."""
    circle = Circle(FIVE, Terms(min_holders=4, colluders=0, recover=True), round=3)
    circle.begin(attempt=2)
    vectors, left = vectors_of(FIVE, 20), FIVE[:4]
    updates = circle.answers(vectors, left)
    assert {(update.round, update.attempt) for update in updates.values()} == {(3, 2)}
    assert (
        circle.sum(updates, circle.revealed(left)).total.tolist()
        == sum(vectors[name] for name in left).tolist()
    )


def shares(*holders: str) -> tuple[OpenShare, ...]:
    return tuple(OpenShare(holder=name, value="0" * 132) for name in holders)


def taken(circle: Circle, left: set[str], giver: str, seeds: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    revealed = Revealed(seeds=shares(*seeds), keys=shares(*keys))
    try:
        return check_revealed(circle.layout, left, giver, revealed) is revealed
    except WaistError as error:
        return error.code != "RF-W183"


def test_a_survivor_gives_seeds_of_those_who_answered_and_keys_of_those_who_did_not() -> None:
    """Never both of one member, and of nobody what the list does not ask for."""
    circle, left = five(), set(FIVE[:4])
    seeds, keys = ("bank", "insurer", "shop", "telco"), ("zoo",)
    assert taken(circle, left, "bank", seeds, keys)
    assert taken(circle, left, "bank", (), ())
    assert taken(circle, left, "bank", ("bank",), ())
    for wrong_seeds, wrong_keys in (
        (("zoo",), ()),
        ((*seeds, "zoo"), keys),
        (seeds, ("shop",)),
        ((), ("bank",)),
        ((), ("shop",)),
        (("bank",), ("shop", "zoo")),
        (("bank", "bank"), ()),
        ((), ("zoo", "zoo")),
        (("zoo",), ("zoo",)),
        (("stranger",), ()),
        ((), ("stranger",)),
    ):
        assert not taken(circle, left, "bank", wrong_seeds, wrong_keys)
    assert not taken(circle, left, "zoo", (), ())
    assert not taken(circle, left, "zoo", ("zoo",), ())


@pytest.mark.parametrize("place", [0, 17])
def test_a_survivor_gives_shares_of_its_partners_alone(place: int) -> None:
    """In a large roster it holds none of others, so what it says of them is invented."""
    circle = forty()
    names = set(circle.layout.names)
    giver = circle.layout.graph.circle[place]
    partners = set(circle.layout.graph.partners(giver))
    strangers = sorted(names - partners - {giver})
    assert len(strangers) == 7
    gone = {min(partners), strangers[0]}
    left = names - gone
    assert taken(circle, left, giver, tuple(sorted((partners & left) | {giver})), (min(partners),))
    assert not taken(circle, left, giver, (strangers[1],), ())
    assert not taken(circle, left, giver, (), (strangers[0],))
