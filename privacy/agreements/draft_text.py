"""The words of a drafted contract: what is known is filled in, what only people know is `"???"` with a hint.

Bounds and categories are public facts of a data dictionary, so they are always left open: filled in from rows
they would be a release about the oldest customer or a rare code. A column whose own name says that it
identifies a person is left out, whatever purposes are given: what is not listed is never decoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.tables.sniffing import Sniffed


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractOutline:
    """What is known beside the table itself; what is None or empty is left to be filled.

    Attributes:
        subject: header of the column that names the customer.
        purposes: of the catalogue, for every column.
        holder, population: as in the holder's home.
        schema: the schema that the holders agreed on; without it one is drafted inside the contract.
        reference: how the contract names that schema, a path relative to its own file.
    """

    subject: str | None = None
    purposes: tuple[str, ...] = ()
    holder: str | None = None
    population: str | None = None
    schema: Schema | None = None
    reference: str = ""


_HEAD = """\
# Draft of a contract, made from the header and the column types of the table; no value of a row stands here.
# Replace every ??? in quotation marks, delete the columns that no study shall ever use, and check:
#     ringfence-client contract check FILE
# Every key is explained in docs/reference/contract.md and docs/reference/schema.md.
# One row a customer is taken for granted. If the file has one line an order, replace all [[column]] tables
# by one [events] table and the features by the schema's own [events]; they are not drafted.
id = {id}
holder = {holder}  # short name of your organisation, e.g. north-bank
version = 1
subject = {subject}  # column that names the customer{subject_hint}
population = {population}  # whom these are, e.g. retail-customers; one privacy ledger counts for all of them
jurisdiction = "???"  # country whose law applies, two capital letters, e.g. CN or DE
max_customers = "???"  # public upper limit of the number of customers: a round whole number, unquoted
# min_cohort = 1000    # fewest customers a study may run on
# overlap = 2          # in how many holders one customer may be; in all when left out
# peers = []           # the other holders, entered with: ringfence-client peer add
duplicates = "refuse"
{schema}
[source]
file = {file}
"""
_HINTS = {
    "number": 'bounds = "???"  # [smallest, largest] value of the data dictionary, e.g. [0, 100]',
    "date": 'bounds = "???"  # [first, last] day of the data dictionary, e.g. [1920-01-01, 2020-12-31]',
    "category": 'categories = "???"  # all values of the data dictionary, e.g. ["basic", "gold"]; kind = '
    '"text" if it is free text',
    "flag": '# categories = ["no", "yes"]  # the second one is positive',
    "text": "# free text is never a feature; delete it unless it has to be named",
    "???": "# empty in the sample: number (with bounds), category (with categories), flag, date (with "
    "bounds) or text",
}


def contract_text(path: Path, layout: Sniffed, known: ContractOutline) -> str:
    """The contract's text."""
    if known.schema is not None:
        return _over_schema(path, layout, known, known.schema)
    headers = [header for header, _ in layout.columns]
    listed = [
        (name, header, kind)
        for name, (header, kind) in zip(_names(headers), layout.columns, strict=True)
        if header != known.subject and not identifying(header, kind)
    ]
    stem = _names([path.stem])[0]
    parts = _beginning(path, layout, known)
    parts += [_column(name, header, kind, known.purposes) for name, header, kind in listed]
    parts.append(
        "\n# The schema is shared with the other holders: agree on it, then refer to one "
        f"file.\n[schema]\nid = {_quote(stem)}\nversion = 1\n"
    )
    parts += [
        f"\n[[schema.feature]]\nname = {_quote(name)}\nkind = {_quote(kind)}\n{_HINTS[kind]}\n"
        for name, _header, kind in listed
    ]
    return "".join(parts)


def _beginning(path: Path, layout: Sniffed, known: ContractOutline) -> list[str]:
    """Everything above the columns."""
    parts = [_head(path, _names([path.stem])[0], known)]
    if layout.delimiter is not None:
        parts.append(f"delimiter = {_quote(layout.delimiter)}\nencoding = {_quote(layout.encoding)}\n")
        parts.append(f"decimal = {_quote(layout.decimal)}\n")
    left_out = [
        header for header, kind in layout.columns if header != known.subject and identifying(header, kind)
    ]
    if left_out:
        parts.append(
            "\n# Left out, since their names say that they identify a person; what is not listed is never "
            "decoded:\n" + "".join(f"#     {_quote(header)}\n" for header in left_out)
        )
    return parts


