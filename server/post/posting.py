"""Brings a study into its holders' inboxes and learns how it stands there.

Each holder is asked by itself and answers for itself. An answer counts when its signature is that of the key
that the study pins, it gives the notice's nonce back, and what it calls approved carries the approvals of two
different people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from ringfence.privacy.errors import N_, RingfenceError, WaistError
from ringfence.privacy.protocol.control import COORDINATOR, open_message, seal_message
from ringfence.privacy.protocol.notices import APPROVED, Notice, Standing
from ringfence.privacy.stores.journal import Json, listed
from ringfence.privacy.wire.fields import new_nonce
from ringfence.server.approvals import approvers_of
from ringfence.server.coordinator import Coordinator, OpenStudy
from ringfence.server.letters import Letters
from ringfence.server.records.submissions import Submissions
from ringfence.server.replies import refuse_reply
from ringfence.server.transport import Transport


def post(
    coordinator: Coordinator,
    opened: OpenStudy,
    carrier: Transport,
    submissions: Submissions,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Send one study's notices and take the answers in.

    Args:
        coordinator: who sends.
        opened: the study; its run's id is that of this post, and used once.
        carrier: reaches the holders; only those that are connected are asked.
        submissions: where the standings are kept.
        report: told, in sentences for the coordinator's people, what is not believed.
    """
    letters = Letters(
        carrier=carrier, identity=coordinator.identity, holders=opened.participants, report=report
    )
    nonces = {name: new_nonce() for name in carrier.present(opened.participants)}
    try:
        replies = letters.exchange(
            {name: _notice(coordinator, opened, name, nonce) for name, nonce in nonces.items()}
        )
    finally:
        letters.close()
    for name in opened.participants:
        reply = replies.get(name, b"")
        try:
            if reply:
                _heard(coordinator, opened, submissions, name, reply, nonces[name])
            else:
                submissions.missed(opened.digest, name)
        except RingfenceError as error:
            if refuse_reply(coordinator, opened, name, reply, error):
                report(f"{name}: {error}")
                submissions.missed(opened.digest, name)
            else:
                submissions.answered(opened.digest, name)


def _notice(coordinator: Coordinator, opened: OpenStudy, name: str, nonce: str) -> bytes:
    return seal_message(
        coordinator.identity,
        Notice(study=opened.document.to_json(), schema=opened.schema_document.to_json(), nonce=nonce),
        study=opened.digest,
        run=opened.run,
        sender=COORDINATOR,
        recipient=name,
    )


def _heard(
    coordinator: Coordinator,
    opened: OpenStudy,
    submissions: Submissions,
    name: str,
    data: bytes,
    nonce: str,
) -> None:
    """Take a holder's answer in, or raise."""
    _, said = open_message(
        Standing,
        data,
        senders={name: opened.participants[name]},
        study=opened.digest,
        run=opened.run,
        recipient=COORDINATOR,
    )
    if (said.nonce, said.study) != (nonce, opened.digest):
        raise WaistError(
            "RF-W390",
            N_("The standing that {holder} told answers another notice; it was replayed."),
            holder=name,
        )
    approvers = _approvers(opened, name, said)

    def told(connection: Connection, fresh: bool) -> None:
        resource, holder = f"study:{opened.digest}", {"holder": name, "nonce": nonce}
        if fresh:
            coordinator.log.record(
                "study.delivered", "allow", resource=resource, public=holder, connection=connection
            )
        public: Mapping[str, Json] = {**holder, "standing": said.state, "approvals": len(approvers)}
        coordinator.log.record(
            "study.standing",
            "allow",
            resource=resource,
            public=public,
            private={"approvers": listed(approvers)},
            connection=connection,
        )

    submissions.heard(opened.digest, name, said.state, told)


def _approvers(opened: OpenStudy, name: str, said: Standing) -> tuple[str, ...]:
    """Who approved a study that is called approved; of another nobody may be told.

    Raises:
        StudyError: two different people's approvals are not there.
        WaistError: RF-W391 there are approvals of a study that is not called approved.
    """
    if said.state == APPROVED:
        return approvers_of(said.approvals, study=opened.digest, holder=name, runs=opened.study.runs)
    if said.approvals:
        raise WaistError(
            "RF-W391",
            N_("{holder} sent approvals of a study that it calls {state}; its answer does not count."),
            holder=name,
            state=said.state,
        )
    return ()
