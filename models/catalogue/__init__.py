"""The tasks that are installed, by the name a study gives."""

from __future__ import annotations

from typing import Any

from ringfence.models.evaluation import evaluated
from ringfence.models.neural import ATTENTION, LSTM, MLP
from ringfence.models.scorecard import SCORECARD
from ringfence.models.statistics import STATISTICS
from ringfence.models.task import Task
from ringfence.privacy.errors import N_, StudyError

TASKS: dict[str, Task[Any, Any]] = {
    task.name: evaluated(task) for task in (SCORECARD, MLP, LSTM, ATTENTION, STATISTICS)
}


def task_named(name: str) -> Task[Any, Any]:
    """Look a task up by the name a study gives.

    Raises:
        StudyError: no such task is installed.
    """
    if name not in TASKS:
        raise StudyError(
            "RF-S050",
            N_(
                "The study asks for the task {name}; installed are: {known}. Correct `task` or update "
                "Ringfence."
            ),
            name=name,
            known=", ".join(sorted(TASKS)),
        )
    return TASKS[name]
