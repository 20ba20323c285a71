"""What the audit logs tell of a run: who sent how much, what was summed, and how many events there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pandas as pd

from ringfence.audit.catalogue import EVENT_TYPES
from ringfence.privacy.protocol.control import COORDINATOR
from ringfence.privacy.waist import StudyPlan

if TYPE_CHECKING:
    from ringfence.audit.events import Event
    from ringfence.audit.log import AuditLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """What one party had before its eyes in this run, counted from the logs.

    Attributes:
        name: `coordinator`, or the holder's.
        role: coordinator or holder.
        present: whether it was in the last sum.
        vectors: noisy vectors: received by the coordinator, sent by the holder.
        words: noisy integers in them.
        sums: noisy sums formed (coordinator only).
        peers: holders whose public keys of the run it was shown.
        visible: whether the vectors came without masks, as the study said.
    """

    name: str
    role: Literal["coordinator", "holder"]
    present: bool
    vectors: int
    words: int
    sums: int
    peers: int
    visible: bool = False


def counts_of(log: AuditLog) -> Counter[tuple[str, str]]:
    """Events of a log by action and outcome."""
    return Counter((each.event.action, each.event.outcome) for each in log.events())


def events_of(counts: Mapping[str, Counter[tuple[str, str]]]) -> pd.DataFrame:
    """One row for each log, action and outcome, in the catalogue's order."""
    order = {action: position for position, action in enumerate(EVENT_TYPES)}
    rows = [
        {"log": log, "action": action, "outcome": outcome, "count": count}
        for log, found in counts.items()
        for (action, outcome), count in sorted(
            found.items(), key=lambda item: (order[item[0][0]], item[0][1])
        )
    ]
    return pd.DataFrame(rows, columns=["log", "action", "outcome", "count"])


def _of_run(log: AuditLog, action: str, run: str) -> list[Event]:
    return [each.event for each in log.events(action=action) if each.event.public.get("run") == run]


def _entries(event: Event) -> int:
    entries = event.public.get("entries", 0)
    return entries if isinstance(entries, int) else 0


def rounds_of(
    plan: StudyPlan, attempts: tuple[int, ...], logs: Mapping[str, AuditLog], run: str
) -> pd.DataFrame:
    """Name, vector length and attempts of each round."""
    entries: dict[object, int] = {}
    for name, log in logs.items():
        if name != COORDINATOR:
            entries |= {each.public.get("round"): _entries(each) for each in _of_run(log, "waist.send", run)}
    rows = [
        {"round": each.name, "entries": entries.get(position, 0), "attempts": count}
        for position, (each, count) in enumerate(zip(plan.rounds, attempts, strict=False))
    ]
    return pd.DataFrame(rows, columns=["round", "entries", "attempts"])


def parties_of(run: str, logs: Mapping[str, AuditLog], present: tuple[str, ...]) -> tuple[Party, ...]:
    """The coordinator first, then the holders by name."""
    made = []
    for name, log in logs.items():
        if name == COORDINATOR:
            continue
        sent = _of_run(log, "waist.send", run)
        shown = {peer for each in sent for peer in _names(each)} - {name}
        made.append(
            Party(
                name=name,
                role="holder",
                present=name in present,
                vectors=len(sent),
                words=sum(_entries(each) for each in sent),
                sums=0,
                peers=len(shown),
                visible=any(each.public.get("uploads") == "visible" for each in sent),
            )
        )
    coordinator = Party(
        name=COORDINATOR,
        role="coordinator",
        present=True,
        vectors=sum(each.vectors for each in made),
        words=sum(each.words for each in made),
        sums=len(_of_run(logs[COORDINATOR], "aggregate.received", run)),
        peers=len(
            {str(each.public.get("holder")) for each in _of_run(logs[COORDINATOR], "study.joined", run)}
        ),
        visible=any(each.visible for each in made),
    )
    return (coordinator, *made)


def _names(event: Event) -> list[str]:
    roster = event.public.get("roster", [])
    return [str(name) for name in roster] if isinstance(roster, list) else []
