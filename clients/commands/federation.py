"""`ringfence-client join` and `run`: take part in the studies of a coordinator."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.clients.commands.options import leaf
from ringfence.privacy.command_line.commands import (
    add_compared,
    add_passphrase,
    passphrases,
    require_compared,
    require_new_file,
    stopped_by_signals,
)
from ringfence.privacy.command_line.lasting import ended_in_time, leave_proxies_out
from ringfence.privacy.command_line.lines import SaidLines, add_log_format
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import N_, UsageError, _

if TYPE_CHECKING:
    from ringfence.privacy.crypto.signed import SignedDocument


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    join = leaf(
        commands,
        "join",
        _("take up a coordinator's invitation, and later its admission"),
        more=_(
            "An invitation makes keys of connections here, which never leave, and the enrolment that is "
            "handed to the coordinator (--out). Its admission completes it."
        ),
        examples=[
            "ringfence-client join north-bank.invitation.json --out enrolment.json --compared",
            "ringfence-client join admission.json",
        ],
    )
    join.add_argument("file", type=Path, metavar="FILE", help=_("an invitation, or an admission"))
    join.add_argument(
        "--out", type=Path, metavar="FILE", help=_("the enrolment to make, where FILE is an invitation")
    )
    add_compared(join)
    add_passphrase(join)
    join.set_defaults(do=_join)
    run = leaf(
        commands,
        "run",
        _("answer the coordinator's studies that two people here approved, until stopped"),
        more=_(
            "Connects outwards to the coordinator's gateway and listens on no port. What is refused, and "
            "why, is said here and recorded in the log."
        ),
        json=False,
    )
    add_passphrase(run)
    add_log_format(run)
    run.set_defaults(do=_run)


def _join(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.crypto.signed import read_signed
    from ringfence.privacy.protocol.enrolment import ADMISSION

    document = read_signed(arguments.file)
    return (_complete if document.kind == ADMISSION else _take_up)(arguments, document)


def _take_up(arguments: argparse.Namespace, document: SignedDocument) -> int:
    from ringfence.clients.desk.enrolling import invited, take_up
    from ringfence.clients.home import open_home

    if arguments.out is None:
        raise UsageError("RF-U530", N_("Name the enrolment that is to be made: --out FILE"))
    require_new_file(arguments.out)
    with open_home(arguments.config) as home, home.refusals("federation.joined", "invitation"):
        asked = invited(home, document)
        require_compared(arguments, asked.keys)
        take_up(home, asked, arguments.out, passphrases(arguments))
        own = home.identity.fingerprint
    terminal = Terminal.of(arguments)
    terminal.say(
        _(
            "Wrote {file}. Hand it to {coordinator}, and tell it this fingerprint in person or by "
            "telephone: {own}"
        ).format(file=arguments.out, coordinator=asked.invitation.coordinator, own=own)
    )
    terminal.write_json(
        {"enrolment": str(arguments.out), "fingerprint": own, "gateway": asked.invitation.gateway}
    )
    return 0


def _complete(arguments: argparse.Namespace, document: SignedDocument) -> int:
    from ringfence.clients.desk.enrolling import complete
    from ringfence.clients.home import open_home

    if arguments.out is not None:
        raise UsageError("RF-U531", N_("This is an admission, of which nothing is made; leave out --out."))
    with open_home(arguments.config) as home, home.refusals("federation.joined", "admission"):
        invitation = complete(home, document)
    terminal = Terminal.of(arguments)
    terminal.say(
        _("Joined {coordinator}. Next: ringfence-client run").format(coordinator=invitation.coordinator)
    )
    terminal.write_json({"coordinator": invitation.coordinator, "gateway": invitation.gateway})
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from ringfence.clients.connections.flower_names import require_node_names

    require_node_names()
    from ringfence.clients.config import load_settings
    from ringfence.clients.connections.node import serve_holder
    from ringfence.clients.home import serving

    lines = SaidLines.of(arguments, Terminal.of(arguments).say)
    leave_proxies_out(lines.tell, _("Name one in client.toml, under [connection]."))
    settings = load_settings(arguments.config)
    with (
        serving(arguments.config, passphrases(arguments)) as holder,
        stopped_by_signals() as stop,
        ended_in_time(stop, lines.tell),
    ):
        serve_holder(holder, settings, stop, report=lines.report, ready=partial(lines.tell, "answering"))
    lines.tell("stopped", _("Stopped."))
    return 0
