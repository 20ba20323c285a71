"""Rounds in which everybody has to answer: what is asked, what is believed, what is written down and told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.ledger_support import marked
from kits.parties import Parties
from kits.reply_kit import THREE, events, message_of, resealed, rewrite, sealed_like, tiny, update_of

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import RosterCall, RoundCall, Unavailable
from ringfence.privacy.secagg.roster import RosterEcho, roster_hash
from ringfence.privacy.waist import Aggregate
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.privacy.wire.heads import sign_head
from ringfence.privacy.wire.payload import encode_update
from ringfence.server.rounds import Release, run_study

FOUR = ("agency", *THREE)
SUMS = ("round.opened", "aggregate.received", "attempt.voided", "reply.refused", "model.released")


def run(parties: Parties, said: list[tuple[int, int, str]] | None = None) -> Release:
    progress = (lambda *told: said.append(told)) if said is not None else (lambda *_: None)
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire, progress)


def asked(parties: Parties, kind: MessageKind) -> list[tuple[str, int, int]]:
    headers = [(name, read_header(message)) for name, message, _ in parties.wire.sent]
    return [(name, each.round, each.attempt) for name, each in headers if each.kind == kind]


def silent(parties: Parties, kind: MessageKind, name: str, turns: list[tuple[int, int]]) -> None:
    """Lose a holder's replies of a kind at some rounds and attempts."""

    def lost(who: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        return (
            b"" if who == name and header.kind == kind and (header.round, header.attempt) in turns else reply
        )

    parties.wire.on_reply = lost


def test_a_run_in_which_nothing_fails_is_written_down_step_by_step(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    opened, said = parties.federation.opened, list[tuple[int, int, str]]()
    release = run(parties, said)
    study, every = f"study:{opened.digest}", list(THREE)
    expected: list[Any] = []
    calls = [message for _, message, _ in parties.wire.sent if read_header(message).kind == "round-call"]
    for number in (0, 1):
        query = message_of(parties, RoundCall, calls[3 * number]).query
        turn = {"run": opened.run, "round": number, "attempt": 0, "roster": every}
        expected += [
            ("round.opened", "allow", study, turn | {"query": query.digest().hex()}),
            ("aggregate.received", "allow", study, turn | {"combine": "mean"}),
        ]
    intent = next(parties.federation.coordinator.log.events(action="release.intended")).seq
    model = {"model": release.digest, "run": opened.run, "holders": every, "witnesses": every}
    model |= {"entry": intent}
    expected.append(("model.released", "allow", study, model))
    assert events(parties.federation.coordinator.log, *SUMS) == expected
    assert (release.holders, release.absent, release.attempts) == (THREE, (), (1, 1))
    assert (release.unfinished, release.figures) == ("", None)
    assert release.digest == release.result.digest()
    assert said == [(0, 2, "histogram"), (1, 2, "gradient-1"), (2, 2, "release")]
    assert asked(parties, MessageKind.ROSTER_CALL) == [(name, 0, 0) for name in THREE], "one serves all"
    assert asked(parties, MessageKind.ROUND_CALL) == [(name, r, 0) for r in (0, 1) for name in THREE]


def test_everybody_is_shown_the_same_signed_roster(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    opened = parties.federation.opened
    run(parties)
    rosters = [m for _, m, _ in parties.wire.sent if read_header(m).kind == "roster-call"]
    shown = [message_of(parties, RosterCall, message) for message in rosters]
    assert all(each == shown[0] for each in shown)
    assert (shown[0].number, shown[0].round, shown[0].attempt) == (0, 0, 0)
    assert sorted(member.holder for member in shown[0].members) == list(THREE)
    digest = roster_hash(shown[0].members, study=opened.digest, run=opened.run, number=0)
    for _, message, _ in parties.wire.sent:
        if read_header(message).kind == "round-call":
            call = message_of(parties, RoundCall, message)
            assert call.number == 0
            assert [(echo.holder, echo.roster) for echo in call.echoes] == [(n, digest) for n in THREE]
            assert call.boxes == ()


@pytest.mark.parametrize("first", [0, 1])
def test_a_silent_member_voids_the_attempt_and_the_next_one_has_a_new_roster(
    tmp_path: Path, first: int
) -> None:
    parties = tiny(tmp_path)
    opened = parties.federation.opened
    silent(parties, MessageKind.ROUND_CALL, "partner", [(first, 0)])
    release = run(parties)
    assert release.attempts == ((2, 1) if first == 0 else (1, 2))
    found = events(parties.federation.coordinator.log, "attempt.voided", "reply.refused")
    void = {"run": opened.run, "round": first, "attempt": 0, "missing": ["partner"], "reasons": []}
    assert found == [("attempt.voided", "error", f"study:{opened.digest}", void)]
    rosters = [m for _, m, _ in parties.wire.sent if read_header(m).kind == "roster-call"]
    turns = [message_of(parties, RosterCall, message) for message in rosters]
    assert [(each.number, each.round, each.attempt) for each in turns[::3]] == [(0, 0, 0), (1, first, 1)]
    offers = [n for n, m, _ in parties.wire.sent if read_header(m).kind == "study-offer"]
    assert offers == [*THREE, "partner"], "it is offered the study again, and it alone"


def test_all_attempts_in_vain_end_the_study_and_say_which_round_and_whose_replies(tmp_path: Path) -> None:
    parties = tiny(tmp_path, names=FOUR, privacy={"min_holders": 3, "max_attempts": 2})

    def wrong(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        if header.kind != MessageKind.ROUND_CALL or header.round != 1:
            return reply
        return b"nothing" if name == "bank" else reply

    parties.wire.on_reply = wrong
    with pytest.raises(WaistError, match="RF-W201") as caught:
        run(parties)
    values = caught.value.values
    assert (values["round"], values["attempts"]) == ("gradient-1", 2)
    assert values["refused"] == "-", "it joined again after each"
    found = events(parties.federation.coordinator.log, "attempt.voided", "reply.refused")
    assert [each[0] for each in found] == ["reply.refused", "attempt.voided"] * 2
    assert [each[3]["attempt"] for each in found] == [0, 0, 1, 1]
    assert found[0][3]["reasons"] == ["RF-W111"]
    assert found[1][3]["missing"] == ["bank"]


def test_a_member_that_does_not_come_back_is_left_out_and_the_reason_is_told(tmp_path: Path) -> None:
    parties = tiny(tmp_path, names=FOUR, privacy={"min_holders": 3})

    def wrong(name: str, message: bytes, reply: bytes) -> bytes:
        kinds = (MessageKind.ROUND_CALL, MessageKind.STUDY_OFFER)
        later = read_header(message).round or len(asked(parties, MessageKind.ROUND_CALL))
        return b"nothing" if name == "bank" and read_header(message).kind in kinds and later else reply

    parties.wire.on_reply = wrong
    release = run(parties)
    assert (release.absent, release.attempts) == (("bank",), (1, 2))
    assert release.holders == ("agency", "partner", "retailer")
    last = events(parties.federation.coordinator.log, "aggregate.received")[-1][3]
    assert (last["roster"], last["attempt"]) == (["agency", "partner", "retailer"], 1)


Update = Callable[[Parties, bytes], bytes]


def forged_head(parties: Parties, data: bytes) -> bytes:
    update, head = update_of(parties, data)
    other = sign_head(
        parties.federation.keys["partner"].identity, mark=head.mark, log=parties.holders["bank"].log.origin
    )
    return resealed(parties, data, encode_update(update, other))


BAD: dict[str, tuple[Update, str]] = {
    "another head": (forged_head, "RF-W166"),
    "another run": (lambda p, d: resealed(p, d, run="cd" * 16), "RF-W115"),
    "another study": (lambda p, d: resealed(p, d, study="sha256:" + "e" * 64), "RF-W115"),
    "another round": (lambda p, d: resealed(p, d, round=1), "RF-W115"),
    "another attempt": (lambda p, d: resealed(p, d, attempt=1), "RF-W115"),
    "another recipient": (lambda p, d: resealed(p, d, recipient="partner"), "RF-W116"),
    "another kind": (lambda p, d: resealed(p, d, kind=MessageKind.VISIBLE_UPDATE), "RF-W115"),
    "another sender": (lambda p, d: resealed(p, d, sender="partner"), "RF-W112"),
    "a stranger's signature": (lambda p, d: resealed(p, d, identity=Identity.generate("x")), "RF-W113"),
}


@pytest.mark.parametrize("case", BAD)
def test_words_that_are_not_believed_void_the_attempt_on_record(tmp_path: Path, case: str) -> None:
    change, code = BAD[case]
    parties = tiny(tmp_path)
    opened, coordinator = parties.federation.opened, parties.federation.coordinator

    def forged(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        turn = (header.kind, header.round, header.attempt)
        return change(parties, reply) if name == "bank" and turn == ("round-call", 0, 0) else reply

    parties.wire.on_reply = forged
    release = run(parties)
    assert release.attempts == (2, 1)
    turn = {"run": opened.run, "round": 0, "attempt": 0}
    study = f"study:{opened.digest}"
    assert events(coordinator.log, "reply.refused", "attempt.voided") == [
        ("reply.refused", "deny", study, turn | {"holder": "bank", "reasons": [code]}),
        ("attempt.voided", "error", study, turn | {"missing": ["bank"], "reasons": []}),
    ]


def test_heads_that_come_with_words_are_remembered(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    seen: list[str] = []

    def look(name: str, message: bytes, reply: bytes) -> bytes:
        known = coordinator.registry.last(opened.participants[name])
        if name == "bank" and known and read_header(message).kind in ("round-call", "finish"):
            seen.append(known[0].mark)
        return reply

    parties.wire.on_reply = look
    run(parties)
    bank = parties.holders["bank"]
    first, second, third = (marked(bank.marks, mark).sequence for mark in seen)
    assert first < second < third, "each round's charge moves the head that is shown back"


def test_a_sum_that_is_out_of_range_voids_the_attempt(tmp_path: Path) -> None:
    """A corrupt word is not noticed by itself; the sum it makes cannot be one."""
    parties = tiny(tmp_path)
    spoilt: list[int] = []

    def forged(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        if name != "bank" or (header.kind, header.round, header.attempt) != ("round-call", 0, 0):
            return reply
        update, head = update_of(parties, reply)
        words = update.words.copy()
        words[0] ^= words.dtype.type(1 << (8 * words.dtype.itemsize - 2))
        spoilt.append(len(words))
        return resealed(parties, reply, encode_update(replace(update, words=words), head))

    parties.wire.on_reply = forged
    release = run(parties)
    assert spoilt
    assert release.attempts == (2, 1)
    voided = events(parties.federation.coordinator.log, "attempt.voided")
    assert [(each[3]["missing"], each[3]["reasons"]) for each in voided] == [([], ["RF-W158"])]


def echo_of_another_roster(parties: Parties) -> Callable[[Any, bytes], bytes]:
    return lambda echo, data: sealed_like(parties, replace(echo, roster="sha256:" + "0" * 64), data)


@pytest.mark.parametrize(
    "case", ["another roster", "another round", "another attempt", "silent", "unavailable"]
)
def test_a_member_that_does_not_sign_the_roster_leaves_and_the_others_go_on(
    tmp_path: Path, case: str
) -> None:
    parties = tiny(tmp_path, names=FOUR, privacy={"min_holders": 3})
    opened, coordinator = parties.federation.opened, parties.federation.coordinator
    rules = {
        "another roster": echo_of_another_roster(parties),
        "another round": lambda echo, data: sealed_like(parties, echo, data, round=7),
        "another attempt": lambda echo, data: sealed_like(parties, echo, data, attempt=1),
        "silent": lambda *_: b"",
        "unavailable": lambda _, data: sealed_like(parties, Unavailable(), data),
    }
    rewrite(parties, RosterEcho, {"bank": rules[case]})
    release = run(parties)
    assert (release.absent, release.holders) == (("bank",), ("agency", "partner", "retailer"))
    refused = events(coordinator.log, "reply.refused")
    if case in ("silent", "unavailable"):
        assert refused == []
    else:
        assert {(e[3]["holder"], e[3]["round"], e[3]["attempt"]) for e in refused} <= {
            ("bank", 0, 0),
            ("bank", 1, 0),
        }
        assert refused[0][3]["reasons"] == ["RF-W146" if case == "another roster" else "RF-W115"]
    numbers = [
        message_of(parties, RosterCall, m).number
        for n, m, _ in parties.wire.sent
        if n == "agency" and read_header(m).kind == "roster-call"
    ]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 2
    first = events(coordinator.log, "round.opened")[0][3]
    assert first["roster"] == ["agency", "partner", "retailer"]
    assert opened.run == first["run"]


def test_the_sum_is_that_of_the_words_and_says_of_how_many(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    taken: list[Aggregate] = []
    opened = parties.federation.opened
    task = opened.task

    def step(context: Any, state: Any, aggregate: Aggregate) -> Any:
        taken.append(aggregate)
        return task.step(context, state, aggregate)

    watched = replace(opened, task=replace(task, step=step))
    run_study(parties.federation.coordinator, watched, parties.wire)
    assert [(each.round, each.holders) for each in taken] == [(0, 3), (1, 3)]
    assert [list(each.blocks) for each in taken] == [["cells"], ["gradient", "masses", "two-way"]]
    for each in taken:
        words = [
            update_of(parties, reply)[0].words
            for _, message, reply in parties.wire.sent
            if (read_header(message).kind, read_header(message).round) == ("round-call", each.round)
        ]
        total = np.sum(np.stack(words), axis=0, dtype=words[0].dtype)
        signed = total.view(f"i{total.dtype.itemsize}").astype(np.int64)
        assert np.concatenate(list(each.blocks.values())).tolist() == signed.tolist()
