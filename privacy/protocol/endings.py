"""The end of a run: how the coordinator says it, and what a holder answers.

An end is said until it is answered by `Done` or, by a holder that has nothing of the run to end, `NoRun`.
`Unavailable` is neither: that holder could not answer now, and may hold budget for the run all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.privacy.protocol.releases import Proof, ReleaseProof, Withdrawals
from ringfence.privacy.wire.fields import Digest, NoteText, Record
from ringfence.privacy.wire.heads import LedgerHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish(Record):
    """Coordinator to holder: the study is over.

    Attributes:
        model: digest of what was released, if anything was.
        release: under whose eyes; there where a model is.
        checkpoint: of the coordinator's log as of now.
        proof: that it continues the cosigned one; empty without a release.
        withdrawn: intents of the run that were withdrawn.
    """

    model: Digest | None
    release: ReleaseProof | None
    checkpoint: NoteText
    proof: Proof
    withdrawn: Withdrawals = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Record):
    """Holder to coordinator: its checkpoint, proven to continue the one it joined with, and ledger head."""

    checkpoint: NoteText
    proof: Proof
    ledger: LedgerHead


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRun(Record):
    """Holder to coordinator: it takes no part in the run that is over, and holds nothing back for it."""
