"""The ledger under kill -9 and under several processes: it may over-count, it may never under-count.

A holder's process is stood in for by a child that reserves, charges and sends; "sent" is a line in a file
that is on the disk before the child goes on. The child is killed at named points, which this test puts into
it by replacing functions, or at random moments.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from kits.ledger_support import make_at, reopen

from ringfence.privacy.errors import BudgetError
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.ledger.state import State, advance
from ringfence.privacy.stores.store import open_store

TESTS = Path(__file__).parents[2]

HOLDER = """
import os, signal, sys
from decimal import Decimal
sys.path.insert(0, {tests!r})
from kits.ledger_support import STUDY, reopen
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.ledger import book, chain

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def before(function):
    return die

def after(function):
    def call(*arguments, **options):
        function(*arguments, **options)
        die()
    return call

engine = open_store({target!r})
ledger = reopen(engine)
journal = ledger._book._journal
sent = os.open({sent!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

def send(name, amount):
    os.write(sent, (name + " " + amount + "\\n").encode())
    os.fsync(sent)

def attempt(reservation, round_, number, amount="0.001", part="both"):
    with ledger.release(
        reservation, run=run, round=round_, attempt=number, mu_squared=Decimal(amount), part=part
    ) as own:
        journal.record("waist.send", "allow", resource="study:x", connection=own)
    send(run + "/" + str(round_) + "/" + str(number), amount)

run = {run!r}
"""

# The child arms itself and then makes the step that kills it.
POINTS = {
    "charge: before the entry": "chain.append = before(chain.append)",
    "charge: after the entry, before its event": "chain.append = after(chain.append)",
    "charge: after its event, before the commit": "journal.record = after(journal.record)",
    "charge: after the commit, before sending": "book.Book._keep = before(book.Book._keep)",
    "charge: after sending": "send = after(send)",
}


def child(target: str, sent: Path, script: str) -> subprocess.Popen[str]:
    head = HOLDER.format(tests=str(TESTS), target=target, sent=str(sent), run=f"run-{secrets.token_hex(4)}")
    return subprocess.Popen(
        [sys.executable, "-c", head + script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def sent_amount(sent: Path) -> Decimal:
    """What really left, attempt by attempt."""
    lines = sent.read_text().splitlines() if sent.exists() else []
    return sum((Decimal(line.split()[1]) for line in lines), Decimal(0))


@contextmanager
def checked(target: str, sent: Path) -> Iterator[Ledger]:
    """Re-verify everything: the chain, that nothing left uncharged, that entries and events agree."""
    engine = open_store(target)
    try:
        ledger = reopen(engine)
        check(ledger, sent)
        yield ledger
    finally:
        engine.dispose()


def check(ledger: Ledger, sent: Path) -> None:
    assert ledger.charged().mu_squared >= sent_amount(sent), "under-counted"
    assert ledger.spent().mu_squared >= ledger.charged().mu_squared
    kinds = [entry.kind for entry in ledger.entries()]
    actions = ledger._book._journal.actions()  # type: ignore[attr-defined]
    assert actions.count("budget.charged") == kinds.count("charged") == actions.count("waist.send")
    assert actions.count("budget.reserved") == kinds.count("reserved")


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point(target: str, tmp_path: Path, point: str) -> None:
    make_at(target)
    sent = tmp_path / "sent"
    script = f"""
reservation = ledger.reserve(STUDY, Decimal("0.01"))
attempt(reservation, 0, 1)
{POINTS[point]}
attempt(reservation, 0, 2)
"""
    process = child(target, sent, script)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    with checked(target, sent) as ledger:
        committed = point.endswith(("before sending", "after sending"))
        assert ledger.charged().mu_squared == Decimal("0.002" if committed else "0.001")
        assert sent_amount(sent) == Decimal("0.002" if point.endswith("after sending") else "0.001")
        # The crash leaves the whole reservation counted, and the holder can go on with it.
        assert ledger.spent().mu_squared >= Decimal("0.01")
        (reservation,) = ledger.reservations()
        if committed:
            with (
                pytest.raises(BudgetError, match="RF-B305"),
                ledger.release(
                    reservation,
                    run=next(iter(reservation.attempts))[0],
                    round=0,
                    attempt=2,
                    mu_squared=Decimal("0.001"),
                ),
            ):
                pass
        ledger.commit(reservation)
        assert ledger.spent().mu_squared == ledger.charged().mu_squared


@pytest.mark.parametrize(
    "point", ["chain.append = before(chain.append)", "chain.append = after(chain.append)"]
)
def test_killed_while_reserving(target: str, tmp_path: Path, point: str) -> None:
    make_at(target)
    process = child(target, tmp_path / "sent", f'{point}\nledger.reserve(STUDY, Decimal("0.01"))\n')
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    with checked(target, tmp_path / "sent") as ledger:
        assert ledger.spent().mu_squared == 0


def test_killed_while_committing(target: str, tmp_path: Path) -> None:
    """Before the commit is durable, the whole reservation stays counted."""
    make_at(target)
    script = """
reservation = ledger.reserve(STUDY, Decimal("0.01"))
attempt(reservation, 0, 1)
chain.append = after(chain.append)
ledger.commit(reservation)
"""
    process = child(target, tmp_path / "sent", script)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    with checked(target, tmp_path / "sent") as ledger:
        assert ledger.spent().mu_squared >= Decimal("0.01")


def kills(target: str, sent: Path, times: int) -> None:
    """Kill a busy holder at random moments, and check after each."""
    script = """
for study in range(1000):
    reservation = ledger.reserve(STUDY, Decimal("0.005"))
    for number in range(4):
        attempt(reservation, study, number)
        print(number, flush=True)
    ledger.commit(reservation)
"""
    for _ in range(times):
        process = child(target, sent, script)
        assert process.stdout is not None
        for _ in range(1 + secrets.randbelow(12)):
            process.stdout.readline()
        # Spin for up to some milliseconds, so that the kill falls anywhere in a step.
        for _ in range(secrets.randbelow(50_000)):
            pass
        process.kill()
        process.communicate()
        with checked(target, sent):
            pass


def test_killed_at_random_moments(target: str, tmp_path: Path) -> None:
    make_at(target)
    kills(target, tmp_path / "sent", 4)
    assert sent_amount(tmp_path / "sent") >= Decimal("0.004")


@pytest.mark.soak
def test_killed_at_many_random_moments(target: str, tmp_path: Path) -> None:
    make_at(target)
    kills(target, tmp_path / "sent", 40)
    assert sent_amount(tmp_path / "sent") >= Decimal("0.04")


def test_the_check_would_notice_a_holder_that_sends_first(tmp_path: Path) -> None:
    target, sent = str(tmp_path / "store.db"), tmp_path / "sent"
    make_at(target)
    script = """
reservation = ledger.reserve(STUDY, Decimal("0.01"))
send("run/0/1", "0.001")
chain.append = before(chain.append)
attempt(reservation, 0, 1)
"""
    child(target, sent, script).communicate()
    with pytest.raises(AssertionError, match="under-counted"), checked(target, sent):
        pass


def test_processes_cannot_overspend_together(target: str, tmp_path: Path) -> None:
    make_at(target)
    engine = open_store(target)
    whole = reopen(engine).left().mu_squared
    part = whole * 2 / 21  # ten fit, an eleventh does not
    script = f"""
from ringfence.privacy.errors import BudgetError
print("ready", flush=True)
sys.stdin.readline()
made = 0
for _ in range(6):
    try:
        reservation = ledger.reserve(STUDY, Decimal("{part}"))
        made += 1
        attempt(reservation, 0, 1)
    except BudgetError as error:
        assert error.code == "RF-B303", error
print(made, flush=True)
"""
    crowd = [child(target, tmp_path / f"sent-{number}", script) for number in range(4)]
    for process in crowd:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in crowd:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    made = [int(process.communicate()[0]) for process in crowd]
    assert sum(made) == 10
    ledger = reopen(engine)
    assert ledger.spent().mu_squared <= whole
    assert len(ledger.reservations()) == 10
    assert ledger.charged().mu_squared == Decimal("0.01")
    assert os.path.exists(tmp_path / "sent-0")
    engine.dispose()


CROWD = """
import random, threading
from ringfence.privacy.errors import BudgetError
print("ready", flush=True)
sys.stdin.readline()
chance = random.Random(os.urandom(16))

def spend(name):
    for number in range({steps}):
        try:
            reservation = ledger.reserve(STUDY, Decimal(chance.randrange(1, 60)) / 1000)
        except BudgetError as error:
            assert error.code == "RF-B303", error
            continue
        for turn in range(chance.randrange(4)):
            try:
                with ledger.release(
                    reservation, run=name, round=number, attempt=turn,
                    mu_squared=Decimal(chance.randrange(1, 20)) / 1000,
                    part=chance.choice(["train", "test", "both"]),
                ):
                    pass
            except BudgetError as error:
                assert error.code == "RF-B306", error
        if chance.random() < 0.7:
            ledger.commit(reservation)

threads = [threading.Thread(target=spend, args=(run + str(number),)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done", flush=True)
"""


def crowd(target: str, folder: Path, processes: int, steps: int) -> None:
    """Processes of three threads each reserve, charge by part and close as they like, all at one ledger."""
    make_at(target)
    script = CROWD.format(steps=steps)
    everybody = [child(target, folder / f"sent-{number}", script) for number in range(processes)]
    for process in everybody:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in everybody:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in everybody] == ["done\n"] * processes
    engine = open_store(target)
    ledger = reopen(engine)
    state = State()
    for entry in ledger.entries():
        state = advance(state, entry)
        # At no moment did more count as spent than the budget holds, nor less than was charged.
        assert state.charged["mu2"] <= state.counted["mu2"] <= state.budget["mu2"]
    actions = ledger._book._journal.actions()  # type: ignore[attr-defined]
    refused_once = actions.count("budget.refused")
    assert state.sequence == len(actions) - refused_once
    assert refused_once > 0, "the crowd asked for more than there is"
    assert state.counted["mu2"] > state.budget["mu2"] * Decimal("0.8")
    engine.dispose()


def test_a_crowd_never_overdraws(target: str, tmp_path: Path) -> None:
    crowd(target, tmp_path, 3, 12)


@pytest.mark.soak
def test_a_large_crowd_never_overdraws(target: str, tmp_path: Path) -> None:
    crowd(target, tmp_path, 8, 60)
