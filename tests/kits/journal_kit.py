"""A journal in memory, which can be told to fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ringfence.privacy.stores.journal import Json, Outcome


class Noted(NamedTuple):
    """What a journal was told, and whether within a transaction of the teller's."""

    action: str
    outcome: str
    resource: str
    public: dict[str, Any]
    private: dict[str, Any]
    within: bool


@dataclass
class Notebook:
    """Keeps what it is told.

    Attributes:
        events: told so far.
        failure: what is raised at `fail_at`, after `skip` events of that action.
    """

    events: list[Noted] = field(default_factory=list)
    failure: Exception = field(default_factory=lambda: OSError("disk full"))
    fail_at: str = ""
    skip: int = 0

    def record(
        self,
        action: str,
        outcome: Outcome,
        *,
        resource: str,
        public: Mapping[str, Json] | None = None,
        private: Mapping[str, Json] | None = None,
        connection: Connection | None = None,
    ) -> int:
        if action == self.fail_at:
            if self.skip == 0:
                raise self.failure
            self.skip -= 1
        noted = Noted(
            action, outcome, resource, dict(public or {}), dict(private or {}), connection is not None
        )
        self.events.append(noted)
        return len(self.events)

    def actions(self) -> list[tuple[str, str]]:
        return [(event.action, event.outcome) for event in self.events]
