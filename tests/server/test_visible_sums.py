"""Rounds whose uploads are visible: each is judged by its own holder's size, and those who answer make the
sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kits.parties import Parties
from kits.reply_kit import THREE, events, resealed, tiny, update_of

from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.privacy.wire.payload import encode_update
from ringfence.server.rounds import Release, run_study

FOUR = ("agency", *THREE)
VISIBLE = {"uploads": "visible", "noise": "local", "min_holders": 3}


def four(folder: Path) -> Parties:
    return tiny(folder, names=FOUR, privacy=VISIBLE)


def run(parties: Parties) -> Release:
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def at_first(parties: Parties, rule: Callable[[str, bytes], bytes]) -> None:
    """Change replies to the first attempt at the first round."""

    def change(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        first = (header.kind, header.round, header.attempt) == ("round-call", 0, 0)
        return rule(name, reply) if first else reply

    parties.wire.on_reply = change


def with_entry(parties: Parties, data: bytes, entry: int) -> bytes:
    update, head = update_of(parties, data)
    words = update.words.copy()
    words[0] = np.array([entry], dtype=np.int64).astype(words.dtype)[0]
    return resealed(parties, data, encode_update(replace(update, words=words), head))


@pytest.mark.parametrize("beyond", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_upload_reaches_what_one_holder_can_reach_and_no_further(
    tmp_path: Path, beyond: int, sign: int
) -> None:
    parties = four(tmp_path)
    opened = parties.federation.opened
    block = opened.plan.rounds[0].blocks[0]
    most = 5000 * block.max_abs + math.ceil(40 * block.share_scale)
    at_first(
        parties,
        lambda name, data: with_entry(parties, data, sign * (most + beyond)) if name == "bank" else data,
    )
    run(parties)
    first = events(parties.federation.coordinator.log, "aggregate.received")[0][3]
    refused = events(parties.federation.coordinator.log, "reply.refused")
    left = [name for name in FOUR if name != "bank"]
    assert first["roster"] == (left if beyond else list(FOUR))
    assert [(each[3]["holder"], each[3]["reasons"]) for each in refused] == (
        [("bank", ["RF-W158"])] if beyond else []
    )


def test_those_who_answered_make_the_sum_and_the_silent_one_is_asked_again(tmp_path: Path) -> None:
    parties = four(tmp_path)
    coordinator = parties.federation.coordinator
    at_first(parties, lambda name, data: b"" if name == "partner" else data)
    release = run(parties)
    assert (release.attempts, release.holders, release.absent) == ((1, 1), FOUR, ())
    received = events(coordinator.log, "aggregate.received")
    assert received[0][3]["roster"] == ["agency", "bank", "retailer"]
    assert received[1][3]["roster"] == list(FOUR)
    assert events(coordinator.log, "attempt.voided") == []
    offers = [name for name, message, _ in parties.wire.sent if read_header(message).kind == "study-offer"]
    assert offers == [*FOUR, "partner"]


def test_with_fewer_than_the_study_needs_the_attempt_is_void(tmp_path: Path) -> None:
    parties = four(tmp_path)
    at_first(parties, lambda name, data: b"" if name in ("partner", "bank") else data)
    assert run(parties).attempts == (2, 1)
    voided = events(parties.federation.coordinator.log, "attempt.voided")
    assert [(each[3]["missing"], each[3]["reasons"]) for each in voided] == [(["bank", "partner"], [])]


def test_a_masked_upload_is_none_where_uploads_are_visible(tmp_path: Path) -> None:
    parties = four(tmp_path)
    at_first(
        parties,
        lambda name, data: (
            resealed(parties, data, kind=MessageKind.MASKED_UPDATE) if name == "bank" else data
        ),
    )
    run(parties)
    refused = events(parties.federation.coordinator.log, "reply.refused")
    assert [(each[3]["holder"], each[3]["reasons"]) for each in refused] == [("bank", ["RF-W115"])]
