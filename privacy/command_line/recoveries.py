"""What both commands ask and say where a log goes on from an older copy."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringfence.privacy.command_line.commands import add_passphrase, new_file, passphrases
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import N_, UsageError, _

Leaf = Callable[..., Parser]
Kinds = argparse._SubParsersAction  # generic in the stubs alone


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverySides:
    """Whose command it is.

    Attributes:
        leaf: makes a sub-command with `--config` and `--json`.
        program: its name.
        role: the group of commands on the other party: `coordinator` or `holder`.
        other: the other party's program.
    """

    leaf: Leaf
    program: str
    role: str
    other: str


def add_recover(kinds: Kinds[Parser], sides: RecoverySides, do: Callable[..., int]) -> None:
    """Declare `log recover`."""
    recover = sides.leaf(
        kinds,
        "recover",
        _("let the log go on after an old copy of the store was restored, by two people"),
        more=_(
            "Writes a file that names what was lost; each party that had seen it takes the log again by two "
            "people of its own. Nothing brings the lost events back, and verification says so for ever."
        ),
        examples=[
            f"{sides.program} log recover --lost seen.json --key ana.key --key ben.key "
            "--reason 'disk lost on 3 May' --out recovery.json"
        ],
    )
    recover.add_argument(
        "--lost",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help=_("what another party keeps of this log, or a checkpoint of it; once for each"),
    )
    _add_people(recover, needed=True)
    recover.add_argument("--reason", required=True, metavar="TEXT", help=_("why, for those who read the log"))
    recover.add_argument("--out", type=Path, required=True, metavar="FILE", help=_("new file to write"))
    recover.set_defaults(do=do)


def add_other_log(
    kinds: Kinds[Parser], sides: RecoverySides, keeps: Callable[..., int], takes: Callable[..., int]
) -> tuple[Parser, Parser]:
    """Declare `checkpoints` and `accept-recovery`, on the other party's log."""
    checkpoints = sides.leaf(
        kinds,
        "checkpoints",
        _("write the checkpoints that are kept of the other party's log, for its people to recover it by"),
    )
    checkpoints.add_argument("--out", type=Path, required=True, metavar="FILE", help=_("new file to write"))
    checkpoints.set_defaults(do=keeps)
    accept = sides.leaf(
        kinds,
        "accept-recovery",
        _("take the other party's log as it goes on from an older copy, by two people"),
        more=_("Shows what was lost; without keys nothing is taken. Both histories are kept."),
        examples=[
            f"{sides.program} {sides.role} accept-recovery recovery.json",
            f"{sides.program} {sides.role} accept-recovery recovery.json --key cem.key --key dee.key",
        ],
    )
    accept.add_argument(
        "file", type=Path, metavar="FILE", help=_("what the other party's log recover has written")
    )
    _add_people(accept, needed=False)
    accept.set_defaults(do=takes)
    return checkpoints, accept


def _add_people(parser: Parser, *, needed: bool) -> None:
    parser.add_argument(
        "--key",
        type=Path,
        action="append",
        default=None if needed else [],
        required=needed,
        metavar="FILE",
        help=_("key file of one of the two people of this house who decide; give two"),
    )
    add_passphrase(parser)


def people_of(arguments: argparse.Namespace) -> list[Identity]:
    """The key pairs of those who decide; the first passphrase file is that of the house's own keys."""
    given = passphrases(arguments)
    return [given.read_key(path, "approver", position=at) for at, path in enumerate(arguments.key, 1)]


def require_deciders(arguments: argparse.Namespace) -> None:
    """Refuse to take anything without people who sign, once it was shown.

    Raises:
        UsageError: RF-U799.
    """
    if not arguments.key:
        raise UsageError(
            "RF-U799",
            N_("Nothing was taken. Two people of this house decide, by their keys: --key A --key B"),
        )


def told_file(terminal: Terminal, file: Path, sides: RecoverySides) -> None:
    """Say what to do with the file of a recovery."""
    role = "holder" if sides.role == "coordinator" else "coordinator"
    terminal.say(
        _("Wrote {file}. Each party that had seen more takes it: {program} {role} accept-recovery").format(
            file=file, program=sides.other, role=role
        )
    )


def told_checkpoints(arguments: argparse.Namespace, log: str, count: int, text: str) -> None:
    """Write what is kept of another party's log into a new file, and say so.

    Args:
        arguments: of the command.
        log: name of that log.
        count: how many checkpoints there are.
        text: the file.
    """
    new_file(arguments.out, text)
    terminal = Terminal.of(arguments)
    terminal.say(
        _("Wrote {file}: checkpoints of {log}, {count} of them.").format(
            file=arguments.out, log=log, count=count
        )
    )
    terminal.write_json({"log": log, "file": str(arguments.out), "checkpoints": count})


def told_taken(terminal: Terminal) -> None:
    """Say that a log was taken."""
    terminal.say(
        _("The log is taken as it goes on. What was lost of it stays known, and every verification says so.")
    )


def show_recovery(terminal: Terminal, found: Mapping[str, Any]) -> None:
    """Say what a recovery names."""
    lost = found["lost"]
    terminal.say(_("Log {log}, kept to {kept} events.").format(log=found["log"], kept=found["kept"]))
    terminal.say(
        _("Lost: up to {count} events, from {kept} to {size}; signed states of them: {states}.").format(
            count=max(lost) - found["kept"],
            kept=found["kept"],
            size=max(lost) - 1,
            states=", ".join(str(size) for size in lost),
        )
    )
    terminal.say(_("Why: {reason}").format(reason=found["reason"]))
    terminal.say(
        _("Signed by {people}; ask them in person or by telephone.").format(people=", ".join(found["people"]))
    )
    for run in found["runs"]:
        terminal.say(
            _("A release of the run {run} was witnessed there: its model stays the only one.").format(run=run)
        )
