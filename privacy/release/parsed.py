"""What a parser hands to the checks: the bytes to be released and everything readable in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from ringfence.privacy.errors import N_, ExportError

if TYPE_CHECKING:
    import pandas as pd

Jsonic: TypeAlias = "str | int | float | bool | list[Jsonic] | dict[str, Jsonic] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One string in an artefact.

    Attributes:
        where: place in the artefact, free of its content.
        text: the string.
        context: what it stands under (a column's name, a key), evidence for the scanner.
    """

    where: str
    text: str
    context: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """An artefact read strictly.

    Attributes:
        content: the bytes to be released; Parquet and npz are written anew so that nothing hides between their
            parts.
        texts: every string outside a table's cells: headers, keys, metadata, comments, attributes.
        frame: the table, if it is one; cells of CSV are strings.
        records: keys and values of a JSON document, for column rules.
    """

    content: bytes
    texts: tuple[Text, ...] = ()
    frame: pd.DataFrame | None = None
    records: tuple[tuple[str, Jsonic], ...] = field(default=(), repr=False)


def not_finite() -> NoReturn:
    """Refuse a number that is infinite or not a number.

    Raises:
        ExportError: RF-X043, always.
    """
    raise ExportError(
        "RF-X043", N_("A number in the artefact is not finite. Write a missing value, or leave it out.")
    )
