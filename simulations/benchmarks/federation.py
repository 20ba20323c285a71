"""Phases over a real link and gateway: how long one takes, beside stock Flower, and what idle holders cost.

A phase is one exchange of sealed letters with all holders: through the gateway with certificates of both
sides, over Flower's link, to nodes that answer with a message of the same size. Nodes, gateway and
coordinator are threads of this process and share its interpreter; the link is a process of its own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization

from ringfence.clients.connections.supernode import Place, SuperNode
from ringfence.clients.flower import make_client_app
from ringfence.clients.letters import LetterBox
from ringfence.privacy.command_line.terminal import run
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.tls_keys import key_pem, node_key, public_bytes, request_for, tls_key
from ringfence.privacy.protocol.control import COORDINATOR, Unavailable, seal_message
from ringfence.privacy.wire.envelope import MessageKind, read_header, seal
from ringfence.server.connections.certificates import Authority
from ringfence.server.connections.gateway import DoorFiles, Gateway, door_server
from ringfence.server.connections.serving import free_loopback_port
from ringfence.server.connections.superlink import MEMORY, LinkFiles, SuperLink
from ringfence.server.flower import FlowerTransport
from ringfence.server.letters import Letters
from ringfence.simulations.benchmarks.stock import stock_phases
from ringfence.simulations.cli import command

_STUDY, _RUN = "sha256:" + "0" * 64, "0" * 32
_IDLE_AFTER = 35.0  # nodes look every 5 s once nothing came for 30 s
_HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Trivial:
    """Stands in for an agent: answers every message with so many bytes."""

    holder: Any
    size: int

    def handle(self, data: bytes) -> bytes:
        header = read_header(data)
        if not self.size:
            return seal_message(
                self.holder.identity,
                Unavailable(),
                study=header.study,
                run=header.run,
                sender=self.holder.name,
                recipient=COORDINATOR,
            )
        return _large(self.holder.identity, self.holder.name, COORDINATOR, self.size)

    def report(self, sentence: str) -> None:
        print(self.holder.name, sentence)


def _large(identity: Identity, sender: str, recipient: str, size: int) -> bytes:
    """A message that holds so many bytes."""
    return seal(
        identity,
        kind=MessageKind.MASKED_UPDATE,
        study=_STUDY,
        run=_RUN,
        sender=sender,
        recipient=recipient,
        payload=bytes(size),
    )


@contextmanager
def federation(folder: Path, count: int, database: str, size: int) -> Iterator[tuple[Letters, SuperLink]]:
    """A coordinator's letters to so many connected holders."""
    now = datetime.datetime.now(datetime.UTC)
    coordinator, stop = Identity.generate("coordinator"), threading.Event()
    with ExitStack() as stack:
        authority = Authority.found("benchmark", now)
        names = ("link", "door")
        files = {name: _certified(folder, name, authority, now) for name in names}
        (folder / "authority.pem").write_bytes(authority.pem)
        link = SuperLink.start(
            LinkFiles(
                folder=folder / "link",
                certificate=files["link"][0],
                key=files["link"][1],
                authority=folder / "authority.pem",
                database=database,
            ),
            free_loopback_port(),
        )
        stack.callback(link.stop)
        allowed: dict[str, bytes] = {}
        port = free_loopback_port()
        app = Gateway(link=lambda: link.address, authority=folder / "authority.pem", allowed=lambda: allowed)
        door = DoorFiles(
            certificate=files["door"][0], key=files["door"][1], partners=folder / "authority.pem"
        )
        server = door_server(app, door, "127.0.0.1", port)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        stack.callback(lambda: setattr(server, "should_exit", True))
        while not server.started:
            time.sleep(0.01)
        nodes, keys = dict[str, int](), dict[str, PublicIdentity]()
        for number in range(count):
            name, identity, key = f"holder{number:02d}", Identity.generate("holder"), node_key()
            place = _place(folder, name, authority, f"127.0.0.1:{port}", public_bytes(key), allowed, now)
            nodes[name], keys[name] = link.register(public_bytes(key), name), identity.public
            holder = SimpleNamespace(
                name=name,
                identity=identity,
                coordinator=coordinator.public,
                clock=lambda: datetime.datetime.now(datetime.UTC),
            )
            agent: Any = _Trivial(holder, size)
            box = LetterBox(agent=agent)
            node = SuperNode(
                place=place,
                key=key,
                app=_app_of(box),
                report=print,
            )
            threading.Thread(target=node.serve, args=(stop,), daemon=True).start()
        stack.callback(stop.set)
        grid, _series = stack.enter_context(link.run())
        carrier = FlowerTransport(grid=grid, nodes=nodes, timeout=120.0, arrivals=grid)
        while len(carrier.present(nodes)) < count:
            time.sleep(0.1)
        yield Letters(carrier=carrier, identity=coordinator, holders=keys, report=print), link


def _app_of(box: LetterBox) -> Any:
    return make_client_app(lambda _context: box)


def _certified(folder: Path, name: str, authority: Authority, now: datetime.datetime) -> tuple[Path, Path]:
    key = tls_key()
    made = authority.for_server(key.public_key(), ("127.0.0.1",), now)
    at, secret = folder / f"{name}.pem", folder / f"{name}.key"
    at.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.touch(mode=0o600)
    secret.write_bytes(key_pem(key))
    return at, secret


