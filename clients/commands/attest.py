"""`ringfence-client table attest` and `forget`: the table as it stands, kept for one study till it ends."""

from __future__ import annotations

import argparse

from ringfence.clients.commands.options import add_named_study, leaf
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _


def add_attesting(kinds: argparse._SubParsersAction[Parser]) -> None:
    """Declare the two among the sub-commands of `table`."""
    made = leaf(
        kinds,
        "attest",
        _("judge the table for a signed study and keep it as it is, for the study to read"),
        more=_(
            "A study reads this copy and nothing else of the table. Attest again to take in what changed "
            "since; once the study has begun here its copy stays. The first approval of a study attests "
            "the table where nobody has. Each run of a series needs a copy of its own (--run), made for the "
            "window that is open or for the next one. Exit status 1 when something stops the table."
        ),
        examples=["ringfence-client table attest churn.signed.json"],
    )
    made.set_defaults(do=_attest)
    gone = leaf(
        kinds,
        "forget",
        _("delete the copy that was kept for a study; without one this holder stays away from it"),
        examples=["ringfence-client table forget churn.signed.json"],
    )
    gone.set_defaults(do=_forget)
    for each in (made, gone):
        add_named_study(each)
        each.add_argument("--run", type=int, metavar="N", help=_("of a series: number of the run"))


def _attest(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.inspection import attest_table
    from ringfence.clients.home import open_federation

    with open_federation(arguments.config, arguments.federation) as home:
        made = attest_table(home, arguments.study, arguments.run)
    terminal, facts = Terminal.of(arguments), made.quality.facts
    terminal.say(_("rows: {rows}, customers: {customers}").format(rows=facts.rows, customers=facts.customers))
    for note in made.quality.notes:
        terminal.say(_("note: {sentence}").format(sentence=note))
    if made.attestation.window:
        said = _("The table passes and is kept for run {number} as it is now: {file}")
    else:
        said = _("The table passes and is kept for the study as it is now: {file}")
    terminal.say(said.format(number=made.attestation.window, file=made.attestation.file))
    terminal.write_json(
        {
            "study": made.attestation.study,
            "run": made.attestation.window or None,
            "passed": True,
            "rows": facts.rows,
            "customers": facts.customers,
            "snapshot": made.attestation.digest,
            "file": made.attestation.file,
            "at": made.attestation.at.isoformat(),
        }
    )
    return 0


def _forget(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.inspection import forget_table
    from ringfence.clients.home import open_federation

    with open_federation(arguments.config, arguments.federation) as home:
        digest = forget_table(home, arguments.study, arguments.run)
    terminal = Terminal.of(arguments)
    terminal.say(_("No copy of the table is kept for {study}.").format(study=digest))
    terminal.write_json({"study": digest})
    return 0
