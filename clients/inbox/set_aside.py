"""Approvals from before a loss of the ledger: they count no more, and are kept for those who look back.

A ledger that lacks entries no longer shows which studies had their run, how many runs of a series were used
and in which windows, and rejections since the copy are gone with it. So nothing that was approved before runs
on that approval: two people look again.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = "set-aside"


def set_approvals_aside(approvals: Path) -> int:
    """Move every approval into a folder where none counts; how many there were.

    Args:
        approvals: the home's folder, with a folder for each federation.
    """
    found = sorted(approvals.glob("*/*.json"))
    for file in found:
        aside = file.parent / FOLDER
        aside.mkdir(mode=0o700, exist_ok=True)
        file.replace(aside / file.name)
    return len(found)
