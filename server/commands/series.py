"""`ringfence-server study` for series: how far one is, its runs, what it costs, and its end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.privacy.command_line.commands import decimal, require_new_file
from ringfence.privacy.command_line.lines import add_log_format
from ringfence.privacy.command_line.prices import all_runs_lines
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import RingfenceError, _
from ringfence.server.commands.options import leaf

if TYPE_CHECKING:
    from ringfence.privacy.agreements.study import Study
    from ringfence.server.home import Office
    from ringfence.server.records.run_standings import RunStanding
    from ringfence.server.records.series import SeriesProgress


def add_result(parser: argparse.ArgumentParser) -> None:
    """Give a command that runs a study the place of its result."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="DIR", help=_("folder to make"))
    where.add_argument(
        "--keep",
        action="store_true",
        help=_("let nothing out; the result is kept, for ringfence-server study release"),
    )


def add_resume(kinds: argparse._SubParsersAction[Parser], do: Callable[[argparse.Namespace], int]) -> Parser:
    """Declare `resume`, which does what `run` does where a run was interrupted."""
    resume = leaf(
        kinds,
        "resume",
        _("go on with a run that was stopped or killed; begins nothing new"),
        more=_("Named by the run's id, which study show lists, or by its study."),
        examples=["ringfence-server study resume churn-1 --out churn-model"],
    )
    add_connecting(resume)
    resume.set_defaults(do=do, resume=True)
    return resume


def add_connecting(parser: argparse.ArgumentParser) -> None:
    """Give a command that runs a study how long it waits, and how it says what happens."""
    parser.add_argument(
        "--wait",
        type=decimal,
        default=60,
        metavar="SECONDS",
        help=_("how long all holders may take to connect (default: 60)"),
    )
    add_log_format(parser)


def add_number(parser: argparse.ArgumentParser) -> None:
    """Give a command the run of a series that it is about."""
    parser.add_argument(
        "--run",
        type=int,
        metavar="N",
        help=_("of a series: number of the run (default: the last that released)"),
    )


def add_whole(parser: argparse.ArgumentParser) -> None:
    """Give a command the choice to end a whole series."""
    parser.add_argument(
        "--series",
        action="store_true",
        help=_("end the series: the run that goes on, if one does, and all that were to come"),
    )


def require_place(arguments: argparse.Namespace) -> None:
    """Refuse a folder for the result that is there already."""
    if arguments.out is not None:
        require_new_file(arguments.out)


def ends_series(arguments: argparse.Namespace, office: Office, terminal: Terminal) -> bool:
    """Stop a series where that is asked for; whether no run is left to be stopped."""
    from ringfence.server.desk.asking import study_asked
    from ringfence.server.desk.series import has_open_run, stop_whole_series

    if not arguments.series:
        return False
    study = study_asked(office, arguments.file)
    at = stop_whole_series(office, study)
    terminal.say(
        _("The series {study} was stopped on {at}; no further run of it starts.").format(
            study=study.id, at=at
        )
    )
    return not has_open_run(office, study)


def progress_said(progress: SeriesProgress) -> str:
    """How far a series is, for people."""
    said = [
        _("{released} of {runs} runs released, {started} started").format(
            released=progress.released, runs=progress.runs, started=progress.started
        )
    ]
    if progress.present:
        said.append(_("run {number} of {runs} goes on").format(number=progress.present, runs=progress.runs))
    if progress.stopped:
        said.append(_("stopped on {at}").format(at=_moment(progress.stopped)))
    elif progress.due is not None:
        said.append(
            _("run {number} of {runs} may start from {opens} until {closes}").format(
                number=progress.due.number, runs=progress.runs, **progress.due.told()
            )
        )
    return _("; ").join(said)


def run_line(each: RunStanding) -> str:
    """One run of a study, for people."""
    word = {"running": _("not ended"), "released": _("released"), "ended": _("ended")}[each.state]
    code = f" ({each.outcome})" if each.state == "ended" else ""
    number = _("run {number}").format(number=each.window) if each.window else _("run")
    return _("{number}: {state}{code}, started {at}, id {run}").format(
        number=number, state=word, code=code, at=_moment(each.started), run=each.run
    )


def costs_said(office: Office, file: Path, study: Study) -> Iterator[str]:
    """What a study costs a customer, one run and all runs, where its schema is at hand."""
    from ringfence.models.catalogue import task_named
    from ringfence.models.pricing import planned, price_of
    from ringfence.models.task import StudyContext
    from ringfence.server.desk.asking import read_asked

    try:
        _study, schema = read_asked(office, file)
        price = price_of(study, planned(task_named(study.task), StudyContext.of(study, schema)))
    except RingfenceError as error:
        yield _("It has no price here: {sentence}").format(sentence=error.sentence())
        return
    report = price.as_report()
    yield _(
        "one run costs a customer epsilon {epsilon} at delta {delta}, and {worst} when every attempt is "
        "needed"
    ).format(
        epsilon=report["customer_epsilon"],
        delta=report["delta"],
        worst=report["customer_epsilon_worst_case"],
    )
    yield from all_runs_lines(price)


def _moment(text: str) -> str:
    return text[:16].replace("T", " ") + " UTC"
