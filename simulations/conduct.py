"""What every simulated run shares: a runner by name, progress for people, and the logs of all parties."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ringfence.clients.holder import Holder
from ringfence.privacy.errors import N_, UsageError
from ringfence.privacy.terminal import Terminal
from ringfence.simulations.federation import Federation, Outcome, run_in_process


def run_with_progress(
    federation: Federation, runner: str, terminal: Terminal
) -> tuple[Outcome, Mapping[str, Holder]]:
    """Run a federation with a bar on the terminal; refusals are said as they happen, as a holder's people see them."""
    rounds = len(federation.opened.plan.rounds) + 1
    done = 0
    with terminal.progress(federation.opened.study.id, rounds) as advance:

        def progress(reached: int, _total: int, _name: str) -> None:
            nonlocal done
            advance(reached + 1 - done)
            done = reached + 1

        if runner == "flower":
            from ringfence.simulations.flower import run_on_flower

            return run_on_flower(federation, progress=progress, say=terminal.say)
        return run_in_process(federation, progress=progress, say=terminal.say)


def refuse_existing(folder: Path) -> None:
    """Refuse a folder for new output that is there already.

    Raises:
        UsageError: it exists.
    """
    if folder.exists():
        raise UsageError(
            "RF-U342", N_("{folder} exists already; name a new folder, nothing is overwritten."), folder=str(folder)
        )


def export_logs(federation: Federation, holders: Mapping[str, Holder], folder: Path) -> None:
    """Export the coordinator's log and every holder's into one bundle, for `ringfence-audit verify`."""
    folder.mkdir(parents=True)
    federation.coordinator.log.export_bundle(folder / "coordinator")
    (folder / "holders").mkdir()
    for name, holder in sorted(holders.items()):
        holder.log.export_bundle(folder / "holders" / name)
