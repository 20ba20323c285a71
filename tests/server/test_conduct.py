"""The steps that all sums are made of: who is asked again and when, how many are enough, what an end says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from kits.reply_kit import THREE, events, tiny

from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import StudyOffer, open_message
from ringfence.privacy.waist import Query
from ringfence.privacy.wire.envelope import read_header
from ringfence.server.membership import Members
from ringfence.server.sums import Conduct

FIVE = ("agency", *THREE, "utility")
LOCAL = {"uploads": "visible", "noise": "local"}
QUERY = Query(task="scorecard", round=1)


@dataclass(slots=True)
class Deaf:
    """Carries nothing back, and notes whom it was asked to reach and to look for."""

    connected: frozenset[str] = frozenset(FIVE)
    sent: list[tuple[str, ...]] = field(default_factory=list)
    looked: list[tuple[str, ...]] = field(default_factory=list)
    messages: dict[str, bytes] = field(default_factory=dict)

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        self.sent.append(tuple(messages))
        self.messages |= messages
        return {}

    def present(self, names: Iterable[str]) -> frozenset[str]:
        self.looked.append(tuple(sorted(names)))
        return frozenset(self.looked[-1]) & self.connected


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Conduct:
    parties = tiny(tmp_path_factory.mktemp("conduct"), names=FIVE, privacy={"min_holders": 3})
    federation = parties.federation
    return Conduct(
        coordinator=federation.coordinator, opened=federation.opened, transport=Deaf(), members=Members()
    )


def conduct_of(made: Conduct, *there: str, connected: Iterable[str] = FIVE, **changes: Any) -> Conduct:
    keys: dict[str, Any] = dict.fromkeys(there)
    members = Members(keys=keys, absent=set(FIVE) - set(there), joined=set(FIVE))
    conduct = replace(made, transport=Deaf(frozenset(connected)), members=members)
    if not changes:
        return conduct
    study = conduct.opened.study
    study = study.revised(privacy=study.privacy.revised(**changes))
    context = replace(conduct.opened.context, study=study)
    return replace(conduct, opened=replace(conduct.opened, context=context))


def test_messages_are_sealed_for_their_turn_and_their_holder(made: Conduct) -> None:
    conduct = conduct_of(made, *FIVE)
    conduct.ask(dict.fromkeys(("bank", "agency"), _an_offer(made)), 3, 2)
    transport: Any = conduct.transport
    assert transport.sent == [("bank", "agency")]
    for name, data in transport.messages.items():
        header = read_header(data)
        opened = made.opened
        assert (header.study, header.run, header.sender) == (opened.digest, opened.run, "coordinator")
        assert (header.recipient, header.round, header.attempt) == (name, 3, 2)
        found = open_message(
            StudyOffer,
            data,
            senders={"coordinator": made.coordinator.identity.public},
            study=opened.digest,
            run=opened.run,
            recipient=name,
            round=3,
            attempt=2,
        )[1]
        assert found == _an_offer(made)


def _an_offer(made: Conduct) -> StudyOffer:
    opened = made.opened
    return StudyOffer(
        study=opened.document.to_json(),
        schema=opened.schema_document.to_json(),
        run=opened.run,
        nonce="ab" * 32,
        log_key="cd" * 32,
        ledger=None,
        log=None,
    )


@pytest.mark.parametrize(
    ("there", "least", "refused"),
    [
        (FIVE[:3], 3, False),
        (FIVE[:2], 3, True),
        (FIVE[:2], 2, False),
        # A sum of one is no sum, whatever the study says.
        (FIVE[:1], 1, True),
        (FIVE[:2], 1, False),
    ],
)
def test_fewer_holders_than_the_study_needs_end_it(
    made: Conduct, there: tuple[str, ...], least: int, refused: bool
) -> None:
    conduct = conduct_of(made, *there)
    object.__setattr__(conduct, "opened", _needing(conduct, least))
    conduct.members.refused["utility"] = "RF-W203"
    if not refused:
        conduct.require()
        return
    with pytest.raises(WaistError, match="RF-W200") as caught:
        conduct.require()
    absent = ", ".join([*sorted(set(FIVE[:-1]) - set(there)), "utility (RF-W203)"])
    needed = max(2, least)
    assert caught.value.values == {"count": len(there), "needed": needed, "absent": absent}


def _needing(conduct: Conduct, least: int) -> Any:
    study = conduct.opened.study
    study = study.model_copy(update={"privacy": study.privacy.model_copy(update={"min_holders": least})})
    return replace(conduct.opened, context=replace(conduct.opened.context, study=study))


def test_whoever_is_lost_is_offered_the_study_again(made: Conduct) -> None:
    conduct = conduct_of(made, *FIVE, connected=("bank",))
    transport: Any = conduct.transport
    conduct.lose(["bank", "partner"])
    assert sorted(conduct.members.keys) == ["agency", "retailer", "utility"]
    assert conduct.members.absent == {"bank", "partner"}
    # Enough are left: only those who can be reached are waited for.
    assert transport.looked == [("bank", "partner")]
    assert transport.sent == [("bank",)]


@pytest.mark.parametrize(("lost", "waited"), [(2, False), (3, True)])
def test_where_too_few_are_left_everybody_lost_is_waited_for(made: Conduct, lost: int, waited: bool) -> None:
    conduct = conduct_of(made, *FIVE, connected=())
    transport: Any = conduct.transport
    if not waited:
        conduct.lose(FIVE[:lost])
        assert transport.sent == []
        return
    with pytest.raises(WaistError, match="RF-W200"):
        conduct.lose(FIVE[:lost])
    assert transport.sent == [FIVE[:lost]]


def test_the_absent_are_asked_at_ever_longer_intervals(made: Conduct) -> None:
    conduct = conduct_of(made, *FIVE[:3], connected=("retailer",))
    transport: Any = conduct.transport
    for number in range(16):
        conduct.welcome(number)
    # Retailer is asked before rounds 0, 2, 6 and 14; utility is looked for each time and not connected.
    assert transport.sent == [("retailer",)] * 4
    asked = [number for number, each in enumerate(transport.looked) if "retailer" in each]
    assert asked == [0, 2, 6, 14]
    assert all("utility" in each for each in transport.looked)
    assert conduct.members.due == {"retailer": (30, 16)}
    assert conduct.members.absent == {"retailer", "utility"}


def test_the_end_of_a_round_without_a_sum_names_it_and_what_was_refused(made: Conduct) -> None:
    conduct = conduct_of(made, *FIVE)
    fault = conduct.failed(QUERY)
    most = made.opened.plan.max_attempts
    assert (fault.code, fault.values) == (
        "RF-W201",
        {"round": "gradient-1", "attempts": most, "refused": "-"},
    )
    conduct.members.refused |= {"partner": "RF-W113", "bank": "RF-W203"}
    assert conduct.failed(QUERY).values["refused"] == "bank (RF-W203), partner (RF-W113)"


def test_events_of_an_attempt_say_which_and_whose(made: Conduct) -> None:
    conduct = conduct_of(made, "partner", "bank")
    log, study, opened = made.coordinator.log, f"study:{made.opened.digest}", made.opened
    before = len(events(log))
    conduct.begun(QUERY, 4)
    conduct.misfit(QUERY, 4, "bank", "agency")
    conduct.void(QUERY, 4, {"bank", "agency"}, ("RF-W158",))
    conduct.void(QUERY, 5, ())
    turn = {"run": opened.run, "round": 1, "attempt": 4}
    asked = turn | {"query": QUERY.digest().hex(), "roster": ["bank", "partner"]}
    assert events(log)[before:] == [
        ("round.opened", "allow", study, asked),
        ("share.misfit", "deny", study, turn | {"roster": ["agency", "bank"]}),
        ("attempt.voided", "error", study, turn | {"missing": ["agency", "bank"], "reasons": ["RF-W158"]}),
        ("attempt.voided", "error", study, turn | {"attempt": 5, "missing": [], "reasons": []}),
    ]


@pytest.mark.parametrize(
    ("data", "noted"), [(None, True), (b"", False), (b"nothing", True)], ids=["opened", "none", "garbage"]
)
def test_a_refusal_is_noted_where_something_was_sent(made: Conduct, data: bytes | None, noted: bool) -> None:
    conduct = conduct_of(made, *FIVE)
    before = len(events(made.coordinator.log))
    conduct.refuse("bank", data, conduct.failed(QUERY), 3, 1)
    assert conduct.members.refused == ({"bank": "RF-W201"} if noted else {})
    public = {"run": made.opened.run, "round": 3, "attempt": 1, "holder": "bank", "reasons": ["RF-W201"]}
    expected = [("reply.refused", "deny", f"study:{made.opened.digest}", public)]
    assert events(made.coordinator.log)[before:] == (expected if noted else [])


@pytest.mark.parametrize("visible", [False, True])
def test_masked_words_need_everybody_and_visible_ones_as_many_as_the_study(
    made: Conduct, visible: bool
) -> None:
    conduct = conduct_of(made, *FIVE, **(LOCAL if visible else {}))
    assert conduct.visible is visible
    assert conduct.enough(set(FIVE), FIVE)
    assert conduct.enough(FIVE[:4], FIVE) is visible
    assert conduct.enough(FIVE[:3], FIVE) is visible
    assert not conduct.enough(FIVE[:2], FIVE)
    assert not conduct.enough((), FIVE)
    assert conduct.enough(("bank",), ("bank",))


@pytest.mark.parametrize(("beyond", "refused"), [(0, False), (1, True)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_reaches_what_its_holders_can_reach_and_no_further(
    made: Conduct, beyond: int, refused: bool, sign: int
) -> None:
    conduct = conduct_of(made, *FIVE)
    query = Query(task="scorecard", round=0)
    block = made.opened.plan.rounds[0].blocks[0]
    length = made.opened.task.lengths(made.opened.context, query)["cells"]
    total = np.zeros(length, dtype=np.int64)
    # Five holders of at most 5,000 customers, and forty deviations of each one's noise.
    total[-1] = sign * (5 * 5000 * block.max_abs + 5 * math.ceil(40 * block.share_scale) + beyond)
    before = len(events(made.coordinator.log))
    if refused:
        with pytest.raises(WaistError, match="RF-W158"):
            conduct.aggregate(total, query, 2, FIVE)
        assert len(events(made.coordinator.log)) == before
        return
    found = conduct.aggregate(total, query, 2, iter(FIVE))
    assert (found.round, found.holders) == (0, 5)
    assert found.blocks["cells"].tolist() == total.tolist()
    told = {"run": made.opened.run, "round": 0, "attempt": 2, "combine": "mean", "roster": list(FIVE)}
    assert events(made.coordinator.log)[before:] == [
        ("aggregate.received", "allow", f"study:{made.opened.digest}", told)
    ]
