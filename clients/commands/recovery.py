"""`ringfence-client log recover` and `coordinator accept-recovery`: logs that go on from an older copy."""

from __future__ import annotations

import argparse
from typing import Any

from ringfence.clients.commands.options import add_federation, leaf
from ringfence.privacy.command_line.commands import new_file, passphrases, require_new_file
from ringfence.privacy.command_line.recoveries import (
    Kinds,
    RecoverySides,
    add_other_log,
    add_recover,
    people_of,
    require_deciders,
    show_recovery,
    told_checkpoints,
    told_file,
    told_taken,
)
from ringfence.privacy.command_line.terminal import Parser, Terminal


def _of_federation(*arguments: Any, **named: Any) -> Parser:
    """As `leaf`, for a command about one federation."""
    parser = leaf(*arguments, **named)
    add_federation(parser)
    return parser


SIDES = RecoverySides(
    leaf=_of_federation, program="ringfence-client", role="coordinator", other="ringfence-server"
)


def add_recover_own(kinds: Kinds[Parser]) -> None:
    """Declare `log recover`."""
    add_recover(kinds, SIDES, _recover)


def add_coordinators_log(kinds: Kinds[Parser]) -> None:
    """Declare `coordinator checkpoints` and `coordinator accept-recovery`."""
    add_other_log(kinds, SIDES, _checkpoints, _accept)


def _recover(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.recovering import recover_own_log
    from ringfence.clients.home import open_federation
    from ringfence.privacy.protocol.recoveries import file_text, reason_said

    require_new_file(arguments.out)
    reason, given = reason_said(arguments.reason), passphrases(arguments)
    people = people_of(arguments)
    with open_federation(arguments.config, arguments.federation, passphrases=given, opens="log") as home:
        found, file = recover_own_log(home, arguments.lost, people, reason, given)
    new_file(arguments.out, file_text(file))
    terminal, told = Terminal.of(arguments), found.as_json()
    show_recovery(terminal, told)
    told_file(terminal, arguments.out, SIDES)
    terminal.write_json(told | {"file": str(arguments.out)})
    return 0


def _checkpoints(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.recovering import kept_of_coordinator
    from ringfence.clients.home import open_federation
    from ringfence.privacy.protocol.recoveries import file_text

    require_new_file(arguments.out)
    with open_federation(arguments.config, arguments.federation) as home:
        found = kept_of_coordinator(home)
    told_checkpoints(arguments, found.log, len(found.checkpoints), file_text(found))
    return 0


def _accept(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.recovering import coordinators_loss, take_coordinators_log
    from ringfence.clients.home import open_federation
    from ringfence.privacy.protocol.recoveries import read_recovery_file

    terminal, file = Terminal.of(arguments), read_recovery_file(arguments.file)
    with open_federation(arguments.config, arguments.federation) as home:
        if not arguments.key:
            show_recovery(terminal, coordinators_loss(home, file).as_json())
            require_deciders(arguments)
        found = take_coordinators_log(home, file, people_of(arguments)).as_json()
    show_recovery(terminal, found)
    told_taken(terminal)
    terminal.write_json(found)
    return 0
