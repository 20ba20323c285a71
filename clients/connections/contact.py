"""When a holder's node last heard of its gateway, for the house's own people and its other processes.

Heard is a heartbeat, which a node sends every ten seconds whatever it computes. Nothing of a study shows in
it: neither what was asked nor how long an answer took, which would tell of the number of rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ringfence.privacy.command_line.terminal import write_atomically
from ringfence.privacy.wire.fields import utc_now

FILE = "contact.json"
KEPT_EVERY = timedelta(seconds=30)
LOST_AFTER = timedelta(seconds=45)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastContact:
    """What another process finds.

    Attributes:
        heard: when the gateway answered last, UTC, or None.
        trouble: what kept it from answering since, with its code, or empty.
    """

    heard: datetime | None = None
    trouble: str = ""

    @classmethod
    def read(cls, folder: Path) -> LastContact:
        """What the folder of a membership keeps; nothing where there is nothing that can be read."""
        try:
            said = json.loads((folder / FILE).read_bytes())
            heard = datetime.fromisoformat(said["heard"]) if said["heard"] else None
            if heard is not None and heard.tzinfo is None:
                return cls()
            return cls(heard=heard, trouble=str(said["trouble"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()


@dataclass(slots=True, kw_only=True)
class Contact:
    """What a node that runs knows of its gateway.

    Attributes:
        folder: of the membership; None keeps nothing.
        clock: the moment.
        heard: when it answered last.
        trouble: what keeps it from answering; empty while it answers.
    """

    folder: Path | None = None
    clock: Callable[[], datetime] = utc_now
    heard: datetime | None = None
    trouble: str = ""
    _kept: datetime | None = field(default=None)

    @property
    def connected(self) -> bool:
        """Whether the gateway answers at this moment."""
        return (
            not self.trouble
            and self.heard is not None
            and timedelta(0) <= self.clock() - self.heard < LOST_AFTER
        )

    def answered(self) -> None:
        """A heartbeat was answered, or the node was let in."""
        now = self.clock()
        news = bool(self.trouble) or self._kept is None or not timedelta(0) <= now - self._kept < KEPT_EVERY
        self.heard, self.trouble = now, ""
        if news:
            self._keep(now)

    def failed(self, told: str) -> None:
        """It could not be reached; `told` begins with a code."""
        if told != self.trouble:
            self.trouble = told
            self._keep(self.clock())

    def _keep(self, now: datetime) -> None:
        if self.folder is None:
            return
        self._kept = now
        heard = "" if self.heard is None else self.heard.isoformat(timespec="seconds")
        with suppress(Exception):  # a full disk stops no node
            said = json.dumps({"heard": heard, "trouble": self.trouble})
            write_atomically(self.folder / FILE, said.encode())
