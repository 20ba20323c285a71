"""What people of a holder sign of a study: approvals and rejections, and which of them count.

An approval names the digest of the study, the holder and the person. That of a series also names the contract
under which it was given and the number of runs, so that it is given anew when either changes. An approval of
somebody who may not approve any more, or under another contract, does not count and spoils nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

import rfc8785

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, KeyFault, StudyError

_UNTRUSTED = "RF-K015"
Cause: TypeAlias = Literal["nobody", "outdated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesBound:
    """What an approval of a series is bound to besides the study.

    Attributes:
        contract: digest of the holder's contract under which it is given.
        runs: how many runs it is for.
    """

    contract: str
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """An approval on file that does not count.

    Attributes:
        person: fingerprint of the key that signed it, as the file says; empty where it says none.
        cause: `nobody` where that person may not approve here, `outdated` where it was given under another
            contract than the one in force.
    """

    person: str
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedApprovals:
    """The approvals on file for a study.

    Attributes:
        counted: those that count, by fingerprint of the person, in the order of the files.
        passed_over: those that do not.
    """

    counted: dict[str, SignedDocument]
    passed_over: tuple[PassedOver, ...]

    def require_two(self, holder: str) -> tuple[str, ...]:
        """Fingerprints of the people who approved, at least two different ones.

        Raises:
            StudyError: RF-S032 fewer than two.
        """
        if len(self.counted) < 2:
            raise StudyError(
                "RF-S032",
                N_("The study is approved by {count} of the two different people that {holder} requires."),
                count=len(self.counted),
                holder=holder,
            )
        return tuple(self.counted)


def approve(
    study_digest: str, holder: str, approver_key: Identity, bound: SeriesBound | None = None
) -> SignedDocument:
    """One person's approval of a study at a holder; of a series with what it is bound to.

    Raises:
        KeyFault: RF-K018 when the key is not an approver's.
    """
    _require_approver(approver_key)
    body = _approved(study_digest, holder, approver_key.public, bound)
    return SignedDocument(kind="approval", body=body).signed_by(approver_key)


def reject(study_digest: str, holder: str, approver_key: Identity, at: str) -> SignedDocument:
    """One person's no to a study at a holder.

    Args:
        study_digest: of the study.
        holder: its name.
        approver_key: the person's.
        at: when, UTC.

    Raises:
        KeyFault: RF-K018 when the key is not an approver's.
    """
    _require_approver(approver_key)
    body = {
        "study": study_digest,
        "holder": holder,
        "approver": approver_key.public.fingerprint,
        "at": at,
    }
    return SignedDocument(kind="rejection", body=rfc8785.dumps(body)).signed_by(approver_key)


def judge_approvals(
    documents: Iterable[SignedDocument],
    study_digest: str,
    holder: str,
    allowed: Iterable[PublicIdentity],
    bound: SeriesBound | None = None,
) -> JudgedApprovals:
    """Which approvals count, and which are passed over.

    Args:
        documents: on file for the study.
        study_digest: of the study.
        holder: its name.
        allowed: the people who may approve now.
        bound: of a series, what approvals have to name; None for a study that is run once.

    Raises:
        StudyError: RF-S030 an approval by one of these people is of another study or holder, RF-S031 what
            claims to be one is not properly signed.
    """
    approvers = tuple(allowed)
    counted: dict[str, SignedDocument] = {}
    passed: list[PassedOver] = []
    for document in documents:
        signer = _signer(document, holder, approvers)
        if signer is None:
            passed.append(PassedOver(person=_claimed(document), cause="nobody"))
        elif document.body == _approved(study_digest, holder, signer, bound):
            counted.setdefault(signer.fingerprint, document)
        elif bound is not None and _of(document) == (study_digest, holder, signer.fingerprint):
            passed.append(PassedOver(person=signer.fingerprint, cause="outdated"))
        else:
            raise StudyError(
                "RF-S030",
                N_("An approval is for another study or another holder than {holder}."),
                holder=holder,
            )
    return JudgedApprovals(counted=counted, passed_over=tuple(passed))


def check_approvals(
    documents: Iterable[SignedDocument],
    study_digest: str,
    holder: str,
    allowed: Iterable[PublicIdentity],
    bound: SeriesBound | None = None,
) -> tuple[str, ...]:
    """Fingerprints of the people who approved, at least two different ones.

    Raises:
        StudyError: RF-S032 fewer than two different people approved; as `judge_approvals`.
    """
    return judge_approvals(documents, study_digest, holder, allowed, bound).require_two(holder)


def count_approvals(
    documents: Iterable[SignedDocument],
    study_digest: str,
    holder: str,
    allowed: Iterable[PublicIdentity],
    bound: SeriesBound | None = None,
) -> int:
    """How many different people's approvals hold; those that do not are not counted, and raise nothing."""
    return len(judge_each(documents, study_digest, holder, allowed, bound).counted)


def judge_each(
    documents: Iterable[SignedDocument],
    study_digest: str,
    holder: str,
    allowed: Iterable[PublicIdentity],
    bound: SeriesBound | None = None,
) -> JudgedApprovals:
    """As `judge_approvals`, for people who look: what would be refused is left out, and raises nothing."""
    approvers, counted, passed = tuple(allowed), dict[str, SignedDocument](), list[PassedOver]()
    for document in documents:
        with suppress(StudyError):
            found = judge_approvals([document], study_digest, holder, approvers, bound)
            counted = found.counted | counted
            passed += found.passed_over
    return JudgedApprovals(counted=counted, passed_over=tuple(passed))


def contract_of_approvals(documents: Iterable[SignedDocument]) -> str:
    """The contract's digest that the first approval of a series names, for who does not know the contract.

    Empty where there is none; whether the others name the same is seen when they are checked.
    """
    for document in documents:
        return _member(document, "contract")
    return ""


def _require_approver(key: Identity) -> None:
    if key.kind != "approver":
        raise KeyFault(
            "RF-K018", N_("An approval is signed with an approver key; this is a {kind} key."), kind=key.kind
        )


def _claimed(document: SignedDocument) -> str:
    """Whose approval a file says it is; nothing of it was verified."""
    for key, _ in document.signatures[:1]:
        with suppress(KeyFault):
            return PublicIdentity.from_hex(key).fingerprint
    return ""


def _approved(study: str, holder: str, person: PublicIdentity, bound: SeriesBound | None) -> bytes:
    body: dict[str, str | int] = {"study": study, "holder": holder, "approver": person.fingerprint}
    if bound is not None:
        body |= {"contract": bound.contract, "runs": bound.runs}
    return rfc8785.dumps(body)


def _signer(
    document: SignedDocument, holder: str, approvers: tuple[PublicIdentity, ...]
) -> PublicIdentity | None:
    """The approver who signed; None where nobody did who may approve.

    Raises:
        StudyError: RF-S031 it is no approval, or a signature under the key of an approver does not hold.
    """
    try:
        return document.signers("approval", approvers)[0]
    except KeyFault as error:
        if error.code == _UNTRUSTED:
            return None
        raise StudyError(
            "RF-S031",
            N_("An approval is not signed by an approver of {holder}: {why}"),
            holder=holder,
            why=error.sentence(),
        ) from error


def _of(document: SignedDocument) -> tuple[str, str, str]:
    return _member(document, "study"), _member(document, "holder"), _member(document, "approver")


def _member(document: SignedDocument, name: str) -> str:
    """A text of a body that was verified to be canonical JSON."""
    found = json.loads(document.body)
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""
