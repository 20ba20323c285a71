"""Federations that cannot be served when a holder's process begins, tried again while it serves others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from ringfence.clients.connections.watching import sentence_of

FIRST_SECONDS, LONGEST_SECONDS = 5.0, 300.0
"""How long is waited before a federation is tried again: twice as long each time, up to the second."""


def try_again(
    refused: Mapping[str, str],
    attempt: Callable[[str], None],
    report: Callable[[str, str], None],
    stop: threading.Event,
) -> None:
    """Try until every federation is served, or told to stop.

    Args:
        refused: what was said of each federation at first.
        attempt: takes one up by its name, or raises.
        report: told the name, and why it cannot be served once that is another reason than before; a reason
            that stays is said once, not at each of the tries of a night.
        stop: ends it.
    """
    said, pause = dict(refused), FIRST_SECONDS
    while said and not stop.wait(pause):
        for name, before in tuple(said.items()):
            try:
                attempt(name)
            except Exception as error:  # one coordinator's files keep no other from being tried
                told = sentence_of(error)
                if told != before:
                    said[name] = told
                    report(name, told)
            else:
                del said[name]
        pause = min(2 * pause, LONGEST_SECONDS)
