"""Parties of a federation in network namespaces of their own, joined by a bridge in one more.

`ip` of iproute2 makes them, and only in them do their addresses exist: the machine's own interfaces stay as
they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

_BRIDGE = "hub"
_KNOCK = """\
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()
except OSError as error:
    print(error)
else:
    print("open")
"""
_LISTEN = """\
import socket, time
with socket.create_server(("0.0.0.0", {port})):
    print("listens", flush=True)
    time.sleep(600)
"""


def _run(*words: str) -> str:
    """What a command said; it must succeed."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Who sits where.

    prefix: begins the names of all namespaces of this process.
    addresses: of each party, by its name.
    """

    prefix: str
    addresses: dict[str, str]

    def inside(self, name: str) -> tuple[str, ...]:
        """The words before a command that let it run in a party's namespace; `ip` becomes the command."""
        return ("ip", "netns", "exec", self.prefix + name)

    def knock(self, name: str, address: str, port: int) -> str:
        """`open`, or why a party does not reach a port."""
        return _run(*self.inside(name), sys.executable, "-S", "-c", _KNOCK, address, str(port)).strip()

    def listening(self, name: str) -> list[tuple[str, int]]:
        """Addresses and ports on which anything of a party's namespace listens."""
        found = []
        for line in _run(*self.inside(name), "ss", "-Hltn").splitlines():
            address, _colon, port = line.split()[3].rpartition(":")
            found.append((address, int(port)))
        return found

    @contextmanager
    def listener(self, name: str, port: int) -> Iterator[None]:
        """Something that listens at all addresses of a party's namespace."""
        words = (*self.inside(name), sys.executable, "-S", "-c", _LISTEN.format(port=port))
        with subprocess.Popen(words, stdout=subprocess.PIPE) as running:
            try:
                assert running.stdout is not None
                assert running.stdout.readline() == b"listens\n"
                yield
            finally:
                running.kill()

    def worsen(self, delay: str, loss: str) -> None:
        """Delay and lose packets at the bridge's end of every link, so that both ways suffer once each."""
        for number in range(len(self.addresses)):
            words = ("dev", f"port{number}", "root", "netem", "delay", delay, "loss", loss)
            done = subprocess.run(
                ("tc", "-n", self.prefix + _BRIDGE, "qdisc", "replace", *words),
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"tc cannot delay packets on this machine: {done.stderr.strip()}")


def _add(stack: ExitStack, namespace: str) -> None:
    """Make one namespace, which goes when the stack does; its loopback is up."""
    done = subprocess.run(
        ("ip", "netns", "add", namespace), capture_output=True, text=True, timeout=30, check=False
    )
    if done.returncode:
        pytest.skip(f"this machine lets nobody make a network namespace: {done.stderr.strip()}")
    stack.callback(_run, "ip", "netns", "del", namespace)
    _run("ip", "-n", namespace, "link", "set", "lo", "up")


@contextmanager
def networks(coordinator: str, holders: tuple[str, ...]) -> Iterator[Networks]:
    """A namespace for each party; the bridge passes nothing from one holder to another.

    Args:
        coordinator: its name.
        holders: their names.
    """
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    for program in ("ip", "ss", "tc"):
        if shutil.which(program) is None:
            pytest.skip(f"no command {program} (Debian: iproute2)")
    prefix = f"rf{os.getpid()}-"
    parties = (coordinator, *holders)
    addresses = {name: f"10.77.0.{number}" for number, name in enumerate(parties, start=1)}
    with ExitStack() as stack:
        hub = prefix + _BRIDGE
        _add(stack, hub)
        _run("ip", "-n", hub, "link", "add", "bridge0", "type", "bridge")
        _run("ip", "-n", hub, "link", "set", "bridge0", "up")
        for number, name in enumerate(parties):
            here, port = prefix + name, f"port{number}"
            _add(stack, here)
            peer = ("type", "veth", "peer", "name", "wan", "netns", here)
            _run("ip", "-n", hub, "link", "add", port, *peer)
            _run("ip", "-n", hub, "link", "set", port, "master", "bridge0")
            if name != coordinator:
                _run("ip", "-n", hub, "link", "set", port, "type", "bridge_slave", "isolated", "on")
            _run("ip", "-n", hub, "link", "set", port, "up")
            _run("ip", "-n", here, "address", "add", f"{addresses[name]}/24", "dev", "wan")
            _run("ip", "-n", here, "link", "set", "wan", "up")
        yield Networks(prefix=prefix, addresses=addresses)
