"""`ringfence-client log recover` and `coordinator accept-recovery`: logs that go on from an older copy."""

from __future__ import annotations

import argparse

from ringfence.clients.commands.options import leaf
from ringfence.privacy.command_line.commands import new_file, passphrases, require_new_file
from ringfence.privacy.command_line.recoveries import (
    Kinds,
    RecoverySides,
    add_other_log,
    add_recover,
    people_of,
    require_deciders,
    show_recovery,
    told_file,
    told_taken,
)
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _

SIDES = RecoverySides(leaf=leaf, program="ringfence-client", role="coordinator", other="ringfence-server")


def add_recover_own(kinds: Kinds[Parser]) -> None:
    """Declare `log recover`."""
    add_recover(kinds, SIDES, _recover)


def add_coordinators_log(kinds: Kinds[Parser]) -> None:
    """Declare `coordinator checkpoints` and `coordinator accept-recovery`."""
    add_other_log(kinds, SIDES, _checkpoints, _accept)


def _recover(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.recovering import recover_own_log
    from ringfence.clients.home import open_home
    from ringfence.privacy.protocol.recoveries import file_text, reason_said

    require_new_file(arguments.out)
    reason, given = reason_said(arguments.reason), passphrases(arguments)
    people = people_of(arguments)
    with open_home(arguments.config, passphrases=given, opens="log") as home:
        found, file = recover_own_log(home, arguments.lost, people, reason, given)
    new_file(arguments.out, file_text(file))
    terminal, told = Terminal.of(arguments), found.as_json()
    show_recovery(terminal, told)
    told_file(terminal, arguments.out, SIDES)
    terminal.write_json(told | {"file": str(arguments.out)})
    return 0


def _checkpoints(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.recovering import kept_of_coordinator
    from ringfence.clients.home import open_home
    from ringfence.privacy.protocol.recoveries import file_text

    require_new_file(arguments.out)
    with open_home(arguments.config) as home:
        found = kept_of_coordinator(home)
    new_file(arguments.out, file_text(found))
    terminal = Terminal.of(arguments)
    terminal.say(
        _("Wrote {file}: checkpoints of {log}, {count} of them.").format(
            file=arguments.out, log=found.log, count=len(found.checkpoints)
        )
    )
    terminal.write_json({"log": found.log, "file": str(arguments.out), "checkpoints": len(found.checkpoints)})
    return 0


def _accept(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.recovering import coordinators_loss, take_coordinators_log
    from ringfence.clients.home import open_home
    from ringfence.privacy.protocol.recoveries import read_recovery_file

    terminal, file = Terminal.of(arguments), read_recovery_file(arguments.file)
    with open_home(arguments.config) as home:
        if not arguments.key:
            show_recovery(terminal, coordinators_loss(home, file).as_json())
            require_deciders(arguments)
        found = take_coordinators_log(home, file, people_of(arguments)).as_json()
    show_recovery(terminal, found)
    told_taken(terminal)
    terminal.write_json(found)
    return 0
