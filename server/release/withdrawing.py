"""An intent to release is taken back: signed off by a person, an event of the log, told to holders.

Invariant: the withdrawal is durable, with its event, before anybody is told. From then on the run has no
intent, and may have another one.

What this does not undo: where enough holders witnessed the intent before, their statements exist, and a
dishonest coordinator can show them to people outside. Holders that were told do not believe such a release,
and every reader of the log sees that it was withdrawn.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ringfence.audit.merkle import leaf_hash
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.protocol.releases import MOST_WITHDRAWN
from ringfence.privacy.stores.journal import Json, listed
from ringfence.privacy.wire.fields import canonical
from ringfence.server.records.runs import RELEASED, KeptRun
from ringfence.server.sums import Conduct

DOCUMENT = "release-withdrawal"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOff:
    """A person who signs a withdrawal.

    Attributes:
        person: the key pair.
        people: who may, at this coordinator.
        reason: why; it stays in the private part of the event.
    """

    person: Identity
    people: tuple[PublicIdentity, ...]
    reason: str


def withdraw_intent(conduct: Conduct, kept: KeptRun, by: SignedOff | None) -> None:
    """Withdraw the intent that stands.

    Raises:
        WaistError: RF-W454 nobody signs, RF-W455 there is no intent, RF-W456 it was released, RF-W457 too
            many of the run were withdrawn.
        KeyFault: who signs may not.
    """
    study, intent = conduct.opened.study.id, kept.intent
    if kept.outcome == RELEASED:
        raise WaistError(
            "RF-W456",
            N_("The model of {study} was released; a release cannot be withdrawn, only its intent before."),
            study=study,
        )
    if intent is None:
        raise WaistError(
            "RF-W455", N_("No release of {study} is intended; there is nothing to withdraw."), study=study
        )
    if by is None:
        raise WaistError(
            "RF-W454",
            N_(
                "The release of {study} is intended, and holders may have witnessed it. A person of the "
                "coordinator signs its withdrawal: --key FILE"
            ),
            study=study,
        )
    if len(kept.withdrawn) >= MOST_WITHDRAWN:
        raise WaistError(
            "RF-W457",
            N_("{count} intents to release {study} were withdrawn; end its run: study stop"),
            count=len(kept.withdrawn),
            study=study,
        )
    log, opened = conduct.coordinator.log, conduct.opened
    leaf = next(log.events(intent.event, stop=intent.event + 1)).leaf
    names: dict[str, Json] = {
        "run": opened.run,
        "model": intent.model,
        "intent": "sha256:" + leaf_hash(leaf).hex(),
        "entry": intent.event,
    }
    body = canonical(names | {"study": opened.digest, "reason": by.reason})
    document = SignedDocument(kind=DOCUMENT, body=body).signed_by(by.person)
    (signer,) = document.signers(DOCUMENT, by.people)
    with kept.writing() as connection:
        event = log.record(
            "release.withdrawn",
            "allow",
            resource=f"study:{opened.digest}",
            public={**names, "approvals": listed([signer.fingerprint])},
            private={"reason": by.reason[:1000], "decision": json.loads(document.to_json())},
            connection=connection,
        )
        kept.withdraws(event, connection)
