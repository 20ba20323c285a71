"""`ringfence-client log`: a holder's own events, what left the house, a bundle, and a full check."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.clients.commands.options import leaf
from ringfence.clients.commands.recovery import add_recover_own
from ringfence.privacy.command_line.commands import (
    add_export,
    add_limit,
    add_passphrase,
    export_folder,
    limit,
    passphrases,
    tell_export,
)
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import N_, UsageError, _

if TYPE_CHECKING:
    from ringfence.audit.events import LoggedEvent

OUTCOMES = ("allow", "deny", "error")


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    log = commands.add_parser(
        "log",
        help=_("the holder's own log: list, what was sent, export, verify"),
        examples=[
            "ringfence-client log",
            "ringfence-client log --sent",
            "ringfence-client log export evidence",
        ],
    )
    kinds = log.add_subparsers(metavar=_("COMMAND"), required=True)
    _add_listing(kinds)
    export = leaf(
        kinds,
        "export",
        _("write the log as a bundle that ringfence-audit verify checks offline"),
        examples=["ringfence-client log export evidence"],
    )
    add_export(export)
    export.set_defaults(do=_export)
    opening = leaf(
        kinds,
        "open",
        _("hand the private part of one event to one auditor, as a file that ringfence-audit open checks"),
        examples=["ringfence-client log open 17 --out event-17.json"],
    )
    opening.add_argument(
        "number", type=int, metavar="NUMBER", help=_("number of the event, as the list shows it")
    )
    opening.add_argument("--out", type=Path, required=True, metavar="FILE", help=_("new file to write"))
    add_passphrase(opening)
    opening.set_defaults(do=_open)
    verify = leaf(
        kinds, "verify", _("read the whole log and check every event, its private part and the tree")
    )
    verify.set_defaults(do=_verify)
    add_recover_own(kinds)


def _add_listing(kinds: argparse._SubParsersAction[Parser]) -> None:
    listing = leaf(
        kinds,
        "list",
        _("list events, newest first (the same as log alone)"),
        examples=[
            "ringfence-client log --type budget. --outcome deny",
            "ringfence-client log --sent --json -",
            "ringfence-client log --since 2026-11-01 --until 2026-11-30 --all",
            "ringfence-client log --since 2026-11-01T09:30+08:00",
        ],
    )
    listing.add_argument("--sent", action="store_true", help=_("only what left this house"))
    listing.add_argument("--type", metavar="ACTION", help=_("only this type, or a group such as budget."))
    listing.add_argument("--outcome", choices=OUTCOMES, help=_("only this outcome"))
    listing.add_argument(
        "--resource", metavar="TEXT", help=_("only where the resource contains TEXT, e.g. a study's digest")
    )
    listing.add_argument(
        "--since", metavar="TIME", help=_("only from this day or time on, UTC unless it has a zone")
    )
    listing.add_argument(
        "--until", metavar="TIME", help=_("only up to the end of this day or time, UTC likewise")
    )
    add_limit(listing)
    listing.add_argument("--all", action="store_true", help=_("no limit"))
    listing.set_defaults(do=_list)


def _list(arguments: argparse.Namespace) -> int:
    from ringfence.audit.listing import Filter, event_line, event_members, newest
    from ringfence.audit.time_spans import span
    from ringfence.clients.desk.logbook import SENT
    from ringfence.clients.home import open_home

    most = limit(arguments)
    if arguments.sent and arguments.outcome not in (None, "allow"):
        raise UsageError(
            "RF-U454",
            N_(
                "--sent lists what left this house, and what was refused did not leave; leave out --outcome "
                "{outcome}."
            ),
            outcome=arguments.outcome,
        )
    wanted = Filter(
        action=arguments.type,
        outcome="allow" if arguments.sent else arguments.outcome,
        resource=arguments.resource,
        span=span(arguments.since, arguments.until),
        actions=SENT if arguments.sent else frozenset(),
    )
    with open_home(arguments.config) as home:
        found = newest(home.log, wanted, None if arguments.all else most + 1)
    more = not arguments.all and len(found) > most
    found = found[:most] if more else found
    terminal = Terminal.of(arguments)
    for logged in found:
        terminal.say(_sent_line(logged) if arguments.sent else event_line(logged))
    if not found:
        # Of all time only; within a span, the line below says of which.
        whole = arguments.sent and not (wanted.span or arguments.type or arguments.resource)
        terminal.say(_("Nothing has left this house.") if whole else _("No event fits."))
    if wanted.span:
        terminal.say(wanted.span.told(len(found)))
    if more:
        terminal.say(_("These are the newest {limit}; --all lists the older ones too.").format(limit=most))
    terminal.write_json(
        {
            "events": [event_members(logged) for logged in found],
            "searched": wanted.span.as_json(),
            "more": more,
        }
    )
    return 0


def _sent_line(logged: LoggedEvent) -> str:
    """Study, round, attempt, entries, mu squared and digest of what was sent."""
    from ringfence.audit.listing import short

    event = logged.event
    names = {
        "round": "round",
        "attempt": "attempt",
        "entries": "entries",
        "mu_squared": "mu^2",
        "sent": "bytes",
    }
    said = " ".join(
        f"{label}={short(event.public[name])}" for name, label in names.items() if name in event.public
    )
    return f"{logged.seq:>6} {event.time[:19]}Z {event.action:16} {event.resource} {said}".rstrip()


def _export(arguments: argparse.Namespace) -> int:
    from ringfence.clients.home import open_home

    directory = export_folder(arguments)
    with open_home(arguments.config, passphrases=passphrases(arguments), opens="log") as home:
        made = home.log.export_bundle(directory)
        key = str(home.log.verifier)
    tell_export(arguments, events=made.size, root=made.root.hex(), key=key)
    return 0


def _open(arguments: argparse.Namespace) -> int:
    from ringfence.clients.home import open_home
    from ringfence.privacy.crypto.private_files import create

    target: Path = arguments.out
    if target.exists():
        raise UsageError(
            "RF-U453", N_("{file} exists; an opened event is written to a new file."), file=str(target)
        )
    with open_home(arguments.config, passphrases=passphrases(arguments), opens="log") as home:
        content = home.log.open_event(arguments.number).dumps()
    create(target, content.decode(), 0o600)
    Terminal.of(arguments).say(
        _(
            "Event {number} is in {file}, with its private part. Check it with: ringfence-audit open {file}"
        ).format(number=arguments.number, file=target)
    )
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.logbook import verify_log
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        found = verify_log(home.log, home.engine)
    terminal = Terminal.of(arguments)
    terminal.say(
        _("Events that are as they were written: {count}, all; root {root}").format(
            count=found.size, root=found.root
        )
    )
    if found.erased:
        terminal.say(_("Private parts erased: {count}.").format(count=found.erased))
    terminal.say(
        _(
            "The last signed checkpoint covers {signed} of them. Whether an older copy of the whole store "
            "was put back shows only against a checkpoint kept elsewhere (ringfence-audit verify "
            "--checkpoint)."
        ).format(signed=found.signed)
    )
    terminal.write_json(
        {
            "intact": True,
            "events": found.size,
            "root": found.root,
            "signed": found.signed,
            "erased": found.erased,
        }
    )
    return 0
