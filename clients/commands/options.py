"""Options that several of the holder's commands share, and what is read off them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from ringfence.privacy import commands as shared
from ringfence.privacy.errors import N_, UsageError, _
from ringfence.privacy.terminal import Parser


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
    """A sub-command as `ringfence.privacy.commands.leaf` makes it; `home` says that it works in a holder's home."""
    config = "client.toml", _("the holder's client.toml, or its folder (default: client.toml here)")
    return shared.leaf(commands, name, text, more=more, examples=examples, config=config if home else None, json=json)


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
