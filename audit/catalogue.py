"""The closed list of event types: every action the log knows, with its meaning in one line.

A new action is added here and in docs/reference/events.md; a test keeps the two alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ringfence.audit.errors import N_, AuditUsageError, _

EVENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "key.created": N_("A key pair was made; its fingerprint is public."),
        "key.trusted": N_("The key of another party was entered as one to trust; its fingerprint is public."),
        "key.replaced": N_("A key of this house was replaced by a new one; both fingerprints are public."),
        "key.succeeded": N_("The new key of another party was accepted in the place of its old one."),
        "key.frozen": N_(
            "Two successors of one key were shown; its owner is not believed until two people say."
        ),
        "key.thawed": N_("Two people said which of two successors of a key counts."),
        "log.key_replaced": N_(
            "This log changed its key; the checkpoint that ends here is signed by both keys."
        ),
        "holder.invited": N_("A coordinator invited a holder to connect; the invitation admits once."),
        "holder.admitted": N_("A coordinator admitted a holder and gave it a certificate for connections."),
        "holder.revoked": N_("A coordinator revoked a holder's certificate; it may connect no more."),
        "gateway.renewed": N_("A coordinator gave its gateway a new certificate under the same authority."),
        "federation.joined": N_("A holder took up an invitation, or the certificate that came of it."),
        "federation.left": N_("A holder left a federation; this log of it ends, unless it comes back."),
        "house.committed": N_(
            "Where the log of the holder's house stood, as a commitment that is opened to an auditor."
        ),
        "schema.accepted": N_("A signed schema was accepted as the meaning of columns."),
        "contract.signed": N_("A holder's contract was signed and is in force."),
        "contract.refused": N_("A contract was refused as malformed, unsigned or out of date."),
        "contract.declared": N_("A holder signed a declaration of itself for a coordinator."),
        "consent.imported": N_("Consent records were taken into the registry."),
        "consent.withdrawn": N_("Withdrawals of consent were taken into the registry."),
        "consent.read": N_("People of the house looked into the consent registry."),
        "study.signed": N_("A coordinator signed a study with its holders."),
        "study.submitted": N_("A coordinator took a signed study in, to deliver it to its holders."),
        "study.delivered": N_("A signed study reached the inbox of a holder."),
        "study.standing": N_("A holder told a coordinator what its people decided on a study."),
        "study.offered": N_("A signed study was offered to holders or received by one."),
        "study.approved": N_("A person approved a study."),
        "study.rejected": N_("A person rejected a study; approvals that were given before are void."),
        "study.revoked": N_("A person took back an approval of a study."),
        "study.joined": N_("A holder joined a study and fixed its cohort."),
        "study.refused": N_("A study was refused."),
        "study.stopped": N_("People of the coordinator stopped a run of a study, without a model."),
        "series.stopped": N_("People of the coordinator stopped a series; no further run of it starts."),
        "study.finished": N_("A study ended and asks for nothing more."),
        "cohort.counted": N_("The cohort was counted once, with noise, and the count was charged."),
        "round.answered": N_("Answers came to a round of a study; their digests are public."),
        "round.opened": N_("A round of a study began."),
        "waist.reserved": N_("Budget for a masked update was reserved before anything was computed."),
        "waist.send": N_("A noisy update is about to leave the holder; it says whether under masks."),
        "waist.refused": N_("The waist gate refused to let a value leave."),
        "sum.settled": N_("A holder signed who answered an attempt; it signs one such list for an attempt."),
        "sum.unmasked": N_(
            "A holder is about to reveal the shares that unmask the sum of those who answered."
        ),
        "share.misfit": N_("A share of a secret was not the one its dealer had promised, and was left out."),
        "reply.refused": N_("A holder's reply was not what was asked for, and counts as none."),
        "attempt.voided": N_("An attempt at a round was given up; its price stays charged."),
        "aggregate.received": N_("The noisy sum of a round was formed."),
        "release.intended": N_("A coordinator means to release a model, and asks holders to cosign."),
        "release.witnessed": N_(
            "A holder cosigned the coordinator's log with the intent to release a model."
        ),
        "release.lowered": N_("Fewer holders than the quorum cosigned, as the signed study allows by now."),
        "release.withdrawn": N_("A person of the coordinator withdrew the intent to release a model."),
        "withdrawal.witnessed": N_("A holder was shown that an intent to release was withdrawn."),
        "log.recovered": N_(
            "A log goes on from an older copy, by decision of two people; what was lost of it is named."
        ),
        "recovery.accepted": N_("Two people accepted that another party's log goes on from an older copy."),
        "witness.refused": N_("A log that does not continue what was cosigned of it was not cosigned."),
        "model.released": N_("A model or result of a study was released."),
        "model.kept": N_("A holder left its own model of a study at its own place, which it never leaves."),
        "budget.created": N_("A privacy budget was opened."),
        "budget.reserved": N_("A part of a privacy budget was reserved for a study."),
        "budget.charged": N_("A reserved part of a privacy budget was spent."),
        "budget.refused": N_("A request was refused because the privacy budget does not cover it."),
        "budget.frozen": N_("A privacy budget was frozen; nothing can be reserved."),
        "budget.thawed": N_("A frozen privacy budget was opened again."),
        "budget.closed": N_("A reservation was closed: what was released stays charged, the rest lapsed."),
        "budget.topup": N_("A privacy budget was raised by decision of its owners."),
        "checkpoint.anchored": N_("The checkpoint of another log was verified and is now part of this one."),
        "export.requested": N_("A person asked to take an artefact out."),
        "export.refused": N_("The export gate refused an artefact."),
        "export.released": N_("The export gate released an artefact."),
        "table.read": N_("Allowed columns of a customer table were read for a purpose."),
        "table.assessed": N_("A table was read as a study would and judged; the verdict is private."),
        "table.refused": N_("Reading a customer table was refused."),
        "store.copied": N_("A backup of the home was about to be written."),
        "store.restored": N_("The home was restored from a backup; what happened since is not in it."),
        "store.migrated": N_("The store was brought to a newer version."),
        "event.opened": N_("The private part of one event was handed to an auditor."),
        "log.exported": N_("This log was exported as a bundle for an auditor."),
    }
)


def require_known(kind: str) -> None:
    """Refuse what is neither an event type nor, with a dot at its end, a group of them.

    Raises:
        AuditUsageError: the types of the group it seems to mean are named, or else the groups.
    """
    groups = sorted({action.partition(".")[0] + "." for action in EVENT_TYPES})
    if kind in EVENT_TYPES or kind in groups:
        return
    meant = [action for action in EVENT_TYPES if action.startswith(kind.partition(".")[0] + ".")]
    raise AuditUsageError(
        "RF-A113",
        N_(
            'There is no event type {found}. Known: {known}. A group is written with its dot, e.g. "budget.".'
        ),
        found=kind,
        known=_(", ").join(meant or groups),
    )
