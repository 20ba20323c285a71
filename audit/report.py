"""What a verification found: per log its faults, its notices and how far its freshness is shown."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringfence.audit.canonical import Json
from ringfence.audit.errors import AuditError, BundleError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, as an error with its code, and the first event it is seen at."""

    error: AuditError
    event: int | None = None

    def to_json(self) -> Json:
        """Members for a machine."""
        members: dict[str, Json] = {"code": self.error.code, "sentence": self.error.sentence()}
        if self.event is not None:
            members["event"] = self.event
        return members


@dataclass(slots=True, kw_only=True)
class LogReport:
    """What was found about one log.

    Attributes:
        name: its folder in the bundle, `.` for the bundle itself.
        origin: its name in the world; empty when unknown.
        size: number of events read.
        root: hex root under the verified checkpoint; empty without one.
        key: the verifier key the checkpoint was checked with; empty without one.
        trusted: whether that key was given by the caller rather than taken from the bundle.
        simulation: number of events that name the simulation profile.
        fresh_to: largest size shown by a checkpoint that the caller brought.
        anchored_to: per other log in the bundle, the largest size of this one that it anchors.
        notices: sentences about what was not shown or not checked.
    """

    name: str
    origin: str = ""
    size: int = 0
    root: str = ""
    key: str = ""
    trusted: bool = False
    simulation: int = 0
    fresh_to: int | None = None
    anchored_to: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def fault(self, error: AuditError, event: int | None = None) -> None:
        """Take note of something wrong."""
        self.faults.append(Fault(error=error, event=event))

    def to_json(self) -> Json:
        """Members for a machine."""
        members: dict[str, Json] = {
            "name": self.name,
            "origin": self.origin,
            "events": self.size,
            "root": self.root,
            "key": self.key,
            "key_trusted": self.trusted,
            "simulation_events": self.simulation,
            "freshness_shown": self.fresh_to is not None,
            "anchored_to": dict(self.anchored_to),
            "intact": not self.faults,
            "faults": [fault.to_json() for fault in self.faults],
            "notices": list(self.notices),
        }
        if self.fresh_to is not None:
            members["fresh_to"] = self.fresh_to
        return members


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found about a bundle: its logs in order, and faults that belong to none of them."""

    logs: tuple[LogReport, ...]
    faults: tuple[Fault, ...] = ()

    def all_faults(self) -> list[Fault]:
        """Faults of the bundle and of every log."""
        return [*self.faults, *(fault for log in self.logs for fault in log.faults)]

    def to_json(self) -> dict[str, Json]:
        """Members for a machine."""
        return {
            "format": "ringfence-verification/1",
            "intact": not self.all_faults(),
            "faults": [fault.to_json() for fault in self.faults],
            "logs": [log.to_json() for log in self.logs],
        }


class BundleRefused(BundleError):
    """A bundle does not verify; carries the whole report, and reads like its first fault."""

    def __init__(self, report: Report) -> None:
        first = report.all_faults()[0].error
        super().__init__(first.code, first.template, **first.values)
        self.report = report
