"""The ledger under kill -9 at any line it executes, or any instruction, from reservation to commit.

A child of a warm process opens the ledger, arms a tracer that counts what the ledger's modules execute, and
takes a study from reservation to commit with charges in both parts; the tracer kills it at the n-th count.
The parent then verifies the chain and that nothing had left uncharged. Of some 800 lines and 8,000
instructions the short form takes ten lines, other ones each time it runs; the long form takes every third
line or so and 200 instructions, on both kinds of store.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kits.ledger_support import make_at

TESTS = Path(__file__).parents[2]

SWEEP = '''
import json, os, secrets, signal, sys
from decimal import Decimal
sys.path.insert(0, {tests!r})
from kits import ledger_support as kit
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.stores.store import open_store

target, sent_path, kind, stride, most = {target!r}, {sent!r}, {kind!r}, {stride!r}, {most!r}
TRAIN, TEST = Decimal("0.00002"), Decimal("0.00003")

def tracer(deadly):
    count = 0
    def local(frame, event, argument):
        nonlocal count
        if event == kind:
            count += 1
            if count == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        return local
    def enter(frame, event, argument):
        if "/privacy/ledger/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = kind == "opcode"
        return local
    return enter

def live(deadly):
    """A study of one charge for both parts, one for each, and its end; what left is on the disk at once."""
    ledger = kit.reopen(open_store(target))
    journal = ledger._book._journal
    sent = os.open(sent_path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    run = "run-" + secrets.token_hex(8)
    sys.settrace(tracer(deadly))
    reservation = ledger.reserve(kit.STUDY, Decimal("0.00006"))
    for number, (part, amount) in enumerate((("both", TRAIN), ("train", TRAIN), ("test", TEST))):
        with ledger.release(
            reservation, run=run, round=number, attempt=0, mu_squared=amount, part=part
        ) as own:
            journal.record("waist.send", "allow", resource="study:x", connection=own)
        os.write(sent, (run + " " + part + " " + str(amount) + "\\n").encode())
        os.fsync(sent)
    ledger.commit(reservation)
    sys.settrace(None)

def owed():
    """What any one customer lost, by what really left: over studies, the dearer part of each."""
    studies = dict()
    for line in open(sent_path) if os.path.exists(sent_path) else ():
        run, part, amount = line.split()
        lost = studies.setdefault(run, dict(train=Decimal(0), test=Decimal(0)))
        for each in lost:
            if part in (each, "both"):
                lost[each] += Decimal(amount)
    return sum((max(lost.values()) for lost in studies.values()), Decimal(0))

def check():
    engine = open_store(target)
    ledger = kit.reopen(engine)
    charged, spent = ledger.charged().mu_squared, ledger.spent().mu_squared
    assert charged >= owed(), "under-counted"
    assert spent >= charged
    kinds = [entry.kind for entry in ledger.entries()]
    actions = ledger._book._journal.actions()
    assert actions.count("budget.charged") == kinds.count("charged") == actions.count("waist.send")
    assert actions.count("budget.reserved") == kinds.count("reserved")
    assert actions.count("budget.closed") == kinds.count("committed")
    for left in ledger.reservations():
        ledger.commit(left)
    assert ledger.spent().mu_squared == ledger.charged().mu_squared >= owed()
    engine.dispose()

deadly, killed, whole = secrets.randbelow(stride) + 1, 0, 0
while killed < most:
    child = os.fork()
    if not child:
        try:
            live(deadly)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        killed += 1
        deadly += secrets.randbelow(2 * stride) + 1 if stride > 1 else 1
    else:
        assert os.WEXITSTATUS(status) == 0
        whole += 1
        break
    check()
check()
print(json.dumps(dict(killed=killed, whole=whole, last=deadly)))
'''


def sweep(target: str, folder: Path, kind: str, stride: int, most: int, mutant: str = "") -> dict[str, int]:
    """Kill at every `stride`-th count or so; what the sweep found."""
    make_at(target)
    script = SWEEP.format(
        tests=str(TESTS), target=target, sent=str(folder / "sent"), kind=kind, stride=stride, most=most
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", mutant + script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_killed_at_lines_here_and_there(target: str, tmp_path: Path) -> None:
    found = sweep(target, tmp_path, "line", 90, 100)
    assert found["killed"] >= 4
    assert found["whole"] == 1, "the sweep reached the end of the study"


@pytest.mark.soak
def test_killed_at_every_third_line(target: str, tmp_path: Path) -> None:
    found = sweep(target, tmp_path, "line", 3, 10**6)
    assert found["killed"] > 150
    assert found["whole"] == 1


@pytest.mark.soak
def test_killed_at_instructions(target: str, tmp_path: Path) -> None:
    found = sweep(target, tmp_path, "opcode", 40, 10**6)
    assert found["killed"] > 100


EARLY = """
import os
from ringfence.privacy.ledger import ledger as module
from contextlib import contextmanager
from ringfence.privacy.ledger import book

# A product that lets the value go before the charge is durable: the charge is written by the next call.
_deciding, late = book.Book.deciding, []

@contextmanager
def deciding(self, step, connection=None):
    if step.record.kind != "charged":
        for own, charge in late:
            with _deciding(own, charge):
                pass
        late.clear()
        with _deciding(self, step, connection) as found:
            yield found
        return
    late.append((self, step))
    with self._engine.begin() as open_:
        yield open_, None

book.Book.deciding = deciding
"""


def test_the_sweep_would_notice_a_ledger_that_charges_late(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="under-counted"):
        sweep(str(tmp_path / "store.db"), tmp_path, "line", 90, 100, EARLY)