def _over_schema(path: Path, layout: Sniffed, known: ContractOutline, schema: Schema) -> str:
    """The contract over a schema that stands already: columns named like its features are mapped to them, and
    for every other feature a person says which column it is.
    """
    kinds = {header: kind for header, kind in layout.columns if header != known.subject}
    folded = {header.casefold(): header for header in kinds}
    parts = _beginning(path, layout, known)
    taken: set[str] = set()
    open_features = []
    for feature in schema.features:
        header = feature.name if feature.name in kinds else folded.get(feature.name.casefold())
        if header is None or header in taken or feature.kind == "text":
            open_features.append(feature)
            continue
        taken.add(header)
        parts.append(_column(feature.name, header, feature.kind, known.purposes, feature.categories))
    left = {header: kind for header, kind in kinds.items() if header not in taken}
    spare = [_quote(header) for header, kind in left.items() if not identifying(header, kind)]
    if open_features:
        parts.append(
            "\n# Features of the schema that no column is named like: say which column each is, or delete "
            f"it.\n# Columns of the file that are left: {', '.join(spare) or 'none'}\n"
        )
    for feature in open_features:
        parts.append(_column(feature.name, "???", feature.kind, known.purposes, feature.categories))
    return "".join(parts)


def _head(path: Path, stem: str, known: ContractOutline) -> str:
    return _HEAD.format(
        id=_quote(stem),
        holder=_quote(known.holder or "???"),
        subject=_quote(known.subject or "???"),
        subject_hint=""
        if known.subject
        else "; delete its [[column]] and [[schema.feature]] below. None does: run --row-is-customer",
        population=_quote(known.population or "???"),
        file=_quote(path.name),
        schema=f"schema = {_quote(known.reference)}\n" if known.schema is not None else "",
    )


def _column(
    name: str, header: str, kind: str, purposes: Sequence[str], categories: Sequence[str] | None = None
) -> str:
    lines = ["", "[[column]]", f"name = {_quote(name)}"]
    if header != name:
        lines.append(f"source = {_quote(header)}")
    if kind in {"flag", "category"}:
        said = "" if categories is None else f"  # of: {', '.join(categories)}"
        lines.append('# values = { "code in the file" = "category" }' + said)
    lines.append('sensitivity = "quasi"  # identifier, quasi, sensitive or plain')
    if kind == "text":
        lines.append("purposes = []  # free text is never a feature")
    elif purposes:
        lines.append(f"purposes = [{', '.join(_quote(each) for each in purposes)}]")
    else:
        lines.append(
            'purposes = "???"  # a list from docs/reference/purposes.md; [] if it is used for nothing'
        )
    return "\n".join(lines) + "\n"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OF_PERSONS = _words(
    "full first last given family middle nick customer client contact holder member user person zh en cn"
)
_LAST_WORDS = _words(
    "surname firstname lastname fullname mobile phone telephone cellphone email mail address iban passport "
    "ssn wechat idcard idnumber"
)
_PAIRS = _words("id-number id-no id-card card-number account-number account-no national-id")
_ZH = re.compile("姓名|名字|手机|电话|邮箱|地址|身份证|护照|证件号|银行卡|账号|卡号|车牌|微信")


def identifying(header: str, kind: str) -> bool:
    """Whether a column's own name says that it identifies a person; a guess that a person can undo."""
    if kind in {"flag", "date"}:
        return False
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header)
    words = [word for word in re.split(r"[^a-z]+", spaced.lower()) if word]
    if words and words[-1] in {"number", "no", "nr"} and len(words) > 1 and words[-2] in _LAST_WORDS:
        words = words[:-1]
    if not words:
        return bool(_ZH.search(header))
    named = "name" in words and set(words) <= _OF_PERSONS | {"name"}
    return named or words[-1] in _LAST_WORDS or "-".join(words[-2:]) in _PAIRS or bool(_ZH.search(header))


def _names(headers: Sequence[str]) -> list[str]:
    """Names of features: the headers where they are valid names, otherwise something close to them."""
    names: list[str] = []
    for header in headers:
        base = re.sub(r"[^\w.\-]+", "_", header).strip("_.-")[:60] or "column"
        name, count = base, 2
        while name in names:
            name, count = f"{base}_{count}", count + 1
        names.append(name)
    return names


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
