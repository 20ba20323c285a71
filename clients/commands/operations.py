"""`ringfence-client doctor` and `status`: whether all is well, and what the holder is doing now."""

from __future__ import annotations

import argparse

from ringfence.clients.commands.options import leaf
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    doctor = leaf(
        commands,
        "doctor",
        _("look over keys, store, log, contract, certificate, clock, proxy and gateway; no row is read"),
        more=_("One line for each, with what to do. The exit status is 1 where there is a fault."),
    )
    doctor.set_defaults(do=_doctor)
    status = leaf(commands, "status", _("say what this holder is doing now, also while its process runs"))
    status.set_defaults(do=_status)


def _doctor(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.examining import examine_holder
    from ringfence.privacy.command_line.findings import tell_findings
    from ringfence.privacy.command_line.lasting import leave_proxies_out
    from ringfence.privacy.wire.fields import utc_now

    say = Terminal.of(arguments).say
    where = _("Name one in client.toml, under [federation.connection].")
    leave_proxies_out(lambda _event, said: say(said), where)
    return tell_findings(arguments, examine_holder(arguments.config, utc_now()))


def _status(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.reporting import HolderStatus

    found = HolderStatus.read(arguments.config)
    terminal = Terminal.of(arguments)
    for line in found.lines():
        terminal.say(line)
    terminal.write_json(found.as_json())
    return 0
