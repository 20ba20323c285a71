"""That the oracle can fail: a study is run, and what it left is spoilt in every way that it has to notice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from killing.ground import Ground
from killing.lives import Link, asked_of
from killing.matrix import Field
from killing.oracle import Findings, examine
from sqlalchemy import select, update

from ringfence.privacy.stores.tensors import read_tensors, write_tensors
from ringfence.server.records.runs import RUNS, SUMS

Spoil = Callable[[Ground, Path], None]


def unnoticed(field: Field) -> list[str]:
    """Mistakes that the oracle does not notice, and what is found of a study without one."""
    way = "retry"
    whole = field.grounds[way].copied(field.folder / "whole")
    told = field.folder / "told-whole"
    digest = Link(ground=whole, told=told).conduct()
    found = examine(whole, told, digest, [])
    missed = [] if found.whole else [f"nothing was spoilt: {found}"]
    for name, spoil, noticed in mistakes():
        spoilt = whole.copied(field.folder / f"spoilt-{name}")
        seen = field.folder / f"told-{name}"
        shutil.copy(told, seen)
        asked_of(lambda spoil=spoil, spoilt=spoilt, seen=seen: spoil(spoilt, seen))
        if not noticed(examine(spoilt, seen, digest, [])):
            missed.append(name)
    return missed


def mistakes() -> Iterator[tuple[str, Spoil, Callable[[Findings], object]]]:
    """Each by its name, with what the oracle has to say of it."""
    yield "event", _lost_event, lambda found: found.lost
    yield "charge", _unpaid, lambda found: found.unpaid
    yield "sum", _other_sum, lambda found: found.wrong
    yield "model", _other_model, lambda found: found.wrong
    yield "reservation", _reserved, lambda found: found.unpaid
    yield "end", _open, lambda found: found.unended


def _lost_event(_: Ground, told: Path) -> None:
    with told.open("ab") as file:
        file.write(json.dumps(["event", "bank", 10_000, "00"]).encode() + b"\n")


def _unpaid(_: Ground, told: Path) -> None:
    with told.open("ab") as file:
        file.write(json.dumps(["sent", "bank", 0, 1]).encode() + b"\n")


def _other_sum(ground: Ground, _: Path) -> None:
    with ground.coordinator().registry.engine.begin() as connection:
        row = connection.execute(select(SUMS).where(SUMS.c.round == 0)).one()
        meta, blocks = read_tensors(row.blocks)
        name = next(iter(blocks))
        blocks = {**blocks, name: blocks[name] + 1}
        changed = update(SUMS).where(SUMS.c.round == 0).values(blocks=write_tensors(meta, blocks))
        connection.execute(changed)


def _other_model(ground: Ground, _: Path) -> None:
    with ground.coordinator().registry.engine.begin() as connection:
        connection.execute(update(RUNS).values(model="sha256:" + "0" * 64))


def _reserved(ground: Ground, _: Path) -> None:
    opened = ground.federation.opened
    ground.holder("bank").ledger.reserve_plan("sha256:" + "1" * 64, opened.plan)


def _open(ground: Ground, _: Path) -> None:
    with ground.coordinator().registry.engine.begin() as connection:
        connection.execute(update(RUNS).values(outcome=""))
