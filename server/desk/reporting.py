"""`ringfence-server status`: what a coordinator is doing now, read beside the process that serves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ringfence.privacy.errors import _
from ringfence.privacy.stores.lease import leased
from ringfence.server.connections.admissions import Admissions
from ringfence.server.connections.vitals import LOST_AFTER, last_heard, moment_of
from ringfence.server.desk.enrolling import gateway_folder
from ringfence.server.home import open_office
from ringfence.server.records.run_standings import RunStanding, runs_kept
from ringfence.server.records.submissions import Submissions, SubmittedStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderContact:
    """A holder that may connect, and when it was heard of."""

    holder: str
    heard: datetime | None
    reachable: bool

    def line(self, serves: bool) -> str:
        """For people."""
        if self.heard is None:
            return _("{holder}: never heard of").format(holder=self.holder)
        at = self.heard.isoformat(timespec="seconds")
        if self.reachable:
            return _("{holder}: connected").format(holder=self.holder)
        if serves:
            return _("{holder}: unreachable since {at}").format(holder=self.holder, at=at)
        return _("{holder}: last heard of at {at}").format(holder=self.holder, at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorStatus:
    """A coordinator at one moment.

    Attributes:
        name: its own.
        serves: whether its serve runs.
        conducts: whether a study is being run at this moment.
        holders: who may connect.
        runs: of studies, the newest first.
        series: submitted studies that are run again and again and have a run to come.
    """

    name: str
    serves: bool
    conducts: bool
    holders: tuple[HolderContact, ...]
    runs: tuple[RunStanding, ...]
    series: tuple[SubmittedStudy, ...] = ()

    @classmethod
    def read(cls, config: Path, now: datetime) -> CoordinatorStatus:
        """Of the home of these settings."""
        with open_office(config) as office:
            serves = leased(office.engine)
            heard = last_heard(gateway_folder(office).path)
            return cls(
                name=office.settings.name,
                serves=serves,
                conducts=leased(office.engine, "study"),
                holders=tuple(
                    _contact(each.holder, heard.get(each.identity), serves, now)
                    for each in Admissions(office.engine).newest()
                ),
                runs=runs_kept(office.engine),
                series=tuple(
                    each for each in Submissions(office.engine).listed() if each.series and each.series.due
                ),
            )

    def lines(self) -> list[str]:
        """For people."""
        runs = _("Holders can connect.") if self.serves else _("Nobody can connect: ringfence-server serve")
        said = [f"{self.name}: {runs}"]
        if self.conducts:
            said.append(_("A study is being run."))
        said.append(_("Holders that may connect: {count}").format(count=len(self.holders)))
        said += [f"  {each.line(self.serves)}" for each in self.holders]
        said.append(_("Runs of studies: {count}").format(count=len(self.runs)))
        for each in self.runs:
            place = "" if each.round < 0 else _(", round {round}").format(round=each.round)
            word = {"running": _("not ended"), "released": _("released"), "ended": _("ended")}[each.state]
            code = f" {each.outcome}" if each.state == "ended" else ""
            number = _(", run {number}").format(number=each.window) if each.window else ""
            said.append(f"  {each.name}{number}  {each.started}  {word}{code}{place}")
        for one in self.series:
            if one.series is not None and one.series.due is not None:
                told = _("{study}: run {number} of {runs} may start from {opens} until {closes}")
                due = one.series.due
                values = {"study": one.name, "number": due.number, "runs": one.series.runs}
                said.append("  " + told.format(**values, **due.told()))
        return said

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "name": self.name,
            "serves": self.serves,
            "conducts": self.conducts,
            "holders": [
                {
                    "holder": each.holder,
                    "last_contact": None if each.heard is None else each.heard.isoformat(),
                    "reachable": each.reachable,
                }
                for each in self.holders
            ],
            "runs": [
                {
                    "name": each.name,
                    "study": each.study,
                    "run": each.run,
                    "started": each.started,
                    "state": each.state,
                    "round": each.round,
                    "attempt": each.attempt,
                    "outcome": each.outcome,
                    "ended": each.ended,
                    "holders": list(each.holders),
                    "window": each.window or None,
                }
                for each in self.runs
            ],
            "series": [
                {"name": each.name, "study": each.study, **each.series.as_json()}
                for each in self.series
                if each.series is not None
            ],
        }


def _contact(holder: str, heard: int | None, serves: bool, now: datetime) -> HolderContact:
    at = None if heard is None else moment_of(heard)
    lately = at is not None and (now - at).total_seconds() < LOST_AFTER
    return HolderContact(holder=holder, heard=at, reachable=serves and lately)
