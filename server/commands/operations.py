"""`ringfence-server doctor` and `status`: whether all is well, and what the coordinator is doing now."""

from __future__ import annotations

import argparse

from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    doctor = leaf(
        commands,
        "doctor",
        _("look over keys, store, log, certificates, ports, Flower and the holders' certificates"),
        more=_("One line for each, with what to do. The exit status is 1 where there is a fault."),
    )
    doctor.set_defaults(do=_doctor)
    status = leaf(commands, "status", _("say what this coordinator is doing now, also while it serves"))
    status.set_defaults(do=_status)


def _doctor(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.command_line.findings import tell_findings
    from ringfence.privacy.wire.fields import utc_now
    from ringfence.server.desk.examining import examine_coordinator

    return tell_findings(arguments, examine_coordinator(arguments.config, utc_now()))


def _status(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.wire.fields import utc_now
    from ringfence.server.desk.reporting import CoordinatorStatus

    found = CoordinatorStatus.read(arguments.config, utc_now())
    terminal = Terminal.of(arguments)
    for line in found.lines():
        terminal.say(line)
    terminal.write_json(found.as_json())
    return 0
