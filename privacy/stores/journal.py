"""What the privacy layer asks of an audit log, so that it needs none of the log's code.

Invariant (DESIGN, 6.3): an event is durable before the reply it speaks of; given a connection it is written
in the caller's transaction, so that a ledger entry and its event stand or fall together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol, TypeAlias

from sqlalchemy import Connection

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json]"
Outcome: TypeAlias = Literal["allow", "deny", "error"]


def listed(names: Iterable[str]) -> list[Json]:
    """Names in order, as a member of an event."""
    members: list[Json] = []
    members.extend(sorted(names))
    return members


class Journal(Protocol):
    """An append-only log of events; `ringfence.audit.log.AuditLog` is the one in use."""

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
        """Append one event and return its sequence number.

        Args:
            action: a name from the closed list of event types, e.g. `waist.send`.
            outcome: allow, deny or error.
            resource: what it was done to, e.g. `study:sha256:...`.
            public: members everybody may read; no customer id, name, free text, exact count, unsalted hash.
            private: members that stay with the log's owner; the leaf holds only their salted digest.
            connection: an open transaction to take part in; without one the log commits by itself.
        """
        ...
