"""What every simulated run shares: a runner by name, progress for people, and the logs of all parties."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ringfence.clients.holder import Holder
from ringfence.privacy.command_line.terminal import Terminal
from ringfence.privacy.errors import N_, UsageError, WaistError, _
from ringfence.simulations.federation import Federation, Outcome, run_in_process


def run_with_progress(
    federation: Federation, runner: str, terminal: Terminal, *, bundle: Path | None = None
) -> tuple[Outcome, Mapping[str, Holder]]:
    """Run a federation with a bar on the terminal; refusals are said as they happen, to the holders' people.

    Args:
        federation: who and what.
        runner: `in-process` or `flower`.
        terminal: where to speak.
        bundle: new folder for the logs of all parties if the study fails; its refusals are events there.
    """
    holders = None if runner == "flower" else {name: federation.holder(name) for name in federation.sites}
    try:
        return _run(federation, runner, terminal, holders)
    except WaistError:
        if bundle is not None:
            export_logs(
                federation, holders or {name: federation.holder(name) for name in federation.sites}, bundle
            )
            terminal.say(
                _(
                    "The logs of all parties, refusals included, are in {folder}; check them with: "
                    "ringfence-audit verify {folder}"
                ).format(folder=bundle)
            )
        raise


def _run(
    federation: Federation, runner: str, terminal: Terminal, holders: dict[str, Holder] | None
) -> tuple[Outcome, Mapping[str, Holder]]:
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
        return run_in_process(federation, progress=progress, say=terminal.say, holders=holders)


def refuse_existing(folder: Path) -> None:
    """Refuse a folder for new output that is there already.

    Raises:
        UsageError: it exists.
    """
    if folder.exists():
        raise UsageError(
            "RF-U342",
            N_("{folder} exists already; name a new folder, nothing is overwritten."),
            folder=str(folder),
        )


def export_logs(federation: Federation, holders: Mapping[str, Holder], folder: Path) -> None:
    """Export the coordinator's log and every holder's into one bundle, for `ringfence-audit verify`."""
    folder.mkdir(parents=True)
    federation.coordinator.log.export_bundle(folder / "coordinator")
    (folder / "holders").mkdir()
    for name, holder in sorted(holders.items()):
        holder.log.export_bundle(folder / "holders" / name)
