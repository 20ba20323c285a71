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
from ringfence.audit.errors import N_, AuditError, AuditUsageError, _, printable, system_reason, use_language
from ringfence.audit.events import Event, parse_event
from ringfence.audit.opening import Opening
from ringfence.audit.time_spans import TimeSpan, span
from ringfence.audit.usage import AuditHelp, speak_as_the_reader, wrong_call_in_words
from ringfence.audit.verification.folders import find_logs
from ringfence.audit.verification.reconciling import reconcile_bundles
from ringfence.audit.verification.report import LogReport, Report
from ringfence.audit.verification.trust import read_trusted
from ringfence.audit.verification.verify import examine_bundle

_STATUS = {"intact": 0, "refused": 1, "incomplete": 3}

EXAMPLES = N_(
    """examples:
  ringfence-audit verify evidence/
  ringfence-audit verify evidence/ --trust coordinator.pub --checkpoint last-month.checkpoint
  ringfence-audit verify evidence/ --json -
  ringfence-audit verify evidence/holders/bank-a --alone
  ringfence-audit show evidence/ --type waist.send --since 2026-11-01
  ringfence-audit reconcile bank-a/ coordinator/
  ringfence-audit open event.json --trust bank-a.pub

exit status: 0 intact, 1 refused, contradicted or failed, 2 called in a wrong way, 3 incomplete or one-sided:
nothing is wrong, but not everything could be verified"""
)


class _Parser(argparse.ArgumentParser):
    """A parser that reports a wrong call as one coded sentence, and helps in the reader's language."""

    def __init__(self, **options: object) -> None:
        settings = {"formatter_class": AuditHelp, "add_help": False, **options}
        super().__init__(**settings)  # type: ignore[arg-type]  # argparse's own keywords, passed through
        speak_as_the_reader(self)

    def error(self, message: str) -> NoReturn:
        raise AuditUsageError(
            "RF-A110", N_("{message}. See ringfence-audit --help."), message=wrong_call_in_words(message)
        )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ringfence")
    except PackageNotFoundError:  # The folder was copied to an auditor's machine without being installed.
        return "unpackaged"


def _add_verify(commands: argparse._SubParsersAction[_Parser]) -> argparse.ArgumentParser:
    verify = commands.add_parser("verify", help=_("verify every log of a bundle"))
    verify.add_argument("bundle", type=Path, help=_("folder of an exported bundle"))
    verify.add_argument(
        "--checkpoint",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=_("an earlier or cosigned checkpoint from elsewhere; shows truncation, replay and split views"),
    )
    verify.add_argument(
        "--alone",
        action="store_true",
        help=_("the bundle is one log, verified by itself: logs that it names are not asked for"),
    )
    return verify


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(
        prog="ringfence-audit",
        description=_(
            "Verify what Ringfence logs say, offline and without trusting the house they came from."
        ),
        epilog=_(EXAMPLES),
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"ringfence-audit {_version()}",
        help=_("show the version and exit"),
    )
    parser.add_argument("--lang", choices=("en", "zh"), help=_("language of messages"))
    commands = parser.add_subparsers(dest="command", required=True, metavar=_("COMMAND"))

    verify = _add_verify(commands)
    show = commands.add_parser("show", help=_("list events of a bundle (does not verify)"))
    show.add_argument("bundle", type=Path, help=_("folder of an exported bundle"))
    show.add_argument(
        "--type", metavar="ACTION", help=_("only events of this type, or of a group such as budget.")
    )
    show.add_argument(
        "--since", metavar="TIME", help=_("only events from this time on, UTC unless it has a zone")
    )
    show.add_argument(
        "--until", metavar="TIME", help=_("only events up to the end of this day or time, UTC likewise")
    )
    reconciled = commands.add_parser(
        "reconcile", help=_("compare what holders and their coordinator say of the same runs")
    )
    reconciled.add_argument(
        "bundle", type=Path, nargs="+", help=_("folder of an exported bundle; together they hold both sides")
    )
    opened = commands.add_parser("open", help=_("check an opened event and show it"))
    opened.add_argument("file", type=Path, help=_("file with the opened event"))
    for command in (verify, opened):
        command.add_argument(
            "--trust",
            action="append",
            default=[],
            metavar="KEY",
            help=_(
                "a log's key: NAME+ID+BASE64, 64 hexadecimal digits, a fingerprint (ed25519:...), or a file "
                "with one of them; may be given several times"
            ),
        )
    for command in (verify, show, reconciled, opened):
        command.add_argument(
            "--json", metavar="PATH", help=_("write the result as JSON; - is standard output")
        )
    return parser


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
    print(_("{name}: events read: {done}").format(name=printable(name), done=done), end=end, file=sys.stderr)


