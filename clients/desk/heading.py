"""Whether a contract's columns stand in the header of its file: only the header is read, never a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringfence.privacy.agreements.contract import LoadedContract
from ringfence.privacy.errors import N_, ContractError
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
    if source.file is None:
        return Heading(file=None, at_hand=False)
    path = loaded.path.parent / source.file
    if not path.exists():
        return Heading(file=path.name, at_hand=False)
    layout = Layout(delimiter=source.delimiter, encoding=source.encoding, names=source.header)
    names = column_names(path, layout)
    events = contract.events.headers if contract.events is not None else ()
    wanted = dict.fromkeys((contract.subject, *(column.header for column in contract.columns), *events))
    spare = [name for name in names if name not in wanted]
    missing = [name for name in wanted if name not in names]
    advice = lacking(missing, list(wanted), contract.subject, "")
    near = {name: nearest(name, spare) for name in missing}
    return Heading(
        file=Path(source.file).name,
        at_hand=True,
        missing=tuple(
            (name, hint or (advice if name == contract.subject else "")) for name, hint in near.items()
        ),
        unlisted=tuple(spare),
    )
