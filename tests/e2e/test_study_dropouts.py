"""A study with `dropouts = "recover"`: holders drop out in mid-round and the attempt ends with those who
answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.noise import SeededNoises
from kits.parties import Parties, federation_of

from ringfence.clients import gate
from ringfence.clients.agent import Agent
from ringfence.clients.recover_steps import Fresh
from ringfence.privacy.errors import WaistError
from ringfence.privacy.protocol.control import Dealt
from ringfence.privacy.waist import Aggregate
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.rounds import Release, run_study

FIVE = ("bank", "insurer", "partner", "retailer", "telco")


def parties_of(folder: Path, names: tuple[str, ...] = FIVE, least: int = 4, **study: Any) -> Parties:
    """Holders of a short study, with noise that repeats."""
    privacy = {"min_holders": least, "dropouts": "recover"} | study.pop("privacy", {})
    federation = federation_of(
        folder,
        names=names,
        customers=60,
        contracts={name: {"min_cohort": 1} for name in names},
        privacy=privacy,
        model={"iterations": 1},
        evaluation={"test_fraction": "0"},
        **study,
    )
    return Parties.of(federation, noise=SeededNoises(5))


class Watch:
    """What went into every mask, by round, attempt and holder, and every sum that came out."""

    def __init__(self, parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parties = parties
        self.masked: dict[tuple[int, int], dict[str, np.ndarray[Any, Any]]] = {}
        self.sums: list[Aggregate] = []
        real = gate.mask

        def mask(vector: Any, **arguments: Any) -> Any:
            turn = (arguments["round"], arguments["attempt"])
            self.masked.setdefault(turn, {})[arguments["keys"].holder] = vector.copy()
            return real(vector, **arguments)

        monkeypatch.setattr("ringfence.clients.gate.mask", mask)

    def run(self) -> Release:
        opened = self.parties.federation.opened
        task = opened.task

        def step(context: Any, state: Any, aggregate: Aggregate) -> Any:
            self.sums.append(aggregate)
            return task.step(context, state, aggregate)

        watched = replace(opened, task=replace(task, step=step))
        return run_study(self.parties.federation.coordinator, watched, self.parties.wire)

    def total(self, round_index: int, attempt: int, names: tuple[str, ...]) -> list[int]:
        return [int(v) for v in sum(self.masked[round_index, attempt][name] for name in names)]

    def released(self, round_index: int) -> list[int]:
        blocks = self.sums[round_index].blocks
        return [int(v) for v in np.concatenate([blocks[name] for name in blocks])]


def silence(
    parties: Parties, kind: MessageKind, names: Mapping[int, tuple[str, ...]], *, reply: bool = False
) -> None:
    """Lose messages of a kind (or their replies), in the rounds named, to the holders named."""

    def lost(name: str, message: bytes, data: bytes) -> bytes:
        header = read_header(message)
        return b"" if header.kind == kind and name in names.get(header.round, ()) else data

    if reply:
        parties.wire.on_reply = lost
    else:
        parties.wire.on_message = lambda name, message, _reply: lost(name, message, message)


@pytest.mark.parametrize(
    ("names", "least", "gone"),
    [
        (FIVE, 4, {}),
        (FIVE, 4, {0: ("bank",)}),
        (FIVE, 4, {0: ("telco",), 1: ("insurer",)}),
        ((*FIVE, "utility", "water"), 5, {1: ("bank", "partner")}),
    ],
    ids=["nobody", "one", "one in each round", "two at once"],
)
@pytest.mark.parametrize("late", [False, True], ids=["unasked", "late"])
def test_the_sum_of_those_who_answered_bit_for_bit_in_one_attempt(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    least: int,
    gone: dict[int, tuple[str, ...]],
    late: bool,
) -> None:
    """Dropped before they compute, or after: then their vector was charged and is lost, and stays masked."""
    parties = parties_of(tmp_path, names, least)
    watch = Watch(parties, monkeypatch)
    silence(parties, MessageKind.ROUND_CALL, gone, reply=late)
    release = watch.run()
    rounds = parties.federation.opened.plan.rounds
    assert release.attempts == (1,) * len(rounds)
    for index in range(len(rounds)):
        left = tuple(name for name in names if name not in gone.get(index, ()))
        assert watch.released(index) == watch.total(index, 0, left)
        assert watch.sums[index].holders == len(left)
        if late and gone.get(index):
            assert watch.released(index) != watch.total(index, 0, names)
    last = tuple(name for name in names if name not in gone.get(len(rounds) - 1, ()))
    assert release.holders == last
    assert release.absent == tuple(sorted(set(names) - set(last)))
    price = parties.federation.price()
    for name, holder in parties.holders.items():
        missed = (
            0
            if late
            else sum(
                round_plan.mu_squared(parties.federation.opened.plan.honest)
                for index, round_plan in enumerate(rounds)
                if name in gone.get(index, ())
            )
        )
        charged = float(holder.ledger.charged().mu_squared)
        assert charged == pytest.approx(price.mu**2 - missed, rel=1e-9), "each attempt is charged once"


@pytest.mark.parametrize("kind", [MessageKind.SURVIVORS_CALL, MessageKind.UNMASK_CALL])
@pytest.mark.parametrize("reply", [False, True], ids=["unasked", "reply lost"])
def test_a_holder_that_falls_silent_after_its_vector_is_in_the_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: MessageKind, reply: bool
) -> None:
    parties = parties_of(tmp_path)
    watch = Watch(parties, monkeypatch)
    silence(parties, kind, {0: ("partner",)}, reply=reply)
    release = watch.run()
    assert release.attempts == (1, 1)
    assert watch.released(0) == watch.total(0, 0, FIVE)


@pytest.mark.parametrize(
    "kind", [MessageKind.ROUND_CALL, MessageKind.SURVIVORS_CALL, MessageKind.UNMASK_CALL]
)
def test_too_few_who_stay_void_the_attempt_and_the_next_one_is_paid_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: MessageKind
) -> None:
    parties = parties_of(tmp_path)
    watch = Watch(parties, monkeypatch)

    def lost(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        turn = (header.kind, header.round, header.attempt)
        return b"" if turn == (kind, 1, 0) and name in {"bank", "telco"} else reply

    parties.wire.on_reply = lost
    release = watch.run()
    assert release.attempts == (1, 2)
    assert watch.released(1) == watch.total(1, 1, FIVE)
    plan = parties.federation.opened.plan
    for holder in parties.holders.values():
        charged = float(holder.ledger.charged().mu_squared)
        twice = parties.federation.price().mu ** 2 + plan.rounds[1].mu_squared(plan.honest)
        assert charged == pytest.approx(twice, rel=1e-9)
    voided = [
        e.event for e in parties.federation.coordinator.log.events() if e.event.action == "attempt.voided"
    ]
    assert [event.public["reasons"] for event in voided] == [["RF-W204"]]
    # Nothing of the first attempt was revealed, or not enough of it.
    assert sum(read_header(reply).kind == "revealed" for _, _, reply in parties.wire.sent if reply) <= 3 * 5


def test_a_holder_restarted_in_mid_attempt_is_recovered_from_and_takes_part_in_the_next_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parties = parties_of(tmp_path)
    watch = Watch(parties, monkeypatch)

    def restart(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if (name, header.kind, header.round) == ("bank", MessageKind.ROUND_CALL, 0):
            parties.agents["bank"] = Agent(holder=parties.holders["bank"], report=parties.said["bank"].append)
            parties.wire.inner = type(parties.wire.inner)(agents=parties.agents)
        return message

    parties.wire.on_message = restart
    release = watch.run()
    assert release.attempts == (1, 1)
    assert [each.holders for each in watch.sums] == [4, 5]
    assert release.holders == FIVE
    counted = [action for action, _ in parties.actions("bank") if action == "cohort.counted"]
    assert len(counted) == 1


def test_a_holder_silent_at_the_start_of_an_attempt_is_left_out_of_its_roster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (MessageKind.KEY_CALL, MessageKind.SHARE_CALL):
        folder = tmp_path / kind.value
        folder.mkdir()
        parties = parties_of(folder)
        watch = Watch(parties, monkeypatch)
        silence(parties, kind, {1: ("retailer",)})
        release = watch.run()
        assert release.holders == ("bank", "insurer", "partner", "telco")
        assert watch.released(1) == watch.total(1, 0, release.holders)


def test_too_few_at_the_start_end_the_study(tmp_path: Path) -> None:
    parties = parties_of(tmp_path)
    silence(parties, MessageKind.KEY_CALL, {0: ("bank", "telco")})
    with pytest.raises(WaistError, match="bank") as caught:
        run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
    assert caught.value.code == "RF-W200"
    for name, holder in parties.holders.items():
        assert holder.ledger.reservations() == (), name


def test_what_leaves_and_what_is_written_down(tmp_path: Path) -> None:
    parties = parties_of(tmp_path)
    silence(parties, MessageKind.ROUND_CALL, {1: ("bank",)})
    run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
    kinds = {read_header(reply).kind for _, _, reply in parties.wire.sent if reply}
    assert kinds == {
        "join",
        "ephemeral-keys",
        "dealt",
        "masked-update",
        "survivors-echo",
        "revealed",
        "cosigned",
        "done",
    }
    actions = [action for action, _ in parties.actions("telco")]
    of_a_round = [a for a in actions if a in {"waist.send", "sum.settled", "sum.unmasked"}]
    assert of_a_round == ["waist.send", "sum.settled", "sum.unmasked"] * 2
    settled = [e.event for e in parties.holders["telco"].log.events() if e.event.action == "sum.settled"]
    assert settled[1].public["missing"] == ["bank"]
    assert settled[1].public["roster"] == ["insurer", "partner", "retailer", "telco"]
    keys = [f"{name}-{i}".encode() for name in FIVE for i in range(60)]
    blob = b"".join(message + reply for _, message, reply in parties.wire.sent)
    assert not any(key in blob for key in keys)


def test_keys_and_seeds_of_no_two_attempts_are_alike(tmp_path: Path) -> None:
    parties = parties_of(tmp_path)
    seen: list[tuple[bytes, bytes, bytes]] = []
    original: Callable[..., Dealt] = Fresh.deal

    def noting(self: Fresh, *arguments: Any) -> Dealt:
        dealt = original(self, *arguments)
        seen.append((self.keys.public, self.keys.sealing, self.keys.self_seed))
        return dealt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fresh, "deal", noting)
        run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
    assert len(seen) == 10
    assert len({secret for secrets_ in seen for secret in secrets_}) == 30
