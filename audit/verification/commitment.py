"""The commitment to the log of a holder's house, opened: does a bundle's copy of that log lead through it?

A federation's log holds where the house's own log stood, its size and root, in the private part of events
`house.committed`. Whoever holds one such event opened, and the house's log in a bundle, can compare the two.
"""

from __future__ import annotations

from pathlib import Path

from ringfence.audit.bundle import read_lines, read_log_key
from ringfence.audit.canonical import HEX_64, is_whole
from ringfence.audit.errors import N_, AuditError, BundleError, EventError
from ringfence.audit.merkle import Frontier, leaf_hash
from ringfence.audit.verification.folders import find_logs
from ringfence.audit.verification.opening import OpenedEvent
from ringfence.audit.verification.verify import examine_bundle

COMMITTED = "house.committed"


def require_led_through(opened: OpenedEvent, directory: Path) -> tuple[str, int]:
    """Check that a bundle's log of the house has the committed root at the committed size; its name and that.

    Args:
        opened: a verified opening of `house.committed`.
        directory: a bundle with the house's log.

    Raises:
        EventError: RF-A270 the event commits to no log.
        BundleError: RF-A271 the log is not in the bundle, or RF-A273 the bundle does not verify; RF-A272 the
            log does not lead through what was committed.
    """
    match opened.private:
        case {"log": str(origin), "size": size, "root": str(root)} if (
            opened.event.action == COMMITTED and is_whole(size, 0) and HEX_64.fullmatch(root)
        ):
            pass
        case _:
            raise EventError(
                "RF-A270",
                N_("The opened event is {action}, which commits to no log; open one of house.committed."),
                action=opened.event.action,
            )
    report = examine_bundle(directory)
    if report.verdict == "refused":
        raise BundleError(
            "RF-A273",
            N_("The bundle {folder} does not verify ({fault}), so nothing is compared with it."),
            folder=directory.name,
            fault=report.all_faults()[0].error,
        )
    for _name, path in find_logs(directory):
        if _origin(path) == origin:
            if _root(path, size) != root:
                raise BundleError(
                    "RF-A272",
                    N_(
                        "The log {origin} in this bundle does not lead through the state of {size} events "
                        "that was committed to: it is another history, or it was cut."
                    ),
                    origin=origin,
                    size=size,
                )
            return origin, size
    raise BundleError(
        "RF-A271",
        N_("The bundle {folder} does not hold the log {origin} that was committed to; give the house's."),
        folder=directory.name,
        origin=origin,
    )


def _origin(path: Path) -> str:
    try:
        return read_log_key(path).name
    except AuditError:
        return ""


def _root(path: Path, size: int) -> str:
    """The root over the first events of a log; empty where there are fewer."""
    tree = Frontier()
    for line in read_lines(path / "log.jsonl"):
        if tree.size == size:
            break
        tree.append(leaf_hash(line))
    return tree.root().hex() if tree.size == size else ""
