"""`ringfence-client status`: what a holder is doing now, read from its store beside the process that runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ringfence.clients.connections.contact import LastContact
from ringfence.clients.connections.membership import FOLDER, MembershipFolder
from ringfence.clients.desk.spending import BudgetStanding
from ringfence.clients.home import open_home
from ringfence.clients.records.participations import Participations
from ringfence.privacy.command_line.alignment import padded
from ringfence.privacy.errors import RingfenceError, _
from ringfence.privacy.stores.lease import leased


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderStatus:
    """A holder at one moment; no count of customers is in it.

    Attributes:
        name: its own.
        coordinator, gateway: of the federation it joined; empty where it joined none.
        admitted_until: end of its certificate, or None.
        running: whether a process answers the coordinator.
        contact: when the gateway was heard of last.
        open_runs: study and run of each participation that is not over.
        budget: what is released, reserved and left.
    """

    name: str
    coordinator: str
    gateway: str
    admitted_until: datetime | None
    running: bool
    contact: LastContact
    open_runs: Sequence[tuple[str, str]]
    budget: BudgetStanding

    @classmethod
    def read(cls, config: Path) -> HolderStatus:
        """Of the home of these settings."""
        with open_home(config) as home:
            folder = MembershipFolder(home.settings.folder / FOLDER, home.former_keys())
            coordinator = gateway = ""
            until = None
            try:
                key = home.coordinator()
                invitation = folder.invitation(key)
                coordinator, gateway = invitation.coordinator, invitation.gateway
                if folder.admitted_before:
                    until = folder.certificate(key).not_valid_after_utc
            except RingfenceError:  # doctor says what is wrong with it
                pass
            return cls(
                name=home.settings.name,
                coordinator=coordinator,
                gateway=gateway,
                admitted_until=until,
                running=leased(home.engine),
                contact=LastContact.read(folder.path),
                open_runs=Participations(home.engine).open_runs(),
                budget=BudgetStanding.of(home.ledger),
            )

    def lines(self) -> list[str]:
        """For people."""
        return [
            *self._connection(),
            _("Studies that this holder takes part in now: {count}").format(count=len(self.open_runs)),
            *(f"  {study} {run}" for study, run in self.open_runs),
            self.budget.heading(),
            f"{'':12}{'mu^2':>14}  {_('epsilon')}",
            *(
                f"{padded(name, 12)}{float(balance.mu_squared):>14.6g}  {balance.epsilon:.4f}"
                for name, balance in self.budget.rows()
            ),
            *([_("FROZEN: {reason}").format(reason=self.budget.frozen)] if self.budget.frozen else []),
        ]

    def _connection(self) -> list[str]:
        if not self.coordinator:
            said = [_("{name} has joined no federation.").format(name=self.name)]
        elif self.admitted_until is None:
            said = [
                _("{name} answered the invitation of {coordinator} and is not admitted yet.").format(
                    name=self.name, coordinator=self.coordinator
                )
            ]
        else:
            said = [
                _(
                    "{name} belongs to {coordinator}, at {gateway}; its certificate is good until {until}."
                ).format(
                    name=self.name,
                    coordinator=self.coordinator,
                    gateway=self.gateway,
                    until=self.admitted_until.isoformat(timespec="minutes"),
                )
            ]
        said.append(
            _("Its process runs.") if self.running else _("Its process does not run: ringfence-client run")
        )
        if self.contact.heard is not None:
            at = self.contact.heard.isoformat(timespec="seconds")
            said.append(_("The gateway answered last at {at}.").format(at=at))
        return said + ([self.contact.trouble] if self.contact.trouble else [])

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "name": self.name,
            "coordinator": self.coordinator,
            "gateway": self.gateway,
            "admitted_until": None if self.admitted_until is None else self.admitted_until.isoformat(),
            "running": self.running,
            "last_contact": None if self.contact.heard is None else self.contact.heard.isoformat(),
            "trouble": self.contact.trouble,
            "open": [{"study": study, "run": run} for study, run in self.open_runs],
            "budget": self.budget.as_json(),
        }
