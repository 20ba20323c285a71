"""`ringfence-client log`: a holder's own events, what left the house, bundles, and a full check."""

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
        help=_("the holder's own logs: list, what was sent, export, verify"),
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
        _("write the logs as a bundle that ringfence-audit verify checks offline"),
        more=_(
            "All logs of the home, each in a folder of its own, or the one that is named. A federation's "
            "auditor gets that federation's log alone; it tells nothing of the others."
        ),
        examples=[
            "ringfence-client log export evidence",
            "ringfence-client log export for-city --federation city",
        ],
    )
    add_export(export)
    _add_which(export)
    export.set_defaults(do=_export)
    opening = leaf(
        kinds,
        "open",
        _("hand the private part of one event to one auditor, as a file that ringfence-audit open checks"),
        examples=["ringfence-client log open city/17 --out event-17.json"],
    )
    opening.add_argument("number", metavar="NUMBER", help=_("number of the event, as the list shows it"))
    opening.add_argument("--out", type=Path, required=True, metavar="FILE", help=_("new file to write"))
    add_passphrase(opening)
    opening.set_defaults(do=_open)
    verify = leaf(
        kinds, "verify", _("read every log whole and check each event, its private part and the tree")
    )
    _add_which(verify)
    verify.set_defaults(do=_verify)
    add_recover_own(kinds)


def _add_which(parser: argparse.ArgumentParser) -> None:
    """Let a command be about one log."""
    parser.add_argument("--federation", metavar="NAME", help=_("only the log of this federation"))
    parser.add_argument("--house", action="store_true", help=_("only the house's own log"))


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
    _add_which(listing)
    add_limit(listing)
    listing.add_argument("--all", action="store_true", help=_("no limit"))
    listing.set_defaults(do=_list)


def _list(arguments: argparse.Namespace) -> int:
    from ringfence.audit.listing import Filter, event_line, event_members
    from ringfence.audit.time_spans import span
    from ringfence.clients.desk.logbook import SENT, chosen_logs, newest_of
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
        logs = chosen_logs(home, arguments.federation, arguments.house)
        found = newest_of(logs, wanted, None if arguments.all else most + 1)
    more = not arguments.all and len(found) > most
    found = found[:most] if more else found
    terminal = Terminal.of(arguments)
    for one, logged in found:
        terminal.say(_sent_line(logged, one.name) if arguments.sent else event_line(logged, one.name))
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
            "events": [event_members(logged, one.name) for one, logged in found],
            "searched": wanted.span.as_json(),
            "more": more,
        }
    )
    return 0


def _sent_line(logged: LoggedEvent, log: str) -> str:
    """Study, round, attempt, entries, mu squared and digest of what was sent."""
    from ringfence.audit.listing import numbered, short

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
    return f"{numbered(logged, log):>6} {event.time[:19]}Z {event.action:16} {event.resource} {said}".rstrip()


def _export(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.logbook import chosen_logs
    from ringfence.clients.home import open_home

    directory, given = export_folder(arguments), passphrases(arguments)
    with open_home(arguments.config, passphrases=given, opens="log") as home:
        logs = chosen_logs(home, arguments.federation, arguments.house, given)
        if len(logs) == 1:
            made = logs[0].log.export_bundle(directory)
            key = str(logs[0].log.verifier)
            tell_export(arguments, events=made.size, root=made.root.hex(), key=key)
            return 0
        told = []
        for each in logs:
            # The last folder bears the log's own name, so that nobody takes one log for another.
            folder = directory / (each.name or "house") / home.settings.name
            made = each.log.export_bundle(folder)
            told.append(
                {
                    "log": each.log.origin,
                    "folder": str(folder),
                    "events": made.size,
                    "root": made.root.hex(),
                    "key": str(each.log.verifier),
                }
            )
    terminal = Terminal.of(arguments)
    for one in told:
        terminal.say(
            _("Events written to {folder}: {count}").format(count=one["events"], folder=one["folder"])
        )
        terminal.say(_("Give the auditor the log's key by another way: {key}").format(key=one["key"]))
    terminal.write_json({"folder": str(directory), "logs": told})
    return 0


def _open(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.logbook import chosen_logs, event_asked
    from ringfence.clients.home import open_home
    from ringfence.privacy.crypto.private_files import create

    target: Path = arguments.out
    if target.exists():
        raise UsageError(
            "RF-U453", N_("{file} exists; an opened event is written to a new file."), file=str(target)
        )
    given = passphrases(arguments)
    with open_home(arguments.config, passphrases=given, opens="log") as home:
        log, number = event_asked(chosen_logs(home, None, house=False, passphrases=given), arguments.number)
        content = log.open_event(number).dumps()
    create(target, content.decode(), 0o600)
    Terminal.of(arguments).say(
        _(
            "Event {number} is in {file}, with its private part. Check it with: ringfence-audit open {file}"
        ).format(number=arguments.number, file=target)
    )
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.logbook import chosen_logs, verify_log
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        logs = chosen_logs(home, arguments.federation, arguments.house)
        found = [(each, verify_log(each.log, home.engine)) for each in logs]
    terminal = Terminal.of(arguments)
    for each, log in found:
        if len(found) > 1:
            terminal.say(f"{each.log.origin}:")
        terminal.say(
            _("Events that are as they were written: {count}, all; root {root}").format(
                count=log.size, root=log.root
            )
        )
        if log.erased:
            terminal.say(_("Private parts erased: {count}.").format(count=log.erased))
        terminal.say(
            _(
                "The last signed checkpoint covers {signed} of them. Whether an older copy of the whole "
                "store was put back shows only against a checkpoint kept elsewhere (ringfence-audit verify "
                "--checkpoint)."
            ).format(signed=log.signed)
        )
    terminal.write_json(
        {
            "intact": True,
            "logs": [
                {
                    "log": each.log.origin,
                    "events": log.size,
                    "root": log.root,
                    "signed": log.signed,
                    "erased": log.erased,
                }
                for each, log in found
            ],
        }
    )
    return 0
