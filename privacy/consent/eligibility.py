"""The one rule of eligibility: which event of a subject counts, and whether it lets the subject be used.

The registry's bitmaps, a customer's status, the counts of a coverage and the reader of consent files all ask
here, so that they cannot come to differ.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ringfence.privacy.consent.records import EventKind

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

PERMITTING: Final = tuple(int(kind) for kind in EventKind if kind.permits)
_REFUSING: Final = np.array([int(kind) for kind in EventKind if not kind.permits])


def permits(kind: Numbers) -> Flags:
    """Whether events of these kinds let a subject be used within their validity, bool `(n,)`."""
    return np.isin(kind, PERMITTING)


def refuses(kind: Numbers) -> Flags:
    """Whether events of these kinds say no, bool `(n,)`; what is no kind at all says neither."""
    return np.isin(kind, _REFUSING)


def in_force(kind: Numbers, valid_from: Numbers, valid_until: Numbers, at: int) -> Flags:
    """Whether an event, the last of its subject, lets the subject be used at an instant, bool `(n,)`.

    The validity holds from its first instant and ends before its last.

    Args:
        kind: `EventKind` numbers, int64 `(n,)`.
        valid_from, valid_until: microseconds UTC, int64 `(n,)`.
        at: the instant, microseconds UTC.
    """
    return permits(kind) & (valid_from <= at) & (at < valid_until)


def last_of_each(subject: Numbers, when: Numbers, kind: Numbers, sequence: Numbers) -> Numbers | slice:
    """Where each subject's last event stands, one place a subject in the order of subjects.

    The last goes by the time of the event, then a refusal before a grant at the same instant, then the order
    of recording.
    """
    if (subject[1:] > subject[:-1]).all():
        return slice(None)  # one event each, in order, as an import leaves them
    order = np.lexsort((sequence, ~permits(kind), when, subject))
    ordered = subject[order]
    found: Numbers = order[np.append(ordered[1:] != ordered[:-1], True)]
    return found
