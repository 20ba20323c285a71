"""A federation over Flower on Ray: the model of the in-process runner bit for bit, and nothing left
behind.
"""

from __future__ import annotations

import gc
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message
from kits.flower_kit import LocalGrid, context_of, take_task
from kits.noise import SeededNoises
from kits.parties import federation_of

from ringfence.audit.events import Profile
from ringfence.clients.holder import Holder
from ringfence.models.scorecard.parts import FeaturePart
from ringfence.privacy.errors import UsageError, WaistError
from ringfence.simulations import flower
from ringfence.simulations.federation import Federation, Outcome, run_in_process
from ringfence.simulations.flower import run_on_flower

NAMES = ("bank", "retailer", "partner", "insurer")
NODES = (40, 10, 30, 20)
# The insurer's table is too small for its own contract: it stays away, and says so to its own people.
STRICT = {"insurer": {"min_cohort": 4000}}


def federation(folder: Path, *, profile: Profile = "durable", min_holders: int = 3) -> Federation:
    folder.mkdir()
    return federation_of(
        folder,
        names=NAMES,
        customers=300,
        profile=profile,
        contracts=STRICT,
        privacy={"min_holders": min_holders},
    )


def parts(outcome: Outcome) -> tuple[FeaturePart, ...]:
    return outcome.card.parts


@pytest.fixture
def spared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, to see what stays in it; short, since Ray keeps sockets in it."""
    with tempfile.TemporaryDirectory(prefix="rf") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)
        monkeypatch.undo()


def descendants() -> set[str]:
    """Commands of the processes that this one started, or their children."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
        if rest[0] != "Z":
            parents[int(stat.parent.name)], names[int(stat.parent.name)] = int(rest[1]), name
    found = {os.getpid()}
    while grown := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= grown
    return {names[pid] for pid in found - {os.getpid()}}


# Of Ray's own doing: it neither waits for the processes that it kills nor closes what it opened for them.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.filterwarnings("ignore:unclosed file .*/dev/null:ResourceWarning")
def test_the_model_on_ray_is_the_one_in_process_bit_for_bit(
    tmp_path: Path, spared: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    here, _ = run_in_process(federation(tmp_path / "here"), noise=SeededNoises(1))
    environment, handlers = dict(os.environ), signal.getsignal(signal.SIGINT)
    said: list[str] = []
    steps: list[int] = []
    capfd.readouterr()

    asked = federation(tmp_path / "there")
    there, holders = run_on_flower(
        asked, noise=SeededNoises(1), progress=lambda reached, *_: steps.append(reached), say=said.append
    )

    assert parts(there) == parts(here)
    assert there.metrics == here.metrics
    assert there.release.holders == ("bank", "partner", "retailer")
    assert there.release.attempts == (1,) * len(asked.opened.plan.rounds)
    assert steps == list(range(len(asked.opened.plan.rounds) + 1))
    # What the insurer refused came by its own file.
    assert there.refusals["insurer"] == here.refusals["insurer"]
    assert said == [f"insurer: {sentence}" for sentence in there.refusals["insurer"]]
    _check_stores(asked, holders)
    # Nothing stays and nothing was said by others.
    assert capfd.readouterr() == ("", "")
    assert list(spared.iterdir()) == []
    assert dict(os.environ) == environment
    assert signal.getsignal(signal.SIGINT) == handlers
    assert not {name for name in descendants() if "ray" in name or "gcs" in name}
    gc.collect()  # so that what Ray left unfinished is complained of here, where it is allowed


def _check_stores(asked: Federation, holders: dict[str, Holder]) -> None:
    """The driver reads what the actor wrote."""
    for name in ("bank", "partner", "retailer"):
        holder = holders[name]
        holder.log.check()
        assert float(holder.ledger.charged().mu_squared) == pytest.approx(asked.price().mu ** 2, rel=1e-9)
        anchored = asked.coordinator.log.anchored(holder.log.origin)
        assert anchored is not None
        assert anchored.size <= holder.log.size


def test_other_noise_gives_another_model(tmp_path: Path) -> None:
    """So the comparison above can fail."""
    first, _ = run_in_process(federation(tmp_path / "a"), noise=SeededNoises(1))
    second, _ = run_in_process(federation(tmp_path / "b"), noise=SeededNoises(2))
    assert parts(first) != parts(second)


# --- without Ray: Flower's simulation replaced by a grid in this process -----------------------------------


def local(server_app: Any, client_app: Any, nodes: int, **_: Any) -> None:
    server_app(LocalGrid(apps=dict.fromkeys(NODES[:nodes], client_app)), context_of(0))


def simulate(monkeypatch: pytest.MonkeyPatch, simulation: Callable[..., None]) -> None:
    take_task(monkeypatch)
    monkeypatch.setattr("flwr.simulation.run_simulation", simulation)


def test_the_same_code_over_a_local_grid(
    tmp_path: Path, spared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, local)
    outcome, _ = run_on_flower(federation(tmp_path / "a"), noise=SeededNoises(1))
    here, _ = run_in_process(federation(tmp_path / "b"), noise=SeededNoises(1))
    assert parts(outcome) == parts(here)
    assert list(spared.iterdir()) == []


def test_a_study_that_fails_says_why_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, local)
    said: list[str] = []
    with pytest.raises(WaistError, match="insurer"):
        run_on_flower(federation(tmp_path / "a", min_holders=4), say=said.append)
    assert said[0].startswith("insurer: ")


