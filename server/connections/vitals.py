"""What a coordinator's serving process knows of itself, for its people, its probes and its other processes.

Which holder was heard of when is kept beside the gateway, to half a minute. Nothing of a study is counted:
how often a holder asks and when it answers shows how long it computed, and that grows with its rows.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ringfence.privacy.command_line.terminal import write_atomically

FILE = "heard.json"
GRID = 30
"""Seconds to which the moment is rounded down at which a holder was heard of."""
LOST_AFTER = 90.0
_ALIVE_WITHIN = 30.0


@dataclass(slots=True, kw_only=True)
class Vitals:
    """Of one process that serves.

    Attributes:
        folder: of the gateway, where what was heard is kept; None keeps nothing.
        clock: seconds since 1970.
        steady: seconds that only grow.
        refusals: requests that the gateway refused, by status.
        heard: when each holder was heard of last, seconds since 1970, by its public key, hex.
        restarts: how often Flower's link ended and was started again.
        link: whether it runs.
        door: whether holders can connect.
    """

    folder: Path | None = None
    clock: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    refusals: Counter[int] = field(default_factory=Counter)
    heard: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    link: bool = False
    door: bool = False
    _ticked: float | None = field(default=None)
    _kept: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Go on from what an earlier process kept."""
        if self.folder is not None:
            self.heard.update(last_heard(self.folder))
            self._kept = dict(self.heard)

    def answered(self, identity: str, status: int) -> None:
        """The gateway answered a holder, or somebody unknown (an empty identity)."""
        if status < 400 and identity:
            self.heard[identity] = int(self.clock()) // GRID * GRID
        elif 400 <= status < 500:
            self.refusals[status] += 1

    def tick(self) -> None:
        """The process looked after everything once more; keeps what is new."""
        self._ticked = self.steady()
        if self.folder is not None and self.heard != self._kept:
            self._kept = dict(self.heard)
            with suppress(Exception):  # a full disk stops no gateway
                write_atomically(self.folder / FILE, json.dumps(self._kept).encode())

    @property
    def alive(self) -> bool:
        """Whether it looked after everything lately."""
        return self._ticked is not None and self.steady() - self._ticked < _ALIVE_WITHIN

    @property
    def ready(self) -> bool:
        """Whether a holder could connect and be answered."""
        return self.alive and self.link and self.door


def last_heard(folder: Path) -> Mapping[str, int]:
    """When each holder was heard of last, seconds since 1970, by its key; nothing that cannot be read."""
    try:
        said = json.loads((folder / FILE).read_bytes())
        return {str(key): int(value) for key, value in said.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def moment_of(seconds: int) -> datetime:
    """As a moment, UTC."""
    return datetime.fromtimestamp(seconds, UTC)
