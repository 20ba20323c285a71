"""`ringfence-client peer` and `approver`: whose keys this holder trusts."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.clients.commands.options import leaf
from ringfence.clients.commands.recovery import add_coordinators_log
from ringfence.privacy.command_line.commands import add_compared, require_compared, tell_entered
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    _add_peer(commands)
    approver = commands.add_parser("approver", help=_("enter the people who may approve"))
    adding = leaf(
        approver.add_subparsers(metavar=_("COMMAND"), required=True),
        "add",
        _("enter people who may approve studies and changes of the budget into client.toml"),
        more=_("Shows every fingerprint first; comments and everything else in the file stay."),
        examples=["ringfence-client approver add ana.key.pub ben.key.pub --compared"],
    )
    adding.add_argument(
        "file", type=Path, nargs="+", metavar="FILE", help=_("the .pub file of an approver's key")
    )
    add_compared(adding)
    adding.set_defaults(do=_add_approvers)
    coordinator = commands.add_parser("coordinator", help=_("keep to the log of a coordinator"))
    add_coordinators_log(coordinator.add_subparsers(metavar=_("COMMAND"), required=True))


def _add_peer(commands: argparse._SubParsersAction[Parser]) -> None:
    peer = commands.add_parser("peer", help=_("enter the other holders that this one vouches for"))
    adding = leaf(
        peer.add_subparsers(metavar=_("COMMAND"), required=True),
        "add",
        _("enter other holders' keys into the contract, from their declarations or .pub files"),
        more=_(
            "Shows every fingerprint first; comments and everything else in the file stay. A contract that "
            "was signed gets a higher version and has to be signed again. The holder's own file may be "
            "among them and is left out."
        ),
        examples=["ringfence-client peer add south.key.pub west.json --compared"],
    )
    adding.add_argument(
        "file", type=Path, nargs="+", metavar="FILE", help=_("a holder's declaration, or its key's .pub file")
    )
    adding.add_argument(
        "--contract", type=Path, metavar="FILE", help=_("the contract (default: the one in client.toml)")
    )
    add_compared(adding)
    adding.set_defaults(do=_add_peers)


def _add_peers(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.trusting import enter_peers, peers_shown
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        found = peers_shown(home, arguments.file, arguments.contract)
        require_compared(arguments, found.keys)
        enter_peers(home, found)
    raised = found.version if found.keys.new else None
    if raised is not None:
        Terminal.of(arguments).say(
            _("The contract was signed before, so its version is now {version}; sign it again.").format(
                version=raised
            )
        )
    tell_entered(arguments, found.file, found.keys, version=raised)
    return 0


def _add_approvers(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.trusting import approvers_shown, enter_approvers
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        keys = approvers_shown(home, arguments.file)
        require_compared(arguments, keys)
        enter_approvers(home, keys)
        file = home.settings.file
    tell_entered(arguments, file, keys, version=None)
    return 0
