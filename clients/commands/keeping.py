"""`ringfence-client backup`, `restore` and `migrate`: the holder's home, kept."""

from __future__ import annotations

import argparse
from typing import Any

from ringfence.clients.commands.options import leaf
from ringfence.privacy.command_line.keeping import Keeping, add_keeping
from ringfence.privacy.command_line.terminal import Parser
from ringfence.privacy.errors import N_


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    add_keeping(
        commands,
        Keeping(
            leaf=leaf,
            program="ringfence-client",
            back_up=_back_up,
            restore=_restore,
            migrate=_migrate,
            afterwards=N_(
                "The ledger is frozen. Take in the withdrawals of consent since {made}, then two people "
                "enter what was spent since: ringfence-client budget thaw. That sets all approvals aside, "
                "since runs after the backup are not known here: studies and series are approved anew."
            ),
        ),
    )


def _back_up(*given: Any) -> Any:
    from ringfence.clients.desk.keeping import back_up_home

    return back_up_home(*given)


def _restore(*given: Any, **more: Any) -> Any:
    from ringfence.clients.desk.keeping import restore_home

    return restore_home(*given, **more)


def _migrate(*given: Any) -> Any:
    from ringfence.clients.desk.keeping import migrate_home

    return migrate_home(*given)
