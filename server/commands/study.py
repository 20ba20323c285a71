"""`ringfence-server study`: sign studies over declarations, show them, run them, let their results out."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.privacy.command_line.commands import (
    add_passphrase,
    decimal,
    passphrases,
    require_new_file,
    seconds,
    stopped_by_signals,
)
from ringfence.privacy.command_line.lasting import leave_proxies_out
from ringfence.privacy.command_line.lines import SaidLines
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import N_, UsageError, _
from ringfence.server.commands.options import add_asked, leaf
from ringfence.server.commands.plan import add_first_draft, add_plan
from ringfence.server.commands.post import add_post, holder_lines, study_line
from ringfence.server.commands.series import (
    add_connecting,
    add_number,
    add_result,
    add_resume,
    add_whole,
    costs_said,
    ends_series,
    require_place,
    run_line,
)
from ringfence.server.commands.withdrawing import add_sign_off, add_withdraw, signed_off

if TYPE_CHECKING:
    import threading

    from ringfence.server.desk.conducting import Conductor, Pace
    from ringfence.server.rounds import Release


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    study = commands.add_parser("study", help=_("draft studies, sign them, show them and run them"))
    kinds = study.add_subparsers(metavar=_("COMMAND"), required=True)
    sign = leaf(
        kinds,
        "sign",
        _("enter the holders by their signed declarations, sign the study and tell its price"),
        examples=["ringfence-server study sign churn.toml --declaration north.json --declaration south.json"],
    )
    sign.add_argument("file", type=Path, metavar="STUDY", help=_("the study's TOML file"))
    sign.add_argument(
        "--declaration",
        action="append",
        type=Path,
        required=True,
        metavar="FILE",
        help=_("a holder's declaration (ringfence-client contract declare); one for each holder"),
    )
    sign.add_argument(
        "--prior",
        type=Path,
        metavar="CARD",
        help=_("begin from an earlier scorecard, the scorecard.json of a release"),
    )
    sign.add_argument(
        "--out", type=Path, metavar="FILE", help=_("file to write (default: beside it, .signed.json)")
    )
    add_passphrase(sign)
    sign.set_defaults(do=_sign)
    add_first_draft(kinds)
    add_plan(kinds)
    add_post(kinds)
    _add_run(kinds)
    show = leaf(kinds, "show", _("show a study that this coordinator signed"))
    add_asked(show)
    show.set_defaults(do=_show)


def _add_run(kinds: argparse._SubParsersAction[Parser]) -> None:
    run = leaf(
        kinds,
        "run",
        _("run a signed study with the holders that are connected, and let its result out"),
        more=_(
            "Needs ringfence-server serve beside it, and each holder's ringfence-client run. Stopped or "
            "killed, it goes on when it is run again; a study that ended is not run again. Of a series it is "
            "the run whose window is open."
        ),
        examples=[
            "ringfence-server study run churn-1 --out churn-model",
            "ringfence-server study run churn.signed.json --out churn-model",
        ],
    )
    add_connecting(run)
    run.set_defaults(do=_run, resume=False)
    _add_endings(kinds, run)


def _add_endings(kinds: argparse._SubParsersAction[Parser], run: argparse.ArgumentParser) -> None:
    resume = add_resume(kinds, _run)
    stop = leaf(
        kinds,
        "stop",
        _("end a study's run for good, and tell the holders that are connected"),
        more=_("Where the sums so far make a model, that is released: ringfence-server study release."),
    )
    stop.add_argument(
        "--without-model",
        action="store_true",
        help=_("release nothing, whether or not the sums so far make a model"),
    )
    add_whole(stop)
    add_sign_off(stop, needed=False)
    stop.set_defaults(do=_stop)
    withdraw = add_withdraw(kinds)
    release = leaf(
        kinds,
        "release",
        _("let the result of a study that ended out once more, from its released sums"),
        examples=["ringfence-server study release churn.signed.json --out churn-model-again"],
    )
    add_number(release)
    release.set_defaults(do=_release)
    for each in (run, resume, stop):
        each.add_argument(
            "--timeout",
            type=decimal,
            default=120,
            metavar="SECONDS",
            help=_(
                "how long the holders may take for one answer; at a fixed pace, how long the carrying may "
                "take besides (default: 120)"
            ),
        )
    release.add_argument("--out", type=Path, required=True, metavar="DIR", help=_("folder to make"))
    for each in (run, resume):
        add_result(each)
    for each in (run, resume, stop, withdraw, release):
        add_asked(each)
        each.add_argument(
            "--schema",
            type=Path,
            metavar="FILE",
            help=_("its schema (default: as submitted, or schema.toml beside the file)"),
        )
        add_passphrase(each)


def _sign(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.signing import sign_study_file
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        made = sign_study_file(
            office,
            arguments.file,
            arguments.declaration,
            arguments.out,
            passphrases(arguments),
            arguments.prior,
        )
    terminal = Terminal.of(arguments)
    report = made.price.as_report()
    terminal.say(_("Signed {digest}: {file}").format(digest=made.opened.digest, file=made.file))
    for name, value in report.items():
        terminal.say(f"  {name:28} {value}")
    terminal.say(_("features: {features}").format(features=", ".join(made.opened.study.features or ())))
    for holder, names in made.refusing.items():
        note = _("Take note: {holder} will refuse it; its contract does not give to {purpose}: {names}")
        purpose = made.opened.study.purpose
        terminal.say(note.format(holder=holder, purpose=purpose, names=", ".join(names)))
    terminal.say(
        _(
            "Next: ringfence-server study submit, or hand the file to every holder; two people approve it "
            "there (ringfence-client study approve)."
        )
    )
    refusing = {holder: list(names) for holder, names in made.refusing.items()}
    terminal.write_json(
        {
            "digest": made.opened.digest,
            "signed": str(made.file),
            "price": report,
            "would_refuse": refusing,
        }
    )
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.agreements.terms import pace_told
    from ringfence.privacy.toml.canonical import plain
    from ringfence.server.desk.asking import study_asked
    from ringfence.server.desk.series import runs_of
    from ringfence.server.desk.submitting import standing_of
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        study = study_asked(office, arguments.file)
        found = standing_of(office, study.digest())
        more = [*costs_said(office, arguments.file, study), *map(run_line, runs_of(office, study.digest()))]
    terminal = Terminal.of(arguments)
    fields = plain(study)
    terminal.say(study.digest())
    for name, value in fields.items():
        terminal.say(
            f"{name:12} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        )
    terminal.say(pace_told(study.privacy))
    if found is not None:
        terminal.say(study_line(found))
        for line in holder_lines(found):
            terminal.say(line)
    for line in more:
        terminal.say(line)
    terminal.write_json(
        {
            "digest": study.digest(),
            "study": fields,
            "standing": None if found is None else found.as_json(),
        }
    )
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from ringfence.server.connections.flower_names import require_link_names

    require_link_names()
    from ringfence.server.desk.conducting import Pace, open_conductor
    from ringfence.server.desk.series import interrupted, run_due
    from ringfence.server.home import open_office

    require_place(arguments)
    pace = Pace(first=seconds(arguments.wait), exchange=seconds(arguments.timeout))
    terminal, given = Terminal.of(arguments), passphrases(arguments)
    lines = SaidLines.of(arguments, terminal.say)
    leave_proxies_out(lines.tell, "")
    with open_office(arguments.config, passphrases=given) as office, stopped_by_signals() as stop:
        file, pick = interrupted(office, arguments.file) if arguments.resume else (arguments.file, run_due)
        conductor = open_conductor(office, file, arguments.schema, given, pick)
        release = _conducted(conductor, pace, terminal, lines, stop)
        if release is None:
            raise UsageError(
                "RF-U525",
                N_("Stopped before the study ended; what was released is kept. Run it again to go on."),
            )
        if arguments.out is not None:
            conductor.let_out(release, arguments.out)
    _tell_release(arguments, terminal, release, lines)
    return 0


def _conducted(
    conductor: Conductor, pace: Pace, terminal: Terminal, lines: SaidLines, stop: threading.Event
) -> Release | None:
    """The release, or None where it was stopped from outside."""
    from ringfence.server.flower import Stopped

    done = 0
    with terminal.progress(conductor.opened.study.id, len(conductor.opened.plan.rounds) + 1) as advance:

        def progress(reached: int, _total: int, _name: str) -> None:
            nonlocal done
            advance(reached + 1 - done)
            done = reached + 1

        try:
            return conductor.run(pace, progress=progress, report=lines.report, stop=stop)
        except Stopped:
            return None


def _stop(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.conducting import Pace, open_conductor
    from ringfence.server.desk.series import run_under_way
    from ringfence.server.home import open_office

    pace = Pace(first=5.0, exchange=seconds(arguments.timeout))
    terminal, given = Terminal.of(arguments), passphrases(arguments)
    with open_office(arguments.config, passphrases=given) as office:
        if ends_series(arguments, office, terminal):
            terminal.write_json({"model": None})
            return 0
        conductor = open_conductor(office, arguments.file, arguments.schema, given, run_under_way)
        release = conductor.end(
            pace,
            report=terminal.say,
            discard=arguments.without_model,
            signed=signed_off(arguments, office, position=1),
        )
    if release is None:
        terminal.say(_("The run is over; nothing was released."))
    else:
        terminal.say(
            _("The run is over, with the model {digest}: ringfence-server study release").format(
                digest=release.digest
            )
        )
    terminal.write_json({"model": None if release is None else release.digest})
    return 0


def _release(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.conducting import open_conductor
    from ringfence.server.desk.series import run_released
    from ringfence.server.home import open_office

    require_new_file(arguments.out)
    terminal, given = Terminal.of(arguments), passphrases(arguments)
    with open_office(arguments.config, passphrases=given) as office:
        pick = run_released(arguments.run)
        conductor = open_conductor(office, arguments.file, arguments.schema, given, pick)
        release = conductor.again()
        conductor.let_out(release, arguments.out)
    _tell_release(arguments, terminal, release)
    return 0


def _tell_release(
    arguments: argparse.Namespace, terminal: Terminal, release: Release, lines: SaidLines | None = None
) -> None:
    say = partial((lines or SaidLines(say=terminal.say)).tell, "released")
    if arguments.out is None:
        kept = _("Released {digest}, and kept here: ringfence-server study release")
        say(kept.format(digest=release.digest))
    else:
        say(_("Released {digest}: {folder}").format(digest=release.digest, folder=arguments.out))
    say(_("holders: {holders}").format(holders=", ".join(release.holders)))
    say(_("cosigned by: {holders}").format(holders=", ".join(release.witnesses)))
    if release.absent:
        say(_("not in the last sum: {holders}").format(holders=", ".join(release.absent)))
    if release.unfinished:
        say(
            _("The study ended early, at {stage}; this is the model it had by then.").format(
                stage=release.unfinished
            )
        )
    terminal.write_json(
        {
            "model": release.digest,
            "folder": None if arguments.out is None else str(arguments.out),
            "holders": list(release.holders),
            "absent": list(release.absent),
            "attempts": list(release.attempts),
            "unfinished": release.unfinished,
            "witnesses": list(release.witnesses),
        }
    )
