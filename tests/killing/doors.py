"""Steps of the gateway and of Flower's link: each route of a node's, before it is passed on and when it was.

The process of `serve` looks for a file of the harness that names a step; when that is reached it takes the
file away, and kills itself or the link behind it.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from killing.watching import AFTER, BEFORE

from ringfence.server.connections.gateway import PREFIX, ROUTES, Gateway

SERVE, LINK = "serve with its gateway", "Flower's link"
LEAVING = "deactivate-node"
"""A node calls this when it is stopped, and so never within a study."""
TURN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Who dies when a route is called for the `TURN`-th time.

    Attributes:
        victim: `SERVE` or `LINK`.
        route: without its prefix.
        when: before it is passed on, or when it was answered.
    """

    victim: str
    route: str
    when: str

    def put(self, file: Path) -> None:
        """Ask for it, in one piece."""
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        fresh.replace(file)


def doors() -> list[Door]:
    """All of them."""
    names = sorted(route.removeprefix(PREFIX) for route in ROUTES)
    return [
        Door(victim=victim, route=name, when=when)
        for name in names
        if name != LEAVING
        for victim in (SERVE, LINK)
        for when in (BEFORE, AFTER)
    ]


def watched(file: Path) -> None:
    """From now on this process looks for steps in the file."""
    call, turns = Gateway.__call__, Counter[str]()

    async def called(gateway: Gateway, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        _reached(file, path, BEFORE, turns)
        await call(gateway, scope, receive, send)
        _reached(file, path, AFTER, turns)

    Gateway.__call__ = called  # type: ignore[method-assign]


def _reached(file: Path, path: str, when: str, turns: Counter[str]) -> None:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    asked = Door(**json.loads(text))
    if (PREFIX + asked.route, asked.when) != (path, when):
        return
    turns[text] += 1
    if turns[text] < TURN:
        return
    file.unlink()
    victim = os.getpid() if asked.victim == SERVE else link_of(os.getpid())
    if victim:
        os.kill(victim, signal.SIGKILL)


def link_of(serve: int) -> int:
    """Flower's link, a child of `serve`; 0 where there is none."""
    for task in Path(f"/proc/{serve}/task").glob("*"):
        try:
            children = (task / "children").read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in children:
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            if b"flower_superlink" in words:
                return int(child)
    return 0
