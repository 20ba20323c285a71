"""Options that several of the holder's commands share, and what is read off them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.privacy.errors import N_, UsageError, _
from ringfence.privacy.terminal import Parser, add_json, add_language

if TYPE_CHECKING:
    from ringfence.clients.secret_files import Passphrases


def leaf(
    commands: argparse._SubParsersAction[Parser],
    name: str,
    text: str,
    *,
    more: str = "",
    examples: Sequence[str] = (),
    home: bool = True,
    json: bool = True,
) -> Parser:
    """A sub-command with what nearly all have: `--config`, `--json`, `--lang`.

    Args:
        commands: what it belongs to.
        name: as typed.
        text: one line of help.
        more: further sentences for its own `--help`.
        examples: command lines.
        home: it works in a holder's home.
        json: it has a result for programs.
    """
    description = f"{text[:1].upper()}{text[1:]}. {more}".strip()
    made = commands.add_parser(name, help=text, description=description, examples=examples)
    if home:
        made.add_argument(
            "--config",
            type=Path,
            default=Path("client.toml"),
            metavar="FILE",
            help=_("the holder's client.toml, or its folder (default: client.toml here)"),
        )
    if json:
        add_json(made)
    add_language(made)
    return made


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Give a command `--passphrase-file`, for keys that are wrapped."""
    parser.add_argument(
        "--passphrase-file",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=_("first line of FILE unlocks the key instead of a prompt; only its owner may read it; several keys may have one each, in order"),
    )


def add_wrapping(parser: argparse.ArgumentParser) -> None:
    """Give a command that makes keys the choice between a passphrase and none."""
    add_passphrase(parser)
    parser.add_argument(
        "--no-passphrase", action="store_true", help=_("leave the keys unwrapped; whoever copies the file has the key")
    )


def passphrases(arguments: argparse.Namespace) -> Passphrases:
    """Where the command takes passphrases from."""
    from ringfence.clients.secret_files import Passphrases

    return Passphrases(files=tuple(arguments.passphrase_file))


def new_passphrase(arguments: argparse.Namespace) -> str | None:
    """The passphrase for keys to be made, None for unwrapped ones.

    Raises:
        UsageError: RF-U430 both a passphrase and none were asked for.
    """
    if not arguments.no_passphrase:
        return passphrases(arguments).new()
    if arguments.passphrase_file:
        raise UsageError("RF-U430", N_("Give either --passphrase-file or --no-passphrase, not both."))
    return None


def decimal(text: str) -> Decimal:
    """A number of the command line, exactly.

    Raises:
        UsageError: RF-U431 when it is none.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise UsageError(
            "RF-U431", N_('"{text}" is not a number; expected one such as 0.5 or 1e-6.'), text=text
        )
    return number


def new_file(path: Path, text: str) -> None:
    """Write a file that does not exist yet, whole or not at all.

    Raises:
        UsageError: RF-U432 it exists, RF-U433 its folder does not.
    """
    from ringfence.privacy.terminal import write_atomically

    if path.exists() or path.is_symlink():
        raise UsageError("RF-U432", N_("{file} exists and is not overwritten; choose another name."), file=str(path))
    if not path.parent.is_dir():
        raise UsageError("RF-U433", N_("The folder of {file} does not exist; make it first."), file=str(path))
    write_atomically(path, text.encode())
