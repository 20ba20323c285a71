"""A holder's export gate: its log, its own customers by keyed digests, and the register of what left.

A holder's own network (`own_model`) is written into the holder's home by the program that trained it and
stays there. That is no export: whoever hands the file on lets it out through this gate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ringfence.clients.holder import Holder
from ringfence.privacy.identifiers.customers import CustomerList
from ringfence.privacy.identifiers.pii import Scanner
from ringfence.privacy.release import ExportGate, ExportPolicy, TableRegister


def export_gate(
    holder: Holder,
    list_key: bytes,
    *,
    keys: Iterable[object],
    names: Iterable[str] = (),
    addresses: Iterable[str] = (),
    formulas: Literal["refuse", "neutralise"] = "refuse",
) -> ExportGate:
    """The gate through which a holder lets something out.

    Args:
        holder: whose log and store.
        list_key: a key of the holder for the list of its customers, at least 16 bytes.
        keys: its customers' keys, as they stand in the table.
        names: their names, as far as the table holds them.
        addresses: their addresses, likewise.
        formulas: what happens to cells of a frame that a spreadsheet would run.
    """
    customers = CustomerList.of(list_key, names=names, addresses=addresses, keys=keys)
    policy = ExportPolicy(scanner=Scanner(customers=customers), formulas=formulas)
    return ExportGate(holder.log, policy, TableRegister.open(holder.engine))
