"""Makers shared by the tests of the audit log: names, events, and the evidence of two logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringfence.audit.log import AuditLog

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
