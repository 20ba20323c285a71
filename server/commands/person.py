"""`ringfence-server person`: who signs for the coordinator what no program may decide."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.privacy.command_line.commands import add_compared, require_compared, tell_entered
from ringfence.privacy.command_line.terminal import Parser
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-command."""
    person = commands.add_parser("person", help=_("enter the people who sign for the coordinator"))
    adding = leaf(
        person.add_subparsers(metavar=_("COMMAND"), required=True),
        "add",
        _("enter people who sign withdrawals and recoveries for the coordinator into server.toml"),
        more=_("Shows every fingerprint first; comments and everything else in the file stay."),
        examples=["ringfence-server person add ana.key.pub ben.key.pub --compared"],
    )
    adding.add_argument(
        "file", type=Path, nargs="+", metavar="FILE", help=_("the .pub file of an approver's key")
    )
    add_compared(adding)
    adding.set_defaults(do=_add)


def _add(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.trusting import enter_people, people_shown
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        keys = people_shown(office, arguments.file)
        require_compared(arguments, keys)
        enter_people(office, keys)
        file = office.settings.file
    tell_entered(arguments, file, keys)
    return 0
