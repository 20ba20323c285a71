"""`ringfence-server backup`, `restore` and `migrate`: the coordinator's home, kept."""

from __future__ import annotations

import argparse
from typing import Any

from ringfence.privacy.command_line.keeping import Keeping, add_keeping
from ringfence.privacy.command_line.terminal import Parser
from ringfence.privacy.errors import N_
from ringfence.server.commands.options import leaf


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    add_keeping(
        commands,
        Keeping(
            leaf=leaf,
            program="ringfence-server",
            back_up=_back_up,
            restore=_restore,
            migrate=_migrate,
            afterwards=N_(
                "Open invitations are withdrawn. Revocations, runs and releases since {made} are not in it: "
                "compare ringfence-server holders with your records before you serve."
            ),
        ),
    )


def _back_up(*given: Any) -> Any:
    from ringfence.server.desk.keeping import back_up_office

    return back_up_office(*given)


def _restore(*given: Any, **more: Any) -> Any:
    from ringfence.server.desk.keeping import restore_office

    return restore_office(*given, **more)


def _migrate(*given: Any) -> Any:
    from ringfence.server.desk.keeping import migrate_office

    return migrate_office(*given)
