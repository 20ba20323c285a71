"""The coordinator's side of the fixed pace: an exchange lasts a length that is fixed before it begins.

A holder keeps its answer back for the length that the signed study fixes (`clients/connections/pacing.py`).
Here an exchange ends when that length and the time that people allow for the carrying are over, whoever has
answered by then, so that the next one begins at a moment that hangs on no holder and on no row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ringfence.privacy.agreements.terms import PrivacyTerms
from ringfence.privacy.wire.envelope import MessageKind
from ringfence.server.flower import FlowerTransport
from ringfence.server.transport import Transport


def paced(carrier: FlowerTransport, terms: PrivacyTerms) -> Callable[[str], Transport] | None:
    """What carries the messages of a kind in a study; None where answers come when they are made.

    Args:
        carrier: its `timeout` is the time for the carrying.
        terms: of the signed study.
    """
    if terms.pace != "fixed":
        return None
    joining, asking = (held_for(carrier, seconds) for seconds in terms.held)

    def of_kind(kind: str) -> Transport:
        return joining if kind == MessageKind.STUDY_OFFER.value else asking

    return of_kind


def held_for(carrier: FlowerTransport, seconds: float) -> FlowerTransport:
    """A carrier whose exchanges all last so long and the time for the carrying; the same for 0 seconds."""
    return replace(carrier, length=seconds + carrier.timeout) if seconds else carrier
