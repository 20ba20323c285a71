"""Makers shared by the tests of the audit log: names, events, and the evidence of two logs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ringfence.audit import merkle
from ringfence.audit.bundle import LogFiles, write_log
from ringfence.audit.canonical import dumps
from ringfence.audit.checkpoint import Checkpoint, verify_checkpoint
from ringfence.audit.log import AuditLog
from ringfence.audit.note import MemorySigner, Verifier
from ringfence.audit.verify import examine_bundle

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