def test_a_holder_that_cannot_be_opened_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, local)
    asked = federation(tmp_path / "a")
    (tmp_path / "a" / "bank-consent.csv").unlink()
    said: list[str] = []
    with pytest.raises(WaistError, match="bank"):
        run_on_flower(asked, say=said.append)
    assert any(sentence.startswith("bank: ") for sentence in said)


def test_ctrl_c_ends_the_study_and_flower_with_it(
    tmp_path: Path, spared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)

    def interrupted(server_app: Any, _client_app: Any, _nodes: int, **_: Any) -> None:
        # The nodes never come; as in Flower, the main thread waits for the server app's.
        thread = threading.Thread(target=server_app, args=(LocalGrid(apps={}), context_of(0)))
        thread.start()
        signal.raise_signal(signal.SIGINT)
        thread.join()

    simulate(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_on_flower(federation(tmp_path / "a"))
    assert signal.getsignal(signal.SIGINT) == before
    assert list(spared.iterdir()) == []


def test_a_simulation_that_does_not_start_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(server_app: Any, _client_app: Any, _nodes: int, **_: Any) -> None:
        threading.Thread(target=server_app, args=(LocalGrid(apps={}), context_of(0))).start()
        raise RuntimeError("An error was encountered. Ending simulation.") from MemoryError("12345")

    simulate(monkeypatch, broken)
    with pytest.raises(UsageError, match="MemoryError") as caught:
        run_on_flower(federation(tmp_path / "a"))
    assert caught.value.code == "RF-U347"
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize("survives", [0, 9])
def test_an_actor_that_dies_ends_the_study_with_a_sentence(
    survives: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the study or in the middle of it; Flower answers in the dead actor's place."""
    pulled = []

    def deliver(_grid: LocalGrid, message: Message, reply: Message) -> Iterable[Message]:
        pulled.append(message)
        dead = len(pulled) > survives
        return [Message(Error(code=0, reason="ActorDiedError 12345"), reply_to=message) if dead else reply]

    def dying(server_app: Any, client_app: Any, nodes: int, **_: Any) -> None:
        grid = LocalGrid(apps=dict.fromkeys(NODES[:nodes], client_app), deliver=deliver)
        server_app(grid, context_of(0))

    simulate(monkeypatch, dying)
    with pytest.raises(UsageError, match="ClientApp") as caught:
        run_on_flower(federation(tmp_path / "a"))
    assert caught.value.code == "RF-U347"
    assert "12345" not in str(caught.value)
    assert len(pulled) > survives


def test_stores_in_memory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run_on_flower(federation(tmp_path / "a", profile="simulation"))
    assert caught.value.code == "RF-U346"


def test_without_ray_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(flower, "find_spec", nothing)
    with pytest.raises(UsageError, match=r"ringfence\[simulate\]") as caught:
        run_on_flower(federation(tmp_path / "a"))
    assert caught.value.code == "RF-U345"
