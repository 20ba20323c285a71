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
    require_people,
    show_recovery,
    told_file,
    told_taken,
)
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf

SIDES = RecoverySides(leaf=leaf, program="ringfence-server", role="holder", other="ringfence-client")


def add_own_recovery(kinds: Kinds[Parser]) -> None:
    """Declare `log recover`."""
    add_recover(kinds, SIDES, _recover)


def add_others_recovery(kinds: Kinds[Parser]) -> None:
    """Declare `holder checkpoints` and `holder accept-recovery`."""
    checkpoints, _accepting = add_other_log(kinds, SIDES, _checkpoints, _accept)
    checkpoints.add_argument("name", metavar="NAME", help=_("the holder's name"))


def _recover(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.protocol.recoveries import file_text, reason_of
    from ringfence.server.desk.recovering import recover
    from ringfence.server.home import open_office

    require_new_file(arguments.out)
    reason, given = reason_of(arguments.reason), passphrases(arguments)
    people = people_of(arguments)
    with open_office(arguments.config, passphrases=given) as office:
        found, file = recover(office, arguments.lost, people, reason, given)
    new_file(arguments.out, file_text(file))
    terminal, told = Terminal.of(arguments), found.as_json()
    show_recovery(terminal, told)
    told_file(terminal, arguments.out, SIDES)
    terminal.write_json(told | {"file": str(arguments.out)})
    return 0


def _checkpoints(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.protocol.recoveries import file_text
    from ringfence.server.desk.recovering import anchored
    from ringfence.server.home import open_office

    require_new_file(arguments.out)
    with open_office(arguments.config) as office:
        found = anchored(office, arguments.name)
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
    from ringfence.privacy.protocol.recoveries import read_file
    from ringfence.server.desk.recovering import shown_recovery, take
    from ringfence.server.home import open_office

    terminal, file = Terminal.of(arguments), read_file(arguments.file)
    with open_office(arguments.config) as office:
        if not arguments.key:
            show_recovery(terminal, shown_recovery(office, file).as_json())
            require_people(arguments)
        found = take(office, file, people_of(arguments)).as_json()
    show_recovery(terminal, found)
    told_taken(terminal)
    terminal.write_json(found)
    return 0
