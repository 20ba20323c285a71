"""What is asked of the export gate, by which policy it answers, and the two answers there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ringfence.privacy.errors import N_, ExportError, told
from ringfence.privacy.identifiers.masking import REDACT, Operator
from ringfence.privacy.identifiers.pii import STOCK, Scanner

if TYPE_CHECKING:
    import pandas as pd

Kind: TypeAlias = Literal[
    "csv", "json", "html", "svg", "toml", "text", "markdown", "safetensors", "npz", "parquet"
]
Sensitivity: TypeAlias = Literal["identifier", "quasi", "sensitive", "plain"]

SUFFIXES: dict[Kind, str] = {
    "csv": ".csv",
    "json": ".json",
    "html": ".html",
    "svg": ".svg",
    "toml": ".toml",
    "text": ".txt",
    "markdown": ".md",
    "safetensors": ".safetensors",
    "npz": ".npz",
    "parquet": ".parquet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRule:
    """One column that the contract lets out.

    Attributes:
        name: header of the column, or key of a JSON object.
        sensitivity: as the contract says; an identifier never leaves.
        count: whether its cells count customers, so that small ones are refused. None: its name decides;
            False says that it counts something else, or that noise was added to it.
        amount: whether its cells are amounts (money in cents, times), so that a whole number with the shape
            of a telephone number is none. Numbers with check digits and keys of customers stay refused.
    """

    name: str
    sensitivity: Sensitivity
    count: bool | None = None
    amount: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallCells:
    """Fewest customers a released count may stand for.

    Attributes:
        threshold: for tables without quasi-identifiers.
        with_quasi: for tables that show one.

    Raises:
        ExportError: RF-X061, a threshold below 10.
    """

    threshold: int = 20
    with_quasi: int = 50

    def __post_init__(self) -> None:
        for value in (self.threshold, self.with_quasi):
            if value < 10:
                raise ExportError(
                    "RF-X061",
                    N_(
                        "A small-cell threshold of {value} was asked for; 10 is the least. Choose 10 or more."
                    ),
                    value=value,
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """Something that wants out.

    Attributes:
        name: plain file name with the suffix of its kind.
        kind: what it is; the content must agree.
        content: the exact bytes, or a frame (csv, parquet, json) whose index is not written.
        masking: `clean`: the caller holds it free of identifiers, any that is found refuses it; `presidio`:
            mask first, then check the result in the same way.
        columns: the columns that may be in it; needed for tables.
        cohort: digest of whose counts with noise it holds, as they were signed; empty for exact counts.
        epsilon: privacy loss spent on it; `None` when it tells nothing of customers.
        resource: what it was made from, for the log, such as `study:sha256:...`.
    """

    name: str
    kind: Kind
    content: bytes | pd.DataFrame
    masking: Literal["clean", "presidio"] = "clean"
    columns: tuple[ColumnRule, ...] = ()
    cohort: str = ""
    epsilon: Decimal | None = None
    resource: str = "export"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """One file of a study's result, before it is asked for under a policy.

    Attributes:
        name: plain file name with the suffix of its kind.
        kind: what it is.
        content: the exact bytes.
        columns: the columns of a table.
        cohort: digest of whose counts with noise it holds, as they were signed.
    """

    name: str
    kind: Kind
    content: bytes = field(repr=False)
    columns: tuple[ColumnRule, ...] = ()
    cohort: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPolicy:
    """By which limits a gate decides.

    Attributes:
        small_cells: thresholds for counts of customers.
        epsilon: most that the study allows for one artefact; with it every artefact must state its own.
        formulas: what happens to text cells of a frame that a spreadsheet would run; given bytes are only
            refused.
        allowed_hosts: hosts that a URL may name, such as those of public vocabularies.
        max_bytes: largest artefact.
        scanner: what looks for identifiers; give it the holder's customer list where there is one.
        operator: what `masking="presidio"` writes instead of an identifier.
    """

    small_cells: SmallCells = SmallCells()
    epsilon: Decimal | None = None
    formulas: Literal["refuse", "neutralise"] = "refuse"
    allowed_hosts: tuple[str, ...] = ("www.w3.org", "w3id.org")
    max_bytes: int = 1 << 28
    scanner: Scanner = STOCK
    operator: Operator = REDACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One reason for a refusal: a stable code and a sentence without content of the artefact."""

    code: str
    template: str
    values: tuple[tuple[str, object], ...] = ()

    @classmethod
    def of(cls, fault: ExportError) -> Objection:
        """The reason behind an error raised by a check."""
        return cls(code=fault.code, template=fault.template, values=tuple(sorted(fault.values.items())))

    def sentence(self) -> str:
        """The sentence in the chosen language."""
        return told(self.template, dict(self.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file that left through the gate.

    Attributes:
        path: where it lies.
        kind: what it is.
        digest: `sha256:<hex>` of exactly the bytes that were decided on and written.
        size: bytes.
        event: sequence number of the event `export.released`.
        notes: what the gate changed, and what it could not check.
    """

    path: Path
    kind: Kind
    digest: str
    size: int
    event: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRefused:
    """An artefact that stays inside, with every reason found."""

    name: str
    kind: str
    reasons: tuple[Objection, ...]


class ExportRefused(ExportError):
    """An artefact was refused; the event is already in the log.

    Attributes:
        refused: the refusals with all reasons; `code` and sentence are those of the first.
    """

    def __init__(self, refused: tuple[ReleaseRefused, ...]) -> None:
        self.refused = refused
        first = refused[0].reasons[0]
        super().__init__(first.code, first.template, **dict(first.values))
