"""The ledger under kill -9 and in a crowd: what left a holder is in its ledger, and nothing is spent twice.

A child process is a holder with a durable store, and its peers. It writes down every masked answer, on the
disk, before it passes it on, and is killed by its own hand at named points of the gate, or by ours at random.
Then the store is opened again and the whole chain is verified.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kits.ledger_support import STUDY as DIGEST
from kits.ledger_support import new_ledger, reopen
from kits.parties import Parties
from prove.cases import SCORECARD
from prove.finding import Finding
from prove.probe import World

from ringfence.clients import gate
from ringfence.clients.agent import Agent
from ringfence.privacy.errors import BudgetError
from ringfence.privacy.ledger import chain
from ringfence.privacy.mechanisms.source import OsNoise
from ringfence.privacy.secagg.attempts import AttemptStore
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.wire.envelope import MessageKind, read_header
from ringfence.server.rounds import run_study
from ringfence.simulations.federation import Federation
from ringfence.simulations.parties import InProcess

STUDY = {**SCORECARD.study, "model": {"iterations": 2}}
RANDOM_KILLS = 4
VICTIM = "bank"
POINTS: dict[str, tuple[Any, str, bool]] = {
    "before the attempt is durable": (AttemptStore, "begin", False),
    "after the attempt is durable": (AttemptStore, "begin", True),
    "after the noise is drawn": (OsNoise, "share", True),
    "before the charge": (chain, "append", False),
    "after the charge, before its event": (chain, "append", True),
    "before the answer is kept": (AttemptStore, "store", False),
    "after the answer is kept, before the commit": (AttemptStore, "store", True),
    "after the commit, before sending": (gate, "send", True),
}
SENDING = "after sending"


def crashes() -> Finding:
    """Killed at every named point and at random moments: sent is never more than charged."""
    with tempfile.TemporaryDirectory(prefix="prove-") as name:
        made = Path(name) / "made"
        made.mkdir()
        federation = World(study=STUDY).federation(made)
        parties = Parties.of(federation)
        durable = replace(federation, profile="durable")
        durable.holder(VICTIM).engine.dispose()
        under, killed = [], 0
        moments: list[tuple[str, float]] = [(point, 0.0) for point in (*POINTS, SENDING)]
        moments += [("at random", secrets.randbelow(200) / 1000) for _ in range(RANDOM_KILLS)]
        for number, (point, after) in enumerate(moments):
            own = replace(durable, folder=Path(name) / str(number))
            shutil.copytree(made, own.folder)
            killed += _killed(parties, own, point, after)
            if _charged_less_than_sent(own):
                under.append(point)
    told = f"; left uncharged when killed {', '.join(under)}" if under else ""
    return Finding(
        evidence=f"{killed} holders killed at {len(POINTS) + 1} named points and {RANDOM_KILLS} random "
        f"moments{told}",
        bound="nothing left uncharged, every chain verifies",
        holds=not under and killed > len(POINTS),
    )


def _killed(parties: Parties, federation: Federation, point: str, after: float) -> bool:
    """Run a study in a child that dies; whether it did before the study was over."""
    child = os.fork()
    if not child:
        try:
            _live(parties, federation, point)
        finally:
            os._exit(1)
    if point == "at random":
        while not (federation.folder / "sent").exists():
            time.sleep(0.001)
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _live(parties: Parties, federation: Federation, point: str) -> None:
    """The child: every answer is on the disk before it is passed on; it dies at its point, in the second
    round.
    """
    victim = federation.holder(VICTIM)
    agents = {**parties.agents, VICTIM: Agent(holder=victim)}
    parties.wire.inner = InProcess(agents=agents)

    def arm(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if name == VICTIM and header.kind == MessageKind.ROUND_CALL and header.round == 1 and point in POINTS:
            _deadly(*POINTS[point])
        return message

    def send(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        if name == VICTIM and header.kind == MessageKind.ROUND_CALL:
            with (federation.folder / "sent").open("a", encoding="ascii") as sent:
                sent.write(f"{header.round}\n")
                sent.flush()
                os.fsync(sent.fileno())
            if header.round == 1 and point == SENDING:
                os.kill(os.getpid(), signal.SIGKILL)
        return reply

    parties.wire.on_message, parties.wire.on_reply = arm, send
    run_study(federation.coordinator, federation.opened, parties.wire)


def _deadly(owner: Any, name: str, after: bool) -> None:
    """Let the next call of a function be the process's last act."""
    function = getattr(owner, name)

    def call(*arguments: Any, **options: Any) -> None:
        if after:
            function(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, call)


def _charged_less_than_sent(federation: Federation) -> bool:
    """Open the dead holder's store, verify log and ledger, and compare."""
    holder = federation.holder(VICTIM)
    holder.log.check()
    charged = float(holder.ledger.charged().mu_squared)
    holder.engine.dispose()
    sent, plan = federation.folder / "sent", federation.opened.plan
    rounds = [int(line) for line in sent.read_text().split()] if sent.exists() else []
    owed = sum(plan.rounds[index].mu_squared(plan.honest) for index in rounds)
    owed += plan.cohort.mu_squared(1) if rounds else 0.0
    return charged < owed * (1 - 1e-9)


def crowd() -> Finding:
    """Four holders' programs at one ledger, each reserving as often as it can."""
    with tempfile.TemporaryDirectory(prefix="prove-") as name:
        path = str(Path(name) / "store.db")
        engine = open_store(path)
        ledger, _ = new_ledger(engine)
        whole = ledger.left().mu_squared
        part, made = whole * 2 / 21, []  # ten fit, an eleventh does not

        def spend() -> None:
            own = open_store(path)
            mine = reopen(own)
            for _ in range(4):
                with suppress(BudgetError):
                    made.append(mine.reserve(DIGEST, part))
            own.dispose()

        threads = [threading.Thread(target=spend) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counted = reopen(engine).spent().mu_squared
        engine.dispose()
    return Finding(
        evidence=f"{len(made)} of 16 reservations of 2/21 of a budget were granted; counted "
        f"{float(counted / whole):.4f} of it",
        bound="ten, at most 1",
        holds=len(made) == 10 and counted <= whole,
    )
