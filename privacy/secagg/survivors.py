"""Who answered an attempt, as all who did sign it: the list that decides which shares may be revealed.

Invariant: a holder reveals shares only for a `Settled` list, which exists only after `needed` members of it
have signed it, this holder among those on it. A holder signs one list for an attempt (`attempts.py`), and any
two sets of `needed` members have an honest one in common (`graph.py`), so no two honest holders ever reveal
shares for different lists: a coordinator that tells them different things gets nothing from one side at
least.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import N_, KeyFault, WaistError
from ringfence.privacy.secagg.roster import Roster, RosterView
from ringfence.privacy.wire.fields import Digest, Name, Record, RunId, SignatureHex, Turn, canonical

_DOMAIN = b"ringfence/survivors-echo/v1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivorsEcho(Record):
    """A member's signed statement of who answered one attempt."""

    holder: Name
    study: Digest
    run: RunId
    round: Turn
    attempt: Turn
    number: Turn
    survivors: Digest
    signature: SignatureHex


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A list that a quorum has signed; the check is part of construction and cannot be left out."""

    roster: Roster
    names: tuple[str, ...]
    echoes: tuple[SurvivorsEcho, ...]

    def __post_init__(self) -> None:
        """Refuse (RF-W176 to RF-W179) unless a quorum of the listed members has signed this very list."""
        check_survivors(self.roster, self.names)
        signers = {echo.holder for echo in self.echoes}
        needed = self.roster.design.needed
        if len(signers) != len(self.echoes) or not signers <= set(self.names) or len(signers) < needed:
            raise WaistError(
                "RF-W178",
                N_("The list of who answered has {found} signatures of those on it; {wanted} are needed."),
                found=len(signers & set(self.names)),
                wanted=needed,
            )
        digest = survivors_digest(self.roster, self.names)
        for echo in self.echoes:
            verify_survivors_echo(echo, self.roster.participants[echo.holder], self.roster, digest)


def survivors_digest(layout: RosterView, names: Iterable[str]) -> str:
    """Digest of a list of those who answered the attempt that a roster is for."""
    body = {"type": "ringfence/survivors/v1", "roster": layout.digest, "survivors": sorted(names)}
    return "sha256:" + hashlib.sha256(canonical(body)).hexdigest()


def check_survivors(roster: Roster, names: Sequence[str]) -> tuple[str, ...]:
    """The list in order of name, once this holder is on it, all on it are members, and they are enough.

    Raises:
        WaistError: RF-W176 malformed or without this holder, RF-W177 too few.
    """
    if len(set(names)) != len(names) or not set(names) <= set(roster.names) or roster.own not in names:
        raise WaistError(
            "RF-W176", N_("The list of who answered holds a stranger or a double, or leaves this holder out.")
        )
    if len(names) < roster.design.needed:
        raise WaistError(
            "RF-W177",
            N_("{found} of the roster's {size} members answered; {wanted} are needed to unmask the sum."),
            found=len(names),
            size=len(roster.names),
            wanted=roster.design.needed,
        )
    return tuple(sorted(names))


def survivors_echo(identity: Identity, roster: Roster, names: Sequence[str]) -> SurvivorsEcho:
    """This holder's signature on a list; it must have been made durable before (`AttemptStore.settle`)."""
    round_index, attempt, number = roster.members[0].turn
    body = {
        "holder": roster.own,
        "study": roster.study,
        "run": roster.run,
        "round": round_index,
        "attempt": attempt,
        "number": number,
        "survivors": survivors_digest(roster, names),
    }
    return SurvivorsEcho.from_json(body | {"signature": identity.sign(_DOMAIN + canonical(body)).hex()})


def verify_survivors_echo(
    echo: SurvivorsEcho, pinned: PublicIdentity, layout: RosterView, survivors: str
) -> SurvivorsEcho:
    """The echo, once it was found to be a member's signature on this very list (its `survivors_digest`).

    Raises:
        WaistError: RF-W179 another list, attempt or roster, or not signed by the member.
    """
    expected = (layout.study, layout.run, *layout.members[0].turn, survivors)
    body = echo.to_json()
    signature = bytes.fromhex(body.pop("signature"))
    try:
        pinned.verify(signature, _DOMAIN + canonical(body))
        sound = (echo.study, echo.run, echo.round, echo.attempt, echo.number, echo.survivors) == expected
    except KeyFault:
        sound = False
    if not sound:
        raise WaistError(
            "RF-W179",
            N_(
                "{holder} has not signed this list of who answered; the coordinator may have told members "
                "different things."
            ),
            holder=echo.holder,
        )
    return echo
