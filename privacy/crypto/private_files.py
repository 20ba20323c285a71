"""Files that only their owner can read: how they are made, and how their rights are judged."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ringfence.privacy.errors import KeyFault

MAX_BYTES = 64 * 1024


def create(path: Path, text: str, mode: int) -> None:
    """Make a file with these rights, on the disk when this returns; an existing one is never replaced.

    Raises:
        OSError: it is there already, or cannot be written.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        if os.name == "posix":
            os.fchmod(handle, mode)  # whatever the umask took away
        file.write(text.encode())
        file.flush()
        os.fsync(handle)


def read_private(path: Path, *, absent: KeyFault, unsafe: KeyFault) -> bytes:
    """The first 64 KiB of a plain file that only its owner can read.

    Rights are judged on the open file itself, so that it cannot be exchanged in between; a link is refused.

    Args:
        path: the file.
        absent: raised when there is none.
        unsafe: raised when it is no plain file, or others have any right on it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise absent from error
    except OSError as error:
        raise unsafe from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or (os.name == "posix" and status.st_mode & 0o077):
            raise unsafe
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(MAX_BYTES)
    finally:
        os.close(handle)