def _place(
    folder: Path,
    name: str,
    authority: Authority,
    address: str,
    node: bytes,
    allowed: dict[str, bytes],
    now: datetime.datetime,
) -> Place:
    import ssl

    key = tls_key()
    made = authority.for_holder(request_for(key, name), name, now)
    at, secret = folder / f"{name}.pem", folder / f"{name}.key"
    at.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.touch(mode=0o600)
    secret.write_bytes(key_pem(key))
    allowed[made.fingerprint(hashes.SHA256()).hex()] = node
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.load_cert_chain(at, secret)
    return Place(address=address, tls=context)


def _message(letters: Letters, name: str, size: int) -> bytes:
    if size:
        return _large(letters.identity, COORDINATOR, name, size)
    return seal_message(
        letters.identity, Unavailable(), study=_STUDY, run=_RUN, sender=COORDINATOR, recipient=name
    )


def phases(letters: Letters, count: int, size: int = 0) -> list[float]:
    """Seconds of each of so many phases, after one that greets.

    Raises:
        RuntimeError: a holder did not answer.
    """
    took = []
    for number in range(count + 1):
        began = time.monotonic()
        found = letters.exchange({name: _message(letters, name, size) for name in letters.holders})
        if len(found) != len(letters.holders):
            raise RuntimeError(f"{len(found)} of {len(letters.holders)} answered")
        if number:
            took.append(time.monotonic() - began)
    return took


def _measured(count: int, database: str, rounds: int, size: int = 0) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        at = MEMORY if database == "memory" else str(Path(name) / "link.sqlite")
        with federation(Path(name), count, at, size) as (letters, link):
            before = _cpu(link.pid) + time.process_time()
            took = phases(letters, rounds, size)
            cpu = _cpu(link.pid) + time.process_time() - before
    return {
        "holders": count,
        "database": database,
        "bytes": size,
        "phases": rounds,
        "median_s": round(statistics.median(took), 3),
        "longest_s": round(max(took), 3),
        "sum_s": round(sum(took), 2),
        "cpu_s_a_phase": round(cpu / (rounds + 1), 3),
        "load": round(os.getloadavg()[0], 1),
    }


def _idle(count: int, database: str, seconds: float) -> dict[str, object]:
    """Percent of a core while holders poll: of the link, and of the gateway together with the nodes."""
    with tempfile.TemporaryDirectory() as name:
        at = MEMORY if database == "memory" else str(Path(name) / "link.sqlite")
        with federation(Path(name), count, at, 0) as (letters, link):
            phases(letters, 1)
            time.sleep(_IDLE_AFTER)
            before, began = (_cpu(link.pid), time.process_time()), time.monotonic()
            time.sleep(seconds)
            passed = time.monotonic() - began
            here, there = time.process_time() - before[1], _cpu(link.pid) - before[0]
    return {
        "holders": count,
        "database": database,
        "seconds": round(passed, 1),
        "link_percent": round(100 * there / passed, 2),
        "gateway_and_nodes_percent": round(100 * here / passed, 2),
        "percent_a_holder_at_most": round(100 * (here + there) / passed / count, 2),
    }


def _telco(*, deaths: bool) -> dict[str, object]:
    """The whole Telco scorecard study over real processes, from `study run` to its cosigned release.

    Raises:
        RuntimeError: it did not end as it should.
    """
    with tempfile.TemporaryDirectory() as name:
        told = Path(name) / "told.json"
        words = ["federation", "--case", "telco", "--out", str(Path(name) / "telco"), "--json", str(told)]
        words += [] if deaths else ["--undisturbed"]
        if run(command, words, program="ringfence-simulate"):
            raise RuntimeError("the Telco study did not end with a release")
        found = json.loads(told.read_text(encoding="utf-8"))
    return {
        "seconds_from_study_run_to_release": found["seconds_of_the_study"],
        "deaths": deaths,
        "load": round(os.getloadavg()[0], 1),
    }


def _cpu(pid: int) -> float:
    """Seconds of the processor of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _HERTZ


def main(words: list[str] | None = None) -> int:
    """Measure what is named, write it beside what was measured before, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="memory,sqlite,stock,idle3")
    parser.add_argument("--phases", type=int, default=15)
    parser.add_argument("--json", type=Path, default=Path("out/bench/federation.json"))
    given = parser.parse_args(words)
    rounds = given.phases
    parts: Mapping[str, Callable[[], dict[str, object]]] = {
        "memory": lambda: _measured(3, "memory", rounds),
        "sqlite": lambda: _measured(3, "sqlite", rounds),
        "stock": lambda: stock_phases(min(rounds, 5)),
        "idle3": lambda: _idle(3, "memory", 60),
        "idle10": lambda: _idle(10, "memory", 60),
        "ten": lambda: _measured(10, "memory", rounds),
        "thirty": lambda: _measured(30, "memory", rounds),
        "hundred-rounds": lambda: _measured(3, "memory", 100),
        "telco": lambda: _telco(deaths=False),
        "telco-deaths": lambda: _telco(deaths=True),
        "large": lambda: _measured(1, "memory", 1, 100_000_000),
    }
    given.json.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(given.json.read_text(encoding="utf-8")) if given.json.exists() else {}
    for part in given.parts.split(","):
        found[part] = parts[part]()
        print(f"{part:15} {found[part]}", flush=True)
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if {"memory", "stock"} <= found.keys():
        print(f"stock takes {found['stock']['median_s'] / found['memory']['median_s']:.1f} times as long")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
