"""A holder killed at any line of joining: what was denied stays denied, what was charged is charged once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from kits.parties import federation_of

from ringfence.clients import joining
from ringfence.clients.agent import Agent
from ringfence.clients.holder import Holder
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.mechanisms.source import NoisyShare, OsNoise
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.waist import RoundPlan
from ringfence.privacy.wire.envelope import read_header
from ringfence.server.membership import offer
from ringfence.server.registry import HolderRegistry
from ringfence.simulations.federation import Federation
from ringfence.simulations.parties import InProcess


class _Killed(BaseException):
    """The process is gone at this line."""


class _Cohort:
    """A test's noise: the operating system's, but for a cohort count shifted by so much."""

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def share(self, round_plan: RoundPlan, lengths: Mapping[str, int], honest: int) -> NoisyShare:
        share = OsNoise().share(round_plan, lengths, honest)
        if round_plan.name != "cohort":
            return share
        return replace(share, blocks={"cohort": np.array([self.shift], dtype=np.int64)})


@contextmanager
def killed_at(line: int, functions: frozenset[str]) -> Iterator[list[int]]:
    """Kill at the so-many-th line that runs of these functions of `clients/joining.py`; yields the count."""
    ran = [0]

    def local(_frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            ran[0] += 1
            if ran[0] == line:
                sys.settrace(None)
                raise _Killed
        return local

    def trace(frame: FrameType, _event: str, _argument: Any) -> Any:
        code = frame.f_code
        return local if code.co_name in functions and code.co_filename == joining.__file__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield ran
    finally:
        sys.settrace(before)


def asked(federation: Federation, holder: Holder) -> str:
    """The kind of a holder's reply to the offer; a process that has just begun."""
    fresh = replace(holder, ledger=Ledger.open(holder.engine, holder.log))
    transport = InProcess(agents={"bank": Agent(holder=fresh)})
    kinds: list[str] = []

    class Listening:
        def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
            replies = transport.exchange(messages)
            kinds.extend(read_header(reply).kind for reply in replies.values())
            return replies

        def present(self, names: Iterable[str]) -> frozenset[str]:
            return transport.present(names)

    offer(federation.coordinator, federation.opened, Listening(), names=["bank"])
    return kinds[0]


def actions(holder: Holder) -> list[tuple[str, str]]:
    return [(e.event.action, e.event.outcome) for e in holder.log.events()]


@pytest.mark.parametrize(
    ("shift", "verdict", "functions"),
    [
        (-(10**9), "deny", frozenset({"_freeze", "_closed_on_failure"})),
        (0, "allow", frozenset({"join"})),
    ],
)
def test_killed_at_every_line_of_joining(
    tmp_path: Path, shift: int, verdict: str, functions: frozenset[str]
) -> None:
    """Killed between the denial and the end of its reservation, a holder once joined after its restart."""
    whole = federation_of(tmp_path, customers=120)
    line, counted = 0, 0
    while True:
        line += 1
        # A coordinator that has seen none of the lives before.
        forgetful = replace(whole.coordinator, registry=HolderRegistry(open_store(None)))
        federation = replace(whole, coordinator=forgetful)
        holder = federation.holder("bank", lambda _: _Cohort(shift))
        try:
            with killed_at(line, functions) as ran:
                asked(federation, holder)
        except _Killed:
            pass
        else:
            assert ran[0] < line
            break
        died_after = ("cohort.counted", verdict) in actions(holder)
        counted += died_after
        reply = asked(federation, replace(holder, noise=_Cohort(0)))
        after = actions(holder)
        denied = ("cohort.counted", "deny") in after
        assert reply == ("unavailable" if denied else "join"), f"line {line}"
        assert (("study.joined", "allow") in after) != denied, f"line {line}"
        assert len([action for action, _ in after if action == "cohort.counted"]) == 1, f"line {line}"
        ledger = Ledger.open(holder.engine, holder.log)
        assert len(ledger.reservations()) == (0 if denied else 1), f"line {line}"
        assert [entry.kind for entry in ledger.entries()].count("charged") == 1, f"line {line}"
        holder.engine.dispose()
    assert line > 8, "the lines of joining were not seen"
    assert counted >= 1, "no line after the count was tried"
