"""How the coordinator's sub-commands name its home and a study."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ringfence.privacy.command_line import commands
from ringfence.privacy.errors import N_, _

leaf = partial(
    commands.leaf,
    settings="server.toml",
    config=N_("the coordinator's server.toml, or its folder (default: server.toml here)"),
)


def add_asked(parser: argparse.ArgumentParser) -> None:
    """Give a command the study it is about."""
    parser.add_argument(
        "file",
        type=Path,
        metavar="STUDY",
        help=_("the signed study's file, or the id of one that was submitted"),
    )