def _describe(log: LogReport, screen: _Screen) -> None:
    title = _("{name}: log {origin}, events: {count}")
    screen.line(title.format(name=log.name, origin=log.origin or _("(unknown)"), count=log.size))
    for fault in log.faults:
        screen.line(f"  {fault.error}")
    if not log.faults:
        screen.line("  " + _("intact: every event is the one that was signed, in its place"))
        screen.line("  " + _("root {root}").format(root=log.root))
    if log.trusted and log.key:
        screen.line("  " + _("signed with the trusted key {key}").format(key=log.key))
    for notice in log.notices:
        screen.line(f"  {notice}")
    if log.simulation:
        screen.line("  " + _("events that come from a simulation: {count}").format(count=log.simulation))
    for place, size in sorted(log.anchored_to.items()):
        screen.line("  " + _("anchored in {place} at size {size}").format(place=place, size=size))
    if log.fresh_to is None:
        screen.line(
            "  "
            + _("freshness not shown: without --checkpoint this may be an old copy or one of two histories")
        )
    else:
        screen.line("  " + _("continues the checkpoint given, of size {size}").format(size=log.fresh_to))


def _tell(report: Report, screen: _Screen) -> None:
    for fault in report.faults:
        screen.line(str(fault.error))
    for log in report.logs:
        _describe(log, screen)
    for notice in report.notices:
        screen.line(notice)
    faults, gaps = report.all_faults(), report.gaps
    whole = len({log.origin for log in report.logs if not log.faults})  # a copy is no further log
    match report.verdict:
        case "refused":
            screen.line(
                _("REFUSED: faults found: {count}, the first: {first}").format(
                    count=len(faults), first=faults[0].error
                )
            )
        case "incomplete":
            screen.line(
                _("INCOMPLETE: verified logs: {count}; could not be verified: {gaps}").format(
                    count=whole, gaps=len(gaps)
                )
            )
        case "intact":
            screen.line(_("INTACT: verified logs: {count}").format(count=whole))
    if gaps and report.verdict == "refused":
        screen.line(_("Could not be verified: {gaps}").format(gaps=len(gaps)))
    for gap in gaps:
        screen.line(f"  {gap.error}")
    if report.left_out:
        screen.line(_("Verified alone, so not asked for: {count}").format(count=len(report.left_out)))
        for gap in report.left_out:
            screen.line(f"  {gap.error}")
    if report.unknown:
        screen.line(
            _(
                "UNKNOWN: nothing shows whose these logs are, since their keys came with the bundle: {logs}. "
                "Give their owners' keys with --trust."
            ).format(logs=", ".join(report.unknown))
        )


def _verify(arguments: argparse.Namespace, screen: _Screen) -> int:
    report = examine_bundle(
        arguments.bundle,
        checkpoints={str(path): bundle.read_small(path) for path in arguments.checkpoint},
        trusted=[read_trusted(text) for text in arguments.trust],
        progress=_progress if sys.stderr.isatty() else None,
        alone=arguments.alone,
    )
    _tell(report, screen)
    screen.finish(report.to_json())
    return _STATUS[report.verdict]


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


def _wanted(event: Event, kind: str | None, searched: TimeSpan) -> bool:
    of_kind = kind is None or event.action == kind or (kind.endswith(".") and event.action.startswith(kind))
    return of_kind and searched.holds(event.time)


