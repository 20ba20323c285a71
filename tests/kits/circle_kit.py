"""All holders of one attempt whose sum outlives drop-outs, at the level of keys, shares and masks: no table,
no ledger.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.secagg.attempts import AttemptKey, AttemptStore
from ringfence.privacy.secagg.ephemeral import EphemeralKeys, EphemeralMessage, ephemeral_message
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import KeyMessage
from ringfence.privacy.secagg.masks import mask
from ringfence.privacy.secagg.recovery import Deal, Revealed, SealedShares, check_boxes, deal, reveal
from ringfence.privacy.secagg.roster import (
    AgreedRoster,
    Roster,
    RosterView,
    roster_echo,
    roster_view,
    verify_echoes,
    verify_roster,
)
from ringfence.privacy.secagg.survivors import Settled, SurvivorsEcho, survivors_digest, survivors_echo
from ringfence.privacy.secagg.unmask import Unmasked, check_revealed, unmask
from ringfence.privacy.waist import IntVector, MaskedUpdate
from ringfence.privacy.wire.fields import digest_of, new_run_id

STUDY = digest_of(b"study")
QUERY = hashlib.sha256(b"query").digest()


@dataclass
class Member:
    """One holder: its secrets, its roster, its durable memory."""

    name: str
    identity: Identity
    store: AttemptStore = field(
        default_factory=lambda: AttemptStore(
            create_engine("sqlite://", poolclass=StaticPool), secrets.token_bytes(32)
        )
    )
    keys: EphemeralKeys = field(init=False)
    message: EphemeralMessage = field(init=False)
    roster: Roster = field(init=False)
    dealt: Deal = field(init=False)
    agreed: AgreedRoster = field(init=False)


class Circle:
    """The holders and what the coordinator relays between them; one attempt at a time."""

    def __init__(self, names: Sequence[str], terms: Terms, *, round: int = 0) -> None:
        self.run, self.round = new_run_id(), round
        self.terms = terms
        self.members = {name: Member(name, Identity.generate()) for name in names}
        self.pinned = {name: member.identity.public for name, member in self.members.items()}
        self.attempt = -1
        self.begin()

    def begin(self, attempt: int | None = None) -> None:
        """Keys, roster and shares of the next attempt."""
        self.attempt = self.attempt + 1 if attempt is None else attempt
        self.turn = (self.round, self.attempt, self.attempt)
        for member in self.members.values():
            member.keys = EphemeralKeys(
                holder=member.name,
                study=STUDY,
                run=self.run,
                round=self.round,
                attempt=self.attempt,
                number=self.attempt,
            )
            member.message = ephemeral_message(member.identity, member.keys)
        messages = [member.message for member in self.members.values()]
        for member in self.members.values():
            member.roster = self.verify(member, messages)
            member.dealt = deal(member.keys, member.roster)
        echoes = [roster_echo(member.identity, member.roster) for member in self.members.values()]
        for member in self.members.values():
            member.agreed = verify_echoes(member.roster, echoes)
        self.layout = self.seen()

    def verify(self, member: Member, messages: Sequence[KeyMessage]) -> Roster:
        """The roster as one member verifies it."""
        return verify_roster(
            messages,
            number=self.attempt,
            own=member.message,
            participants=self.pinned,
            terms=self.terms,
            vouched={key.fingerprint for key in self.pinned.values()},
        )

    def seen(self) -> RosterView:
        """The roster as the coordinator sees it now."""
        return roster_view(
            [member.message for member in self.members.values()],
            number=self.attempt,
            study=STUDY,
            run=self.run,
            turn=self.turn,
            participants=self.pinned,
            terms=self.terms,
        )

    def answer(self, name: str, vector: IntVector, *, word_bits: int = 32) -> MaskedUpdate:
        """One member's masked words."""
        member = self.members[name]
        key = self.key()
        if member.store.begin(key) is None:
            member.store.store(key, b"sealed words")
        return mask(
            vector,
            keys=member.keys,
            agreed=member.agreed,
            round=self.round,
            attempt=self.attempt,
            query_digest=QUERY,
            word_bits=word_bits,
        )

    def answers(
        self, vectors: Mapping[str, IntVector], names: Iterable[str], *, word_bits: int = 32
    ) -> dict[str, MaskedUpdate]:
        """The masked words of some members."""
        return {name: self.answer(name, vectors[name], word_bits=word_bits) for name in names}

    def key(self) -> AttemptKey:
        """What the attempt is known by in a member's memory."""
        return AttemptKey(study=STUDY, run=self.run, round=self.round, attempt=self.attempt, query=QUERY)

    def sign(self, name: str, survivors: Sequence[str]) -> SurvivorsEcho:
        """A member fixes and signs who answered."""
        member = self.members[name]
        member.store.settle(self.key(), survivors_digest(member.roster, survivors))
        return survivors_echo(member.identity, member.roster, survivors)

    def boxes_for(self, name: str) -> list[SealedShares]:
        """What the coordinator relays to a member."""
        return [box for other in self.members.values() for box in other.dealt.boxes if box.recipient == name]

    def reveal(self, name: str, survivors: Sequence[str], echoes: Sequence[SurvivorsEcho]) -> Revealed:
        """What a member reveals for a list."""
        member = self.members[name]
        settled = Settled(roster=member.roster, names=tuple(sorted(survivors)), echoes=tuple(echoes))
        return reveal(member.keys, settled, member.dealt, check_boxes(member.roster, self.boxes_for(name)))

    def revealed(self, survivors: Sequence[str], helpers: Sequence[str] | None = None) -> dict[str, Revealed]:
        """What those who stay to the end reveal, once all survivors have signed."""
        echoes = [self.sign(name, survivors) for name in survivors]
        return {
            name: check_revealed(self.layout, set(survivors), name, self.reveal(name, survivors, echoes))
            for name in (survivors if helpers is None else helpers)
        }

    def sum(self, updates: Mapping[str, MaskedUpdate], revealed: Mapping[str, Revealed]) -> Unmasked:
        """The coordinator's last step."""
        return unmask(self.layout, updates, revealed, query_digest=QUERY)


def vectors_of(names: Sequence[str], length: int, seed: int = 1, high: int = 1000) -> dict[str, IntVector]:
    """A vector for each name."""
    generator = np.random.default_rng(seed)
    return {name: generator.integers(-high, high, length, dtype=np.int64) for name in names}


FIVE = ("bank", "insurer", "shop", "telco", "zoo")


def five() -> Circle:
    """Five members of whom four are needed."""
    return Circle(FIVE, Terms(min_holders=4, colluders=0, recover=True))


@cache
def forty() -> Circle:
    """Forty members on a graph of degree 32, of whom 36 are needed; begin an attempt of your own."""
    return Circle([f"holder-{i:02d}" for i in range(40)], Terms(min_holders=36, colluders=2, recover=True))
