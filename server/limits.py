"""How long one exchange with the holders may last: a floor, and more for what has to travel.

    limit = min(CEILING x floor, floor + SLACK x (bytes sent + bytes announced) / rate)

`floor` is what people set (`study run --timeout`). `rate` is the slowest of the holder's last transfers of
the run, and `FIRST_RATE` before there was one. What is announced is known once a reply's list of parts is
there.

Only transfers are measured: from the look before a reply was announced until its last part was here. A reply
is announced when all of it was made, and its size follows from the signed study, so that how long a holder
works on its rows changes no limit by more than one pause between two looks.

At a fixed pace nothing of this is used: an exchange lasts as long as the signed study says, and as long as
people allow for the carrying (`connections/pacing.py`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

CEILING = 10.0
"""Floors that an exchange may last at most."""
SLACK = 2.0
FIRST_RATE = 125_000.0
"""Bytes a second that a holder is taken to have before anything was measured: 1 Mbit/s."""
LEAST_MEASURED = 1 << 18
"""Bytes of the smallest transfer that says something of a link, and not of how often it was looked."""
_REMEMBERED = 5


@dataclass(slots=True)
class LinkRates:
    """Bytes a second of each holder's last transfers of a run."""

    _last: defaultdict[str, deque[float]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=_REMEMBERED))
    )

    def measured(self, name: str, size: int, seconds: float) -> None:
        """Take a transfer of so many bytes in so many seconds in; small ones say nothing."""
        if size >= LEAST_MEASURED and seconds > 0:
            self._last[name].append(size / seconds)

    def rate(self, name: str) -> float:
        """Bytes a second that a holder can be expected to reach."""
        return min(self._last[name], default=FIRST_RATE)


def time_limit(floor: float, sent: int, announced: int, rate: float) -> float:
    """Seconds that an exchange with a holder may last.

    Args:
        floor: seconds for an exchange that carries nothing.
        sent: bytes of the message.
        announced: bytes of the reply that are known to be on their way, at most; 0 before it is announced.
        rate: bytes a second, above 0.
    """
    return min(CEILING * floor, floor + SLACK * (sent + announced) / rate)
