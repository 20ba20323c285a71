"""What a verification found: per log its faults, notices and freshness, for the bundle gaps and a verdict.

Invariant: a bundle is *intact* only when nothing is wrong and nothing that it names was out of reach. What
could not be verified is a gap, and a gap makes the verdict *incomplete*, never intact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ringfence.audit.canonical import Json
from ringfence.audit.errors import AuditError, BundleError

Verdict: TypeAlias = Literal["intact", "incomplete", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing that is wrong, as an error with its code, and the first event it is seen at."""

    error: AuditError
    event: int | None = None

    def to_json(self) -> Json:
        """Members for a machine."""
        members: dict[str, Json] = {"code": self.error.code, "sentence": self.error.sentence()}
        if self.event is not None:
            members["event"] = self.event
        return members


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One thing that could not be verified.

    Attributes:
        error: what, as a sentence with its code.
        missing: name of the log that is not there; empty when the gap is of another kind.
        elsewhere: it would close with logs or keys of others, which a log verified alone does not bring.
    """

    error: AuditError
    missing: str = ""
    elsewhere: bool = False

    def to_json(self) -> Json:
        """Members for a machine."""
        members: dict[str, Json] = {"code": self.error.code, "sentence": self.error.sentence()}
        return members | ({"missing": self.missing} if self.missing else {})


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
    faults: list[Flaw] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def fault(self, error: AuditError, event: int | None = None) -> None:
        """Take note of something wrong."""
        self.faults.append(Flaw(error=error, event=event))

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
    """What was found about a bundle.

    Attributes:
        logs: its logs in order.
        faults: what is wrong and belongs to none of them.
        gaps: what could not be verified.
        left_out: what other logs could have shown, of a log that the caller wanted verified alone.
        notices: sentences about the folder as a whole.
    """

    logs: tuple[LogReport, ...]
    faults: tuple[Flaw, ...] = ()
    gaps: tuple[Gap, ...] = ()
    left_out: tuple[Gap, ...] = ()
    notices: tuple[str, ...] = ()

    def all_faults(self) -> list[Flaw]:
        """Faults of the bundle and of every log."""
        return [*self.faults, *(fault for log in self.logs for fault in log.faults)]

    @property
    def verdict(self) -> Verdict:
        """Refused when anything is wrong, incomplete when something could not be verified."""
        if self.all_faults():
            return "refused"
        return "incomplete" if self.gaps else "intact"

    @property
    def unknown(self) -> list[str]:
        """The logs of which nothing shows whose they are: their keys came with the bundle."""
        return [log.origin or log.name for log in self.logs if not log.trusted]

    def to_json(self) -> dict[str, Json]:
        """Members for a machine."""
        return {
            "format": "ringfence-verification/1",
            "verdict": self.verdict,
            "intact": self.verdict == "intact",
            "missing": [gap.missing for gap in self.gaps if gap.missing],
            "gaps": [gap.to_json() for gap in self.gaps],
            "left_out": [gap.to_json() for gap in self.left_out],
            "unknown": list(self.unknown),
            "notices": list(self.notices),
            "faults": [fault.to_json() for fault in self.faults],
            "logs": [log.to_json() for log in self.logs],
        }


class BundleUnproven(BundleError):
    """A bundle that is not intact; carries the whole report."""

    def __init__(self, report: Report, first: AuditError) -> None:
        super().__init__(first.code, first.template, **first.values)
        self.report = report


class BundleRefused(BundleUnproven):
    """A bundle in which something is wrong; reads like its first fault."""

    def __init__(self, report: Report) -> None:
        super().__init__(report, report.all_faults()[0].error)


class BundleIncomplete(BundleUnproven):
    """A bundle in which nothing is wrong, but not all could be verified; reads like its first gap."""

    def __init__(self, report: Report) -> None:
        super().__init__(report, report.gaps[0].error)
