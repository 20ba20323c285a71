"""`ringfence-audit`: verify an exported bundle offline, list its events, check an opened event."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from ringfence.audit import bundle
from ringfence.audit.canonical import Json
from ringfence.audit.catalogue import require_known
from ringfence.audit.errors import N_, AuditError, AuditUsageError, _, printable, use_language
from ringfence.audit.events import Event, parse_event
from ringfence.audit.note import Verifier
from ringfence.audit.opening import Opening
from ringfence.audit.report import LogReport, Report
from ringfence.audit.verify import examine_bundle

EXAMPLES = N_(
    """examples:
  ringfence-audit verify evidence/
  ringfence-audit verify evidence/ --trust coordinator.pub --checkpoint last-month.checkpoint
  ringfence-audit verify evidence/ --json -
  ringfence-audit show evidence/ --type waist.send --since 2026-11-01
  ringfence-audit open event.json --trust bank-a.pub

exit status: 0 intact, 1 refused or failed, 2 called in a wrong way"""
)


class _Parser(argparse.ArgumentParser):
    """A parser that reports a wrong call as one coded sentence."""

    def error(self, message: str) -> NoReturn:
        raise AuditUsageError("RF-A110", N_("{message}. See ringfence-audit --help."), message=message)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ringfence")
    except PackageNotFoundError:  # The folder was copied to an auditor's machine without being installed.
        return "unpackaged"


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    form = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="ringfence-audit",
        description=_(
            "Verify what Ringfence logs say, offline and without trusting the house they came from."
        ),
        epilog=_(EXAMPLES),
        formatter_class=form,
    )
    parser.add_argument("--version", action="version", version=f"ringfence-audit {_version()}")
    parser.add_argument("--lang", choices=("en", "zh"), help=_("language of messages"))
    commands = parser.add_subparsers(dest="command", required=True, metavar=_("COMMAND"))

    verify = commands.add_parser("verify", help=_("verify every log of a bundle"), formatter_class=form)
    verify.add_argument("bundle", type=Path, help=_("folder of an exported bundle"))
    verify.add_argument(
        "--checkpoint", action="append", type=Path, default=[], metavar="FILE",
        help=_("an earlier or cosigned checkpoint from elsewhere; shows truncation, replay and split views"),
    )  # fmt: skip
    show = commands.add_parser(
        "show", help=_("list events of a bundle (does not verify)"), formatter_class=form
    )
    show.add_argument("bundle", type=Path, help=_("folder of an exported bundle"))
    show.add_argument(
        "--type", metavar="ACTION", help=_("only events of this type, or of a group such as budget.")
    )
    show.add_argument("--since", metavar="TIME", help=_("only events from this time on, e.g. 2026-11-01"))
    opened = commands.add_parser("open", help=_("check an opened event and show it"), formatter_class=form)
    opened.add_argument("file", type=Path, help=_("file with the opened event"))
    for command in (verify, opened):
        command.add_argument(
            "--trust", action="append", default=[], metavar="KEY",
            help=_("a log's verifier key, as text or as a file; may be given several times"),
        )  # fmt: skip
    for command in (verify, show, opened):
        command.add_argument(
            "--json", metavar="PATH", help=_("write the result as JSON; - is standard output")
        )
    return parser


def _verifier(text: str) -> Verifier:
    path = Path(text)
    return bundle.parse_key(bundle.read_small(path) if path.is_file() else text.encode())


class _Screen:
    """Where people read: standard output, or standard error while JSON takes standard output."""

    def __init__(self, json_path: str | None) -> None:
        self._json = json_path
        self._stream: TextIO = sys.stderr if json_path == "-" else sys.stdout

    def line(self, text: str) -> None:
        print(printable(text), file=self._stream)

    def finish(self, result: Json) -> None:
        """Write the machine's copy where it was asked for."""
        if self._json is None:
            return
        text = json.dumps(result, ensure_ascii=False, indent=2) + "\n"
        if self._json == "-":
            sys.stdout.write(text)
        else:
            Path(self._json).write_text(text, encoding="utf-8")


def _progress(name: str, done: int) -> None:
    end = "\r" if done else ""
    print(_("{name}: {done} events read").format(name=printable(name), done=done), end=end, file=sys.stderr)


def _describe(log: LogReport, screen: _Screen) -> None:
    title = _("{name}: log {origin}, {count} events")
    screen.line(title.format(name=log.name, origin=log.origin or _("(unknown)"), count=log.size))
    for fault in log.faults:
        screen.line(f"  {fault.error}")
    if not log.faults:
        screen.line("  " + _("intact: every event is the one that was signed, in its place"))
        screen.line("  " + _("root {root}").format(root=log.root))
    for notice in log.notices:
        screen.line(f"  {notice}")
    if log.simulation:
        screen.line("  " + _("{count} events come from a simulation").format(count=log.simulation))
    for place, size in sorted(log.anchored_to.items()):
        screen.line("  " + _("anchored in {place} up to {size} events").format(place=place, size=size))
    if log.fresh_to is None:
        screen.line(
            "  "
            + _("freshness not shown: without --checkpoint this may be an old copy or one of two histories")
        )
    else:
        screen.line("  " + _("continues the checkpoint given over {size} events").format(size=log.fresh_to))


