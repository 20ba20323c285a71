"""What processes that run for long share: they end in time, and no proxy is used that nobody configured."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress

from ringfence.privacy.errors import _

END_SECONDS = 60.0
"""How long a process that was told to end may take; supervisors wait 90 seconds by default."""
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@contextmanager
def ended_in_time(
    stop: threading.Event,
    tell: Callable[[str, str], None],
    *,
    seconds: float = END_SECONDS,
    leave: Callable[[int], object] = os._exit,
) -> Iterator[None]:
    """End the process with status 0 when the block still runs so long after it was told to stop.

    What was under way is abandoned as by a power cut, which every store survives: a charge, an event or a sum
    is durable before anybody hears of it.

    Args:
        stop: set when it is told to stop.
        tell: says a sentence under a word.
        seconds: for the block to end by itself.
        leave: ends the process.
    """
    over = threading.Event()

    def watch() -> None:
        stop.wait()
        if not over.wait(seconds):
            tell(
                "abandoned",
                _(
                    "Stopped: what was under way did not end within {seconds} seconds and was abandoned. "
                    "Nothing that was kept is lost."
                ).format(seconds=round(seconds)),
            )
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            leave(0)

    watching = threading.Thread(target=watch, name="ringfence-end", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()


def leave_proxies_out(
    tell: Callable[[str, str], None], instead: str, environment: MutableMapping[str, str] = os.environ
) -> None:
    """Take proxies out of the environment of this process, and say so: libraries would go by them silently.

    Args:
        tell: says a sentence under a word.
        instead: what to do for a proxy to be used, a translated sentence.
        environment: of the process.
    """
    found = [name for name in environment if name.lower() in _PROXIES and environment[name]]
    for name in found:
        del environment[name]
    if found:
        said = _("{names} in the environment is not used by this process.").format(
            names=", ".join(sorted(found))
        )
        tell("proxy", f"{said} {instead}".strip())