def _line(name: str, number: int, event: Event) -> str:
    said = " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in event.public.items())
    who = f"{event.actor}@{event.organisation}"
    return f"{name} {number} {event.time} {event.action} {event.outcome} {who} {event.resource} {said}"


def _show(arguments: argparse.Namespace, screen: _Screen) -> int:
    listed: list[Json] = []
    status, found = 0, 0
    searched = span(arguments.since, arguments.until)
    print(_("Listed as found; only `ringfence-audit verify` shows that it is genuine."), file=sys.stderr)
    for name, path in find_logs(arguments.bundle):
        for number, line in enumerate(bundle.read_lines(path / "log.jsonl")):
            try:
                event = parse_event(line)
            except AuditError as error:
                screen.line(f"{name} {number} {error}")
                status = 1
                continue
            if _wanted(event, arguments.type, searched):
                screen.line(_line(name, number, event))
                found += 1
                listed += [_members(name, number, event)] if arguments.json else []
    if not found and not status:
        if arguments.type is not None:  # asked for last, since a log may be newer than this program
            require_known(arguments.type)
        screen.line(_("No event fits."))
    if searched:
        print(searched.told(found), file=sys.stderr)
    screen.finish(listed)
    return status


def _reconcile(arguments: argparse.Namespace, screen: _Screen) -> int:
    found = reconcile_bundles(arguments.bundle)
    for each in found.findings:
        kind = _("CONTRADICTION") if each.contradicts else _("ONE-SIDED")
        screen.line(f"{kind}: {each.sentence()}")
    screen.line(
        _("Compared runs: {runs}; said by both sides: {pairs}; by one side alone: {alone}").format(
            runs=found.runs, pairs=found.pairs, alone=len(found.findings)
        )
    )
    if found.unpaired:
        screen.line(_("No counterpart here: {logs}").format(logs=", ".join(found.unpaired)))
    screen.finish(found.to_json())
    return found.status


def _open(arguments: argparse.Namespace, screen: _Screen) -> int:
    if not arguments.trust:
        raise AuditUsageError(
            "RF-A111", N_("An opened event is checked with its log's key; give it with --trust.")
        )
    opening = Opening.loads(bundle.read_small(arguments.file))
    found = opening.verify([read_trusted(text) for text in arguments.trust])
    screen.line(
        _("genuine: event {number} of log {origin} under its checkpoint of size {size}").format(
            number=found.index, origin=found.checkpoint.origin, size=found.checkpoint.size
        )
    )
    members = _members(found.checkpoint.origin, found.index, found.event)
    members["private"] = found.private
    for key, value in members.items():
        screen.line(f"  {key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    screen.finish(members)
    return 0


def _language_taken(given: list[str]) -> tuple[str | None, list[str]]:
    """The language that `--lang` names, wherever it stands, and the arguments with it in front."""
    for position, word in enumerate(given):
        if word == "--lang" and position + 1 < len(given):
            return given[position + 1], [
                *given[position : position + 2],
                *given[:position],
                *given[position + 2 :],
            ]
        if word.startswith("--lang="):
            return word.partition("=")[2], [word, *given[:position], *given[position + 1 :]]
    return None, given


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    # Before the parser is built, since its help texts are translated too; it may stand after the sub-command.
    language, given = _language_taken(list(sys.argv[1:] if arguments is None else arguments))
    use_language(language)
    run = {"verify": _verify, "show": _show, "reconcile": _reconcile, "open": _open}
    try:
        parsed = build_parser().parse_args(given)
        status = run[parsed.command](parsed, _Screen(parsed.json))
        sys.stdout.flush()  # while a reader that is gone can still be met
        return status
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
            "RF-A112",
            N_("The file {file} cannot be used: {reason}."),
            file=Path(error.filename or "-").name,
            reason=system_reason(error),
        )
        print(failed, file=sys.stderr)
        return failed.exit_status
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
