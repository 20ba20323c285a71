"""The commands `backup`, `restore` and `migrate`, which holder and coordinator have alike."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence.privacy.command_line.commands import add_passphrase, passphrases, require_new_file
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _

if TYPE_CHECKING:
    from ringfence.privacy.command_line.housekeeping import Restored


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What the commands call, each imported when it is needed.

    Attributes:
        leaf: declares a sub-command of the program.
        program: its name.
        back_up, restore, migrate: of the desk.
        afterwards: what a person does after a restore, in English, with {made}.
    """

    leaf: Callable[..., Parser]
    program: str
    back_up: Callable[[Path, Path, str], tuple[str, ...]]
    restore: Callable[..., Restored]
    migrate: Callable[[Path, Callable[[str], Path]], tuple[str, tuple[str, ...], Path | None]]
    afterwards: str


def add_keeping(commands: argparse._SubParsersAction[Parser], keeping: Keeping) -> None:
    """Declare the sub-commands."""
    backup = keeping.leaf(
        commands,
        "backup",
        _("write one file with the home's store, documents, settings and secrets"),
        more=_(
            "The secrets are in it under a passphrase, which restore asks for. It may be made while the "
            "home is in use."
        ),
        examples=[f"{keeping.program} backup home.backup"],
    )
    backup.add_argument("file", type=Path, metavar="FILE", help=_("file to make; never overwritten"))
    add_passphrase(backup)
    backup.set_defaults(do=_backup, keeping=keeping)
    restore = keeping.leaf(
        commands,
        "restore",
        _("make a home from a backup, in a folder that is absent or empty"),
        examples=[f"{keeping.program} restore home.backup home"],
        home=False,
    )
    restore.add_argument("file", type=Path, metavar="FILE", help=_("the backup"))
    restore.add_argument("folder", type=Path, metavar="FOLDER", help=_("folder to make"))
    restore.add_argument(
        "--store",
        metavar="URL",
        help=_("an empty PostgreSQL database, or the name of a file in FOLDER, for the store"),
    )
    restore.add_argument(
        "--secrets-of",
        type=Path,
        metavar="HOME",
        help=_("a home whose secrets are taken, for a backup without any (those of migrate)"),
    )
    add_passphrase(restore)
    restore.set_defaults(do=_restore, keeping=keeping)
    migrate = keeping.leaf(
        commands,
        "migrate",
        _("bring the store to the version that this program uses; a backup is made first"),
    )
    migrate.add_argument(
        "--backup", type=Path, metavar="FILE", help=_("the backup to make (default: a new file in the home)")
    )
    migrate.set_defaults(do=_migrate, keeping=keeping)


def _backup(arguments: argparse.Namespace) -> int:
    require_new_file(arguments.file)
    given = passphrases(arguments).new()
    outside = arguments.keeping.back_up(arguments.config, arguments.file, given)
    terminal = Terminal.of(arguments)
    terminal.say(_("Wrote {file}.").format(file=arguments.file))
    for name in outside:
        terminal.say(_("Not in it, since it lies outside of the home: {name}").format(name=name))
    terminal.write_json({"file": str(arguments.file), "outside": list(outside)})
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.command_line.restored import told_keys

    given: dict[str, Any] = {"secrets_of": arguments.secrets_of, "store": arguments.store}

    def passphrase() -> str:
        return passphrases(arguments).asked(_("Passphrase of {file}: ").format(file=arguments.file.name))

    known = arguments.keeping.restore(arguments.file, arguments.folder, passphrase, **given)
    terminal = Terminal.of(arguments)
    terminal.say(
        _("Restored {name} as it was on {made}: {folder}").format(
            name=known.name, made=known.made, folder=arguments.folder
        )
    )
    terminal.say(_(arguments.keeping.afterwards).format(made=known.made))
    for line in told_keys(known.keys, known.made):
        terminal.say(line)
    terminal.write_json(
        {
            "folder": str(arguments.folder),
            "name": known.name,
            "made": known.made,
            "keys": [each.as_json() for each in known.keys],
        }
    )
    return 0


def _migrate(arguments: argparse.Namespace) -> int:
    if arguments.backup is not None:
        require_new_file(arguments.backup)

    def place(version: str) -> Path:
        if arguments.backup is not None:
            return Path(arguments.backup)
        home = arguments.config if arguments.config.is_dir() else arguments.config.parent
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return Path(home) / f"before-{version}-{moment}.backup"

    found, reached, kept = arguments.keeping.migrate(arguments.config, place)
    terminal = Terminal.of(arguments)
    if kept is None:
        terminal.say(_("The store has the version {version}; there is nothing to do.").format(version=found))
    else:
        terminal.say(
            _("Migrated from {found} to {reached}, and verified. The store before it is in {file}.").format(
                found=found or "-", reached=reached[-1], file=kept
            )
        )
    terminal.write_json(
        {"found": found, "reached": list(reached), "backup": None if kept is None else str(kept)}
    )
    return 0
