"""Approvals as the coordinator sees them: two different people of a holder signed this very study.

Who may approve is the holder's own affair and checked there against its own list; the coordinator checks that
the signatures hold, binds them to study and holder, and writes the fingerprints into its log.
"""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument, check_approvals


def approvers_of(texts: Sequence[str], *, study: str, holder: str) -> tuple[str, ...]:
    """Fingerprints of the people who approved a study for a holder.

    Raises:
        StudyError: fewer than two different people, or an approval of something else.
        KeyFault: a signature does not verify.
    """
    documents = [SignedDocument.from_json(text) for text in texts]
    keys = {key for document in documents for key, _ in document.signatures}
    return check_approvals(documents, study, holder, [PublicIdentity.from_hex(key) for key in sorted(keys)])
