"""A holder's people say no to a study, take an approval back, and see what waits for them.

Every act is an event before it counts, and counts at once: a node that runs reads rejections and approvals
anew in every round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ringfence.clients.desk.whatif import approvals_that_hold, read_study
from ringfence.clients.home import Home
from ringfence.clients.inbox.store import Inbox, InboxStudy
from ringfence.clients.records.participations import Participations
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.stores.journal import Json

WAITING, APPROVED, REJECTED, RUNNING, ENDED, EXPIRED = (
    "waiting",
    "approved",
    "rejected",
    "running",
    "ended",
    "expired",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """An act that was recorded.

    Attributes:
        study: name of the study.
        digest: its digest.
        approver: fingerprint of the person who took an approval back; empty for a rejection.
        count: approvals that hold after it.
    """

    study: str
    digest: str
    approver: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A study of the inbox and what became of it here.

    Attributes:
        study: as it came.
        state: `waiting`, `approved`, `rejected`, `running`, `ended` or `expired`.
        approvals: approvals that hold.
    """

    study: InboxStudy
    state: str
    approvals: int

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "id": self.study.name,
            "digest": self.study.study,
            "purpose": self.study.purpose,
            "received": self.study.received,
            "state": self.state,
            "approvals": self.approvals,
            "epsilon": self.study.epsilon,
            "delta": self.study.delta,
            "expires": self.study.expires,
        }


def reject_study(home: Home, given: Path, reason: str) -> Decided:
    """Say no to a study; approvals that were given before are void, and it takes two people again.

    Args:
        home: the holder's.
        given: a signed study's file, or the id of one in the inbox.
        reason: for this house's own people; it stays in the private part of the event.

    Raises:
        KeyFault: it is not the coordinator's.
        StudyError: RF-S436 it is not known, RF-S439 it ended here, RF-S440 it was rejected before.
    """
    with home.refusals("study.refused", f"study:{home.settings.name}"):
        study = read_study(home, given)
    digest = study.digest()
    with home.refusals("study.refused", f"study:{digest}"):
        _require_not_ended(home, study, digest)
        private: Mapping[str, Json] = {"reason": reason} if reason else {}
        Inbox(home.engine).reject(
            digest,
            datetime.now(UTC).isoformat(timespec="seconds"),
            lambda connection: home.log.record(
                "study.rejected",
                "allow",
                resource=f"study:{digest}",
                private=private,
                connection=connection,
            ),
        )
    void_approvals(home, digest)
    return Decided(study=study.id, digest=digest, approver="", count=0)


def void_approvals(home: Home, digest: str) -> None:
    """Delete the approvals of a study that was rejected; it stays rejected where this is cut off."""
    for file in home.approval_files(digest):
        file.unlink(missing_ok=True)


def revoke_approval(home: Home, given: Path, key: Path, passphrases: Passphrases) -> Decided:
    """Take one person's approval back, before the study has ended here.

    Raises:
        KeyFault: the study is not the coordinator's, or the key cannot be opened or is of another kind.
        StudyError: RF-S436 it is not known, RF-S438 this person has no approval on file, RF-S439 it ended
            here.
    """
    with home.refusals("study.refused", f"study:{home.settings.name}"):
        study = read_study(home, given)
    digest = study.digest()
    with home.refusals("study.refused", f"study:{digest}"):
        _require_not_ended(home, study, digest)
        fingerprint = passphrases.read_key(key, "approver").public.fingerprint
        file = home.approval_file(digest, fingerprint)
        if not file.exists():
            raise StudyError(
                "RF-S438",
                N_("No approval of the study {study} by {fingerprint} is on file; there is nothing to do."),
                study=study.id,
                fingerprint=fingerprint,
            )
        home.log.record(
            "study.revoked", "allow", resource=f"study:{digest}", private={"approver": fingerprint}
        )
    file.unlink(missing_ok=True)
    count = approvals_that_hold(home, digest)
    return Decided(study=study.id, digest=digest, approver=fingerprint, count=count)


def arrived(home: Home) -> tuple[Arrived, ...]:
    """Everything in the inbox, the last that came first.

    Raises:
        UsageError: no coordinator is configured.
    """
    inbox, today = Inbox(home.engine), datetime.now(UTC).date().isoformat()
    rejected, runs = inbox.rejections(), Participations(home.engine).ended_by_study()
    # Of most studies nobody has approved anything, and folders are slow to look into.
    with_files = {file.name.partition(".")[0] for file in home.approval_files("")}

    def judged(each: InboxStudy) -> Arrived:
        given = each.study.removeprefix("sha256:") in with_files
        count = approvals_that_hold(home, each.study) if given else 0
        if each.study in rejected:
            return Arrived(study=each, state=REJECTED, approvals=0)
        if each.study in runs:
            return Arrived(study=each, state=ENDED if runs[each.study] else RUNNING, approvals=count)
        if each.expires < today:
            return Arrived(study=each, state=EXPIRED, approvals=count)
        return Arrived(study=each, state=APPROVED if count >= 2 else WAITING, approvals=count)

    return tuple(judged(each) for each in inbox.listed(home.coordinator()))


def _require_not_ended(home: Home, study: Study, digest: str) -> None:
    if Participations(home.engine).ended_by_study().get(digest):
        raise StudyError(
            "RF-S439",
            N_("The study {study} has ended here; what it released cannot be called back."),
            study=study.id,
        )
