"""Series that people approved from a file, kept so that the house knows them as it knows those of its inbox.

A study comes into the inbox by its coordinator's notice alone, and that is an event on both sides. One that
was handed over as a file may never come so, and its runs still want their tables attested.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.errors import KeyFault, StudyError

FOLDER = "series"


def keep_series(approvals: Path, document: SignedDocument) -> None:
    """Keep a series beside a federation's approvals, under its digest; one that is there stays.

    Args:
        approvals: the federation's folder of approvals.
        document: the signed study, verified before.
    """
    digest = Study.from_canonical(document.body).digest().removeprefix("sha256:")
    file = approvals / FOLDER / f"{digest}.json"
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_signed(file, document)


def kept_series(approvals: Path, coordinator: PublicIdentity) -> dict[str, SignedDocument]:
    """The series that are kept, by digest.

    One that its coordinator signed with a key it has replaced since, or that was altered, counts no more, as
    it would not in the inbox.
    """
    found = dict[str, SignedDocument]()
    for file in sorted((approvals / FOLDER).glob("*.json")):
        with suppress(KeyFault, StudyError):
            document = read_signed(file)
            study = Study.from_canonical(document.verify("study", [coordinator]))
            found[study.digest()] = document
    return found


def called(kept: dict[str, SignedDocument], name: str) -> SignedDocument | None:
    """The one of a name or a digest; None where there is none, or several bear the name."""
    those = [
        document
        for digest, document in kept.items()
        if name in (digest, Study.from_canonical(document.body).id)
    ]
    return those[0] if len(those) == 1 else None
