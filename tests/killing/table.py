"""The kill matrix as a table: who was killed how often, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from killing.lives import COORDINATOR
from killing.matrix import Ended
from killing.towns import Told

THE_STUDY = "the coordinator's study"
A_HOLDER = "a holder"


@dataclass(slots=True, kw_only=True)
class Row:
    """One party, and one way to be killed.

    Attributes:
        party, way: who, and how it was chosen where it dies.
        deaths: processes that were killed.
        studies: in which they were; one of several deaths counts at each party that died in it.
        resumed: studies that ended with the model they would have had.
        ended: studies that ended without one, and said why in a sentence.
        again: how often people had to start `study run` once more, its own deaths included.
        unheard: holders that were away at the farewell, whose people close the reservation.
        lost, unpaid, wrong, stuck: what must be 0: acknowledged events that are lost, values that left
            uncharged, other models, parties that neither ended nor said what has to be done.
        seconds: of the studies together.
    """

    party: str
    way: str
    deaths: int = 0
    studies: int = 0
    resumed: int = 0
    ended: int = 0
    again: int = 0
    unheard: int = 0
    lost: int = 0
    unpaid: int = 0
    wrong: int = 0
    stuck: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Matrix:
    """All rows so far, every study that was not as it has to be, and the names of the steps."""

    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    steps: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add_forked(self, ended: Ended) -> None:
        """A study of forked parties, one of which died."""
        way = "named step" if ended.case.step else "instant by chance, forked parties"
        party = ended.case.step.party if ended.case.step else ended.case.instants[0][1]
        row = self._row(THE_STUDY if party == COORDINATOR else A_HOLDER, way)
        row.deaths += sum(ended.deaths.values())
        row.studies += 1
        found = ended.findings
        row.resumed += ended.released
        row.ended += not ended.released and bool(ended.refusals)
        row.again += len(ended.refusals) + ended.deaths.get(COORDINATOR, 0)
        row.unheard += len(found.unheard)
        row.lost += len(found.lost)
        row.unpaid += len(found.unpaid)
        row.wrong += len(found.wrong)
        row.stuck += len(found.unended) + (not ended.released and not ended.refusals)
        row.seconds += ended.seconds
        if not found.whole or not ended.released:
            self.faults.append(f"{ended.case}: {ended.refusals} {found}")

    def add_real(self, told: Told) -> None:
        """A study of real processes, several of which died."""
        for party, deaths in (told.deaths or Counter({"nobody": 0})).items():
            way = (
                "route of the gateway, real processes" if told.steps else "instant by chance, real processes"
            )
            row = self._row(party, way)
            row.deaths += deaths
            row.studies += 1
            row.resumed += told.released and not told.faults
            row.ended += not told.released and not told.faults
            row.again += len(told.said)
            row.unheard += told.unheard
            row.lost += told.count("lost")
            row.unpaid += told.count("unpaid")
            row.wrong += told.count("wrong")
            row.stuck += told.count("stuck")
            row.seconds += told.seconds
        if told.faults:
            self.faults.append(f"{dict(told.deaths)} {told.said} {told.faults}")

    def _row(self, party: str, way: str) -> Row:
        return self.rows.setdefault((way, party), Row(party=party, way=way))

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {"rows": [asdict(row) for row in self._sorted()], "faults": self.faults, "steps": self.steps}

    def lines(self) -> list[str]:
        """For a page."""
        heads = (
            "where it dies",
            "who",
            "deaths",
            "studies",
            "resumed",
            "ended with a sentence",
            "run again",
            "did not hear the end",
            "lost events",
            "under-counted",
            "wrong models",
            "stuck",
        )
        return ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *map(_line, self._sorted())]

    def _sorted(self) -> Iterable[Row]:
        return sorted(self.rows.values(), key=lambda row: (row.way, row.party))


def _line(row: Row) -> str:
    cells = (
        row.way,
        row.party,
        row.deaths,
        row.studies,
        row.resumed,
        row.ended,
        row.again,
        row.unheard,
        row.lost,
        row.unpaid,
        row.wrong,
        row.stuck,
    )
    return "| " + " | ".join(map(str, cells)) + " |"
