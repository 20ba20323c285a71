"""A coordinator that is restarted in mid-run goes on from the released sums, asks nothing twice, and ends the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from parties import Parties, federation_of
from safetensors.numpy import load, save

from ringfence.privacy.errors import StudyError
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.progress import FORMAT
from ringfence.server.rounds import Release, run_study


class Stopped(Exception):
    """The coordinator's process ends here."""


def go(parties: Parties, state: Path) -> Release:
    return run_study(parties.federation.coordinator, parties.federation.opened, parties.wire, state=state)


def stop_at(parties: Parties, round_index: int, *, after: str) -> None:
    """End the coordinator's process once one holder's answer in a round has come, or before any call goes out."""

    def on_message(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if after == "nothing" and header.kind == MessageKind.ROUND_CALL and header.round == round_index:
            raise Stopped
        return message

    def on_reply(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        if after == "answers" and header.kind == MessageKind.ROUND_CALL and header.round == round_index:
            raise Stopped
        return reply

    parties.wire.on_message, parties.wire.on_reply = on_message, on_reply


def heal(parties: Parties) -> None:
    parties.wire.on_message = lambda _name, message, _reply: message
    parties.wire.on_reply = lambda _name, _message, reply: reply
    # A new process opens the same study; its own run id is not the run's.
    parties.federation = replace(parties.federation, opened=replace(parties.federation.opened, run="f" * 32))


@pytest.mark.parametrize(("after", "attempts"), [("nothing", 2), ("answers", 2)])
@pytest.mark.parametrize("dropouts", ["retry", "recover"])
def test_a_run_goes_on_where_it_stopped(tmp_path: Path, after: str, attempts: int, dropouts: str) -> None:
    parties = Parties.of(federation_of(tmp_path, privacy={"dropouts": dropouts}))
    stop_at(parties, 1, after=after)
    with pytest.raises(Stopped):
        go(parties, tmp_path / "run.state")
    asked_before = len(parties.wire.sent)
    heal(parties)
    release = go(parties, tmp_path / "run.state")
    assert release.attempts[0] == 1
    assert release.attempts[1] == attempts, "the attempt that was begun is not begun again"
    calls = [
        (name, read_header(message).round)
        for name, message, _ in parties.wire.sent[asked_before:]
        if read_header(message).kind == MessageKind.ROUND_CALL
    ]
    assert not [call for call in calls if call[1] == 0], "a released sum is not asked for again"
    for holder in parties.holders.values():
        assert holder.ledger.reservations() == ()
        joined = [e.event.action for e in holder.log.events()].count("study.joined")
        assert joined == 1


def stopped(tmp_path: Path) -> Parties:
    parties = Parties.of(federation_of(tmp_path))
    stop_at(parties, 1, after="nothing")
    with pytest.raises(Stopped):
        go(parties, tmp_path / "run.state")
    heal(parties)
    return parties


def rewritten(path: Path, **changes: object) -> None:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    described = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["ringfence"])
    path.write_bytes(save(load(data), metadata={"ringfence": json.dumps(described | changes)}))


def test_the_file_of_another_version_is_refused(tmp_path: Path) -> None:
    parties = stopped(tmp_path)
    rewritten(tmp_path / "run.state", format="ringfence-released-sums-0")
    with pytest.raises(StudyError) as caught:
        go(parties, tmp_path / "run.state")
    assert caught.value.code == "RF-S073"
    assert FORMAT in caught.value.sentence()


def test_a_state_whose_queries_come_out_otherwise_is_refused(tmp_path: Path) -> None:
    parties = stopped(tmp_path)
    path = tmp_path / "run.state"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    described = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["ringfence"])
    sums = [each | {"query": "00" * 32} for each in described["sums"]]
    rewritten(path, sums=sums)
    with pytest.raises(StudyError) as caught:
        go(parties, path)
    assert caught.value.code == "RF-S072"


def test_the_state_of_another_study_is_refused(tmp_path: Path) -> None:
    stopped(tmp_path)
    (tmp_path / "other").mkdir()
    other = Parties.of(federation_of(tmp_path / "other", id="another-study"))
    with pytest.raises(StudyError) as caught:
        go(other, tmp_path / "run.state")
    assert caught.value.code == "RF-S071"


@pytest.mark.parametrize("damage", ["cut", "text", "tensor"])
def test_what_is_no_state_is_refused(tmp_path: Path, damage: str) -> None:
    parties = stopped(tmp_path)
    path = tmp_path / "run.state"
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-20])
        case "text":
            path.write_text("not a state")
        case _:
            data = path.read_bytes()
            length = int.from_bytes(data[:8], "little")
            metadata = json.loads(data[8 : 8 + length])["__metadata__"]
            path.write_bytes(save({"0.cells": np.zeros(3, dtype=np.float32)}, metadata=metadata))
    with pytest.raises(StudyError) as caught:
        go(parties, path)
    assert caught.value.code == "RF-S074"
