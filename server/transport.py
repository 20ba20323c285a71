"""How bytes travel between coordinator and holders: the one thing that differs between runners.

Sealed envelopes go out and come back; whoever carries them learns and changes nothing, because every message
is signed by its sender and bound to its study, run, round, attempt and recipient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol


class Transport(Protocol):
    """Carries one sealed message to each holder and brings the replies back."""

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Send to every holder named and wait for their replies, or for the phase's deadline.

        Args:
            messages: sealed envelope for each holder, by name.

        Returns:
            Replies by holder's name; a holder that did not reply in time is absent. A carrier that can tell
            has no bytes for a holder that is there and answered with none.
        """
        ...

    def present(self, names: Iterable[str]) -> frozenset[str]:
        """Those of the holders that could be asked at this moment; nobody is waited for."""
        ...


class Nobody:
    """A transport that reaches nobody."""

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """No replies."""
        del messages
        return {}

    def present(self, names: Iterable[str]) -> frozenset[str]:
        """Nobody."""
        del names
        return frozenset()
