"""Masking of identifiers in texts and tables: redact, mask, keyed token, generalise.

Invariant: what an operator writes in place of an identifier holds no identifier itself, and masking goes on
    until the scanner finds nothing more; a text that cannot be brought that far is replaced whole.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import isnan
from typing import TYPE_CHECKING, TypeAlias

from ringfence.privacy.identifiers.normalise import fold
from ringfence.privacy.identifiers.patterns import SHAPES_ALONE
from ringfence.privacy.identifiers.pii import STOCK, FoundIdentifier, Language, Scanner

if TYPE_CHECKING:
    import pandas as pd

_ROUNDS = 4
_PLAIN_NUMBER = re.compile(r"\s*[+-]?\d[\d,]*(?:\.\d*)?(?:[eE][+-]?\d{1,2})?\s*")
_HEX_TO_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redact:
    """Replace by the kind in brackets: `[EMAIL]`."""

    def __call__(self, kind: str, value: str) -> str:
        """What is written instead of `value`."""
        del value
        return f"[{kind}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """Keep the last `keep` characters, star the rest; a value not three times as long is starred whole."""

    keep: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.keep <= 4:
            raise ValueError(f"Expected keep from 0 to 4, found {self.keep}.")

    def __call__(self, kind: str, value: str) -> str:
        """What is written instead of `value`."""
        del kind
        keep = self.keep if len(value) >= 3 * self.keep else 0
        return "*" * (len(value) - keep) + value[len(value) - keep :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Replace by a keyed token: equal values get equal tokens, nobody without the key can test a guess.

    HMAC-SHA256 under `key` over the kind and the value, 80 bits, written in the letters a to p so that no
    token looks like a number. An identifier found in a text is the same one however its digits are grouped;
    the values of a whole column are keys of the holder, of which each spelling is one of its own (`12-345` is
    not `12345`). Equal tokens still show who recurs: this is pseudonymisation, not anonymity.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < 16:
            raise ValueError("Expected a token key of at least 16 bytes.")

    def __call__(self, kind: str, value: str) -> str:
        """What is written instead of `value`."""
        same = _same(kind, value)
        digest = hmac.digest(self.key, f"ringfence/token/v1\n{kind}\n{same}".encode(), "sha256")[:10]
        return f"tok_{digest.hex().translate(_HEX_TO_LETTERS)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generalise:
    """Replace by a coarser fact: a resident's province and decade of birth, a network, a year, a band.

    Attributes:
        width: width of the bands that numbers of a whole column fall into.
    """

    width: int = 10

    def __post_init__(self) -> None:
        if self.width < 2:
            raise ValueError(f"Expected bands of width 2 or more, found {self.width}.")

    def __call__(self, kind: str, value: str) -> str:
        """What is written instead of `value`."""
        plain = fold(value).text.strip()
        digits = re.sub(r"[ -]", "", plain)
        match kind:
            case "CN_RESIDENT_ID" if len(digits) == 18:
                return f"[{kind} {digits[:2]}, {digits[6:9]}0s]"
            case "IP_ADDRESS" if plain.count(".") == 3:
                return f"[{kind} {'.'.join(plain.split('.')[:2])}]"
            case "VALUE":
                return self._value(plain)
        return f"[{kind}]"

    def _value(self, plain: str) -> str:
        """A band for a number, the year for an ISO date, nothing for anything else."""
        if re.fullmatch(r"\d{4}-\d\d(?:-\d\d)?(?:[ T].*)?", plain):
            return plain[:4]
        if re.fullmatch(r"-?\d{1,9}(?:\.\d*)?", plain):
            low = int(float(plain) // self.width) * self.width
            return f"{low}..{low + self.width - 1}"
        return "[VALUE]"


REDACT = Redact()
_GROUPED = frozenset(("CN_RESIDENT_ID", "CREDIT_CARD", "CN_MOBILE", "PHONE", "IBAN", "CN_USCC", "US_SSN"))


def _same(kind: str, value: str) -> str:
    """The form under which two spellings of a value are one."""
    if kind == "VALUE":
        return value.strip()
    folded = fold(value).text.casefold()
    return re.sub(r"[\W_]", "", folded) if kind in _GROUPED else " ".join(folded.split())


def whole_text(value: object) -> str:
    """The text of a cell of a column that is masked whole: 7 and 7.0 of a number column are one value."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    return str(value)


