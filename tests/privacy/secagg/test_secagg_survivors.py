"""One list of who answered, signed once by each: of a peer one kind of share is revealed, never the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from kits.circle_kit import FIVE, five, forty, vectors_of

from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.survivors import Settled, check_survivors, survivors_digest, survivors_echo
from ringfence.privacy.wire.fields import canonical, digest_of


def test_a_holder_signs_one_list_for_an_attempt_also_after_a_restart() -> None:
    circle = five()
    circle.answers(vectors_of(FIVE, 3), FIVE)
    circle.sign("bank", FIVE)
    circle.sign("bank", FIVE)
    with pytest.raises(WaistError, match="RF-W180"):
        circle.sign("bank", FIVE[:4])
    # What is durable does not depend on the process's keys.
    circle.begin(attempt=circle.attempt)
    with pytest.raises(WaistError, match="RF-W180"):
        circle.sign("bank", FIVE)
    circle.begin()
    circle.answers(vectors_of(FIVE, 3), FIVE)
    circle.sign("bank", FIVE[:4])


def test_a_holder_that_has_not_answered_signs_nothing() -> None:
    circle = five()
    with pytest.raises(WaistError, match="RF-W181"):
        circle.sign("bank", FIVE)
    store, key = circle.members["bank"].store, circle.key()
    store.begin(key)
    with pytest.raises(WaistError, match="RF-W181"):
        circle.sign("bank", FIVE)
    store.store(key, b"words")
    with pytest.raises(WaistError, match="RF-W181"):
        store.settle(replace(key, query=b"another query".ljust(32)), digest_of(b"list"))
    circle.sign("bank", FIVE)


def test_the_kind_of_every_share_follows_from_the_signed_list() -> None:
    circle = forty()
    circle.begin()
    names = circle.layout.names
    left = sorted(set(names) - set(names[:3]))
    circle.answers(vectors_of(names, 2), left)
    for name, answer in circle.revealed(left).items():
        seeds, keys = ({share.holder for share in shares} for shares in (answer.seeds, answer.keys))
        partners = set(circle.layout.graph.partners(name))
        assert seeds == (partners & set(left)) | {name}
        assert keys == partners & set(names[:3])


def test_split_lists_never_both_find_a_quorum() -> None:
    """The coordinator tells bank and insurer one list and the others another; bank colludes and signs
    both.
    """
    circle = five()
    circle.answers(vectors_of(FIVE, 2), FIVE)
    one, other = ("bank", "insurer", "shop", "telco"), ("bank", "insurer", "shop", "zoo")
    colluder = circle.members["bank"]
    both = {names: [survivors_echo(colluder.identity, colluder.roster, names)] for names in (one, other)}
    both[one] += [circle.sign(name, one) for name in ("insurer", "telco")]
    both[other] += [circle.sign(name, other) for name in ("shop", "zoo")]
    for names, holder in ((one, "insurer"), (one, "telco"), (other, "shop"), (other, "zoo")):
        with pytest.raises(WaistError, match="RF-W178"):
            circle.reveal(holder, names, both[names])
    for holder in ("insurer", "telco"):
        with pytest.raises(WaistError, match="RF-W180"):
            circle.sign(holder, other)
    # Signatures on the other list do not stand in for missing ones.
    with pytest.raises(WaistError, match="RF-W179"):
        circle.reveal("insurer", one, [*both[one], replace(both[other][1], holder="shop")])


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (FIVE[:3], "RF-W177"),
        (("bank",), "RF-W177"),
        (FIVE[1:], "RF-W176"),
        ((*FIVE, "stranger"), "RF-W176"),
        ((*FIVE[:4], "bank"), "RF-W176"),
        ((), "RF-W176"),
    ],
    ids=["too few", "one alone", "without this holder", "a stranger", "a double", "nobody"],
)
def test_lists_that_are_not_signed(names: tuple[str, ...], code: str) -> None:
    roster = five().members["bank"].roster
    with pytest.raises(WaistError, match=code):
        check_survivors(roster, names)
    with pytest.raises(WaistError, match=code):
        Settled(roster=roster, names=names, echoes=())


def test_signatures_that_do_not_count() -> None:
    circle = five()
    circle.answers(vectors_of(FIVE, 2), FIVE)
    four = FIVE[:4]
    good = [circle.sign(name, four) for name in four]
    roster = circle.members["bank"].roster

    def refusal(echoes: list[Any]) -> str:
        with pytest.raises(WaistError) as caught:
            Settled(roster=roster, names=four, echoes=tuple(echoes))
        return caught.value.code

    assert refusal(good[:3]) == "RF-W178"
    assert refusal([*good[:3], good[0]]) == "RF-W178"
    assert refusal([*good, good[0]]) == "RF-W178"
    outsider = survivors_echo(circle.members["zoo"].identity, roster, four)
    assert refusal([*good[:3], replace(outsider, holder="zoo")]) == "RF-W178"
    assert refusal([*good[:3], replace(good[3], signature=good[2].signature)]) == "RF-W179"
    for change in (
        {"attempt": 9},
        {"round": 1},
        {"number": 9},
        {"run": "0" * 32},
        {"study": digest_of(b"x")},
    ):
        assert refusal([*good[:3], replace(good[3], **change)]) == "RF-W179"
        # Signed by the member itself as well.
        body = {**good[3].to_json(), **change}
        del body["signature"]
        signed = circle.members[four[3]].identity.sign(b"ringfence/survivors-echo/v1\n" + canonical(body))
        assert refusal([*good[:3], replace(good[3], **change, signature=signed.hex())]) == "RF-W179"
    other = replace(good[3], survivors=survivors_digest(roster, FIVE))
    assert refusal([*good[:3], other]) == "RF-W179"
    # Signed in earnest, but in another attempt.
    circle.begin()
    circle.answers(vectors_of(FIVE, 2), FIVE)
    replayed = circle.sign("telco", four)
    assert refusal([*good[:3], replayed]) == "RF-W179"


def test_a_list_that_was_checked_is_in_order_of_name() -> None:
    circle = five()
    roster = circle.members["bank"].roster
    for names in (FIVE, FIVE[::-1], (*FIVE[2:], *FIVE[:2])):
        assert check_survivors(roster, names) == FIVE
        assert survivors_digest(roster, names) == survivors_digest(roster, FIVE)
