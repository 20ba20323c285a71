"""What both kinds of databases share: sentences of their faults, and connections that threads wait for."""

from __future__ import annotations

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from ringfence.privacy.errors import N_, StoreError

READ_ONLY = "ringfence_read_only"
"""Execution option of a connection that only reads."""


class WaitedPool(QueuePool):
    """Connections that threads take in turn; to have waited in vain is told in a sentence."""

    def _do_get(self) -> ConnectionPoolEntry:
        try:
            return super()._do_get()
        except PoolTimeout as error:
            raise StoreError(
                "RF-B664",
                N_(
                    "All connections of this process to its store were in use for {seconds} seconds, so "
                    "nothing was done. Try again later; if it stays so, start the process again."
                ),
                seconds=int(self.timeout()),
            ) from error


def disk_full(name: str) -> StoreError:
    """No room for what was to be written."""
    return StoreError(
        "RF-B111",
        N_("The disk of the store {file} is full; nothing was written. Free some space."),
        file=name,
    )


def unsafe_setting(setting: str, found: object, wanted: object) -> StoreError:
    """The database does not keep what it confirms."""
    return StoreError(
        "RF-B112",
        N_(
            "The store does not keep {setting} = {wanted} (it says {found}); it could lose what it confirmed."
        ),
        setting=setting,
        found=found,
        wanted=wanted,
    )


def other_fault(name: str, reason: object) -> StoreError:
    """Any other answer of the database."""
    return StoreError(
        "RF-B117", N_("The store {file} answered with an error: {reason}."), file=name, reason=reason
    )
