"""A holder that forges: shares that are not what was dealt, and signatures in another holder's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kits.dropout_kit import parties_of, run
from kits.parties import Parties

from ringfence.privacy.protocol.control import open_message, seal_message
from ringfence.privacy.secagg.recovery import Revealed
from ringfence.privacy.wire.envelope import Expected, MessageKind, open_envelope, read_header, seal


def forge(parties: Parties, liar: str, kind: str) -> None:
    """A holder that reveals a share moved by one, under its own signature."""
    opened, identity = parties.federation.opened, parties.federation.keys[liar].identity

    def change(name: str, _message: bytes, reply: bytes) -> bytes:
        header = read_header(reply)
        if name != liar or header.kind != "revealed" or header.attempt != 0:
            return reply
        arguments: dict[str, Any] = {"study": opened.digest, "run": opened.run, "recipient": "coordinator"}
        revealed = open_message(
            Revealed,
            reply,
            senders={name: opened.participants[name]},
            round=header.round,
            attempt=0,
            **arguments,
        )[1]
        shares = [share.to_json() for share in getattr(revealed, kind)]
        if not shares:
            return reply
        shares[0]["value"] = f"{int(shares[0]['value'], 16) ^ 1:0132x}"
        forged = Revealed.from_json(revealed.to_json() | {kind: shares})
        return seal_message(identity, forged, sender=name, round=header.round, attempt=0, **arguments)

    parties.wire.on_reply = change


def events(parties: Parties, action: str) -> list[Any]:
    return [e.event for e in parties.federation.coordinator.log.events() if e.event.action == action]


def test_a_forged_share_is_found_and_left_out(tmp_path: Path) -> None:
    parties = parties_of(tmp_path)
    forge(parties, "partner", "seeds")
    run(parties)
    misfits = events(parties, "share.misfit")
    assert len(misfits) == 2
    assert all("partner" in event.public["roster"] and event.outcome == "deny" for event in misfits)
    assert events(parties, "attempt.voided") == []


def test_a_forged_share_where_all_are_needed_voids_the_attempt(tmp_path: Path) -> None:
    parties = parties_of(tmp_path)
    forge(parties, "partner", "keys")
    parties.wire.on_message = lambda name, message, _reply: (
        b""
        if name == "telco" and (read_header(message).kind, read_header(message).round) == ("round-call", 1)
        else message
    )
    run(parties)
    voided = events(parties, "attempt.voided")
    assert [(event.public["round"], event.public["reasons"]) for event in voided] == [(1, ["RF-W184"])]
    # The second attempt, in which the holder tells the truth, gives the sum; both were charged.
    plan = parties.federation.opened.plan
    charged = float(parties.holders["partner"].ledger.charged().mu_squared)
    twice = parties.federation.price().mu ** 2 + plan.rounds[1].mu_squared(plan.honest)
    assert charged == pytest.approx(twice, rel=1e-9)


def test_a_holder_that_answers_in_anothers_name_counts_as_silent(tmp_path: Path) -> None:
    """Insurer's envelope with partner's signature on the list: neither a second vote nor a fault of
    partner's.
    """
    parties = parties_of(tmp_path)
    kept: dict[str, bytes] = {}
    opened = parties.federation.opened

    def swap(name: str, _message: bytes, reply: bytes) -> bytes:
        header = read_header(reply)
        if header.kind != "survivors-echo" or header.round != 0:
            return reply
        expect = Expected(
            kind=MessageKind.SURVIVORS_ECHO,
            study=opened.digest,
            run=opened.run,
            recipient="coordinator",
            round=0,
            attempt=0,
        )
        kept[name] = open_envelope(
            reply, senders={name: opened.participants[name]}, expect=expect, max_bytes=1 << 20
        ).payload
        if name != "partner":
            return reply
        return seal(
            parties.federation.keys[name].identity,
            kind=MessageKind.SURVIVORS_ECHO,
            study=opened.digest,
            run=opened.run,
            sender=name,
            recipient="coordinator",
            payload=kept["insurer"],
            round=0,
            attempt=0,
        )

    parties.wire.on_reply = swap
    run(parties)
    unmasked = [
        read_header(message).recipient
        for _, message, _ in parties.wire.sent
        if (read_header(message).kind, read_header(message).round) == ("unmask-call", 0)
    ]
    assert unmasked == ["bank", "insurer", "retailer", "telco"]
    refused = [(event.public["holder"], event.public["round"]) for event in events(parties, "reply.refused")]
    assert refused == [("partner", 0)], "on record, not swallowed"
