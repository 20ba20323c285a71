"""`ringfence-server log`: the coordinator's log, listed and exported."""

from __future__ import annotations

import argparse

from ringfence.privacy.command_line.commands import (
    add_export,
    add_limit,
    export_folder,
    limit,
    passphrases,
    tell_export,
)
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf
from ringfence.server.commands.recovery import add_recover_log


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    log = commands.add_parser("log", help=_("the coordinator's log: list and export"))
    kinds = log.add_subparsers(metavar=_("COMMAND"), required=True)
    listing = leaf(kinds, "list", _("list events, newest first (the same as log alone)"))
    listing.add_argument("--type", metavar="ACTION", help=_("only this type, or a group such as study."))
    add_limit(listing)
    listing.set_defaults(do=_list)
    export = leaf(kinds, "export", _("write the log as a bundle that ringfence-audit verify checks offline"))
    add_export(export)
    export.set_defaults(do=_export)
    add_recover_log(kinds)


def _list(arguments: argparse.Namespace) -> int:
    from ringfence.audit.listing import Filter, event_line, event_members, newest
    from ringfence.server.home import open_office

    most = limit(arguments)
    with open_office(arguments.config) as office:
        found = newest(office.log, Filter(action=arguments.type), most)
    terminal = Terminal.of(arguments)
    for logged in found:
        terminal.say(event_line(logged))
    terminal.write_json({"events": [event_members(logged) for logged in found]})
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from ringfence.server.home import open_office

    directory = export_folder(arguments)
    with open_office(arguments.config, passphrases=passphrases(arguments)) as office:
        made = office.log.export_bundle(directory)
        key = str(office.log.verifier)
    tell_export(arguments, events=made.size, root=made.root.hex(), key=key)
    return 0
