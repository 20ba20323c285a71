"""How the holder's sub-commands name its home, a federation and a study."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.privacy.command_line import commands
from ringfence.privacy.errors import N_, _

if TYPE_CHECKING:
    from ringfence.clients.home import Home

leaf = partial(
    commands.leaf,
    settings="client.toml",
    config=N_("the holder's client.toml, or its folder (default: client.toml here)"),
)


def add_federation(parser: argparse.ArgumentParser) -> None:
    """Let a command say which federation it is about."""
    parser.add_argument(
        "--federation",
        metavar="NAME",
        help=_("which federation, where this home belongs to several; client.toml names them"),
    )


def home_for(arguments: argparse.Namespace, study: Path | None) -> AbstractContextManager[Home]:
    """The home, for a study's federation where a command is about a study."""
    from ringfence.clients.home import open_federation, open_home

    if study is None:
        return open_home(arguments.config)
    return open_federation(arguments.config, arguments.federation)


def add_named_study(parser: argparse.ArgumentParser, *, needed: bool = True) -> None:
    """Give a command the study it is about.

    Args:
        parser: the command's.
        needed: it cannot be left out.
    """
    parser.add_argument(
        "study",
        nargs=None if needed else "?",
        type=Path,
        metavar="STUDY",
        help=_("the file of a study that the coordinator signed, or the id of one in the inbox"),
    )
    add_federation(parser)
