"""A contract that is still being written, as far as it is filled in: enough to look at the table early.

What says nothing about the table (whose it is, whose law applies) is stood in for; a column whose feature is
still open is left out and named. Nothing made here is ever signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ringfence.privacy.agreements.contract import LoadedContract, contract_of
from ringfence.privacy.errors import N_, ContractError
from ringfence.privacy.toml.faults import PLACEHOLDER, placeholders
from ringfence.privacy.toml.reading import read_toml

_STAND_INS: Mapping[str, object] = {
    "holder": "draft",
    "population": "draft",
    "jurisdiction": "EU",
    "max_customers": 2**40,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A contract with what is open left out.

    Attributes:
        loaded: the rest of it.
        open_columns: columns that are left out, since their feature is still open.
        open_keys: keys of the contract that something stands in for.
    """

    loaded: LoadedContract
    open_columns: tuple[str, ...]
    open_keys: tuple[str, ...]


def as_far_as_filled(path: Path, purpose: str) -> Unfinished:
    """The contract in a file, its `???` passed over where they can be.

    Args:
        path: the contract's file.
        purpose: what a column whose purposes are still open is looked at for.

    Raises:
        ContractError: RF-C001, which lists what cannot be passed over; RF-U700 where all features are open.
    """
    file = read_toml(path, ContractError)
    data = dict(file.data)
    keys = tuple(key for key in _STAND_INS if _is_open(data.get(key)))
    data |= {key: _STAND_INS[key] for key in keys}
    columns = tuple(_open_features(data.get("schema")))
    if isinstance(data.get("column"), list):
        data["column"] = [
            {**column, "purposes": [purpose]} if _is_open(column.get("purposes")) else column
            for column in data["column"]
            if column.get("name") not in columns
        ]
    schema = data.get("schema")
    if isinstance(schema, Mapping) and isinstance(schema.get("feature"), list):
        kept = [feature for feature in schema["feature"] if feature.get("name") not in columns]
        data["schema"] = {**schema, "feature": kept}
        if columns and not kept:
            raise ContractError(
                "RF-U700",
                N_(
                    "All features of {file} are still open, so there is nothing to look at: fill in the "
                    "bounds or categories of one of them at least ({columns})."
                ),
                file=path.name,
                columns=", ".join(columns),
            )
    return Unfinished(loaded=contract_of(replace(file, data=data)), open_columns=columns, open_keys=keys)


def _open_features(schema: object) -> Iterator[str]:
    """Names of the features that hold a `???`."""
    entries = schema.get("feature") if isinstance(schema, Mapping) else None
    for feature in entries if isinstance(entries, list) else ():
        if any(True for _ in placeholders(feature)) and isinstance(feature.get("name"), str):
            yield feature["name"]


def _is_open(value: object) -> bool:
    return value in (PLACEHOLDER, [PLACEHOLDER])
