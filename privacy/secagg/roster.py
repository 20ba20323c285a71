"""Who takes part in an attempt, verified by each holder for itself before it masks anything.

Invariant: a mask is made only for an `AgreedRoster`, which exists only after (1) every member's run key was
found signed by the identity pinned in the signed study, (2) at least `min_holders` members, this holder
included, are vouched for by this holder's own contract, and (3) every member's signed echo of the same roster
was seen. A coordinator that shows different rosters to different holders (a split roster, which would let it
cancel noise shares) fails at (3), because it cannot sign the missing echoes. Peers nobody vouches for count as
colluders, so sybils gain nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import N_, KeyFault, WaistError
from ringfence.privacy.secagg.keys import KeyMessage, verify_key_message
from ringfence.privacy.wire.fields import Digest, Name, Record, RunId, SignatureHex, Turn, canonical

MAX_HOLDERS = 256
"""Largest roster of the full clique; beyond it a holder would spend its round on masks."""
_DOMAIN = b"ringfence/roster-echo/v1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterEcho(Record):
    """A member's signed statement of the one roster it has seen under a number."""

    holder: Name
    study: Digest
    run: RunId
    number: Turn
    roster: Digest
    signature: SignatureHex


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Members verified by one holder; made by `verify_roster` only.

    Attributes:
        own: name of the holder that verified it.
        number: the run's rosters are numbered; a new one follows each drop-out or restart.
        members: verified key messages in order of name.
        participants: name and pinned key of the members.
        digest: `roster_hash` of study, run, number and members.
    """

    own: str
    number: int
    members: tuple[KeyMessage, ...]
    participants: Mapping[str, PublicIdentity]
    digest: str

    @property
    def study(self) -> str:
        """Digest of the signed study."""
        return self.members[0].study

    @property
    def run(self) -> str:
        """Run id."""
        return self.members[0].run

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members in order."""
        return tuple(member.holder for member in self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedRoster:
    """A roster that every member has signed; the check is part of construction and cannot be left out."""

    roster: Roster
    echoes: tuple[RosterEcho, ...]

    def __post_init__(self) -> None:
        """Refuse (RF-W145 to RF-W147) unless each member's echo of this very roster is present."""
        by_holder = {echo.holder: echo for echo in self.echoes}
        if len(by_holder) != len(self.echoes) or set(by_holder) != set(self.roster.names):
            raise WaistError(
                "RF-W145", N_("The roster's echoes are not one of each member; nothing is masked for it.")
            )
        for name, echo in by_holder.items():
            verify_echo(
                echo,
                self.roster.participants[name],
                study=self.roster.study,
                run=self.roster.run,
                number=self.roster.number,
                roster=self.roster.digest,
            )


def roster_hash(members: Iterable[KeyMessage], *, study: str, run: str, number: int) -> str:
    """Digest of who is in a roster with which keys, in order of name; independent of the order given."""
    listed = sorted([member.holder, member.identity, member.x25519] for member in members)
    body = {"type": "ringfence/roster/v1", "study": study, "run": run, "number": number, "members": listed}
    return "sha256:" + hashlib.sha256(canonical(body)).hexdigest()


def verify_roster(
    messages: Sequence[KeyMessage],
    *,
    number: int,
    own: KeyMessage,
    participants: Mapping[str, PublicIdentity],
    min_holders: int,
    vouched: Collection[str],
) -> Roster:
    """The roster, once a holder has found nothing wrong with it.

    Args:
        messages: key messages of all members, as the coordinator relayed them.
        number: number of the roster within the run.
        own: the key message this holder published for the run; fixes study, run and own name.
        participants: names and keys pinned in the signed study.
        min_holders: from the signed study.
        vouched: fingerprints in this holder's own contract (`peers`); its own key counts by itself.

    Raises:
        WaistError: RF-W140 too few, RF-W141 too many, RF-W142 doubled name or key, RF-W143 a member outside
            the study, RF-W144 own key missing or altered, RF-W148 too few vouched for, RF-W131 and RF-W134
            to RF-W136 as `verify_key_message`.

    Formal guarantees:
        At least `min_holders - 1 - colluders` honest shares are in any sum masked for the roster, provided at
        most `1 + colluders` of the members this holder vouches for collude with the coordinator.
    """
    members = verify_members(
        messages, study=own.study, run=own.run, participants=participants, min_holders=min_holders
    )
    if own not in members:
        raise WaistError("RF-W144", N_("This holder's own key is missing from the roster, or was altered."))
    trusted = [m for m in members if m == own or participants[m.holder].fingerprint in vouched]
    if len(trusted) < min_holders:
        raise WaistError(
            "RF-W148",
            N_(
                "This holder's contract vouches for {found} members of the roster (itself included); {wanted} are needed."
            ),
            found=len(trusted),
            wanted=min_holders,
        )
    return Roster(
        own=own.holder,
        number=number,
        members=members,
        participants={member.holder: participants[member.holder] for member in members},
        digest=roster_hash(members, study=own.study, run=own.run, number=number),
    )


def verify_members(
    messages: Sequence[KeyMessage],
    *,
    study: str,
    run: str,
    participants: Mapping[str, PublicIdentity],
    min_holders: int,
) -> tuple[KeyMessage, ...]:
    """The members in order of name; the part of `verify_roster` that a coordinator can check as well."""
    if len(messages) < max(min_holders, 2):
        raise WaistError(
            "RF-W140",
            N_("The roster has {found} members; the study needs {wanted}."),
            found=len(messages),
            wanted=max(min_holders, 2),
        )
    if len(messages) > MAX_HOLDERS:
        raise WaistError("RF-W141", N_("A roster may have at most {limit} members."), limit=MAX_HOLDERS)
    for distinct in (
        {message.holder for message in messages},
        {message.identity for message in messages},
        {message.x25519 for message in messages},
    ):
        if len(distinct) != len(messages):
            raise WaistError("RF-W142", N_("Two members of the roster have one name or one key."))
    for message in messages:
        if message.holder not in participants:
            raise WaistError(
                "RF-W143", N_("A member of the roster is not a participant of the signed study.")
            )
        verify_key_message(message, study=study, run=run, pinned=participants[message.holder])
    return tuple(sorted(messages, key=lambda message: message.holder))


def roster_echo(identity: Identity, roster: Roster) -> RosterEcho:
    """This holder's signed echo of the roster it verified."""
    body = {
        "holder": roster.own,
        "study": roster.study,
        "run": roster.run,
        "number": roster.number,
        "roster": roster.digest,
    }
    signature = identity.sign(_DOMAIN + canonical(body)).hex()
    return RosterEcho(
        holder=roster.own,
        study=roster.study,
        run=roster.run,
        number=roster.number,
        roster=roster.digest,
        signature=signature,
    )


def verify_echoes(roster: Roster, echoes: Sequence[RosterEcho]) -> AgreedRoster:
    """The roster as agreed by all, or a refusal before anything is masked.

    Raises:
        WaistError: RF-W145 an echo is missing, doubled or from outside, RF-W146 a member echoes another
            roster (split or replayed), RF-W147 an echo is not signed by its member.
    """
    return AgreedRoster(roster=roster, echoes=tuple(echoes))


def verify_echo(
    echo: RosterEcho, pinned: PublicIdentity, *, study: str, run: str, number: int, roster: str
) -> RosterEcho:
    """The echo, once it was found to be a holder's signed statement of this very roster.

    Raises:
        WaistError: RF-W146 another roster, RF-W147 not signed by the holder.
    """
    if (echo.study, echo.run, echo.number, echo.roster) != (study, run, number, roster):
        raise WaistError(
            "RF-W146",
            N_(
                "{holder} has signed another roster than the one shown here; the coordinator may have split it."
            ),
            holder=echo.holder,
        )
    body = echo.to_json()
    signature = bytes.fromhex(body.pop("signature"))
    try:
        pinned.verify(signature, _DOMAIN + canonical(body))
    except KeyFault as fault:
        raise WaistError(
            "RF-W147", N_("The roster echo of {holder} is not signed by its identity."), holder=echo.holder
        ) from fault
    return echo
