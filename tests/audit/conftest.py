"""Logs in throw-away stores, and a bundle of two logs that anchor each other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kits.audit_kit import COORDINATOR, HOLDER, Evidence, StudyBundle, fill, study_bundle
from sqlalchemy import Engine, create_engine

from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner


@pytest.fixture
def make_engine(tmp_path: Path) -> Iterator[Callable[[str], Engine]]:
    """SQLite stores in files, closed at the end."""
    engines: list[Engine] = []

    def make(name: str) -> Engine:
        engines.append(create_engine(f"sqlite:///{tmp_path / name}.db", connect_args={"timeout": 30}))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def make_log(make_engine: Callable[[str], Engine]) -> Callable[..., AuditLog]:
    """A holder's log in a new store."""

    def make(name: str = "store", origin: str = HOLDER, signer: MemorySigner | None = None) -> AuditLog:
        return AuditLog(
            make_engine(name),
            origin=origin,
            signer=signer or MemorySigner(),
            organisation=origin.rsplit("/", 1)[-1],
            actor="client",
            profile="durable",
        )

    return make


@pytest.fixture
def evidence(make_log: Callable[..., AuditLog], tmp_path: Path) -> Evidence:
    """Holder: 5 events, checkpoint, anchored; 4 more, anchored again; coordinator: the anchors and 3 more."""
    holder, coordinator = make_log("holder"), make_log("coordinator", COORDINATOR)
    fill(holder, 5)
    earlier = holder.checkpoint()
    coordinator.anchor(earlier, holder.verifier)
    fill(holder, 4)
    fill(coordinator, 3)
    coordinator.anchor(holder.checkpoint(), holder.verifier, holder.consistency(5))
    path = tmp_path / "evidence"
    holder.export_bundle(path / "holders" / "bank-a")
    coordinator.export_bundle(path / "coordinator")
    return Evidence(path, coordinator, holder, earlier)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> StudyBundle:
    """The logs of one small study, as they were exported."""
    return study_bundle(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture
def whole(made: StudyBundle, tmp_path: Path) -> StudyBundle:
    """A copy to be spoilt."""
    shutil.copytree(made.path, tmp_path / "bundle")
    return StudyBundle(tmp_path / "bundle", made.coordinator, made.holders, made.signers)
