"""`ringfence-client federation`, `join` and `run`: belong to federations, and answer their coordinators."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.clients.commands.options import leaf
from ringfence.privacy.command_line.commands import (
    add_compared,
    add_passphrase,
    passphrases,
    require_compared,
    require_new_file,
    stopped_by_signals,
    tell_entered,
)
from ringfence.privacy.command_line.lasting import ended_in_time, leave_proxies_out
from ringfence.privacy.command_line.lines import SaidLines, add_log_format
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import N_, UsageError, _

if TYPE_CHECKING:
    from ringfence.privacy.crypto.signed import SignedDocument


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    _add_belonging(commands)
    join = leaf(
        commands,
        "join",
        _("take up a coordinator's invitation, and later its admission"),
        more=_(
            "An invitation makes keys of connections here, which never leave, and the enrolment that is "
            "handed to the coordinator (--out). Its admission completes it."
        ),
        examples=[
            "ringfence-client join north-bank.invitation.json --out enrolment.json --compared",
            "ringfence-client join admission.json",
        ],
    )
    join.add_argument("file", type=Path, metavar="FILE", help=_("an invitation, or an admission"))
    join.add_argument(
        "--out", type=Path, metavar="FILE", help=_("the enrolment to make, where FILE is an invitation")
    )
    join.add_argument(
        "--federation",
        metavar="NAME",
        help=_("name of a federation that is new here (default: the coordinator's)"),
    )
    add_compared(join)
    add_passphrase(join)
    join.set_defaults(do=_join)
    run = leaf(
        commands,
        "run",
        _("answer the studies of all federations that two people here approved, until stopped"),
        more=_(
            "Connects outwards to the coordinators' gateways and listens on no port. What is refused, and "
            "why, is said here and recorded in the federation's log. A federation that cannot be served "
            "stops no other."
        ),
        json=False,
    )
    add_passphrase(run)
    add_log_format(run)
    run.set_defaults(do=_run)


def _add_belonging(commands: argparse._SubParsersAction[Parser]) -> None:
    federation = commands.add_parser("federation", help=_("the federations that this home belongs to"))
    kinds = federation.add_subparsers(metavar=_("COMMAND"), required=True)
    adding = leaf(
        kinds,
        "add",
        _("enter a federation by its coordinator's key, and found its own log"),
        more=_(
            "Not needed before join, which does it. The log's key is wrapped where that of the house's log "
            "is. Comments and everything else in client.toml stay."
        ),
        examples=["ringfence-client federation add city coordinator.key.pub --compared"],
    )
    adding.add_argument("name", metavar="NAME", help=_("short name of the federation at this home"))
    adding.add_argument("file", type=Path, metavar="FILE", help=_("the .pub file of the coordinator's key"))
    add_compared(adding)
    add_passphrase(adding)
    adding.set_defaults(do=_add)
    listing = leaf(kinds, "list", _("list the federations, their coordinators and whom to call there"))
    listing.set_defaults(do=_list)
    leaving = leaf(
        kinds,
        "leave",
        _("leave a federation in which nothing is under way; its log stays"),
        more=_(
            "Its entry in client.toml and its keys of connections are deleted. What was spent stays spent. "
            "Who joins it again goes on with the same log."
        ),
    )
    leaving.add_argument("name", metavar="NAME", help=_("name of the federation"))
    leaving.set_defaults(do=_leave)


def _add(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.belonging import enter_federation, entering
    from ringfence.clients.desk.keys.trusting import coordinator_shown
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        asked = entering(home, arguments.name, coordinator_shown(arguments.file))
        require_compared(arguments, asked.keys)
        enter_federation(home, asked, passphrases(arguments))
        file = home.settings.file
    tell_entered(arguments, file, asked.keys, federation=asked.name)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        found = [
            {
                "name": each.name,
                "coordinator": home.coordinator_of(each).fingerprint,
                "log": home.of(each).log.origin,
                "people": list(each.people),
            }
            for each in home.settings.config.federation
        ]
    terminal = Terminal.of(arguments)
    terminal.say(_("Federations: {count}").format(count=len(found)))
    for each in found:
        terminal.say(f"  {each['name']}  {each['coordinator']}  {each['log']}")
        for person in each["people"]:
            terminal.say(f"    {person}")
    terminal.write_json({"federations": found})
    return 0


def _leave(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.belonging import leave_federation
    from ringfence.clients.home import open_federation

    with open_federation(arguments.config, arguments.name) as home:
        name = leave_federation(home)
    terminal = Terminal.of(arguments)
    terminal.say(_("Left {name}; its log stays in the store.").format(name=name))
    terminal.write_json({"federation": name})
    return 0


def _join(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.crypto.signed import read_signed
    from ringfence.privacy.protocol.enrolment import ADMISSION

    document = read_signed(arguments.file)
    return (_complete if document.kind == ADMISSION else _take_up)(arguments, document)


def _take_up(arguments: argparse.Namespace, document: SignedDocument) -> int:
    from ringfence.clients.desk.enrolling import invited, take_up
    from ringfence.clients.home import open_home

    if arguments.out is None:
        raise UsageError("RF-U530", N_("Name the enrolment that is to be made: --out FILE"))
    require_new_file(arguments.out)
    with open_home(arguments.config) as home, home.refusals("federation.joined", "invitation"):
        asked = invited(home, document, arguments.federation)
        require_compared(arguments, asked.keys)
        take_up(home, asked, arguments.out, passphrases(arguments))
        own = home.identity.fingerprint
    terminal = Terminal.of(arguments)
    terminal.say(
        _(
            "Wrote {file}. Hand it to {coordinator}, and tell it this fingerprint in person or by "
            "telephone: {own}"
        ).format(file=arguments.out, coordinator=asked.invitation.coordinator, own=own)
    )
    terminal.write_json(
        {
            "enrolment": str(arguments.out),
            "federation": asked.federation.name,
            "fingerprint": own,
            "gateway": asked.invitation.gateway,
        }
    )
    return 0


def _complete(arguments: argparse.Namespace, document: SignedDocument) -> int:
    from ringfence.clients.desk.enrolling import complete
    from ringfence.clients.home import open_home

    if arguments.out is not None:
        raise UsageError("RF-U531", N_("This is an admission, of which nothing is made; leave out --out."))
    with open_home(arguments.config) as home, home.refusals("federation.joined", "admission"):
        invitation = complete(home, document)
    terminal = Terminal.of(arguments)
    terminal.say(
        _("Joined {coordinator}. Next: ringfence-client run").format(coordinator=invitation.coordinator)
    )
    terminal.write_json({"coordinator": invitation.coordinator, "gateway": invitation.gateway})
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from ringfence.clients.connections.flower_names import require_node_names

    require_node_names()
    from ringfence.clients.config import load_settings
    from ringfence.clients.connections.node import serve_holders
    from ringfence.clients.desk.assembling import serving

    lines = SaidLines.of(arguments, Terminal.of(arguments).say)
    leave_proxies_out(lines.tell, _("Name one in client.toml, under [federation.connection]."))
    settings = load_settings(arguments.config)
    with (
        serving(arguments.config, passphrases(arguments), lines.report) as holders,
        stopped_by_signals() as stop,
        ended_in_time(stop, lines.tell),
    ):
        serve_holders(holders, settings, stop, report=lines.report, ready=partial(lines.tell, "answering"))
    lines.tell("stopped", _("Stopped."))
    return 0
