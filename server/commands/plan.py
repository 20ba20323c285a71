"""`ringfence-server study draft` and `plan`: a first study, its price, the expected errors of its answers."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.privacy.command_line.commands import add_drafting, folder_of, tell_draft
from ringfence.privacy.command_line.prices import planned_lines
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf


def add_first_draft(kinds: argparse._SubParsersAction[Parser]) -> None:
    """Declare `draft`."""
    draft = leaf(
        kinds,
        "draft",
        _("write a first study from the schema and the holders' declarations"),
        more=_(
            "Filled in is what they say: features that every holder gives to the purpose, labels that can be "
            "predicted, delta, and the price. What people decide is left as ???."
        ),
        examples=[
            "ringfence-server study draft schema.toml --declaration north.json --declaration south.json "
            "--purpose churn-prediction --label churn --out churn.toml",
        ],
    )
    draft.add_argument("schema", type=Path, metavar="SCHEMA", help=_("the schema's TOML file"))
    draft.add_argument(
        "--declaration",
        action="append",
        type=Path,
        required=True,
        metavar="FILE",
        help=_("a holder's declaration (ringfence-client contract declare); one for each holder"),
    )
    add_drafting(draft)
    draft.set_defaults(do=_draft)


def add_plan(kinds: argparse._SubParsersAction[Parser]) -> None:
    """Declare `plan`."""
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


def _draft(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.drafting import draft_from_declarations
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        text = draft_from_declarations(
            office,
            arguments.schema,
            arguments.declaration,
            purpose=arguments.purpose,
            label=arguments.label,
            task=arguments.task,
            beside=folder_of(arguments.out),
        )
    tell_draft(arguments, text)
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.planning import plan_study
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        found = plan_study(office, arguments.file, arguments.declaration, arguments.schema)
    terminal = Terminal.of(arguments)
    for line in planned_lines(found.study, found.price):
        terminal.say(line)
    for line in found.outlook.told():
        terminal.say(line)
    terminal.write_json(
        {"study": found.study, "price": found.price.as_report(), "expected": found.outlook.as_json()}
    )
    return 0
