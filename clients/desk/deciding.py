"""A holder's people say no to a study, take an approval back, and see what waits for them.

Every act is an event before it counts, and counts at once: a node that runs reads rejections and approvals
anew in every round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ringfence.clients.desk.series import series_over
from ringfence.clients.desk.whatif import judged_approvals, read_study
from ringfence.clients.home import Home
from ringfence.clients.inbox.by_file import kept_series
from ringfence.clients.inbox.store import InboxStudy
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.crypto.approvals import SeriesBound, reject
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, RingfenceError, StudyError, _
from ringfence.privacy.ledger.series import booked_runs
from ringfence.privacy.stores.journal import Json
from ringfence.privacy.succession.book import KeyBook

WAITING, APPROVED, REJECTED, RUNNING, ENDED, EXPIRED, OUTDATED = (
    "waiting",
    "approved",
    "rejected",
    "running",
    "ended",
    "expired",
    "outdated",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """An act that was recorded.

    Attributes:
        study: name of the study.
        digest: its digest.
        approver: fingerprint of the person who took an approval back, or rejected.
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
        state: `waiting`, `approved`, `rejected`, `running`, `ended`, `expired`, or `outdated` where it could
            not start since it names a key that was replaced.
        approvals: approvals that hold.
        used: of a series, runs that were reserved here.
        replaced: the holder whose replaced key it names, where it still could run; empty otherwise.
    """

    study: InboxStudy
    state: str
    approvals: int
    used: int = 0
    replaced: str = ""

    def line(self) -> str:
        """Why one that names a replaced key does not run, for people."""
        return _(
            "The study {study} names {holder} by a key that was replaced, so it does not start here. The "
            "coordinator signs it anew with the new declaration, and two people approve it anew."
        ).format(study=self.study.name, holder=self.replaced)

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
            "runs": self.study.runs or None,
            "used": self.used if self.study.runs else None,
            "epsilon_all_runs": self.study.composed or None,
        }


def reject_study(home: Home, given: Path, key: Path, passphrases: Passphrases, reason: str) -> Decided:
    """One person says no to a study; approvals given before are void, and it takes two people again.

    Args:
        home: the holder's.
        given: a signed study's file, or the id of one in the inbox.
        key: the person's, who may approve here.
        passphrases: of the key.
        reason: for this house's own people; it stays in the private part of the event.

    Raises:
        KeyFault: it is not the coordinator's, or the key cannot be opened or is of another kind.
        StudyError: RF-S436 it is not known, RF-S201 the key is no approver's of this holder, RF-S439 it ended
            here, RF-S440 it was rejected before.
    """
    with home.refusals("study.refused", f"study:{home.settings.name}"):
        study = read_study(home, given)
    digest = study.digest()
    with home.refusals("study.refused", f"study:{digest}"):
        _require_not_ended(home, study, digest)
        person = passphrases.read_key(key, "approver")
        fingerprint = person.public.fingerprint
        if person.public not in home.settings.approvers():
            raise not_an_approver(home, fingerprint)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        private: Mapping[str, Json] = {"approver": fingerprint} | ({"reason": reason} if reason else {})
        home.inbox.reject(
            digest,
            at,
            reject(digest, home.settings.name, person, at).to_json(),
            lambda connection: home.log.record(
                "study.rejected",
                "allow",
                resource=f"study:{digest}",
                private=private,
                connection=connection,
            ),
        )
    void_approvals(home, digest)
    return Decided(study=study.id, digest=digest, approver=fingerprint, count=0)


def not_an_approver(home: Home, fingerprint: str) -> StudyError:
    """The refusal of a person who may not decide on studies here."""
    return StudyError(
        "RF-S201",
        N_("{fingerprint} is not among the approvers of {holder}; client.toml lists them."),
        fingerprint=fingerprint,
        holder=home.settings.name,
    )


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
    count = len(judged_approvals(home, digest, _bound(home, study.runs)).counted)
    return Decided(study=study.id, digest=digest, approver=fingerprint, count=count)


def arrived(home: Home) -> tuple[Arrived, ...]:
    """Everything in the inbox, the last that came first.

    Raises:
        UsageError: no coordinator is configured.
    """
    inbox, today = home.inbox, datetime.now(UTC).date().isoformat()
    rejected, runs = inbox.rejections(), home.participations.ended_by_study()
    # Of most studies nobody has approved anything, and folders are slow to look into.
    with_files = {file.name.partition(".")[0] for file in home.approval_files("")}

    def judged(each: InboxStudy) -> Arrived:
        given = each.study.removeprefix("sha256:") in with_files
        bound = _bound(home, each.runs)
        count = len(judged_approvals(home, each.study, bound).counted) if given else 0
        if each.study in rejected:
            return Arrived(study=each, state=REJECTED, approvals=0)
        if each.runs:
            return _series_judged(each, runs.get(each.study), count, home, today)
        if each.study in runs:
            return Arrived(study=each, state=ENDED if runs[each.study] else RUNNING, approvals=count)
        if each.expires < today:
            return Arrived(study=each, state=EXPIRED, approvals=count)
        return Arrived(study=each, state=APPROVED if count >= 2 else WAITING, approvals=count)

    return with_replaced_keys(home, tuple(judged(each) for each in inbox.listed(home.coordinator())))


def with_replaced_keys(home: Home, found: tuple[Arrived, ...]) -> tuple[Arrived, ...]:
    """The same, those marked that name a key of a holder which was replaced here."""
    former = {each.said.old for each in KeyBook(home.engine).known() if each.said.role == "holder"}
    return tuple(_marked(home, each, former) for each in found) if former else found


def _marked(home: Home, each: Arrived, former: set[str]) -> Arrived:
    if each.state not in {WAITING, APPROVED, RUNNING}:
        return each
    text = home.inbox.document(home.coordinator(), each.study.study)
    if text is None:  # taken out at this moment
        return each
    study = Study.from_canonical(SignedDocument.from_json(text).body)
    named = next((holder.name for holder in study.holders if holder.key in former), "")
    if not named:
        return each
    return replace(each, replaced=named, state=each.state if each.state == RUNNING else OUTDATED)


def approved_series(home: Home, found: tuple[Arrived, ...]) -> frozenset[str]:
    """Digests of the series that two people approved and that may have runs to come.

    Args:
        home: the holder's.
        found: its inbox (`arrived`), beside which there are series that were approved from a file.
    """
    listed, rejected = {each.study.study for each in found}, home.inbox.rejections()
    here = {
        each.study.study
        for each in found
        if each.study.runs and each.approvals >= 2 and each.state in {APPROVED, RUNNING} and not each.replaced
    }
    for digest, document in kept_series(home.approvals_folder, home.coordinator()).items():
        if digest not in listed and digest not in rejected:
            bound = _bound(home, Study.from_canonical(document.body).runs)
            if len(judged_approvals(home, digest, bound).counted) >= 2:
                here.add(digest)
    return frozenset(here)


def _series_judged(each: InboxStudy, ended: bool | None, count: int, home: Home, today: str) -> Arrived:
    """A series: between two runs it is approved, and it has ended when all its runs were used or are past."""
    booked = booked_runs(home.ledger, each.study)
    used = len(booked)
    if ended is False or any(one.open for one in booked):
        state = RUNNING
    elif used >= each.runs or (used and each.expires < today):
        state = ENDED
    elif each.expires < today:
        state = EXPIRED
    else:
        state = APPROVED if count >= 2 else WAITING
    return Arrived(study=each, state=state, approvals=count, used=used)


def _bound(home: Home, runs: int) -> SeriesBound | None:
    """What approvals of a series have to name; without a contract in force none counts."""
    if not runs:
        return None
    try:
        return SeriesBound(contract=home.contract().contract.digest(), runs=runs)
    except RingfenceError:
        return SeriesBound(contract="", runs=runs)


def _require_not_ended(home: Home, study: Study, digest: str) -> None:
    if study.series is not None:
        ended = series_over(home, study, datetime.now(UTC))
    else:
        ended = home.participations.ended_by_study().get(digest, False)
    if ended:
        raise StudyError(
            "RF-S439",
            N_("The study {study} has ended here; what it released cannot be called back."),
            study=study.id,
        )
