"""Writing released bytes so that a reader sees a whole file or none.

Invariant: bytes reach their name by rename only, after write, fsync and reading back; nothing is overwritten;
what was begun and not finished is removed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ringfence.privacy.errors import N_, ExportError, reason_of


def _occupied() -> ExportError:
    return ExportError(
        "RF-X050", N_("Something of that name is already there. Choose another name or folder.")
    )


def _no_folder() -> ExportError:
    return ExportError(
        "RF-X051", N_("The folder for the release does not exist or is not a folder. Make it first.")
    )


@contextmanager
def _storage_faults() -> Iterator[None]:
    """Turn what the operating system says into a sentence; nothing of its text is kept."""
    try:
        yield
    except OSError as fault:
        raise ExportError(
            "RF-X052",
            N_(
                "The release could not be written ({reason}). Nothing was released; make room or allow "
                "writing."
            ),
            reason=reason_of(fault),
        ) from None


def write_one(content: bytes, digest: str, path: Path) -> Path:
    """Write one file under its final name, or nothing.

    Raises:
        ExportError: RF-X050 the name is taken, RF-X051 no such folder, RF-X052 the disk refuses, RF-X053 what
            is on the disk is not what was decided on.
    """
    if not path.parent.is_dir():
        raise _no_folder()
    if os.path.lexists(path):
        raise _occupied()
    part = path.parent / f".{secrets.token_hex(8)}.part"
    ours = [part]  # never remove what somebody else put under the name meanwhile
    try:
        with _storage_faults():
            _write_synced(content, digest, part)
            os.replace(part, path)
            ours.append(path)
            _sync_folder(path.parent)
    except BaseException:
        for leftover in ours:
            with suppress(OSError):
                leftover.unlink()
        raise
    return path


def write_all(files: dict[str, tuple[bytes, str]], folder: Path) -> Path:
    """Write `{name: (content, digest)}` into a folder that does not exist yet, all of it or nothing.

    Raises:
        ExportError: as `write_one`.
    """
    if not folder.parent.is_dir():
        raise _no_folder()
    if os.path.lexists(folder):
        raise _occupied()
    part = folder.parent / f".{secrets.token_hex(8)}.part"
    ours = [part]
    try:
        with _storage_faults():
            part.mkdir(mode=0o700)
            for name, (content, digest) in files.items():
                _write_synced(content, digest, part / name)
            _sync_folder(part)
            os.rename(part, folder)
            ours.append(folder)
            _sync_folder(folder.parent)
    except BaseException:
        for leftover in ours:
            shutil.rmtree(leftover, ignore_errors=True)
        raise
    return folder


def withdraw(path: Path) -> None:
    """Take back what was written when it cannot be accounted for."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _write_synced(content: bytes, digest: str, path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
        os.lseek(descriptor, 0, os.SEEK_SET)
        state = hashlib.sha256()
        while block := os.read(descriptor, 1 << 20):
            state.update(block)
    finally:
        os.close(descriptor)
    if "sha256:" + state.hexdigest() != digest:
        raise ExportError(
            "RF-X053",
            N_("What was written is not what was decided on. Nothing was released; check the disk."),
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
