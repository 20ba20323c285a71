"""`ringfence-server study plan`: the price of a study and the expected errors of its answers."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf


def add_plan(kinds: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-command."""
    plan = leaf(
        kinds,
        "plan",
        _("tell what errors the answers of a study are expected to have, before anything is spent"),
        more=_("From public facts alone: the study, its schema and the holders' declarations."),
        examples=[
            "ringfence-server study plan tables.toml --declaration north.json --declaration south.json",
            "ringfence-server study plan tables.signed.json",
        ],
    )
    plan.add_argument(
        "file",
        type=Path,
        metavar="STUDY",
        help=_("the study's TOML file, with declarations; or a signed study's file or id"),
    )
    plan.add_argument(
        "--declaration",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=_("a holder's declaration, for a study that is not signed yet; one for each holder"),
    )
    plan.add_argument(
        "--schema",
        type=Path,
        metavar="FILE",
        help=_("its schema (default: as submitted, or schema.toml beside the file)"),
    )
    plan.set_defaults(do=_plan)


def _plan(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.planning import plan_study
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        found = plan_study(office, arguments.file, arguments.declaration, arguments.schema)
    terminal = Terminal.of(arguments)
    report = found.price.as_report()
    terminal.say(
        _(
            "Study {study}: epsilon {epsilon} at delta {delta} for a customer, {worst} in the worst case"
        ).format(
            study=found.study,
            epsilon=report["customer_epsilon"],
            delta=report["delta"],
            worst=report["customer_epsilon_worst_case"],
        )
    )
    for line in found.outlook.told():
        terminal.say(line)
    terminal.write_json({"study": found.study, "price": report, "expected": found.outlook.as_json()})
    return 0
