"""How many holders cosign the coordinator's log before a result is released; fixed in the signed study."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from ringfence.privacy.agreements.terms import PrivacyTerms
from ringfence.privacy.errors import N_
from ringfence.privacy.toml.canonical import Document, Whole
from ringfence.privacy.toml.faults import Problem


class ReleaseTerms(Document):
    """Under whose eyes the result is released: how many holders cosign the coordinator's log first.

    A holder cosigns one history of that log alone. Two quorums of `safe_quorum` have an honest holder in
    common, so that two histories cannot both be cosigned.
    """

    quorum: Whole | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="How many holders cosign before the result is released; all of the study when absent.",
        examples=[3],
    )
    wait_hours: Whole = Field(
        default=0,
        ge=0,
        le=8_760,
        description="Hours from the intent to release, after which `floor` holders suffice; 0: as soon as "
        "those who are there have answered.",
        examples=[72],
    )
    floor: Whole | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="How many suffice when `wait_hours` have passed; when absent, so many that any two such "
        "groups have an honest holder in common.",
        examples=[3],
    )


def safe_quorum(holders: int, colluders: int) -> int:
    """So many of the holders that any two such groups have an honest one in common; all of a few.

    The coordinator is taken to act together with up to `1 + colluders` holders (DESIGN, section 5).
    """
    return min(holders, (holders + 1 + colluders) // 2 + 1)


def quorums(release: ReleaseTerms, privacy: PrivacyTerms, holders: int) -> tuple[int, int]:
    """How many cosign, and how many suffice once the waiting time has passed."""
    quorum = holders if release.quorum is None else release.quorum
    safe = safe_quorum(holders, privacy.colluders)
    return quorum, min(quorum, safe if release.floor is None else release.floor)


def quorum_problems(release: ReleaseTerms, privacy: PrivacyTerms, holders: int) -> Iterator[Problem]:
    """What is wrong with the number of holders that cosign; nothing while there are no holders yet."""
    if not holders:
        return
    safe = safe_quorum(holders, privacy.colluders)
    if release.quorum is not None and not safe <= release.quorum <= holders:
        yield Problem(
            code="RF-S460",
            path=("release", "quorum"),
            values={"quorum": release.quorum, "safe": safe, "holders": holders},
            template=N_(
                "Of {holders} holders, {safe} to {holders} can be the quorum, so that any two have an honest "
                "holder in common; found {quorum}."
            ),
        )
    quorum = holders if release.quorum is None else release.quorum
    if release.floor is not None and release.floor > quorum:
        yield Problem(
            code="RF-S461",
            path=("release", "floor"),
            values={"floor": release.floor, "quorum": quorum},
            template=N_("The floor, {floor}, is above the quorum of {quorum}; it has to be at most that."),
        )
