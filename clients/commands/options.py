"""How the holder's sub-commands name its home and a study."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ringfence.privacy.command_line import commands
from ringfence.privacy.errors import N_, _

leaf = partial(
    commands.leaf,
    settings="client.toml",
    config=N_("the holder's client.toml, or its folder (default: client.toml here)"),
)


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
