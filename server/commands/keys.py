"""`ringfence-server key` and `officer`: replace the coordinator's keys, and who signs that."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.privacy.command_line.commands import add_compared, require_compared, tell_entered
from ringfence.privacy.command_line.replacing import KeyDesk, Replacing, add_replacing
from ringfence.privacy.command_line.terminal import Parser
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    keys = commands.add_parser("key", help=_("replace keys of this home"))
    add_replacing(
        keys.add_subparsers(metavar=_("COMMAND"), required=True),
        Replacing(leaf=leaf, program="ringfence-server", roles=("coordinator", "log"), desk=_desk),
    )
    officer = commands.add_parser("officer", help=_("enter the people who sign for this coordinator"))
    adding = leaf(
        officer.add_subparsers(metavar=_("COMMAND"), required=True),
        "add",
        _("enter people who sign withdrawals, recoveries and new keys into server.toml"),
        more=_("Shows every fingerprint first; comments and everything else in the file stay."),
        examples=["ringfence-server officer add ada.key.pub bob.key.pub --compared"],
    )
    adding.add_argument(
        "file", type=Path, nargs="+", metavar="FILE", help=_("the .pub file of a person's key")
    )
    add_compared(adding)
    adding.set_defaults(do=_add_officers)


def _desk() -> KeyDesk:
    from ringfence.server.desk import replacing as desk

    return KeyDesk(
        begin=desk.begin_coordinator_key,
        sign=desk.sign_coordinator_key,
        enact=desk.enact_coordinator_key,
        known=desk.coordinator_chains,
        settle=desk.settle_at_coordinator,
    )


def _add_officers(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.trusting import enter_officers, officers_shown
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        keys = officers_shown(office, arguments.file)
        require_compared(arguments, keys)
        enter_officers(office, keys)
        file = office.settings.file
    tell_entered(arguments, file, keys)
    return 0
