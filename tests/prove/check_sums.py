"""Secure sums: masks that hide, words that never wrap, rosters that nobody can bend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from prove.bounds import chi_square_limit
from prove.finding import Finding

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.secagg.graph import Terms
from ringfence.privacy.secagg.keys import KeyMessage, SessionKeys, key_message
from ringfence.privacy.secagg.masks import mask, sum_words
from ringfence.privacy.secagg.roster import AgreedRoster, Roster, roster_echo, verify_echoes, verify_roster
from ringfence.privacy.secagg.wordsize import check_range, choose_word_bits, largest_noise, sum_bound
from ringfence.privacy.waist import BlockPlan, MaskedUpdate, RoundPlan
from ringfence.privacy.wire.fields import digest_of, new_run_id

WORDS = 400_000
QUERY = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A holder reduced to what a secure sum needs of it."""

    name: str
    identity: Identity
    keys: SessionKeys
    message: KeyMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class _Study:
    """Members of one run."""

    members: tuple[_Member, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> _Study:
        study, run = digest_of(b"proof"), new_run_id()
        members = []
        for name in names:
            identity, keys = Identity.generate(), SessionKeys(holder=name, study=study, run=run)
            members.append(
                _Member(name=name, identity=identity, keys=keys, message=key_message(identity, keys))
            )
        return cls(members=tuple(members))

    def roster(self, own: _Member, shown: Sequence[_Member], *, vouched: int | None = None) -> Roster:
        """What `own` makes of the members it is shown; it vouches for the first `vouched` of all."""
        known = self.members[:vouched]
        return verify_roster(
            [member.message for member in shown],
            number=1,
            own=own.message,
            participants={member.name: member.identity.public for member in self.members},
            vouched={member.identity.public.fingerprint for member in known},
            terms=Terms(min_holders=3, colluders=0),
        )

    def agreed(self, own: _Member) -> AgreedRoster:
        """Everybody was shown everybody."""
        echoes = [roster_echo(each.identity, self.roster(each, self.members)) for each in self.members]
        return verify_echoes(self.roster(own, self.members), echoes)


def masks() -> Finding:
    """Zeros, masked in two attempts at two rounds: every word, and every difference of two, must look
    uniform.
    """
    study = _Study.of(("bank", "shop", "telco"))
    member = study.members[0]
    agreed, nothing = study.agreed(member), np.zeros(WORDS, dtype=np.int64)
    sent = [
        mask(
            nothing,
            keys=member.keys,
            agreed=agreed,
            round=round_,
            attempt=attempt,
            query_digest=QUERY,
            word_bits=32,
        ).words
        for round_ in (0, 1)
        for attempt in (0, 1)
    ]
    looks = [*sent, *(left - right for i, left in enumerate(sent) for right in sent[:i])]
    worst = max(_unevenness(words) for words in looks)
    return Finding(
        evidence=f"{len(looks)} streams and differences of {WORDS:,} words: chi-square {worst:.2f} of its "
        "limit",
        bound="below 1",
        holds=worst < 1,
    )


def _unevenness(words: np.ndarray) -> float:
    """Chi-square over the leading, and over the last, eight bits, the larger, as part of its limit."""
    parts = (words >> 24, words & 0xFF)
    expected = len(words) / 256
    found = [float(((np.bincount(part, minlength=256) - expected) ** 2 / expected).sum()) for part in parts]
    return max(found) / chi_square_limit(255)


def words() -> Finding:
    """Holders as large as they declared, all their customers at the bound, noise at its largest: the exact
    sum.
    """
    customers = (2_000_000, 1_000_000, 500_000)
    wrong, sizes = 0, []
    for unit, scale in ((512, 16.0), (613, 20_000.0), (1024, 2.0**21), (2**40, 2.0**20)):
        block = BlockPlan(
            name="b", sensitivity_squared=unit**2, max_abs=unit, share_scale=scale, max_length=2
        )
        plan = RoundPlan(name="r", blocks=(block,))
        largest = [count * unit + largest_noise(block) for count in customers]
        study = _Study.of(("bank", "shop", "telco"))
        bits = choose_word_bits(plan, customers)
        sizes.append(bits)
        try:
            total = sum_words(_updates(study, largest, bits), members={m.name for m in study.members})
            check_range(total, sum_bound(plan, customers))
            wrong += total.tolist() != [sum(largest), -sum(largest)]
        except WaistError:
            wrong += 1
    return Finding(
        evidence=f"{len(sizes)} largest possible sums in words of {sorted(set(sizes))} bits, {wrong} of them "
        "wrong",
        bound="none wrong",
        holds=wrong == 0 and set(sizes) == {32, 64},
    )


def _updates(study: _Study, largest: Sequence[int], bits: int) -> list[MaskedUpdate]:
    return [
        mask(
            np.array([most, -most]),
            keys=member.keys,
            agreed=study.agreed(member),
            round=0,
            attempt=0,
            query_digest=QUERY,
            word_bits=bits,
        )
        for member, most in zip(study.members, largest, strict=True)
    ]


def rosters() -> Finding:
    """A coordinator shows two holders different rosters, or fills one with holders it made up."""
    study = _Study.of(("bank", "shop", "telco", "zoo", "puppet-1", "puppet-2"))
    bank, shop, telco, zoo, *puppets = study.members
    split = [bank, shop, telco]
    echoes = [roster_echo(bank.identity, study.roster(bank, split))]
    echoes += [
        roster_echo(each.identity, study.roster(each, [bank, shop, telco, zoo])) for each in (shop, telco)
    ]
    refusals = {
        "split": _refusal(lambda: verify_echoes(study.roster(bank, split), echoes)),
        "sybils": _refusal(lambda: study.roster(bank, [bank, shop, *puppets], vouched=4)),
        "silent member": _refusal(lambda: verify_echoes(study.roster(bank, split), echoes[:2])),
        "too few": _refusal(lambda: study.roster(bank, [bank, shop])),
    }
    passed = [name for name, code in refusals.items() if not code]
    told = ", ".join(f"{name} {code or 'PASSED'}" for name, code in refusals.items())
    return Finding(evidence=f"refused before masking: {told}", bound="all refused", holds=not passed)


def _refusal(call: Any) -> str:
    try:
        call()
    except WaistError as error:
        return error.code
    return ""
