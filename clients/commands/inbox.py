"""`ringfence-client study list`, `reject` and `revoke`: what came in, and the holder's noes."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from ringfence.clients.commands.options import add_federation, add_named_study, leaf
from ringfence.privacy.command_line.alignment import padded
from ringfence.privacy.command_line.commands import add_passphrase, passphrases
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import N_, _

STATES = {
    "waiting": N_("waiting, {count} of 2 approvals"),
    "approved": N_("approved"),
    "rejected": N_("rejected"),
    "running": N_("running"),
    "ended": N_("ended"),
    "expired": N_("expired"),
    "outdated": N_("names a replaced key"),
}


def add_inbox(kinds: argparse._SubParsersAction[Parser]) -> None:
    """Declare them among the sub-commands of `study`."""
    listing = leaf(
        kinds,
        "list",
        _("list the studies that the coordinator sent, and what people here decided on each"),
        more=_("They come while ringfence-client run is running. The last that came stands first."),
    )
    add_federation(listing)
    listing.set_defaults(do=_list)
    reject = leaf(
        kinds,
        "reject",
        _("say no to a study; one person is enough, and approvals given before are void"),
        more=_(
            "This holder stays away from it, also where it is running already. The coordinator sees that it "
            "was rejected and no reason. Whoever wants it after all approves it: two people, anew."
        ),
        examples=["ringfence-client study reject churn-1 --key ana.key --reason-private 'not ours to give'"],
    )
    add_named_study(reject)
    reject.add_argument("--key", type=Path, required=True, metavar="FILE", help=_("the approver's key file"))
    add_passphrase(reject)
    reject.add_argument(
        "--reason-private",
        default="",
        metavar="TEXT",
        help=_("why, for this house's own people; it stays in the private part of the log"),
    )
    reject.set_defaults(do=_reject)
    revoke = leaf(
        kinds,
        "revoke",
        _("take one's own approval of a study back, until it has ended"),
        more=_("With fewer than two approvals left this holder answers no further round."),
        examples=["ringfence-client study revoke churn-1 --key ana.key"],
    )
    add_named_study(revoke)
    revoke.add_argument("--key", type=Path, required=True, metavar="FILE", help=_("the approver's key file"))
    add_passphrase(revoke)
    revoke.set_defaults(do=_revoke)


def _list(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.deciding import approved_series, arrived
    from ringfence.clients.desk.series import attestations_due
    from ringfence.clients.home import open_federation

    with open_federation(arguments.config, arguments.federation) as home:
        found = arrived(home)
        due = attestations_due(home, approved_series(home, found), datetime.now(UTC))
    terminal = Terminal.of(arguments)
    terminal.say(_("Studies in the inbox: {count}").format(count=len(found)))
    width = max((len(each.study.name) for each in found), default=0)
    for each in found:
        state = _(STATES[each.state]).format(count=each.approvals)
        said = _("{purpose}, epsilon {epsilon} at delta {delta}, came {received}, until {expires}").format(
            purpose=each.study.purpose,
            epsilon=each.study.epsilon,
            delta=each.study.delta,
            received=each.study.received[:16].replace("T", " ") + " UTC",
            expires=each.study.expires,
        )
        terminal.say(f"  {padded(each.study.name, width)}  {padded(state, 26)}  {said}")
        if each.study.runs:
            more = _("a series: {used} of {runs} runs used here; all together epsilon {composed} at most")
            told = more.format(used=each.used, runs=each.study.runs, composed=each.study.composed or "?")
            terminal.say(f"  {'':{width}}  {told}")
    for line in (*(each.line() for each in found if each.replaced), *(one.line() for one in due)):
        terminal.say(line)
    terminal.write_json(
        {
            "studies": [each.as_json() for each in found],
            "attestations_due": [one.as_json() for one in due],
        }
    )
    return 0


def _reject(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.deciding import reject_study
    from ringfence.clients.home import open_federation

    with open_federation(arguments.config, arguments.federation) as home:
        given, reason = passphrases(arguments), arguments.reason_private
        made = reject_study(home, arguments.study, arguments.key, given, reason)
    terminal = Terminal.of(arguments)
    terminal.say(
        _(
            "{approver} rejected {study} ({digest}). This holder stays away from it; approvals given before "
            "are void."
        ).format(approver=made.approver, study=made.study, digest=made.digest)
    )
    terminal.write_json(
        {
            "approver": made.approver,
            "study": made.study,
            "digest": made.digest,
            "state": "rejected",
        }
    )
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.deciding import revoke_approval
    from ringfence.clients.home import open_federation

    with open_federation(arguments.config, arguments.federation) as home:
        made = revoke_approval(home, arguments.study, arguments.key, passphrases(arguments))
    terminal = Terminal.of(arguments)
    terminal.say(
        _("{approver} took back the approval of {study} ({digest}).").format(
            approver=made.approver, study=made.study, digest=made.digest
        )
    )
    terminal.say(_("approvals on file: {count} of 2").format(count=made.count))
    terminal.write_json(
        {
            "approver": made.approver,
            "study": made.study,
            "digest": made.digest,
            "approvals": made.count,
        }
    )
    return 0
