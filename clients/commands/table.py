"""`ringfence-client table check`: what the quality gate says of the table, for this house only."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.clients.commands.attest import add_attesting
from ringfence.clients.commands.options import add_federation, home_for, leaf
from ringfence.privacy.command_line.alignment import right
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import N_, UsageError, _

if TYPE_CHECKING:
    from ringfence.clients.desk.unfinished import Unfinished
    from ringfence.privacy.tables.quality import QualityReport

COUNTS = {
    "present": N_("present"),
    "missing": N_("missing"),
    "clipped": N_("clipped"),
    "unknown": N_("unknown"),
    "excluded": N_("excluded"),
    "distinct": N_("distinct"),
}


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    table = commands.add_parser("table", help=_("look at the table as a study would"))
    kinds = table.add_subparsers(metavar=_("COMMAND"), required=True)
    check = leaf(
        kinds,
        "check",
        _("read the columns a purpose or a study may use, and report their quality"),
        more=_(
            "The report holds exact counts and is for this house only. Exit status 1 when something stops "
            "the table."
        ),
        examples=[
            "ringfence-client table check --purpose churn-prediction --label churn",
            "ringfence-client table check --study churn.signed.json",
            "ringfence-client table check --contract contract.toml --purpose churn-prediction",
        ],
    )
    check.add_argument(
        "--contract",
        type=Path,
        metavar="FILE",
        help=_(
            "a contract that need be neither signed nor finished, without any home: with --purpose only; "
            "nothing is recorded"
        ),
    )
    what = check.add_mutually_exclusive_group(required=True)
    what.add_argument("--purpose", metavar="P", help=_("a purpose of the catalogue: all columns it may use"))
    what.add_argument("--study", type=Path, metavar="FILE", help=_("a signed study: the columns it asks for"))
    check.add_argument("--label", metavar="FEATURE", help=_("with --purpose: the feature to predict"))
    add_federation(check)
    check.set_defaults(do=_check)
    add_attesting(kinds)


def _check(arguments: argparse.Namespace) -> int:
    if arguments.study is not None and arguments.label is not None:
        raise UsageError("RF-U450", N_("A study names its label itself; give --label with --purpose only."))
    report, unfinished = _report(arguments)
    terminal, facts = Terminal.of(arguments), report.facts
    terminal.say(_("rows: {rows}, customers: {customers}").format(rows=facts.rows, customers=facts.customers))
    width = max((len(column.name) for column in facts.columns), default=0)
    names = {name: _(heading) for name, heading in COUNTS.items()}
    terminal.say(f"{'':{width}}  {'':9}" + "".join(right(heading, 10) for heading in names.values()))
    for column in facts.columns:
        counts = "".join(right(getattr(column, name), 10) for name in names)
        terminal.say(f"{column.name:{width}}  {column.kind:9}{counts}")
    for note in report.notes:
        terminal.say(_("note: {sentence}").format(sentence=note))
    findings = [
        {"stops": f.stops, "column": f.column, "code": f.code, "sentence": f.sentence}
        for f in report.findings
    ]
    columns = [{name: getattr(c, name) for name in ("name", "kind", *names)} for c in facts.columns]
    terminal.write_json(
        {
            "passed": report.passed,
            "rows": facts.rows,
            "customers": facts.customers,
            "columns": columns,
            "findings": findings,
            "open": [] if unfinished is None else list(unfinished.open_columns),
        }
    )
    if unfinished is not None and unfinished.open_columns:
        terminal.say(
            _("Still open in the contract, and so not looked at: {columns}").format(
                columns=_(", ").join(unfinished.open_columns)
            )
        )
    report.check()
    if unfinished is not None and (unfinished.open_columns or unfinished.open_keys):
        terminal.say(_("As far as the contract is filled in, the table passes the quality gate."))
    else:
        terminal.say(_("The table passes the quality gate."))
    return 0


def _report(arguments: argparse.Namespace) -> tuple[QualityReport, Unfinished | None]:
    """Read the table of the home's contract, or of one that is only being written."""
    from ringfence.clients.desk.inspection import inspect_draft, inspect_table

    if arguments.contract is None:
        with home_for(arguments, arguments.study) as home:
            return inspect_table(home, arguments.purpose, arguments.label, arguments.study), None
    if arguments.purpose is None:
        raise UsageError(
            "RF-U663",
            N_("A study is checked against the signed contract of a home; give --contract with --purpose."),
        )
    return inspect_draft(arguments.contract, arguments.purpose, arguments.label)
