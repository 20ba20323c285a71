"""`ringfence-server init`: the coordinator's home and its keys."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.privacy.command_line.commands import add_wrapping, new_passphrase
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-command."""
    init = leaf(
        commands,
        "init",
        _("make a coordinator's home: keys, store, log, server.toml; all or nothing"),
        home=False,
        examples=["ringfence-server init desk --name city-analytics"],
    )
    init.add_argument("folder", type=Path, metavar="FOLDER", help=_("folder to make"))
    init.add_argument("--name", required=True, help=_("name of the coordinator's organisation"))
    init.add_argument(
        "--store", metavar="URL", help=_("a PostgreSQL URL instead of a SQLite file in the folder")
    )
    add_wrapping(init)
    init.set_defaults(do=_init)


def _init(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.command_line.homes import require_free
    from ringfence.server.home import make_home

    require_free(arguments.folder)
    own, log_key = make_home(arguments.folder, arguments.name, new_passphrase(arguments), arguments.store)
    terminal = Terminal.of(arguments)
    terminal.say(
        _("Made the home of {name} in {folder}.").format(name=arguments.name, folder=arguments.folder)
    )
    terminal.say(_("coordinator key  {fingerprint}").format(fingerprint=own.fingerprint))
    terminal.say(_("log key          {fingerprint}").format(fingerprint=log_key.fingerprint))
    terminal.say(
        _("Next: give holders keys/coordinator.key.pub, and enter theirs: ringfence-server holder add")
    )
    terminal.write_json(
        {
            "folder": str(arguments.folder),
            "name": arguments.name,
            "coordinator_key": own.hex,
            "coordinator_fingerprint": own.fingerprint,
            "log_key": log_key.hex,
        }
    )
    return 0
