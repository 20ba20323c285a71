"""`ringfence-client study`: would this study be allowed here, and what people decide on it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.clients.commands.inbox import add_inbox
from ringfence.clients.commands.options import add_named_study, leaf
from ringfence.clients.commands.showing import add_showing
from ringfence.privacy.command_line.commands import add_passphrase, passphrases
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    study = commands.add_parser("study", help=_("see the studies that came, check, approve and reject them"))
    kinds = study.add_subparsers(metavar=_("COMMAND"), required=True)
    add_showing(kinds)
    add_inbox(kinds)
    check = leaf(
        kinds,
        "check",
        _("would this study be allowed here, at what price, and does it fit"),
        more=_(
            "Nothing is read of the table and nothing is spent. All reasons against it are listed; exit "
            "status 1 when there is one, or when the budget does not cover it."
        ),
        examples=["ringfence-client study check churn-1", "ringfence-client study check churn.signed.json"],
    )
    add_named_study(check)
    check.set_defaults(do=_check)
    approve = leaf(
        kinds,
        "approve",
        _("approve a study as one person; two different people are needed"),
        examples=["ringfence-client study approve churn-1 --key ana.key"],
    )
    add_named_study(approve)
    approve.add_argument("--key", type=Path, required=True, metavar="FILE", help=_("the approver's key file"))
    add_passphrase(approve)
    approve.set_defaults(do=_approve)


def _check(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.standing_copy import StandingCopy
    from ringfence.clients.desk.whatif import (
        answer,
        consents_line,
        dropout_line,
        passed_over_lines,
        price_lines,
        read_study,
    )
    from ringfence.clients.home import open_federation
    from ringfence.privacy.agreements.terms import pace_told

    with open_federation(arguments.config, arguments.federation) as home:
        study, loaded = read_study(home, arguments.study), home.contract()
        found = answer(home, study, loaded)
        copy = StandingCopy.of(home, found.digest, loaded, found.decoded, found.series)
    terminal = Terminal.of(arguments)
    terminal.say(_("Study {study} {digest}").format(study=found.study.id, digest=found.digest))
    terminal.say(
        _("purpose {purpose}, legal basis {basis}, expires {day}").format(
            purpose=found.study.purpose, basis=found.study.legal_basis, day=found.study.expires
        )
    )
    if found.decision.allow:
        terminal.say(consents_line(found))
    terminal.say(dropout_line(found.study))
    terminal.say(pace_told(found.study.privacy))
    for line in price_lines(found):
        terminal.say(line)
    for line in copy.lines():
        terminal.say(line)
    terminal.say(_("approvals on file: {count} of 2").format(count=found.approvals))
    for line in passed_over_lines(found):
        terminal.say(line)
    terminal.write_json({**found.as_json(), "table": copy.as_json()})
    found.decision.require()
    if found.no_price is not None:
        raise found.no_price
    found.require_fit()
    terminal.say(_("It would be allowed here."))
    return 0


def _approve(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.approving import approve_study
    from ringfence.clients.home import open_federation

    with open_federation(arguments.config, arguments.federation) as home:
        made = approve_study(home, arguments.study, arguments.key, passphrases(arguments))
    terminal = Terminal.of(arguments)
    terminal.say(
        _("{approver} approved {study} ({digest}).").format(
            approver=made.approver, study=made.study, digest=made.digest
        )
    )
    if made.rejected:
        terminal.say(
            _("Take note: the study was rejected here on {at}; this approval takes that back.").format(
                at=made.rejected
            )
        )
    terminal.say(_("approvals on file: {count} of 2").format(count=made.count))
    terminal.say(
        _("it reads the table as attested on {moment}").format(moment=f"{made.attested:%Y-%m-%d %H:%M} UTC")
    )
    for line in made.seen:
        terminal.say(line)
    if made.warning is not None:
        terminal.say(
            _("Take note: {sentence} Until then this holder will not join the study.").format(
                sentence=made.warning.sentence()
            )
        )
    terminal.write_json(
        {
            "fits": made.warning is None,
            "approver": made.approver,
            "study": made.study,
            "digest": made.digest,
            "file": str(made.file),
            "approvals": made.count,
        }
    )
    return 0
