"""Approvals as the coordinator sees them: two different people of a holder signed this very study.

Who may approve is the holder's own affair and checked there against its own list; the coordinator checks that
the signatures hold, binds them to study and holder, and writes the fingerprints into its log.
"""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.privacy.crypto.approvals import SeriesBound, check_approvals, contract_of_approvals
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument


def approvers_of(texts: Sequence[str], *, study: str, holder: str, runs: int = 0) -> tuple[str, ...]:
    """Fingerprints of the people who approved a study for a holder.

    Args:
        texts: the approvals, file form.
        study: its digest.
        holder: its name.
        runs: of a series; its approvals name this number, and all of them one contract of the holder's.

    Raises:
        StudyError: fewer than two different people, or an approval of something else.
        KeyFault: a signature does not verify.
    """
    documents = [SignedDocument.from_json(text) for text in texts]
    keys = {key for document in documents for key, _ in document.signatures}
    people = [PublicIdentity.from_hex(key) for key in sorted(keys)]
    bound = SeriesBound(contract=contract_of_approvals(documents), runs=runs) if runs else None
    return check_approvals(documents, study, holder, people, bound)
