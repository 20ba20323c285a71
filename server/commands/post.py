"""`ringfence-server study submit`, `deliver` and `list`: studies on their way to holders' people."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.privacy.command_line.alignment import padded
from ringfence.privacy.command_line.commands import add_passphrase, decimal, passphrases, seconds
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import N_, WaistError, _
from ringfence.server.commands.options import leaf
from ringfence.server.commands.series import progress_said

if TYPE_CHECKING:
    from ringfence.privacy.crypto.secret_files import Passphrases
    from ringfence.server.home import Office
    from ringfence.server.records.submissions import HolderStanding, SubmittedStudy

STATES = {
    "submitted": N_("submitted"),
    "running": N_("running"),
    "scheduled": N_("between two runs"),
    "released": N_("released"),
    "stopped": N_("stopped"),
    "ended": N_("ended without a model"),
    "expired": N_("expired"),
}
STANDINGS = {
    "": N_("not delivered yet"),
    "waiting": N_("waiting"),
    "approved": N_("approved"),
    "rejected": N_("rejected"),
}


def add_post(kinds: argparse._SubParsersAction[Parser]) -> None:
    """Declare them among the sub-commands of `study`."""
    submit = leaf(
        kinds,
        "submit",
        _("put a signed study into the inboxes of its holders, for their people to decide on"),
        more=_(
            "It is kept here under its id and delivered at once to the holders that are connected; to the "
            "others ringfence-server study deliver brings it."
        ),
        examples=["ringfence-server study submit churn.signed.json"],
    )
    submit.add_argument("file", type=Path, metavar="STUDY", help=_("the signed study"))
    submit.add_argument(
        "--schema", type=Path, metavar="FILE", help=_("its schema (default: schema.toml beside it)")
    )
    submit.set_defaults(do=_submit)
    delivery = leaf(
        kinds,
        "deliver",
        _("bring the submitted studies to the holders that are connected, and ask how they stand there"),
        more=_("Needs ringfence-server serve beside it; a study may be running at the same time."),
    )
    delivery.set_defaults(do=_deliver)
    listing = leaf(
        kinds,
        "list",
        _("list the submitted studies, what became of each, and how it stands at each holder"),
        more=_("What holders decided is what they said last: --refresh asks those that are connected."),
    )
    listing.add_argument("--refresh", action="store_true", help=_("ask the holders first"))
    listing.set_defaults(do=_list)
    for each in (submit, delivery, listing):
        each.add_argument(
            "--wait",
            type=decimal,
            default=10,
            metavar="SECONDS",
            help=_("how long the holders may take to connect (default: 10)"),
        )
        each.add_argument(
            "--timeout",
            type=decimal,
            default=30,
            metavar="SECONDS",
            help=_("how long the holders may take for one answer (default: 30)"),
        )
        add_passphrase(each)


def _submit(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.submitting import standing_of, submit_study
    from ringfence.server.home import open_office

    terminal, given = Terminal.of(arguments), passphrases(arguments)
    with open_office(arguments.config) as office:
        made = submit_study(office, arguments.file, arguments.schema, given)
        if made.fresh:
            said = _("Submitted {study} ({digest}).").format(study=made.study.name, digest=made.study.study)
        else:
            said = _("{study} was submitted on {at}; it is delivered again.").format(
                study=made.study.name, at=made.study.submitted
            )
        terminal.say(said)
        _delivered(arguments, office, terminal, given, lenient=True)
        found = standing_of(office, made.study.study) or made.study
    for line in holder_lines(found):
        terminal.say(line)
    terminal.write_json(found.as_json())
    return 0


def _deliver(arguments: argparse.Namespace) -> int:
    from ringfence.server.home import open_office

    terminal, given = Terminal.of(arguments), passphrases(arguments)
    with open_office(arguments.config, passphrases=given) as office:
        _delivered(arguments, office, terminal, given, ends=True)
        _tell(office, terminal)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from ringfence.server.home import open_office

    terminal = Terminal.of(arguments)
    with open_office(arguments.config) as office:
        if arguments.refresh:
            _delivered(arguments, office, terminal, passphrases(arguments))
        _tell(office, terminal)
    return 0


def _delivered(
    arguments: argparse.Namespace,
    office: Office,
    terminal: Terminal,
    given: Passphrases,
    *,
    lenient: bool = False,
    ends: bool = False,
) -> None:
    """Deliver; where `lenient`, that no gateway serves is told and no failure."""
    from ringfence.server.desk.conducting import Pace
    from ringfence.server.desk.submitting import deliver

    pace = Pace(first=seconds(arguments.wait), exchange=seconds(arguments.timeout))
    try:
        deliver(office, pace, given, report=terminal.say, ends=ends)
    except WaistError as error:
        if not lenient:
            raise
        terminal.say(_("Not delivered yet: {sentence}").format(sentence=error.sentence()))
        terminal.say(_("It is kept, and delivered by: ringfence-server study deliver"))


def _tell(office: Office, terminal: Terminal) -> None:
    from ringfence.server.desk.submitting import all_submitted

    found = all_submitted(office)
    terminal.say(_("Submitted studies: {count}").format(count=len(found)))
    for each in found:
        terminal.say(study_line(each))
        for line in holder_lines(each):
            terminal.say(line)
    terminal.write_json({"studies": [each.as_json() for each in found]})


def study_line(each: SubmittedStudy) -> str:
    """A study and what became of it."""
    state = _(STATES[each.state])
    if each.state == "running":
        state += _(" (round {round})").format(round=each.round) if each.round >= 0 else _(" (joining)")
    if each.why:
        state += f" ({each.why})"
    if each.series is not None:
        state += f" ({progress_said(each.series)})"
    return _("{study}  {state}, submitted {at}, until {expires}").format(
        study=each.name, state=state, at=_moment(each.submitted), expires=each.expires
    )


def holder_lines(each: SubmittedStudy) -> list[str]:
    """How a study stands at each holder, a line each."""
    width = max((len(one.holder) for one in each.holders), default=0)
    return [f"  {padded(one.holder, width)}  {_standing(one)}" for one in each.holders]


def _standing(one: HolderStanding) -> str:
    said = _(STANDINGS[one.state])
    if one.missed:
        said += _("; unreachable since {at}").format(at=_moment(one.missed))
    return said


def _moment(text: str) -> str:
    return text[:16].replace("T", " ") + " UTC"