def _tell(report: Report, screen: _Screen) -> None:
    for fault in report.faults:
        screen.line(str(fault.error))
    for log in report.logs:
        _describe(log, screen)
    faults = report.all_faults()
    if faults:
        screen.line(
            _("REFUSED: faults found: {count}, the first: {first}").format(count=len(faults), first=faults[0].error)
        )
    else:
        screen.line(_("INTACT: verified logs: {count}").format(count=len(report.logs)))


def _verify(arguments: argparse.Namespace, screen: _Screen) -> int:
    report = examine_bundle(
        arguments.bundle,
        checkpoints={str(path): bundle.read_small(path) for path in arguments.checkpoint},
        trusted=[_verifier(text) for text in arguments.trust],
        progress=_progress if sys.stderr.isatty() else None,
    )
    _tell(report, screen)
    screen.finish(report.to_json())
    return 1 if report.all_faults() else 0


def _members(name: str, number: int, event: Event) -> dict[str, Json]:
    return {
        "log": name,
        "event": number,
        "time": event.time,
        "action": event.action,
        "outcome": event.outcome,
        "actor": event.actor,
        "organisation": event.organisation,
        "resource": event.resource,
        "public": dict(event.public),
    }


def _wanted(event: Event, kind: str | None, since: str | None) -> bool:
    of_kind = kind is None or event.action == kind or (kind.endswith(".") and event.action.startswith(kind))
    return of_kind and (since is None or event.time >= since)


def _line(name: str, number: int, event: Event) -> str:
    said = " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in event.public.items())
    who = f"{event.actor}@{event.organisation}"
    return f"{name} {number} {event.time} {event.action} {event.outcome} {who} {event.resource} {said}"


def _show(arguments: argparse.Namespace, screen: _Screen) -> int:
    listed: list[Json] = []
    status, found = 0, 0
    print(_("Listed as found; only `ringfence-audit verify` shows that it is genuine."), file=sys.stderr)
    for name, path in bundle.find_logs(arguments.bundle):
        for number, line in enumerate(bundle.read_lines(path / "log.jsonl")):
            try:
                event = parse_event(line)
            except AuditError as error:
                screen.line(f"{name} {number} {error}")
                status = 1
                continue
            if _wanted(event, arguments.type, arguments.since):
                screen.line(_line(name, number, event))
                found += 1
                listed += [_members(name, number, event)] if arguments.json else []
    if not found and not status:
        if arguments.type is not None:  # asked for last, since a log may be newer than this program
            require_known(arguments.type)
        screen.line(_("No event fits."))
    screen.finish(listed)
    return status


def _open(arguments: argparse.Namespace, screen: _Screen) -> int:
    if not arguments.trust:
        raise AuditUsageError(
            "RF-A111", N_("An opened event is checked with its log's key; give it with --trust.")
        )
    opening = Opening.loads(bundle.read_small(arguments.file))
    found = opening.verify([_verifier(text) for text in arguments.trust])
    screen.line(
        _("genuine: event {number} of log {origin} under its checkpoint of {size} events").format(
            number=found.index, origin=found.checkpoint.origin, size=found.checkpoint.size
        )
    )
    members = _members(found.checkpoint.origin, found.index, found.event)
    members["private"] = found.private
    for key, value in members.items():
        screen.line(f"  {key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    screen.finish(members)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Before the parser is built, since its help texts are translated too; it may stand after the sub-command.
    for position, word in enumerate(given):
        if word == "--lang" and position + 1 < len(given):
            given = [*given[position : position + 2], *given[:position], *given[position + 2 :]]
            break
        if word.startswith("--lang="):
            given = [word, *given[:position], *given[position + 1 :]]
            break
    if given and given[0].startswith("--lang"):
        use_language(given[0].partition("=")[2] or given[1])
    run = {"verify": _verify, "show": _show, "open": _open}
    try:
        parsed = build_parser().parse_args(given)
        return run[parsed.command](parsed, _Screen(parsed.json))
    except AuditError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # Nothing more can be told to a closed pipe.
        return 1
    except OSError as error:
        failed = AuditError(
            "RF-A112", N_("The file {file} cannot be used: {reason}."),
            file=Path(error.filename or "-").name, reason=os.strerror(error.errno or 0),
        )  # fmt: skip
        print(failed, file=sys.stderr)
        return failed.exit_status
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
