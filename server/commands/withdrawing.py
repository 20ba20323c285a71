"""`ringfence-server study withdraw`: a person takes back what a run means to release."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.privacy.command_line.commands import passphrases
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import N_, UsageError, _
from ringfence.server.commands.options import leaf

if TYPE_CHECKING:
    from ringfence.server.home import Office
    from ringfence.server.release.withdrawing import SignedOff


def add_withdraw(kinds: argparse._SubParsersAction[Parser]) -> Parser:
    """Declare the sub-command; what all that name a study have is given to it by the caller."""
    withdraw = leaf(
        kinds,
        "withdraw",
        _("withdraw the intent to release a study's model, so that another one can be intended"),
        more=_(
            "Holders are told when the study is run again or stopped. Where enough of them witnessed the "
            "intent before, their statements exist; they do not believe a release of it once they were told."
        ),
        examples=["ringfence-server study withdraw churn-1 --key ana.key --reason 'made by an old version'"],
    )
    add_sign_off(withdraw, needed=True)
    withdraw.set_defaults(do=_withdraw)
    return withdraw


def add_sign_off(parser: argparse.ArgumentParser, *, needed: bool) -> None:
    """Give a command the person who signs a withdrawal, and why."""
    parser.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        required=needed,
        help=_("key file of an officer in server.toml, who signs that the intent to release is withdrawn"),
    )
    parser.add_argument(
        "--reason", metavar="TEXT", required=needed, help=_("why, for those who read the log")
    )


def signed_off(arguments: argparse.Namespace, office: Office, *, position: int) -> SignedOff | None:
    """Who signs, or None where no key was given.

    Raises:
        UsageError: RF-U792 a key without a reason, or a reason without a key.
    """
    from ringfence.server.release.withdrawing import SignedOff

    reason = " ".join((arguments.reason or "").split())
    if arguments.key is None and not reason:
        return None
    if arguments.key is None or not reason:
        raise UsageError(
            "RF-U792", N_("Who withdraws a release says why, and signs: --key FILE --reason TEXT")
        )
    return SignedOff(
        person=passphrases(arguments).read_key(arguments.key, "approver", position=position),
        people=office.settings.officers(least=1),
        reason=reason[:1000],
    )


def _withdraw(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.conducting import open_conductor
    from ringfence.server.home import open_office

    terminal, given = Terminal.of(arguments), passphrases(arguments)
    with open_office(arguments.config, passphrases=given) as office:
        signed = signed_off(arguments, office, position=1)
        assert signed is not None  # the command needs both
        conductor = open_conductor(office, arguments.file, arguments.schema, given)
        conductor.withdraw(signed)
    terminal.say(
        _("The intent is withdrawn. Run the study again, or end it without a model: --without-model")
    )
    terminal.write_json({"withdrawn": True})
    return 0
