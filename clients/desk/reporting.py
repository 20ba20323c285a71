"""`ringfence-client status`: what a holder is doing now, read from its store beside the process that runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ringfence.audit.errors import AuditError
from ringfence.clients.config import FederationSettings
from ringfence.clients.connections.contact import LastContact
from ringfence.clients.connections.membership import membership_at, membership_of
from ringfence.clients.desk.deciding import Arrived, approved_series, arrived
from ringfence.clients.desk.series import AttestationDue, attestations_due
from ringfence.clients.desk.spending import BudgetStanding
from ringfence.clients.home import Home, open_home
from ringfence.privacy.command_line.alignment import padded
from ringfence.privacy.errors import RingfenceError, _
from ringfence.privacy.stores.lease import leased

_NOT_JOINED = "RF-W360"


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationStatus:
    """A holder in one federation.

    Attributes:
        name: of the federation at this home.
        coordinator, gateway: as its invitation names them; empty where none was taken up.
        admitted_until: end of the certificate, or None.
        contact: when the gateway was heard of last.
        open_runs: study and run of each participation that is not over.
        fault: why what this home keeps of it cannot be read, or empty.
    """

    name: str
    coordinator: str = ""
    gateway: str = ""
    admitted_until: datetime | None = None
    contact: LastContact
    open_runs: Sequence[tuple[str, str]]
    fault: str = ""

    @classmethod
    def of(cls, home: Home, federation: FederationSettings) -> FederationStatus:
        """Of a federation that client.toml names."""
        coordinator = gateway = fault = ""
        until, runs = None, tuple[tuple[str, str], ...]()
        try:
            runs = home.of(federation).participations.open_runs()
            key, folder = home.coordinator_of(federation), membership_at(home, federation)
            invitation = folder.invitation(key)
            coordinator, gateway = invitation.coordinator, invitation.gateway
            if folder.admitted_before:
                until = folder.certificate(key).not_valid_after_utc
        except (RingfenceError, AuditError) as error:  # the other federations are told all the same
            fault = "" if error.code == _NOT_JOINED else str(error)
        return cls(
            name=federation.name,
            coordinator=coordinator,
            gateway=gateway,
            admitted_until=until,
            contact=LastContact.read(membership_of(home.settings.folder, federation.name).path),
            open_runs=runs,
            fault=fault,
        )

    def lines(self, holder: str) -> list[str]:
        """For people."""
        if self.fault:
            said = [
                _(
                    "What this home keeps of the federation cannot be read; ringfence-client doctor says "
                    "more."
                ),
                self.fault,
            ]
        elif not self.coordinator:
            said = [_("{name} has joined no federation.").format(name=holder)]
        elif self.admitted_until is None:
            said = [
                _("{name} answered the invitation of {coordinator} and is not admitted yet.").format(
                    name=holder, coordinator=self.coordinator
                )
            ]
        else:
            said = [
                _(
                    "{name} belongs to {coordinator}, at {gateway}; its certificate is good until {until}."
                ).format(
                    name=holder,
                    coordinator=self.coordinator,
                    gateway=self.gateway,
                    until=self.admitted_until.isoformat(timespec="minutes"),
                )
            ]
        if self.contact.heard is not None:
            at = self.contact.heard.isoformat(timespec="seconds")
            said.append(_("The gateway answered last at {at}.").format(at=at))
        said += [self.contact.trouble] if self.contact.trouble else []
        said.append(
            _("Studies that this holder takes part in now: {count}").format(count=len(self.open_runs))
        )
        return said + [f"  {study} {run}" for study, run in self.open_runs]

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "name": self.name,
            "coordinator": self.coordinator,
            "gateway": self.gateway,
            "admitted_until": None if self.admitted_until is None else self.admitted_until.isoformat(),
            "last_contact": None if self.contact.heard is None else self.contact.heard.isoformat(),
            "trouble": self.contact.trouble,
            "fault": self.fault,
            "open": [{"study": study, "run": run} for study, run in self.open_runs],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderStatus:
    """A holder at one moment; no count of customers is in it.

    Attributes:
        name: its own.
        running: whether a process answers its coordinators.
        federations: those of client.toml.
        budget: what is released, reserved and left.
        due: runs of series that this holder's people have to attest their table for.
        outdated: studies that name a replaced key.
    """

    name: str
    running: bool
    federations: Sequence[FederationStatus]
    budget: BudgetStanding
    due: tuple[AttestationDue, ...] = ()
    outdated: tuple[Arrived, ...] = ()

    @classmethod
    def read(cls, config: Path) -> HolderStatus:
        """Of the home of these settings."""
        with open_home(config) as home:
            waiting = [_waiting(home, each) for each in home.settings.config.federation]
            return cls(
                name=home.settings.name,
                running=leased(home.engine),
                federations=[FederationStatus.of(home, each) for each in home.settings.config.federation],
                budget=BudgetStanding.of(home.ledger),
                due=tuple(one for due, _outdated in waiting for one in due),
                outdated=tuple(one for _due, outdated in waiting for one in outdated),
            )

    def lines(self) -> list[str]:
        """For people."""
        return [
            _("Its process runs.") if self.running else _("Its process does not run: ringfence-client run"),
            *([] if self.federations else [_("{name} has joined no federation.").format(name=self.name)]),
            *(line for each in self.federations for line in self._told(each)),
            *(each.line() for each in self.outdated),
            *(each.line() for each in self.due),
            self.budget.heading(),
            f"{'':12}{'mu^2':>14}  {_('epsilon')}",
            *(
                f"{padded(name, 12)}{float(balance.mu_squared):>14.6g}  {balance.epsilon:.4f}"
                for name, balance in self.budget.rows()
            ),
            *([_("FROZEN: {reason}").format(reason=self.budget.frozen)] if self.budget.frozen else []),
        ]

    def _told(self, federation: FederationStatus) -> list[str]:
        """A federation's lines; under its name where there are several."""
        lines = federation.lines(self.name)
        return lines if len(self.federations) == 1 else [f"{federation.name}:", *lines]

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "name": self.name,
            "running": self.running,
            "federations": [each.as_json() for each in self.federations],
            "budget": self.budget.as_json(),
            "attestations_due": [each.as_json() for each in self.due],
            "outdated": [each.as_json() for each in self.outdated],
        }


def _waiting(
    home: Home, federation: FederationSettings
) -> tuple[tuple[AttestationDue, ...], tuple[Arrived, ...]]:
    """What a federation's studies wait for: attestations, and new signatures."""
    try:
        bound = home.of(federation)
        found = arrived(bound)
        due = attestations_due(bound, approved_series(bound, found), datetime.now(UTC))
        return due, tuple(each for each in found if each.replaced)
    except (
        RingfenceError,
        AuditError,
    ):  # no coordinator yet, or a contract that does not hold: doctor says which
        return (), ()
