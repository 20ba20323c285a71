"""Makers shared by the tests of the audit log: names, events, and the evidence of two logs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from ringfence.audit import merkle
from ringfence.audit.bundle import LogFiles, write_log
from ringfence.audit.canonical import Json, dumps
from ringfence.audit.checkpoint import Checkpoint, verify_checkpoint
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner, Verifier
from ringfence.audit.verification.verify import examine_bundle

HOLDER = "ringfence.example/holder/bank-a"
COORDINATOR = "ringfence.example/coordinator"


@dataclass(frozen=True)
class Evidence:
    """A bundle of two logs, the logs themselves and a checkpoint of the holder taken in between."""

    path: Path
    coordinator: AuditLog
    holder: AuditLog
    earlier: bytes

    @property
    def holder_path(self) -> Path:
        return self.path / "holders" / "bank-a"


def fill(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.record(
            "waist.send",
            "allow",
            resource="study:churn",
            public={"run": f"run-{number}", "epsilon": "0.5"},
            private={"rows": 1000 + number},
        )


def faults(path: Path, **options: object) -> list[tuple[str, int | None]]:
    return [(fault.error.code, fault.event) for fault in examine_bundle(path, **options).all_faults()]  # type: ignore[arg-type]


def lines(folder: Path) -> list[bytes]:
    return (folder / "log.jsonl").read_bytes().splitlines()


def rewrite(folder: Path, events: list[bytes], *, hashes: bool = False) -> None:
    """Put other events into a log; with `hashes` also fit its table and its manifest, as a forger would."""
    (folder / "log.jsonl").write_bytes(b"".join(line + b"\n" for line in events))
    if hashes:
        (folder / "hashes").write_bytes(b"".join(map(merkle.leaf_hash, events)))
        refit(folder)


def refit(folder: Path) -> None:
    """Make the manifest name the files as they are."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for name in manifest["files"]:
        manifest["files"][name] = sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_bytes(dumps(manifest) + b"\n")


def edited(line: bytes) -> bytes:
    return line.replace(b'"epsilon":"0.5"', b'"epsilon":"0.4"')


def signed_log(tmp_path: Path, events: list[bytes], signer: MemorySigner) -> Path:
    tree = merkle.Frontier()
    for line in events:
        tree.append(merkle.leaf_hash(line))
    note = Checkpoint(origin=HOLDER, size=tree.size, root=tree.root()).sign(signer)
    verifier = Verifier(name=HOLDER, raw=signer.public.raw)
    write_log(
        tmp_path / "signed",
        LogFiles(checkpoint=note, verifier=verifier),
        ((e, merkle.leaf_hash(e)) for e in events),
    )
    return tmp_path / "signed"


def root_from_scratch(log: AuditLog) -> bytes:
    hashes = [merkle.leaf_hash(logged.leaf) for logged in log.events()]
    return merkle.root(len(hashes), merkle.list_node(hashes))


def check_log(log: AuditLog) -> None:
    """Everything that must hold after any step."""
    log.check()
    checkpoint = verify_checkpoint(log.checkpoint(), [log.verifier])
    logged = list(log.events())
    assert checkpoint.size == log.size == len(logged)
    assert checkpoint.root == root_from_scratch(log)
    assert [one.seq for one in logged] == list(range(len(logged)))
    following: dict[str, int] = {}
    for one in logged:
        assert one.event.sequence == following.get(one.event.source, 0)
        following[one.event.source] = one.event.sequence + 1


HOLDERS = ("bank", "partner", "retailer")
RUN = "0f" * 16


@dataclass(frozen=True)
class StudyBundle:
    """A bundle of one study's coordinator and holders, and the logs it was exported from."""

    path: Path
    coordinator: AuditLog
    holders: dict[str, AuditLog]
    signers: dict[str, MemorySigner]

    def folder(self, name: str) -> Path:
        return self.path / "coordinator" if name == "coordinator" else self.path / "holders" / name

    def all_keys(self) -> list[Verifier]:
        return [self.coordinator.verifier, *(log.verifier for log in self.holders.values())]


def memory_log(origin: str, signer: MemorySigner | None = None, *, organisation: str = "") -> AuditLog:
    """A log in a store in memory."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    return AuditLog(
        engine,
        origin=origin,
        signer=signer or MemorySigner(),
        organisation=organisation or origin.rsplit("/", 1)[-1],
        actor="client",
        profile="durable",
    )


def study_bundle(path: Path, *, named: bool = True) -> StudyBundle:
    """The logs of one small study, exported.

    Args:
        path: where to.
        named: whether the holders' logs say which log is the coordinator's, as they do once a study is over.
    """
    signers = {name: MemorySigner() for name in ("coordinator", *HOLDERS)}
    coordinator = memory_log("ringfence.example/coordinator", signers["coordinator"])
    holders = {name: memory_log(f"ringfence.example/holder/{name}", signers[name]) for name in HOLDERS}
    study, roster = f"study:sha256:{'ab' * 32}", list[Json](HOLDERS)
    coordinator.record("study.offered", "allow", resource=study, public={"run": RUN, "holders": roster})
    seen: dict[str, int] = {}
    for name, log in holders.items():
        log.record("study.approved", "allow", resource=study)
        log.record("study.joined", "allow", resource=study, public={"run": RUN})
        seen[name] = log.size
        coordinator.anchor(log.checkpoint(), log.verifier)
        coordinator.record("study.joined", "allow", resource=study, public={"run": RUN, "holder": name})
    for name, log in holders.items():
        sent: dict[str, Json] = {"run": RUN, "round": 0, "attempt": 0, "roster": roster}
        log.record("waist.send", "allow", resource=study, public=sent)
        end: dict[str, Json] = {"coordinator_log": coordinator.origin} if named else {}
        log.record("study.finished", "allow", resource=study, public={"run": RUN, **end})
        coordinator.anchor(log.checkpoint(), log.verifier, log.consistency(seen[name]))
    coordinator.export_bundle(path / "coordinator")
    for name, log in holders.items():
        log.export_bundle(path / "holders" / name)
    return StudyBundle(path, coordinator, holders, signers)


def resigned(folder: Path, events: list[bytes], signer: MemorySigner, origin: str) -> None:
    """Put a log of other events in a folder, signed by a key as its owner could sign it."""
    anchors = [path.read_bytes() for path in sorted((folder / "anchors").glob("*"))]
    tree = merkle.Frontier()
    for line in events:
        tree.append(merkle.leaf_hash(line))
    note = Checkpoint(origin=origin, size=tree.size, root=tree.root()).sign(signer)
    shutil.rmtree(folder)
    write_log(
        folder,
        LogFiles(
            checkpoint=note,
            verifier=Verifier(name=origin, raw=signer.public.raw),
            anchors=tuple(anchors),
        ),
        ((event, merkle.leaf_hash(event)) for event in events),
    )
