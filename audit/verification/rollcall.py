"""Which logs a bundle must hold: those that its logs name, and what is there in their place.

A coordinator's log names its holders (`study.joined` with `holder`) and every log that it anchors. A holder's
log names the run that it joined, the members of its rosters and, at the end, its coordinator's log. A run
belongs to the bundle's federation when a coordinator's log here names it, when two logs here do, or when no
coordinator's log is here at all; other runs of a holder are other federations' business and become a notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ringfence.audit.canonical import Json
from ringfence.audit.errors import N_, BundleError, _
from ringfence.audit.events import Event
from ringfence.audit.verification.report import Gap


@dataclass(slots=True, kw_only=True)
class Mentions:
    """What one log says of parties and runs.

    Attributes:
        organisation: who runs the log, by its first event.
        origin: the log's name, by its first event; not verified.
        coordinated: runs that it offered or took holders into, so that it is a coordinator's log.
        joined: runs that it joined as a holder.
        members: names of the holders of a run, by run.
        coordinators: origin of the coordinator's log, by run.
        anchored: largest size it anchors of another log, by origin.
    """

    organisation: str = ""
    origin: str = ""
    coordinated: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)
    members: dict[str, set[str]] = field(default_factory=dict)
    coordinators: dict[str, str] = field(default_factory=dict)
    anchored: dict[str, int] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Take note of what an event says."""
        if not self.organisation:
            self.organisation, self.origin = event.organisation, event.source.rpartition("#")[0]
        run, public = event.public.get("run"), event.public
        if event.outcome == "deny" or not isinstance(run, str):
            return
        if event.action in ("study.offered", "study.joined"):
            self._begun(event.action, run, public)
        elif event.action == "study.finished" and isinstance(public.get("coordinator_log"), str):
            self.coordinators[run] = str(public["coordinator_log"])
        roster = public.get("roster")
        if isinstance(roster, list):
            self.members.setdefault(run, set()).update(str(name) for name in roster)

    def _begun(self, action: str, run: str, public: Mapping[str, Json]) -> None:
        holder, holders = public.get("holder"), public.get("holders")
        if isinstance(holder, str):
            self.coordinated.add(run)
            self.members.setdefault(run, set()).add(holder)
        elif isinstance(holders, list):
            self.coordinated.add(run)
        elif action == "study.joined":
            self.joined.add(run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A log that is in the bundle: its folder, its verified or claimed origin, and what it says."""

    name: str
    origin: str
    says: Mentions

    @property
    def names(self) -> set[str]:
        """What others and folders call it: the last part of its origin, and its organisation."""
        return {last_part(self.origin), self.says.organisation} - {""}


def last_part(origin: str) -> str:
    """The name at the end of an origin or a folder."""
    return origin.rsplit("/", 1)[-1]


def missing_logs(logs: Sequence[Present]) -> list[Gap]:
    """The logs that are named by logs of the bundle and are not in it."""
    gaps = list(_missing_origins(logs))
    covered = {last_part(gap.missing) for gap in gaps} | {name for log in logs for name in log.names}
    gaps += _missing_holders(logs, covered)
    gaps += _missing_coordinators(logs, {log.origin for log in logs} | {gap.missing for gap in gaps})
    return gaps


def _missing_origins(logs: Sequence[Present]) -> Iterator[Gap]:
    here, told = {log.origin for log in logs}, set[str]()
    for log in logs:
        for origin, size in log.says.anchored.items():
            if origin not in here | told:
                told.add(origin)
                yield Gap(
                    error=BundleError(
                        "RF-A200",
                        N_("The log {origin} is not in this bundle; {place} anchors it up to {size} events."),
                        origin=origin,
                        place=log.name,
                        size=size,
                    ),
                    missing=origin,
                    elsewhere=True,
                )


def _runs_here(logs: Sequence[Present]) -> set[str]:
    """The runs of the bundle's federation."""
    coordinated = {run for log in logs for run in log.says.coordinated}
    joined = [run for log in logs for run in log.says.joined]
    if not coordinated:
        return set(joined)
    origins: dict[str, set[str]] = {}
    for log in logs:
        for run in log.says.joined:
            origins.setdefault(run, set()).add(log.origin)
    return coordinated | {run for run, named in origins.items() if len(named) > 1}


def _missing_holders(logs: Sequence[Present], covered: set[str]) -> Iterator[Gap]:
    runs, told = _runs_here(logs), set(covered)
    for log in logs:
        for run in sorted(log.says.members.keys() & runs):
            for name in sorted(log.says.members[run] - told):
                told.add(name)
                yield Gap(
                    error=BundleError(
                        "RF-A201",
                        N_("The log of {holder} is not in this bundle; {place} names it in run {run}."),
                        holder=name,
                        place=log.name,
                        run=run,
                    ),
                    missing=name,
                    elsewhere=True,
                )


def _missing_coordinators(logs: Sequence[Present], known: set[str]) -> Iterator[Gap]:
    coordinated = {run for log in logs for run in log.says.coordinated}
    told = set[str]()
    for run in sorted(_runs_here(logs) - coordinated):
        places = ", ".join(log.name for log in logs if run in log.says.joined)
        origin = next((log.says.coordinators[run] for log in logs if run in log.says.coordinators), "")
        if origin in known | told and origin:
            continue
        told.add(origin)
        if origin:
            error = BundleError(
                "RF-A202",
                N_(
                    "The coordinator's log {origin} is not in this bundle; {places} took part in its run "
                    "{run}."
                ),
                origin=origin,
                places=places,
                run=run,
            )
        else:
            error = BundleError(
                "RF-A203",
                N_("The coordinator's log is not in this bundle; {places} took part in its run {run}."),
                places=places,
                run=run,
            )
        yield Gap(error=error, missing=origin or "coordinator", elsewhere=True)


def other_runs(logs: Sequence[Present], log: Present) -> list[str]:
    """Notices about runs of a holder whose coordinator is of another federation, or was left out."""
    count = len(log.says.joined - _runs_here(logs))
    if not count:
        return []
    return [
        _(
            "Runs that the log took part in, of coordinators whose logs are not in this bundle: {count}."
        ).format(count=count)
    ]


def misplaced(logs: Sequence[Present], log: Present, missing: Sequence[Gap]) -> BundleError | None:
    """The fault of a folder that bears the name of another log than the one it holds."""
    folder = last_part(log.name)
    if folder in (".", "") or _named(folder, log.names):
        return None
    others = {name for other in logs for name in other.names}
    others |= {last_part(gap.missing) for gap in missing}
    if not _named(folder, others):
        return None
    return BundleError(
        "RF-A221",
        N_(
            "The folder {folder} bears the name of another log than the one it holds, {origin}: folders were "
            "swapped, or a log was put in another's place."
        ),
        folder=log.name,
        origin=log.origin,
    )


def strange_folder(log: Present) -> list[str]:
    """A notice about a folder under another name than its log's."""
    folder = last_part(log.name)
    if folder in (".", "") or _named(folder, log.names):
        return []
    return [
        _("The folder is called {folder}; the log calls itself {origin}.").format(
            folder=folder, origin=log.origin
        )
    ]


def _named(folder: str, names: set[str]) -> bool:
    return folder.casefold() in {name.casefold() for name in names}
