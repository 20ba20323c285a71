"""Who takes part in an attempt, verified by each holder for itself before it masks anything.

Invariant: a mask is made only for an `AgreedRoster`, which exists only after (1) every member's key was found
signed by the identity pinned in the signed study, (2) at least `min_holders` members, this holder included,
are vouched for by this holder's own contract (all members, where a sum is to outlive drop-outs), and (3)
every member's signed echo of the same roster was seen. A coordinator that shows different rosters to
different holders (a split roster, which would let it cancel noise shares) fails at (3), because it cannot
sign the missing echoes. Peers nobody vouches for count as colluders, so sybils gain nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import N_, KeyFault, WaistError
from ringfence.privacy.secagg.ephemeral import EphemeralMessage, check_turn
from ringfence.privacy.secagg.graph import Graph, GraphDesign, Terms, design_of, graph_of
from ringfence.privacy.secagg.keys import KeyMessage, verify_key_message
from ringfence.privacy.wire.fields import Digest, Name, Record, RunId, SignatureHex, Turn, canonical

MAX_HOLDERS = 256
"""Largest roster: every member verifies the keys and the echo of every other."""
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
class RosterView:
    """A roster as everybody sees it, the coordinator too; made by `roster_view` only.

    Attributes:
        number: the run's rosters are numbered; a new one follows each drop-out or restart.
        members: verified key messages in order of name.
        digest: `roster_hash` of study, run, number and members.
        design: degree, quorum and threshold, from the signed study and the number of members.
        graph: who masks with whom, from the hash.
    """

    number: int
    members: tuple[KeyMessage, ...]
    digest: str
    design: GraphDesign
    graph: Graph

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
class Roster(RosterView):
    """Members verified by one holder; made by `verify_roster` only.

    Attributes:
        own: name of the holder that verified it.
        participants: name and pinned key of the members.
    """

    own: str
    participants: Mapping[str, PublicIdentity]

    @property
    def partners(self) -> tuple[KeyMessage, ...]:
        """The members that this holder masks with, in order of name."""
        chosen = set(self.graph.partners(self.own))
        return tuple(member for member in self.members if member.holder in chosen)


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
    listed = sorted((member.listing for member in members), key=lambda listing: str(listing[0]))
    body = {"type": "ringfence/roster/v1", "study": study, "run": run, "number": number, "members": listed}
    return "sha256:" + hashlib.sha256(canonical(body)).hexdigest()


def verify_roster(
    messages: Sequence[KeyMessage],
    *,
    number: int,
    own: KeyMessage,
    participants: Mapping[str, PublicIdentity],
    terms: Terms,
    vouched: Collection[str],
) -> Roster:
    """The roster, once a holder has found nothing wrong with it.

    Args:
        messages: key messages of all members, as the coordinator relayed them.
        number: number of the roster within the run.
        own: the key message this holder published for the run, or for this attempt where sums outlive
            drop-outs; fixes study, run and own name.
        participants: names and keys pinned in the signed study.
        terms: of the signed study.
        vouched: fingerprints in this holder's own contract (`peers`); its own key counts by itself.

    Raises:
        WaistError: RF-W140 too few, RF-W141 too many, RF-W142 doubled name or key, RF-W143 a member outside
            the study, RF-W144 own key missing or altered, RF-W148 too few vouched for, RF-W131 and RF-W134
            to RF-W136 as `verify_key_message`.

    Formal guarantees:
        At least `min_holders - 1 - colluders` honest shares are in any sum masked for the roster, provided at
        most `1 + colluders` of the members this holder vouches for collude with the coordinator.
    """
    if isinstance(own, EphemeralMessage) != terms.recover or own.turn[2:] not in ((), (number,)):
        raise WaistError("RF-W144", N_("This holder's own key is missing from the roster, or was altered."))
    layout = roster_view(
        messages,
        number=number,
        study=own.study,
        run=own.run,
        turn=own.turn,
        participants=participants,
        terms=terms,
    )
    if own not in layout.members:
        raise WaistError("RF-W144", N_("This holder's own key is missing from the roster, or was altered."))
    _check_vouched(layout, own, participants, terms, vouched)
    return Roster(
        own=own.holder,
        participants={name: participants[name] for name in layout.names},
        number=number,
        members=layout.members,
        digest=layout.digest,
        design=layout.design,
        graph=layout.graph,
    )


def _check_vouched(
    layout: RosterView,
    own: KeyMessage,
    participants: Mapping[str, PublicIdentity],
    terms: Terms,
    vouched: Collection[str],
) -> None:
    """Refuse a roster with too few members that the holder's own contract vouches for.

    Raises:
        WaistError: RF-W148 too few, RF-W175 not all, where a sum is to outlive drop-outs.
    """
    trusted = [m for m in layout.members if m == own or participants[m.holder].fingerprint in vouched]
    if len(trusted) < terms.min_holders:
        raise WaistError(
            "RF-W148",
            N_(
                "This holder's contract vouches for {found} members of the roster (itself included); "
                "{wanted} are needed."
            ),
            found=len(trusted),
            wanted=terms.min_holders,
        )
    if terms.recover and len(trusted) < len(layout.members):
        raise WaistError(
            "RF-W175",
            N_(
                "The roster holds members that this holder's contract does not vouch for; with dropouts = "
                '"recover" '
                "it must vouch for all."
            ),
        )


def roster_view(
    messages: Sequence[KeyMessage],
    *,
    number: int,
    study: str,
    run: str,
    turn: tuple[int, ...],
    participants: Mapping[str, PublicIdentity],
    terms: Terms,
) -> RosterView:
    """The roster of these members as everybody sees it, once their keys were verified.

    Args:
        messages: key messages of all members.
        number: number of the roster within the run.
        study: digest of the signed study.
        run: run id.
        turn: round, attempt and roster that the keys must be for; empty for keys of the run.
        participants: names and keys pinned in the signed study.
        terms: of the signed study.

    Raises:
        WaistError: as `verify_roster`, whoever's own key and vouching apart.
    """
    members = verify_members(
        messages, study=study, run=run, participants=participants, min_holders=terms.min_holders, turn=turn
    )
    design = design_of(len(members), terms)
    digest = roster_hash(members, study=study, run=run, number=number)
    graph = graph_of([member.holder for member in members], digest=digest, degree=design.degree)
    return RosterView(number=number, members=members, digest=digest, design=design, graph=graph)


def verify_members(
    messages: Sequence[KeyMessage],
    *,
    study: str,
    run: str,
    participants: Mapping[str, PublicIdentity],
    min_holders: int,
    turn: tuple[int, ...] = (),
) -> tuple[KeyMessage, ...]:
    """The members in order of name; the part of `verify_roster` that a coordinator can check as well."""
    if len(messages) < max(min_holders, 2):
        raise WaistError(
            "RF-W140",
            N_("Members of the roster: {found}; the study needs {wanted}."),
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
        check_turn(message, turn)
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
                "{holder} has signed another roster than the one shown here; the coordinator may have split "
                "it."
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
