"""The trivial exchange of stock Flower: SuperLink, three SuperNodes, `flwr run`; without TLS and letters."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from ringfence.server.connections.serving import free_loopback_port

_HOLDERS = 3
_LONGEST = 240.0
_APP = """\
import json, time
import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

client = ClientApp()
server = ServerApp()


def content():
    return RecordDict({"a": ArrayRecord({"a": Array(np.zeros(125))})})


@client.query()
def answer(message, context):
    return Message(content(), reply_to=message)


@server.main()
def main(grid, context):
    while len(nodes := list(grid.get_node_ids())) < HOLDERS:
        time.sleep(0.1)
    took = []
    for _ in range(PHASES):
        began = time.monotonic()
        replies = list(grid.send_and_receive([Message(content(), n, "query") for n in nodes], timeout=60))
        assert len(replies) == HOLDERS and not any(reply.has_error() for reply in replies)
        took.append(time.monotonic() - began)
    with open(OUT + ".part", "w") as file:
        json.dump(took, file)
    import os
    os.replace(OUT + ".part", OUT)
"""
_PROJECT = """\
[project]
name = "stock"
version = "1.0.0"
description = ""
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "none"

[tool.flwr.app.components]
serverapp = "stock:server"
clientapp = "stock:client"

[tool.flwr.app.config]
"""


def _programs() -> Path:
    """The folder with Flower's commands: that of this interpreter, or of where Flower lies."""
    here = Path(sys.prefix) / "bin"
    found = find_spec("flwr")
    if (here / "flwr").exists() or found is None or found.origin is None:
        return here
    return Path(found.origin).parents[4] / "bin"


def _laid_out(folder: Path, app: Path, out: Path, count: int, port: int) -> Path:
    """Write the app and Flower's settings; the folder of the latter."""
    app.mkdir()
    head = f"PHASES, HOLDERS, OUT = {count}, {_HOLDERS}, {str(out)!r}\n"
    (app / "stock.py").write_text(head + _APP, encoding="utf-8")
    (app / "pyproject.toml").write_text(_PROJECT, encoding="utf-8")
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n',
        encoding="utf-8",
    )
    return home


def _wait_for(out: Path, said: Path) -> None:
    deadline = time.monotonic() + _LONGEST
    while not out.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(said.read_text(encoding="utf-8", errors="replace")[-3000:])
        time.sleep(0.2)


def _surroundings(home: Path, programs: Path) -> dict[str, str]:
    return {
        **os.environ,
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "PATH": f"{programs}:{os.environ.get('PATH', '')}",
    }


def stock_phases(count: int) -> dict[str, object]:
    """Seconds of phases of stock Flower on this machine.

    Raises:
        RuntimeError: it did not finish; what its processes said.
    """
    programs = _programs()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        out, app = folder / "took.json", folder / "app"
        port = free_loopback_port()
        home = _laid_out(folder, app, out, count, port)
        env = _surroundings(home, programs)
        said = stack.enter_context((folder / "said.txt").open("wb"))

        def start(*words: object) -> None:
            process = subprocess.Popen(
                [str(programs / str(words[0])), *map(str, words[1:])],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)

        start(
            "flower-superlink",
            "--insecure",
            "--host",
            "127.0.0.1",
            "--port",
            port,
            "--disable-runtime-dependency-installation",
        )
        time.sleep(5)
        for _ in range(_HOLDERS):
            start(
                "flower-supernode",
                "--insecure",
                "--superlink",
                f"127.0.0.1:{port}",
                "--port",
                free_loopback_port(),
            )
        time.sleep(8)
        start("flwr", "run", app, "here")
        _wait_for(out, folder / "said.txt")
        took = json.loads(out.read_text(encoding="utf-8"))
    return {
        "holders": _HOLDERS,
        "phases": count,
        "median_s": round(statistics.median(took), 3),
        "longest_s": round(max(took), 3),
    }
