"""Rounds that go wrong: every answer is charged, none is given twice, who leaves is out, nobody is shown a
lie.

Each check runs a small federation of the product's own parties with somebody disturbing it, and counts what
left.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from kits.parties import Parties
from prove.bounds import chi_square_limit
from prove.cases import SCORECARD
from prove.finding import Finding
from prove.probe import Probe, World

from ringfence.privacy.errors import WaistError
from ringfence.privacy.wire.envelope import MessageKind, read_header, unframe
from ringfence.server.rounds import run_study

STUDY = {**SCORECARD.study, "model": {"iterations": 2}}


def charges() -> Finding:
    """One holder's answer is lost on its way: the round is asked again, and everybody pays for both
    attempts.
    """
    lost: list[str] = []

    def lose_once(name: str, message: bytes, reply: bytes) -> bytes:
        header = read_header(message)
        if header.kind == MessageKind.ROUND_CALL and header.round == 1 and name == "partner" and not lost:
            lost.append(name)
            return b""
        return reply

    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        parties = Parties.of(World(study=STUDY).federation(Path(folder)))
        parties.wire.on_reply = lose_once
        run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
        plan = parties.federation.opened.plan
        least = 1.0
        for name, holder in parties.holders.items():
            left = [
                read_header(reply).round
                for who, _, reply in parties.wire.sent
                if who == name and reply and read_header(reply).kind == MessageKind.MASKED_UPDATE
            ]
            if name == "partner":
                left.append(1)  # the lost answer left its holder all the same
            owed = plan.cohort.mu_squared(1) + sum(
                plan.rounds[index].mu_squared(plan.honest) for index in left
            )
            least = min(least, float(holder.ledger.charged().mu_squared) / owed)
    return Finding(
        evidence=f"ledgers hold {least:.9f} of the price of all {len(plan.rounds) + 1} answers and the "
        "cohort count",
        bound="at least 1",
        holds=least > 1 - 1e-9,
    )


def veils() -> Finding:
    """Every vector of a study with masks, as it crosses the wire: none may come as it is, nor look other than
    random.
    """
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        parties = Parties.of(World(study=STUDY).federation(Path(folder)))
        with suppress(WaistError):
            run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
    replies = [reply for _, _, reply in parties.wire.sent if reply]
    bare = sum(read_header(reply).kind == MessageKind.VISIBLE_UPDATE for reply in replies)
    masked = [reply for reply in replies if read_header(reply).kind == MessageKind.MASKED_UPDATE]
    # The payload stands before the signature, the words behind the payload's own header.
    payloads = [reply[-64 - read_header(reply).length : -64] for reply in masked]
    words = b"".join(bytes(unframe(payload, b"RFU1")[1]) for payload in payloads)
    seen = np.frombuffer(words or bytes(1), dtype=np.uint8)
    expected = len(seen) / 256
    uneven = float(((np.bincount(seen, minlength=256) - expected) ** 2 / expected).sum()) / chi_square_limit(
        255
    )
    return Finding(
        evidence=f"{len(masked)} masked vectors, chi-square {uneven:.2f} of its limit; {bare} without masks",
        bound="below 1; none",
        holds=bool(masked) and uneven < 1 and not bare,
    )


def repeats() -> Finding:
    """The coordinator asks every attempt twice; two different answers would give it two noises for one
    price.
    """
    different: list[str] = []

    def again(name: str, message: bytes, reply: bytes) -> bytes:
        if (
            read_header(message).kind == MessageKind.ROUND_CALL
            and parties.agents[name].handle(message) != reply
        ):
            different.append(name)
        return reply

    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        parties = Parties.of(World(study=STUDY).federation(Path(folder)))
        parties.wire.on_reply = again
        run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
        calls = sum(
            read_header(message).kind == MessageKind.ROUND_CALL for _, message, _ in parties.wire.sent
        )
    return Finding(
        evidence=f"{calls} attempts asked twice, {len(different)} with a second answer",
        bound="none",
        holds=calls > 0 and not different,
    )


def withdrawals() -> Finding:
    """A hundred customers withdraw between two rounds."""
    gone = [f"bank-{i}" for i in range(100)]

    def withdraw(name: str, message: bytes, _reply: bytes) -> bytes:
        header = read_header(message)
        if name == "bank" and header.kind == MessageKind.ROUND_CALL and header.round == 1:
            parties.holders["bank"].registry.withdraw(
                gone, "churn-prediction", datetime(2026, 1, 1, tzinfo=UTC)
            )
        return message

    case = SCORECARD
    probe = Probe(task=case.task, queries=case.queries(case.context(model={"iterations": 2})))
    with tempfile.TemporaryDirectory(prefix="prove-") as folder, probe.installed():
        parties = Parties.of(World(study=STUDY).federation(Path(folder)))
        parties.wire.on_message = withdraw
        run_study(parties.federation.coordinator, parties.federation.opened, parties.wire)
    rows = [
        counted for index, counted in zip((i for i, _ in probe.exact), probe.rows, strict=True) if index >= 1
    ]
    before, after = max(probe.rows), min(rows)
    return Finding(
        evidence=f"the holder's rows: {before} before the withdrawal of {len(gone)}, {after} in the next "
        "rounds",
        bound=f"{before - len(gone)}",
        holds=after == before - len(gone),
    )


def rollback() -> Finding:
    """A holder's whole store is put back to before the study, and the same coordinator comes again."""
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        federation = World(study=STUDY).federation(Path(folder), "durable")
        parties = Parties.of(federation)
        store = Path(folder) / "bank.db"
        early = store.read_bytes()
        run_study(federation.coordinator, federation.opened, parties.wire)
        spent = parties.holders["bank"].ledger.charged().mu_squared
        parties.holders["bank"].engine.dispose()
        for rest in Path(folder).glob("bank.db-*"):
            rest.unlink()
        store.write_bytes(early)
        again = Parties.of(federation)
        forgot = again.holders["bank"].ledger.charged().mu_squared
        with suppress(WaistError):
            run_study(federation.coordinator, federation.opened, again.wire)
        sent = again.actions("bank").count(("waist.send", "allow"))
        frozen = bool(again.holders["bank"].ledger.frozen())
    return Finding(
        evidence=f"mu^2 of {float(spent - forgot):.3f} forgotten by a restore; frozen: {frozen}, answers "
        f"given: {sent}",
        bound="frozen, no answer",
        holds=frozen and sent == 0 and spent > forgot,
    )
