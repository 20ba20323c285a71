"""`ringfence-client peer` and `approver`: whose keys this holder trusts."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.clients.commands.options import add_federation, leaf
from ringfence.clients.commands.recovery import add_coordinators_log
from ringfence.privacy.command_line.commands import add_compared, require_compared, tell_entered
from ringfence.privacy.command_line.replacing import (
    add_taking_in,
    require_compared_succession,
    tell_taken_in,
)
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _

if TYPE_CHECKING:
    from ringfence.clients.home import Home
    from ringfence.privacy.succession.document import SignedSuccession


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
    coordinator = commands.add_parser("coordinator", help=_("keep to a coordinator's log and its keys"))
    kinds = coordinator.add_subparsers(metavar=_("COMMAND"), required=True)
    add_coordinators_log(kinds)
    following = leaf(
        kinds,
        "succession",
        _("take in the new key of the coordinator, or of its log, in the place of the old one"),
        examples=["ringfence-client coordinator succession coordinator.1.succession.json --compared"],
    )
    add_federation(following)
    add_taking_in(following)
    following.set_defaults(do=_follow_coordinator)


def _add_peer(commands: argparse._SubParsersAction[Parser]) -> None:
    peer = commands.add_parser("peer", help=_("enter the other holders that this one vouches for"))
    kinds = peer.add_subparsers(metavar=_("COMMAND"), required=True)
    following = leaf(
        kinds,
        "succession",
        _("take in the new key of another holder in the place of the one that the contract names"),
        more=_("The contract stays as it is signed."),
        examples=["ringfence-client peer succession holder.1.succession.json --compared"],
    )
    add_taking_in(following)
    following.set_defaults(do=_follow_peer)
    adding = leaf(
        kinds,
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
    from ringfence.clients.desk.keys.trusting import enter_peers, peers_shown
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
    from ringfence.clients.desk.keys.trusting import approvers_shown, enter_approvers
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        keys = approvers_shown(home, arguments.file)
        require_compared(arguments, keys)
        enter_approvers(home, keys)
        file = home.settings.file
    tell_entered(arguments, file, keys, version=None)
    return 0


def _follow_coordinator(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.keys.replacing import shown_coordinator
    from ringfence.clients.home import open_federation

    with open_federation(arguments.config, arguments.federation) as home:
        return _follow(arguments, home, shown_coordinator)


def _follow_peer(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.keys.replacing import shown_peer
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        return _follow(arguments, home, shown_peer)


def _follow(
    arguments: argparse.Namespace, home: Home, shown: Callable[[Home, Path], SignedSuccession]
) -> int:
    from ringfence.clients.desk.keys.replacing import accept_party_key
    from ringfence.privacy.wire.fields import utc_now

    with home.refusals("key.succeeded", f"holder:{home.settings.name}"):
        found = shown(home, arguments.file)
        require_compared_succession(arguments, found)
        accept_party_key(home, found, utc_now())
    tell_taken_in(arguments, found.said)
    return 0
