"""A study in the inbox: what a coordinator puts there, and what a holder's people have decided on it.

A study that is no run yet is put into the inbox of each of its holders, under the id of the post that brings
it in the place of a run's:

    Notice         ------------------>
                   <------------------ Standing or Unavailable

Invariant: a standing says what people did, `approved` or `rejected`, or that they did nothing yet. Nothing of
it hangs on rows, on checks or on the budget.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from ringfence.privacy.wire.fields import AtMost, Digest, Nonce, Record, SignedText, TextRule

WAITING, APPROVED, REJECTED = "waiting", "approved", "rejected"
MOST_APPROVALS = 8
Approvals: TypeAlias = Annotated[tuple[SignedText, ...], AtMost(MOST_APPROVALS)]
StandingWord: TypeAlias = Annotated[
    str,
    TextRule(
        kind="standing", pattern=re.compile("|".join((WAITING, APPROVED, REJECTED))), max_bytes=len(APPROVED)
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Record):
    """Coordinator to holder: a signed study for the inbox, for people to look at; nothing is run.

    Attributes:
        study: signed study document, file form.
        schema: signed schema document, file form.
        nonce: fresh, returned in `Standing`.
    """

    study: SignedText
    schema: SignedText
    nonce: Nonce


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing(Record):
    """Holder to coordinator: what its people have decided on a study so far.

    Attributes:
        nonce: of the notice.
        study: digest of the study.
        state: `waiting`, `approved` or `rejected`; set by acts of people alone.
        approvals: two people's signed approvals, file form; none but of an approved study.
    """

    nonce: Nonce
    study: Digest
    state: StandingWord
    approvals: Approvals
