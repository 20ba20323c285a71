"""Whether a study's table is attested here, and whether that still serves: for people before they approve.

Nothing is read of the table: the kept copy is compared with its digest, and of the source only when it was
last written is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from ringfence.clients.desk.series import SeriesHere
from ringfence.clients.home import Home
from ringfence.clients.records.snapshots import Attestation
from ringfence.privacy.agreements.contract import LoadedContract
from ringfence.privacy.agreements.series import Window
from ringfence.privacy.errors import TableError, _

CopyState: TypeAlias = Literal["none", "failed", "other-contract", "other-columns", "gone", "serves", "over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingCopy:
    """What would become of a join as far as the table goes.

    Attributes:
        state: `serves` where a study could join with it; `over` where it ran here and the copy went with it.
        attested: the attestation, where there is one.
        newer: whether the source was written since; None where that is not known, as of a database.
        window: of a series, the window of the run that it is about.
    """

    state: CopyState
    attested: Attestation | None = None
    newer: bool | None = None
    window: Window | None = None

    @classmethod
    def of(
        cls,
        home: Home,
        digest: str,
        loaded: LoadedContract,
        columns: tuple[str, ...] | None,
        series: SeriesHere | None = None,
    ) -> StandingCopy:
        """Look at it.

        Args:
            home: the holder's.
            digest: of the study.
            loaded: the contract in force.
            columns: what the study would decode; None where it is not allowed.
            series: how a series stands here; its run that can still start, or the next, is looked at.
        """
        snapshots, window = home.snapshots(), None if series is None else series.window
        if series is not None and window is None:
            return cls(state="over")
        found = snapshots.find(digest, 0 if window is None else window.number)
        if found is None:
            over = series is None and home.ledger.reserved_before(digest)
            return cls(state="over" if over else "none", window=window)
        return cls(
            state=_state(found, loaded, columns) or _kept(home, found),
            attested=found,
            newer=_written_since(loaded, found.at),
            window=window,
        )

    def lines(self) -> list[str]:
        """The same for people."""
        about = [] if self.window is None else [self._about(self.window)]
        moment = "" if self.attested is None else f"{self.attested.at:%Y-%m-%d %H:%M} UTC"
        match self.state:
            case "none":
                told = _(
                    "The table is not attested for it; the first approval does that, or: ringfence-client "
                    "table attest"
                )
            case "over":
                told = _("It ran here before; the copy of the table was deleted with it.")
            case "failed":
                fault = "" if self.attested is None else self.attested.fault
                told = _("The table was read on {moment} and did not pass: {fault}").format(
                    moment=moment, fault=fault
                )
            case "serves":
                told = _("The table is attested for it, as it was on {moment}.").format(moment=moment)
            case "gone":
                told = _(
                    "The table was attested for it on {moment}, and the kept copy is gone or was altered."
                ).format(moment=moment)
            case "other-contract" | "other-columns":
                told = _(
                    "The table was attested for it on {moment}, under another contract than the one in force."
                ).format(moment=moment)
        lines = [*about, told]
        if self.state in ("gone", "other-contract", "other-columns"):
            lines.append(_("Attest it again, or this holder stays away: ringfence-client table attest"))
        if self.state == "serves" and self.newer:
            lines.append(
                _("Its file was written since; what changed counts once the table is attested again.")
            )
        return lines

    def _about(self, window: Window) -> str:
        return _("Of run {number}, whose window is from {opens} to {closes}:").format(
            number=window.number, **window.told()
        )

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "state": self.state,
            "run": None if self.window is None else self.window.number,
            "at": None if self.attested is None else self.attested.at.isoformat(),
            "source_newer": self.newer,
        }


def _state(found: Attestation, loaded: LoadedContract, columns: tuple[str, ...] | None) -> CopyState | None:
    """What speaks against it, before the copy is looked at."""
    if not found.passed:
        return "failed"
    if not found.serves(loaded.contract.digest()):
        return "other-contract"
    return None if found.serves(found.contract, columns) else "other-columns"


def _kept(home: Home, found: Attestation) -> CopyState:
    try:
        home.snapshots().content(found)
    except TableError:
        return "gone"
    return "serves"


def _written_since(loaded: LoadedContract, moment: datetime) -> bool | None:
    contract = loaded.contract
    sources = (
        contract.source,
        *(each.source for each in contract.inputs.values() if each.source is not None),
    )
    files = [source.file for source in sources if source.file is not None]
    if not files:
        return None
    try:
        written = max((loaded.path.parent / file).stat().st_mtime for file in files)
    except OSError:
        return None
    return datetime.fromtimestamp(written, UTC) > moment
