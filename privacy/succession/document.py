"""The succession of a key: a signed document that names the old key, the new one and their place in a chain.

The old key, the new key and two people of the party sign it. A lost key cannot: then the new key and two
people do. A signature of the old key alone moves nothing, since whoever stole it can make one: people
at the other side compare fingerprints each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal, TypeAlias, get_args

from pydantic import Field

from ringfence.privacy.agreements.parties import PartyName
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import N_, KeyFault, RingfenceError
from ringfence.privacy.toml.canonical import Document, Whole

SUCCESSION: Final = "succession"
"""The kind of the signed document."""
KeyRole: TypeAlias = Literal["holder", "coordinator", "log"]
Motive: TypeAlias = Literal["routine", "suspected", "lost"]
MOTIVES: Final[tuple[str, ...]] = get_args(Motive)
PEOPLE: Final = 2
VALID = timedelta(days=90)
"""How long after its making a succession can take effect, at home or at another party."""
_UNEVEN_CLOCKS = timedelta(hours=1)

_Key: TypeAlias = Annotated[str, Field(pattern=re.compile(r"\A[0-9a-f]{64}\Z"))]


class Succession(Document):
    """One key takes the place of another.

    Attributes:
        role: what the keys are for.
        party: whose they are.
        old, new: public halves, hex.
        number: of the change in the party's chain, from 1.
        time: when it was made, UTC.
        reason: `routine`, `suspected` (somebody else may have the old key) or `lost` (its owner has not).
    """

    error: ClassVar[type[RingfenceError]] = KeyFault

    role: KeyRole
    party: PartyName
    old: _Key
    new: _Key
    number: Annotated[Whole, Field(ge=1)]
    time: Annotated[str, Field(pattern=re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\Z"))]
    reason: Motive

    @property
    def former(self) -> PublicIdentity:
        """The old key."""
        return PublicIdentity.from_hex(self.old)

    @property
    def successor(self) -> PublicIdentity:
        """The new key."""
        return PublicIdentity.from_hex(self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedSuccession:
    """A succession whose signatures hold; made by `signed_succession` alone.

    Attributes:
        said: what it says.
        document: as it was signed.
        people: keys beside the two that signed, at least two.
    """

    said: Succession
    document: SignedDocument
    people: tuple[PublicIdentity, ...]


def succession_of(document: SignedDocument) -> Succession:
    """What a succession says, whoever signed it so far.

    Raises:
        KeyFault: it is none (RF-C001, RF-C071, RF-C072, RF-K012), or RF-K150 a key succeeds itself.
    """
    document.require_kind(SUCCESSION)
    found = Succession.from_canonical(document.body)
    if found.old == found.new:
        raise KeyFault(
            "RF-K150",
            N_("This succession names {fingerprint} as its own successor; a new key is another key."),
            fingerprint=found.former.fingerprint,
        )
    return found


def signed_succession(document: SignedDocument) -> SignedSuccession:
    """A succession that both keys (a lost one does not) and two people signed; who they are is not yet shown.

    Raises:
        KeyFault: as `succession_of`; RF-K003 a signature does not hold, RF-K151 the old key or RF-K152 the
            new one did not sign, RF-K153 fewer than two people did.
    """
    found = succession_of(document)
    keys = [PublicIdentity.from_hex(key) for key, _ in document.signatures]
    signers = document.signers(SUCCESSION, keys) if keys else ()
    if found.former not in signers and found.reason != "lost":
        raise KeyFault(
            "RF-K151",
            N_(
                "The old key {fingerprint} did not sign its succession, and it is not called lost; ask "
                "{party} for the whole document."
            ),
            fingerprint=found.former.fingerprint,
            party=found.party,
        )
    if found.successor not in signers:
        raise KeyFault(
            "RF-K152",
            N_("The new key {fingerprint} did not sign the succession; nothing shows that {party} holds it."),
            fingerprint=found.successor.fingerprint,
            party=found.party,
        )
    people = tuple(one for one in signers if one not in (found.former, found.successor))
    if len(people) < PEOPLE:
        raise KeyFault(
            "RF-K153",
            N_("People who signed the succession of a key of {party}: {count}; two are needed."),
            party=found.party,
            count=len(people),
        )
    return SignedSuccession(said=found, document=document, people=people)


def require_people(found: SignedSuccession, allowed: Iterable[PublicIdentity]) -> tuple[str, ...]:
    """Fingerprints of the people of this house who signed, at least two.

    Raises:
        KeyFault: RF-K154 fewer did.
    """
    own = set(allowed)
    known = tuple(one.fingerprint for one in found.people if one in own)
    if len(known) < PEOPLE:
        raise KeyFault(
            "RF-K154",
            N_("People of this house who signed the succession: {count}; two of those listed are needed."),
            count=len(known),
        )
    return known


def require_in_time(said: Succession, now: datetime) -> None:
    """Refuse a succession that is of the future, or so old that it may be a forgotten one.

    Raises:
        KeyFault: RF-K155.
    """
    age = now - datetime.fromisoformat(said.time)
    if not -_UNEVEN_CLOCKS <= age <= VALID:
        raise KeyFault(
            "RF-K155",
            N_(
                "The succession is of {time}, and it takes effect within {days} days of its making; have it "
                "made anew, or look at the clock."
            ),
            time=said.time,
            days=VALID.days,
        )
