"""One person's approval of a study at this holder, given only to what is signed, allowed and in date."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringfence.clients.commands.whatif import answer, read_study, seen_lines
from ringfence.clients.home import Home
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import approve, write_after
from ringfence.privacy.errors import N_, RingfenceError, StudyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """What was written.

    Attributes:
        study: name of the study.
        digest: its digest.
        approver: fingerprint of the person's key.
        file: the approval.
        count: approvals now on file.
        seen: what the coordinator would see besides sums, in a sentence each.
        warning: why the budget does not cover the study as it stands, or None. A top-up may still come, so the
            approval is given all the same.
    """

    study: str
    digest: str
    approver: str
    file: Path
    count: int
    seen: tuple[str, ...]
    warning: RingfenceError | None


def approve_study(home: Home, path: Path, key: Path, passphrases: Passphrases) -> Approved:
    """Write a person's approval into the approvals folder; a refusal is an event.

    Raises:
        KeyFault: the study is not the coordinator's, or the key cannot be opened or is of another kind.
        StudyError: RF-S041 the study is not allowed here, RF-S201 the key is no approver's of this holder,
            RF-S202 this person approved it before.
    """
    resource = f"study:{home.settings.name}"
    with home.refusals("study.refused", resource):
        study = read_study(home, path)
    resource = f"study:{study.digest()}"
    with home.refusals("study.refused", resource):
        found = answer(home, study, home.contract())
        found.decision.require()
        person = passphrases.read_key(key, "approver")
        fingerprint = person.public.fingerprint
        if person.public not in home.settings.approvers():
            raise StudyError(
                "RF-S201",
                N_("{fingerprint} is not among the approvers of {holder}; client.toml lists them."),
                fingerprint=fingerprint,
                holder=home.settings.name,
            )
        folder = home.settings.path(home.settings.config.approvals)
        folder.mkdir(mode=0o700, exist_ok=True)
        number = fingerprint.removeprefix("ed25519:")
        file = folder / f"{found.digest.removeprefix('sha256:')}.{number}.json"
        if file.exists():
            raise StudyError(
                "RF-S202",
                N_("{fingerprint} approved this study before; the second approval has to come from another person."),
                fingerprint=fingerprint,
            )
        document = approve(found.digest, home.settings.name, person)

    def record() -> None:
        home.log.record("study.approved", "allow", resource=resource, public={"approver": fingerprint})

    write_after(file, document, record)
    return Approved(
        study=study.id,
        digest=found.digest,
        approver=fingerprint,
        file=file,
        count=len(home.approvals(found.digest)),
        seen=tuple(seen_lines(study)),
        warning=found.no_price or found.misfit(),
    )
