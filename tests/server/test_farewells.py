"""The end of a run: who is told what, whose last checkpoints are anchored, and what a forged one changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from kits.parties import Parties
from kits.reply_kit import THREE, events, message_of, rewrite, sealed_like, tiny

from ringfence.audit.checkpoint import read_unverified
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import Unavailable
from ringfence.privacy.protocol.endings import Done, Finish, NoRun
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.privacy.wire.heads import sign_head
from ringfence.server.post.ending import owed_ends
from ringfence.server.records.runs import RunStore
from ringfence.server.rounds import Release, run_study

Change = Callable[[Parties, Done, bytes], bytes]


def run(parties: Parties) -> Release:
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)


def farewells(parties: Parties) -> list[tuple[str, bytes, bytes]]:
    return [each for each in parties.wire.sent if read_header(each[1]).kind == MessageKind.FINISH]


def test_everybody_is_told_the_model_and_where_each_log_ends_is_kept(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    release = run(parties)
    told = farewells(parties)
    assert [name for name, _, _ in told] == list(THREE)
    for name, message, reply in told:
        header = read_header(message)
        assert (header.study, header.run, header.recipient) == (opened.digest, opened.run, name)
        finish, done = message_of(parties, Finish, message), message_of(parties, Done, reply)
        assert finish.model == release.digest
        assert read_unverified(finish.checkpoint.encode()).origin == coordinator.log.origin
        at = read_unverified(done.checkpoint.encode())
        known = coordinator.registry.last(opened.participants[name])
        assert known is not None
        assert (known[0], known[1].position.size) == (done.ledger, at.size)
    found = events(coordinator.log)
    anchored = [each for each in found if each[0] == "checkpoint.anchored"]
    assert len(anchored) == 6
    assert found[-1] == ("study.finished", "allow", f"study:{opened.digest}", {"run": opened.run})
    assert [each[0] for each in found[-4:-1]] == ["checkpoint.anchored"] * 3


def test_a_study_without_a_model_is_finished_as_an_error(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    parties.wire.on_reply = lambda _, message, reply: (
        b"" if read_header(message).kind == MessageKind.ROUND_CALL else reply
    )
    with pytest.raises(WaistError):
        run(parties)
    opened = parties.federation.opened
    assert events(parties.federation.coordinator.log)[-1] == (
        "study.finished",
        "error",
        f"study:{opened.digest}",
        {"run": opened.run},
    )
    assert [name for name, _, _ in farewells(parties)] == list(THREE), "the lost are told as well"
    assert {message_of(parties, Finish, message).model for _, message, _ in farewells(parties)} == {None}
    assert events(parties.federation.coordinator.log, "model.released") == []


def head_of_another(parties: Parties, done: Done, data: bytes) -> bytes:
    forged = sign_head(
        parties.federation.keys["partner"].identity,
        mark=done.ledger.mark,
        log=parties.holders["bank"].log.origin,
    )
    return sealed_like(parties, replace(done, ledger=forged), data)


def bound(**bindings: Any) -> Change:
    return lambda parties, done, data: sealed_like(parties, done, data, **bindings)


BAD: dict[str, tuple[Change, str]] = {
    "a head of another ledger": (head_of_another, "RF-W166"),
    "no proof": (
        lambda parties, done, data: sealed_like(parties, replace(done, proof=()), data),
        "RF-A028",
    ),
    "another run": (bound(run="cd" * 16), "RF-W115"),
    "another study": (bound(study="sha256:" + "e" * 64), "RF-W115"),
    "another round": (bound(round=1), "RF-W115"),
    "another recipient": (bound(recipient="partner"), "RF-W116"),
    "another sender": (bound(sender="partner"), "RF-W112"),
    "a stranger's signature": (bound(identity=Identity.generate("stranger")), "RF-W113"),
    "another kind": (lambda *_: b"nothing", "RF-W111"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_farewell_that_is_not_believed_anchors_nothing_and_the_model_stands(
    tmp_path: Path, case: str
) -> None:
    change, code = BAD[case]
    parties = tiny(tmp_path)
    coordinator, opened = parties.federation.coordinator, parties.federation.opened
    rewrite(parties, Done, {"bank": lambda done, data: change(parties, done, data)})
    run(parties)
    found = events(coordinator.log)
    refused = {"run": opened.run, "round": 0, "attempt": 0, "holder": "bank", "reasons": [code]}
    study = f"study:{opened.digest}"
    assert [each for each in found if each[0] == "reply.refused"] == [
        ("reply.refused", "deny", study, refused)
    ]
    of_bank = [each for each in found if each[0] == "checkpoint.anchored" and each[2].endswith("/bank")]
    assert len(of_bank) == 1, "that of its join"
    assert found[-1] == ("study.finished", "allow", study, {"run": opened.run})
    for name in ("partner", "retailer"):
        of_other = [e for e in found if e[0] == "checkpoint.anchored" and e[2].endswith(f"/{name}")]
        assert len(of_other) == 2


def test_a_holder_that_says_unavailable_at_the_end_is_no_refusal(tmp_path: Path) -> None:
    parties = tiny(tmp_path)
    rewrite(parties, Done, {"bank": lambda _, data: sealed_like(parties, Unavailable(), data)})
    run(parties)
    found = events(parties.federation.coordinator.log)
    assert [each for each in found if each[0] == "reply.refused"] == []
    assert found[-1][:2] == ("study.finished", "allow")


def test_a_holder_that_joined_cannot_say_that_it_has_no_such_run(tmp_path: Path) -> None:
    """Its store was put back behind its join; a reservation may stand elsewhere, so its people are asked."""
    parties = tiny(tmp_path)
    rewrite(parties, Done, {"bank": lambda _, data: sealed_like(parties, NoRun(), data)})
    store = RunStore(parties.federation.coordinator.registry.engine)
    run_study(parties.federation.coordinator, parties.federation.opened, parties.wire, runs=store)
    (refused,) = events(parties.federation.coordinator.log, "reply.refused")
    assert refused[3]["reasons"] == ["RF-W480"]
    (owed,) = owed_ends(store.engine)
    assert set(owed.holders) == {"bank"}
