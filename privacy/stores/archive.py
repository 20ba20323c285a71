"""A backup's file: a ZIP of uncompressed members and a manifest that names each with its size and SHA-256.

Invariants:
    The file gets its name when all of it is on the disk; an existing one is never replaced.
    Nothing of an archive is used before all of it was checked. A member is an ordinary file with a plain
    relative name; what is compressed, linked, doubled or not in the manifest is refused, so an archive never
    holds more than its own size.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ringfence.privacy.errors import N_, StoreError

FORMAT = "ringfence-backup-1"
_MANIFEST = "manifest.json"
_MOST_MEMBERS, _MOST_MANIFEST, _PIECE = 10_000, 4 << 20, 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A member to be written: its name, and its content or the file that holds it."""

    name: str
    content: bytes | Path


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that was checked from end to end.

    Attributes:
        said: its manifest, without the members.
        names: of its members.
    """

    said: Mapping[str, Any]
    names: tuple[str, ...]
    _opened: zipfile.ZipFile

    def read(self, name: str) -> bytes:
        """A member's content."""
        return self._opened.read(name)

    def extract(self, name: str, path: Path) -> None:
        """Write a member into a new file of its owner alone."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file, self._opened.open(name) as member:
            while piece := member.read(_PIECE):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())


def write_archive(path: Path, said: Mapping[str, Any], members: Sequence[Member], scratch: Path) -> None:
    """Write an archive under a name that is free.

    Args:
        path: the file to make.
        said: JSON for its manifest.
        members: what it holds.
        scratch: a name in the same folder to write it under first.

    Raises:
        StoreError: RF-B608 the name was taken meanwhile.
    """
    listed = []
    handle = os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    with os.fdopen(handle, "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:
            for each in members:
                size, digest = _add(made, each)
                listed.append({"name": each.name, "size": size, "sha256": digest})
            text = json.dumps({"format": FORMAT, **said, "members": listed}, indent=1)
            _add(made, Member(_MANIFEST, text.encode()))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(scratch, path)
    except FileExistsError:
        raise StoreError(
            "RF-B608", N_("{file} exists and is not overwritten; choose another name."), file=str(path)
        ) from None
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _add(made: zipfile.ZipFile, member: Member) -> tuple[int, str]:
    info = zipfile.ZipInfo(member.name)
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    digest, size = hashlib.sha256(), 0
    with made.open(info, "w", force_zip64=True) as target:
        for piece in _pieces(member.content):
            target.write(piece)
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def _pieces(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive and check all of it.

    Raises:
        StoreError: RF-B609 it is no backup or was cut short, RF-B610 a member has no place in one, RF-B611
            a member is not the one that was written, RF-B612 another version wrote it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _foreign(path)
        try:
            with zipfile.ZipFile(file) as opened:
                yield Archive(*_checked(path, opened, file), opened)
        except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise _foreign(path) from error


def _checked(
    path: Path, opened: zipfile.ZipFile, file: BinaryIO
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    infos = opened.infolist()
    room = os.fstat(file.fileno()).st_size
    if len(infos) > _MOST_MEMBERS or sum(info.file_size for info in infos) > room:
        raise _foreign(path)
    for info in infos:
        _check_place(info)
    names = [info.filename for info in infos]
    if len(set(names)) != len(names) or _MANIFEST not in names:
        raise _foreign(path)
    said = _manifest(path, opened)
    listed = said.pop("members")
    if sorted(each["name"] for each in listed) != sorted(set(names) - {_MANIFEST}):
        raise _changed(_MANIFEST)
    for each in listed:
        digest = hashlib.sha256()
        with opened.open(each["name"]) as member:
            while piece := member.read(_PIECE):
                digest.update(piece)
        if digest.hexdigest() != each["sha256"]:
            raise _changed(each["name"])
    return said, tuple(each["name"] for each in listed)


def _check_place(info: zipfile.ZipInfo) -> None:
    name, mode = info.orig_filename, info.external_attr >> 16
    parts = name.split("/")
    plain = (
        name == info.filename
        and name.isprintable()
        and not {"", ".", ".."} & set(parts)
        and not set("\\:") & set(name)
        and not PurePosixPath(name).is_absolute()
        and len(name) <= 1000
    )
    if not plain or info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or not stat.S_ISREG(mode):
        raise StoreError(
            "RF-B610",
            N_("The archive holds {name}, which has no place in a backup; nothing of it was used."),
            name=ascii(name)[:80],
        )


def _manifest(path: Path, opened: zipfile.ZipFile) -> dict[str, Any]:
    if opened.getinfo(_MANIFEST).file_size > _MOST_MANIFEST:
        raise _foreign(path)
    try:
        said = json.loads(opened.read(_MANIFEST))
        form = said["format"]
        if form != FORMAT:
            raise StoreError(
                "RF-B612",
                N_(
                    "The backup is of the form {found}; this version reads {expected}. Use the other version."
                ),
                found=str(form)[:40],
                expected=FORMAT,
            )
        texts = ("kind", "name", "revision", "settings", "made", "identity", "secrets")
        fine = all(isinstance(said[each], str) for each in texts)
        fine = fine and all(
            isinstance(e["name"], str) and isinstance(e["sha256"], str) for e in said["members"]
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _foreign(path) from None
    if not fine:
        raise _foreign(path)
    return dict(said)


def _changed(name: str) -> StoreError:
    return StoreError(
        "RF-B611",
        N_("{name} is not as the backup was written; nothing of it was used. Take another backup."),
        name=name[:80],
    )


def _foreign(path: Path) -> StoreError:
    return StoreError(
        "RF-B609",
        N_("{file} is no backup of Ringfence, or was cut short; nothing of it was used."),
        file=path.name,
    )