Operator: TypeAlias = Redact | Mask | Token | Generalise


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A text without its identifiers, and where they stood in the text as given."""

    text: str
    findings: tuple[FoundIdentifier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskReport:
    """What `mask_frame` changed: counts only, for the holder's own eyes.

    Attributes:
        cells: cells that were read.
        masked: cells that were changed, by column position.
        kinds: identifiers found, by kind.
        headers: column names that were changed.
    """

    cells: int
    masked: Mapping[int, int]
    kinds: Mapping[str, int]
    headers: int


def mask_text(
    text: str,
    operator: Operator | Mapping[str, Operator] = REDACT,
    *,
    scanner: Scanner = STOCK,
    language: Language = "mixed",
    context: str = "",
    cell: bool = False,
) -> Masked:
    """Replace every identifier found in a text.

    Args:
        text: any text.
        operator: one for all, or one a kind (kinds without one are redacted).
        scanner: what looks for identifiers.
        language: see `Scanner.find`.
        context: what the text stands under, such as a column's name.
        cell: read it as a cell of a table, on the fast path when it is short.

    Returns:
        The masked text, in which the same scanner finds nothing, and the findings of the first pass.
    """
    first: tuple[FoundIdentifier, ...] | None = None
    for _ in range(_ROUNDS):
        found = (
            scanner.find_cell(text, context=context)
            if cell
            else scanner.find(text, language, context=context)
        )
        first = tuple(found) if first is None else first
        if not found:
            return Masked(text=text, findings=first)
        pieces: list[str] = []
        at = 0
        for finding in found:
            chosen = operator.get(finding.kind, Redact()) if isinstance(operator, Mapping) else operator
            pieces += text[at : finding.start], chosen(finding.kind, text[finding.start : finding.end])
            at = finding.end
        text = "".join([*pieces, text[at:]])
    return Masked(text="[REDACTED]", findings=first or ())


def mask_frame(
    frame: pd.DataFrame,
    columns: Mapping[str, Operator] | None = None,
    *,
    operator: Operator | Mapping[str, Operator] = REDACT,
    scanner: Scanner = STOCK,
    amounts: Collection[str] = (),
) -> tuple[pd.DataFrame, MaskReport]:
    """Mask a table: named columns whole, every other cell and every header by what is found in it.

    Args:
        frame: `(n, m)`; it is left as it is.
        columns: operators for whole columns, such as `{"customer_id": Token(key=key), "age": Generalise()}`.
        operator: for identifiers found in the other columns.
        scanner: what looks for identifiers.
        amounts: columns of amounts, whose numbers are no telephone numbers whatever their size.

    Returns:
        A new frame and the report. Columns in which something was masked become text; the index is dropped,
        since it is the usual place where a customer's key travels unseen.
    """
    import pandas as pd

    columns = columns or {}
    masked: dict[int, int] = {}
    kinds: dict[str, int] = {}
    headers: list[str] = []
    series: list[pd.Series] = []
    for place in range(frame.shape[1]):
        name = str(frame.columns[place])
        source = frame.iloc[:, place].reset_index(drop=True)
        whole, smallest = columns.get(name), min(100_000, scanner.smallest_number(name))
        memory: dict[str, Masked] = {}
        result: list[object] = []
        changed = 0
        for value in source.tolist():
            text = scanned_text(value, smallest) if whole is None or is_missing(value) else whole_text(value)
            if text is None:
                result.append(value)
                continue
            if text not in memory:
                memory[text] = (
                    Masked(text=whole("VALUE", text), findings=())
                    if whole is not None
                    else _masked_cell(text, operator, scanner, name, amount=name in amounts)
                )
            outcome = memory[text]
            for finding in outcome.findings:
                kinds[finding.kind] = kinds.get(finding.kind, 0) + 1
            changed += outcome.text != text
            result.append(value if outcome.text == text else outcome.text)
        if changed:
            masked[place] = changed
            source = pd.Series([None if is_missing(v) else str(v) for v in result], dtype="object")
        series.append(source)
        headers.append(mask_text(name, scanner=scanner, cell=True).text)
    out = pd.concat(series, axis=1) if series else pd.DataFrame()
    out.columns = pd.Index(headers)
    altered = sum(a != str(b) for a, b in zip(headers, frame.columns, strict=True))
    return out, MaskReport(cells=frame.size, masked=masked, kinds=kinds, headers=altered)


def _masked_cell(
    text: str, operator: Operator | Mapping[str, Operator], scanner: Scanner, name: str, *, amount: bool
) -> Masked:
    """One cell of a column that is masked by what is found in it; numbers of a column of amounts stay."""
    if amount and is_amount(text, scanner, name):
        return Masked(text=text, findings=())
    return mask_text(text, operator, scanner=scanner, context=name, cell=True)


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: `None`, NaN, NaT or pandas' NA."""
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and isnan(value))
    )


def is_plain_number(text: str) -> bool:
    """Whether a cell holds one number and nothing else."""
    return bool(_PLAIN_NUMBER.fullmatch(text))


def is_amount(text: str, scanner: Scanner, context: str) -> bool:
    """Whether a cell of a column of amounts is a number that could be an identifier by its size alone."""
    if not is_plain_number(text):
        return False
    return all(found.kind in SHAPES_ALONE for found in scanner.find_cell(text, context=context))


def scanned_text(value: object, smallest: int = 100_000) -> str | None:
    """The text of a cell as people read it; `None` for a missing one or one that holds no identifier.

    Whole numbers below `smallest` cannot hold an identifier, nor can numbers with a fraction, but for their
    whole part where it is as long as a card's.
    """
    if is_missing(value):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        tells = abs(value) >= (smallest if value.is_integer() else 10**13)
        return str(int(value)) if tells and abs(value) < 1e19 else None
    if isinstance(value, int):
        return str(value) if abs(value) >= smallest else None
    return str(value)
