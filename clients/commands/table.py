"""`ringfence-client table check`: what the quality gate says of the table, for this house only."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.clients.commands.options import leaf
from ringfence.privacy.errors import N_, UsageError, _
from ringfence.privacy.terminal import Parser, Terminal


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    table = commands.add_parser("table", help=_("look at the table as a study would"))
    kinds = table.add_subparsers(metavar=_("COMMAND"), required=True)
    check = leaf(
        kinds,
        "check",
        _("read the columns a purpose or a study may use, and report their quality"),
        more=_("The report holds exact counts and is for this house only. Exit status 1 when something stops the table."),
        examples=[
            "ringfence-client table check --purpose churn-prediction --label churn",
            "ringfence-client table check --study churn.signed.json",
        ],
    )
    what = check.add_mutually_exclusive_group(required=True)
    what.add_argument("--purpose", metavar="P", help=_("a purpose of the catalogue: all columns it may use"))
    what.add_argument("--study", type=Path, metavar="FILE", help=_("a signed study: the columns it asks for"))
    check.add_argument("--label", metavar="FEATURE", help=_("with --purpose: the feature to predict"))
    check.set_defaults(do=_check)


def _check(arguments: argparse.Namespace) -> int:
    from ringfence.clients.commands.inspection import inspect_table
    from ringfence.clients.home import open_home

    if arguments.study is not None and arguments.label is not None:
        raise UsageError("RF-U450", N_("A study names its label itself; give --label with --purpose only."))
    with open_home(arguments.config) as home:
        report = inspect_table(home, arguments.purpose, arguments.label, arguments.study)
    terminal, facts = Terminal.of(arguments), report.facts
    terminal.say(_("{rows} rows, {customers} customers").format(rows=facts.rows, customers=facts.customers))
    width = max((len(column.name) for column in facts.columns), default=0)
    names = ("present", "missing", "clipped", "unknown", "excluded", "distinct")
    terminal.say(f"{'':{width}}  {'':9}" + "".join(f"{name:>10}" for name in names))
    for column in facts.columns:
        counts = "".join(f"{getattr(column, name):>10}" for name in names)
        terminal.say(f"{column.name:{width}}  {column.kind:9}{counts}")
    for note in report.notes:
        terminal.say(_("note: {sentence}").format(sentence=note))
    findings = [
        {"stops": f.stops, "column": f.column, "code": f.code, "sentence": f.sentence} for f in report.findings
    ]
    columns = [{name: getattr(c, name) for name in ("name", "kind", *names)} for c in facts.columns]
    terminal.write_json(
        {
            "passed": report.passed,
            "rows": facts.rows,
            "customers": facts.customers,
            "columns": columns,
            "findings": findings,
        }
    )
    report.check()
    terminal.say(_("The table passes the quality gate."))
    return 0
