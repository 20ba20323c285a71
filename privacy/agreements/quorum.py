"""Under whose eyes a result is released, and which cells of tables are in it; fixed in the signed study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import Field

from ringfence.privacy.agreements.terms import PrivacyTerms
from ringfence.privacy.errors import N_
from ringfence.privacy.toml.canonical import Document, Slug, Whole
from ringfence.privacy.toml.faults import Problem

LEAST_CELL = 10
"""No cell of a released table may stand for fewer customers, whatever is signed."""
MIN_CELL = 20
MIN_CELL_QUASI = 50


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
    min_cell: Whole | None = Field(
        default=None,
        ge=LEAST_CELL,
        le=10**6,
        description="Fewest customers, by the noisy count, that a cell of a released table may stand for, in "
        "tables by `plain` features alone; 20 when absent.",
        examples=[20],
    )
    min_cell_quasi: Whole | None = Field(
        default=None,
        ge=LEAST_CELL,
        le=10**6,
        description="The same in all other tables, since what is not said to be plain may help to "
        "recognise a customer; 50 when absent.",
        examples=[50],
    )
    plain: tuple[Slug, ...] | None = Field(
        default=None,
        description="Features that help nobody to recognise a customer: no holder's contract calls them "
        "quasi-identifiers.",
        examples=[["plan"]],
    )

    def least_cell(self, features: Iterable[str]) -> int:
        """Fewest customers that a cell of a table by these features may stand for."""
        return self.plain_cell if set(features) <= set(self.plain or ()) else self.other_cell

    @property
    def smallest_cell(self) -> int:
        """Fewest customers that a cell of any table may stand for."""
        return min(self.plain_cell, self.other_cell)

    @property
    def plain_cell(self) -> int:
        """The same, of tables by plain features alone."""
        return MIN_CELL if self.min_cell is None else self.min_cell

    @property
    def other_cell(self) -> int:
        """The same, of all other tables."""
        return MIN_CELL_QUASI if self.min_cell_quasi is None else self.min_cell_quasi


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
