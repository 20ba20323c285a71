"""`ringfence-client init` and `ringfence-client key`: the home and its keys."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.clients.commands.options import leaf
from ringfence.privacy.command_line.commands import add_wrapping, decimal, new_passphrase
from ringfence.privacy.command_line.replacing import KeyDesk, Replacing, add_replacing
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _

if TYPE_CHECKING:
    from ringfence.clients.desk.keys.replacing import KeyPlace

FILTERS = ("gdp", "rdp")
KINDS = ("holder", "log", "approver", "coordinator")


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    init = leaf(
        commands,
        "init",
        _("make a holder's home: keys, store, privacy budget, log, client.toml"),
        more=_(
            "All of it or nothing; an existing folder with anything in it is refused. The budget is fixed "
            "for good: it covers everything that will ever be released about the population."
        ),
        examples=[
            "ringfence-client init bank --name north-bank --population retail --budget-epsilon 4 "
            "--budget-delta 1e-7",
        ],
        home=False,
    )
    init.add_argument("folder", type=Path, metavar="FOLDER", help=_("folder to make"))
    init.add_argument("--name", required=True, help=_("the holder's name in contracts and studies"))
    init.add_argument("--population", required=True, help=_("name of the customers that the budget counts"))
    init.add_argument(
        "--budget-epsilon", required=True, type=decimal, metavar="E", help=_("budget: epsilon, for good")
    )
    init.add_argument(
        "--budget-delta", required=True, type=decimal, metavar="D", help=_("budget: delta, for good")
    )
    init.add_argument(
        "--filter",
        choices=FILTERS,
        default="gdp",
        help=_("how spending adds up: gdp takes Gaussian noise and is exact (default); rdp takes any noise"),
    )
    init.add_argument(
        "--store", metavar="URL", help=_("a PostgreSQL URL instead of a SQLite file in the folder")
    )
    add_wrapping(init)
    init.set_defaults(do=_init)
    _add_key(commands)


def _add_key(commands: argparse._SubParsersAction[Parser]) -> None:
    keys = commands.add_parser("key", help=_("make and look at key files, and replace keys of this home"))
    kinds = keys.add_subparsers(metavar=_("COMMAND"), required=True)
    new = leaf(
        kinds,
        "new",
        _("make a key pair; the public half goes beside it as .pub"),
        examples=["ringfence-client key new --kind approver ana.key"],
        home=False,
    )
    new.add_argument("path", type=Path, metavar="PATH", help=_("file to make; never overwritten"))
    new.add_argument("--kind", required=True, choices=KINDS, help=_("what the key is for"))
    add_wrapping(new)
    new.set_defaults(do=_new)
    show = leaf(
        kinds, "show", _("show what a key file or its .pub holds; no passphrase is needed"), home=False
    )
    show.add_argument("path", type=Path, metavar="PATH", help=_("a key file or a .pub file"))
    show.set_defaults(do=_show)
    add_replacing(
        kinds,
        Replacing(
            leaf=leaf,
            program="ringfence-client",
            roles=("holder", "log"),
            desk=_desk,
            more=_add_whose_log,
            place=_place,
        ),
    )


def _add_whose_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--federation", metavar="NAME", help=_("of the log: a federation's, instead of the house's own")
    )


def _place(arguments: argparse.Namespace) -> KeyPlace:
    from ringfence.clients.desk.keys.replacing import KeyPlace

    return KeyPlace(config=arguments.config, federation=arguments.federation)


def _desk() -> KeyDesk:
    from ringfence.clients.desk.keys import replacing as desk

    return KeyDesk(
        begin=desk.begin_holder_key,
        sign=desk.sign_holder_key,
        enact=desk.enact_holder_key,
        known=desk.holder_chains,
        settle=desk.settle_at_holder,
    )


def _init(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.founding import Plan, make_home
    from ringfence.privacy.command_line.homes import require_free

    require_free(arguments.folder)
    made = make_home(
        arguments.folder,
        Plan(
            name=arguments.name,
            population=arguments.population,
            epsilon=arguments.budget_epsilon,
            delta=arguments.budget_delta,
            filter=arguments.filter,
            passphrase=new_passphrase(arguments),
            store=arguments.store,
        ),
    )
    terminal = Terminal.of(arguments)
    terminal.say(_("Made the home of {name} in {folder}.").format(name=arguments.name, folder=made.folder))
    terminal.say(_("holder key  {fingerprint}").format(fingerprint=made.holder.fingerprint))
    terminal.say(_("log key     {fingerprint}").format(fingerprint=made.log.fingerprint))
    terminal.say(
        _(
            "Next: draft a contract (ringfence-client contract draft), and enter the keys of others "
            "(ringfence-client peer add, approver add, join)."
        )
    )
    terminal.write_json(
        {
            "folder": str(made.folder),
            "name": arguments.name,
            "holder_key": made.holder.hex,
            "holder_fingerprint": made.holder.fingerprint,
            "log_key": made.log.hex,
            "log_fingerprint": made.log.fingerprint,
        }
    )
    return 0


def _new(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.crypto.identity import Identity
    from ringfence.privacy.crypto.keyfile import write_key

    identity = Identity.generate(arguments.kind)
    passphrase = new_passphrase(arguments)
    write_key(arguments.path, identity, passphrase, unwrapped=passphrase is None)
    terminal = Terminal.of(arguments)
    public = identity.public
    terminal.say(f"{arguments.kind} {public.fingerprint}")
    terminal.write_json({"kind": arguments.kind, "fingerprint": public.fingerprint, "key": public.hex})
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.keys.keyring import inspect

    seen = inspect(arguments.path)
    terminal = Terminal.of(arguments)
    for name, value in seen.items():
        terminal.say(f"{name:12} {value}")
    terminal.write_json(seen)
    return 0
