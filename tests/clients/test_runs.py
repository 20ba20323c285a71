"""A run at a holder: which roster its masks are for, and that no secret is left when it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ringfence.clients.runs import Run
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import RoundCall
from ringfence.privacy.secagg.ephemeral import EphemeralKeys
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.secagg.roster import RosterEcho, roster_echo, verify_roster
from ringfence.privacy.waist import Query

STUDY, RUN = "sha256:" + "ab" * 32, "cd" * 16


@pytest.mark.parametrize("recovering", [False, True])
def test_closing_a_run_drops_every_secret(recovering: bool) -> None:
    peer = SessionKeys(holder="peer", study=STUDY, run=RUN).public
    keys = SessionKeys(holder="bank", study=STUDY, run=RUN)
    attempt = EphemeralKeys(holder="bank", study=STUDY, run=RUN, round=0, attempt=1, number=2)
    kept = cast(Any, SimpleNamespace(keys=attempt)) if recovering else None
    run = Run(joined=cast(Any, None), keys=keys, fresh=kept)
    assert len(keys.exchange(peer)) == len(attempt.exchange(peer)) == len(attempt.seal_with(peer)) == 32
    run.close()
    uses: list[Callable[[], object]] = [lambda: keys.exchange(peer)]
    if recovering:
        uses += [
            lambda: attempt.exchange(peer),
            lambda: attempt.seal_with(peer),
            attempt.masking_key,
            lambda: attempt.self_seed,
        ]
    for use in uses:
        with pytest.raises(WaistError, match="RF-W130"):
            use()


class Reached(Exception):
    """The roster was taken for agreed, and the gate is next."""


def test_signatures_on_an_earlier_roster_stand_for_no_later_one() -> None:
    people = {name: Identity.generate() for name in ("bank", "shop")}
    pinned = {name: one.public for name, one in people.items()}
    keys = {name: SessionKeys(holder=name, study=STUDY, run=RUN) for name in people}
    messages = [key_message(people[name], keys[name]) for name in people]
    rosters = [
        verify_roster(
            messages,
            number=number,
            own=messages[0],
            participants=pinned,
            terms=Terms(min_holders=2, colluders=0),
            vouched={key.fingerprint for key in pinned.values()},
        )
        for number in range(2)
    ]
    signed: list[tuple[RosterEcho, ...]] = [
        tuple(roster_echo(people[name], replace(roster, own=name)) for name in people) for roster in rosters
    ]

    def reached(*_: object) -> None:
        raise Reached

    holder = cast(Any, SimpleNamespace(attempts=SimpleNamespace(begin=reached)))
    privacy = SimpleNamespace(dropouts="retry")
    admitted = SimpleNamespace(study=SimpleNamespace(privacy=privacy))
    run = Run(joined=cast(Any, SimpleNamespace(admitted=admitted)), keys=keys["bank"])
    for number, echoes, expected in (
        (0, signed[0], Reached),
        (1, signed[0], WaistError),
        (1, signed[1], Reached),
        (1, signed[0], WaistError),
    ):
        run.roster = rosters[number]
        call = RoundCall(number=number, echoes=echoes, query=Query(task="scorecard", round=0))
        with pytest.raises(expected) as caught:
            run.answer(holder, cast(Any, None), call)
        if isinstance(caught.value, WaistError):
            assert caught.value.code == "RF-W146"
