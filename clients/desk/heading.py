"""Whether a contract's columns stand in the header of its file: only the header is read, never a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ringfence.privacy.agreements.contract import LoadedContract, Source
from ringfence.privacy.errors import N_, ContractError, _
from ringfence.privacy.tables.tabular import Layout, column_names, lacking, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The header beside the contract.

    Attributes:
        file: the file's name; None for a database or where no file is named.
        at_hand: whether the file is there, so that it was compared.
        missing: columns of the contract that the header lacks, each with the name it may be meant for, and
            advice for the one that names the customer.
        unlisted: columns of the file that the contract does not name; they are never decoded.
    """

    file: str | None
    at_hand: bool
    missing: tuple[tuple[str, str], ...] = ()
    unlisted: tuple[str, ...] = ()

    def require_all(self) -> None:
        """Refuse a header that lacks what the contract names.

        Raises:
            ContractError: RF-C324, which names the columns.
        """
        if self.missing:
            raise ContractError(
                "RF-C324",
                N_("The header of {file} lacks columns that the contract names ({count}):\n{columns}"),
                file=self.file or "",
                count=len(self.missing),
                columns="\n".join(f'"{name}".{hint}' for name, hint in self.missing),
            )


def compare(loaded: LoadedContract) -> Heading:
    """The contract's columns beside the header of its file.

    Raises:
        TableError: the file is there and has no readable header.
    """
    contract, source = loaded.contract, loaded.contract.source
    apart = tuple(_missing_apart(loaded))
    if source.file is None:
        return Heading(file=None, at_hand=False, missing=apart)
    path = loaded.path.parent / source.file
    if not path.exists():
        return Heading(file=path.name, at_hand=False, missing=apart)
    names = _header_of(path, source)
    events = contract.events.headers if contract.events is not None else ()
    lists = [
        (each.key(contract.subject), *each.columns.values())
        for each in contract.inputs.values()
        if each.source is None
    ]
    mapped = (*(column.header for column in contract.columns), *events, *chain.from_iterable(lists))
    wanted = dict.fromkeys((contract.subject, *mapped))
    spare = [name for name in names if name not in wanted]
    missing = [name for name in wanted if name not in names]
    advice = lacking(missing, list(wanted), contract.subject, "")
    near = {name: nearest(name, spare) for name in missing}
    return Heading(
        file=Path(source.file).name,
        at_hand=True,
        missing=(
            *((name, hint or (advice if name == contract.subject else "")) for name, hint in near.items()),
            *apart,
        ),
        unlisted=tuple(spare),
    )


def _header_of(path: Path, source: Source) -> list[str]:
    layout = Layout(delimiter=source.delimiter, encoding=source.encoding, names=source.header)
    return column_names(path, layout)


def _missing_apart(loaded: LoadedContract) -> Iterator[tuple[str, str]]:
    """Columns that inputs with a file of their own lack, as far as those files are at hand."""
    for name, each in loaded.contract.inputs.items():
        path = loaded.path.parent / (each.source.file or "") if each.source is not None else None
        if each.source is None or each.source.file is None or path is None or not path.exists():
            continue
        names = _header_of(path, each.source)
        for header in (each.key(loaded.contract.subject), *each.columns.values()):
            if header not in names:
                place = _(" It is of the input {name}, in {file}.").format(name=name, file=path.name)
                yield header, nearest(header, names) + place
