"""`ringfence-server log recover` and `holder accept-recovery`: logs that go on from an older copy."""

from __future__ import annotations

import argparse

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
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf

SIDES = RecoverySides(leaf=leaf, program="ringfence-server", role="holder", other="ringfence-client")


def add_recover_log(kinds: Kinds[Parser]) -> None:
    """Declare `log recover`."""
    add_recover(kinds, SIDES, _recover)


def add_holders_log(kinds: Kinds[Parser]) -> None:
    """Declare `holder checkpoints` and `holder accept-recovery`."""
    checkpoints, _accepting = add_other_log(kinds, SIDES, _checkpoints, _accept)
    checkpoints.add_argument("name", metavar="NAME", help=_("the holder's name"))


def _recover(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.protocol.recoveries import file_text, reason_said
    from ringfence.server.desk.recovering import recover_log
    from ringfence.server.home import open_office

    require_new_file(arguments.out)
    reason, given = reason_said(arguments.reason), passphrases(arguments)
    people = people_of(arguments)
    with open_office(arguments.config, passphrases=given) as office:
        found, file = recover_log(office, arguments.lost, people, reason, given)
    new_file(arguments.out, file_text(file))
    terminal, told = Terminal.of(arguments), found.as_json()
    show_recovery(terminal, told)
    told_file(terminal, arguments.out, SIDES)
    terminal.write_json(told | {"file": str(arguments.out)})
    return 0


def _checkpoints(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.protocol.recoveries import file_text
    from ringfence.server.desk.recovering import kept_of_holder
    from ringfence.server.home import open_office

    require_new_file(arguments.out)
    with open_office(arguments.config) as office:
        found = kept_of_holder(office, arguments.name)
    told_checkpoints(arguments, found.log, len(found.checkpoints), file_text(found))
    return 0


def _accept(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.protocol.recoveries import read_recovery_file
    from ringfence.server.desk.recovering import holders_loss, take_holders_log
    from ringfence.server.home import open_office

    terminal, file = Terminal.of(arguments), read_recovery_file(arguments.file)
    with open_office(arguments.config) as office:
        if not arguments.key:
            show_recovery(terminal, holders_loss(office, file).as_json())
            require_deciders(arguments)
        found = take_holders_log(office, file, people_of(arguments)).as_json()
    show_recovery(terminal, found)
    told_taken(terminal)
    terminal.write_json(found)
    return 0
