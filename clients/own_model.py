"""What a holder keeps of a study for itself: its own model, in memory during the run, then in a file.

Invariants:
    What an attempt came to counts once the attempt is charged, never before: it follows from noise that is
    paid for. It is in no message. The log's public part says that there is one and in how many rounds it was
    trained.

A process that is restarted has lost it and begins again from the common model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ringfence.clients.holder import Holder
from ringfence.clients.pipeline import Admitted
from ringfence.privacy.agreements.study import Study
from ringfence.privacy.command_line.terminal import write_atomically
from ringfence.privacy.errors import RingfenceError

FOLDER = "own"


@dataclass(slots=True, kw_only=True)
class Kept:
    """A task's own state at this holder, round by round.

    Attributes:
        latest: after the last charged attempt; None before the first.
        rounds: in how many rounds it was trained.
    """

    latest: object | None = None
    rounds: int = 0
    _round: int = -1
    _before: object | None = None

    def before(self, round_index: int) -> object | None:
        """What an attempt at a round begins from: later attempts begin where the first one did."""
        return self._before if round_index == self._round else self.latest

    def keep(self, round_index: int, state: object) -> None:
        """Take in what a charged attempt came to."""
        if round_index != self._round:
            self._round, self._before = round_index, self.latest
            self.rounds += 1
        self.latest = state


def own_path(folder: Path, study: Study, run: str, window: int = 0) -> Path:
    """Where a holder's own model of a run stands in its folder of models.

    Args:
        folder: of models.
        study: the study.
        run: its whole id: its coordinator chooses it, and must not bring a file of an earlier run to be
            overwritten.
        window: of a series, number of the run's window; 0 for a study that is run once.
    """
    digest = study.digest().removeprefix("sha256:")[:12]
    return folder / "-".join([study.id, digest, *([str(window)] if window else []), f"{run}.safetensors"])


def leave_own(holder: Holder, admitted: Admitted, kept: Kept) -> str:
    """Write the holder's own model at the end of a study that gives it one.

    Returns:
        Why it could not be written, for the holder's own people; empty where all is well or there is nothing
        to write.
    """
    personal = admitted.task.personal
    if personal is None or kept.latest is None:
        return ""
    path, fault, content = own_path(holder.models, admitted.study, admitted.run, admitted.window), "", b""
    try:
        content = personal.file(admitted.context, kept.latest, holder.name)
        holder.models.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, content)
    except (OSError, RingfenceError) as error:
        fault = str(error) if isinstance(error, RingfenceError) else type(error).__name__
    holder.log.record(
        "model.kept",
        "error" if fault else "allow",
        resource=f"study:{admitted.digest}",
        public={"run": admitted.run, "rounds": kept.rounds},
        private={"file": path.name, "digest": "sha256:" + hashlib.sha256(content).hexdigest()},
    )
    return fault
