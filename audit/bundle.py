"""The bundle: one or more logs as plain files in a folder, for verification without the house they came from.

    manifest.json   canonical JSON: format, origin, size and the SHA-256 of every other file
    log.jsonl       the exact leaf bytes, one event a line
    hashes          the leaf hashes, 32 bytes each, so that the first altered event can be named
    checkpoint      the signed note over size and root
    key.pub         the log's verifier key
    history/        earlier checkpoints of this log
    anchors/        checkpoints of other logs
    keys/           handovers: where the log changed its key, the checkpoint that both keys signed

Every folder below the bundle that holds a `manifest.json`, `log.jsonl` or `checkpoint` is one log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ringfence.audit.canonical import dumps, is_whole, loads
from ringfence.audit.checkpoint import read_unverified
from ringfence.audit.errors import N_, BundleError, system_reason
from ringfence.audit.events import MAX_LEAF
from ringfence.audit.note import MAX_NOTE, Verifier

FORMAT = "ringfence-bundle/1"
MAX_MANIFEST = 8_000_000
MARKS = ("manifest.json", "log.jsonl", "checkpoint")
NAMES = ("log.jsonl", "hashes", "checkpoint", "key.pub")
FOLDERS = ("history", "anchors", "keys")
_NOTE_FILE = re.compile(r"(history|anchors|keys)/[0-9]{12,16}-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFiles:
    """The small files of a log: signed notes and the key."""

    checkpoint: bytes
    verifier: Verifier
    history: tuple[bytes, ...] = ()
    anchors: tuple[bytes, ...] = ()
    handovers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says; nothing of it is signed, all of it is compared."""

    origin: str
    size: int
    files: dict[str, str]


# -- writing
# ------------------------------------------------------------------------------------------------------


def _write_events(directory: Path, leaves: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    lines, hashes = sha256(), sha256()
    with (directory / "log.jsonl").open("xb") as log, (directory / "hashes").open("xb") as table:
        for leaf, leaf_hash in leaves:
            line = leaf + b"\n"
            log.write(line)
            table.write(leaf_hash)
            lines.update(line)
            hashes.update(leaf_hash)
    return {"log.jsonl": lines.hexdigest(), "hashes": hashes.hexdigest()}


def _notes(files: LogFiles) -> dict[str, bytes]:
    """Names and bytes of the small files; a note's name is its size and its digest, so equal notes meet."""
    small = {"checkpoint": files.checkpoint, "key.pub": f"{files.verifier}\n".encode()}
    kept = (("history", files.history), ("anchors", files.anchors), ("keys", files.handovers))
    for folder, notes in kept:
        for note in notes:
            size = read_unverified(note).size
            small[f"{folder}/{size:012d}-{sha256(note).hexdigest()[:8]}"] = note
    return small


def write_log(directory: Path, files: LogFiles, leaves: Iterable[tuple[bytes, bytes]]) -> None:
    """Write one log into a new or empty folder.

    Args:
        directory: where to.
        files: checkpoint, key, earlier and foreign checkpoints.
        leaves: leaf bytes and leaf hash of every event under the checkpoint, in order.

    Raises:
        BundleError: when the folder is not empty or cannot be written.
        NoteError: when a note is not a checkpoint.
    """
    small = _notes(files)
    made = read_unverified(files.checkpoint)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise BundleError(
                "RF-A070",
                N_("The folder {folder} is not empty; give a new one for the bundle."),
                folder=directory.name,
            )
        digests = _write_events(directory, leaves)
        for name, data in small.items():
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_bytes(data)
            digests[name] = sha256(data).hexdigest()
        manifest = dumps({"format": FORMAT, "origin": made.origin, "size": made.size, "files": digests})
        (directory / "manifest.json").write_bytes(manifest + b"\n")
    except OSError as error:
        raise BundleError(
            "RF-A071",
            N_("The bundle cannot be written to {folder}: {reason}."),
            folder=str(directory),
            reason=system_reason(error),
        ) from error


# -- reading
# ------------------------------------------------------------------------------------------------------


def read_small(path: Path, limit: int = MAX_NOTE) -> bytes:
    """The bytes of a regular file of limited size.

    Raises:
        BundleError: when it is missing, no regular file, unreadable or too large.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise BundleError("RF-A072", N_("The file {file} is missing or no regular file."), file=path.name)
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise BundleError(
            "RF-A073",
            N_("The file {file} cannot be read: {reason}."),
            file=path.name,
            reason=system_reason(error),
        ) from error
    if len(data) > limit:
        raise BundleError(
            "RF-A074", N_("The file {file} is larger than {limit} bytes."), file=path.name, limit=limit
        )
    return data


def read_manifest(directory: Path) -> Manifest:
    """The manifest of one log.

    Raises:
        BundleError: when it is missing or malformed.
        CanonicalError: when it is not canonical JSON.
    """
    data = read_small(directory / "manifest.json", MAX_MANIFEST)
    if data.endswith(b"\n"):
        match loads(data[:-1]):
            case {
                "format": str(form),
                "origin": str(origin),
                "size": size,
                "files": dict(files),
                **rest,
            } if form == FORMAT and not rest and is_whole(size, 0):
                if all(isinstance(digest, str) for digest in files.values()):
                    return Manifest(
                        origin=origin, size=size, files={name: str(files[name]) for name in files}
                    )
    raise BundleError("RF-A076", N_("The file manifest.json is malformed; the bundle was altered or cut."))


def is_own_file(name: str) -> bool:
    """Whether a name is one that a log's file can have; none of them leads out of the log's folder.

    What is not such a name is never opened: not `..`, no absolute path, no drive, device or stream.
    """
    return name in NAMES or _NOTE_FILE.fullmatch(name) is not None


def is_plain_file(directory: Path, name: str) -> bool:
    """Whether a file of a log is a regular one, and neither it nor its folder is a link."""
    path = directory / name
    return not path.is_symlink() and not path.parent.is_symlink() and path.is_file()


def read_log_key(directory: Path) -> Verifier:
    """The key that lies in a bundle; whether to trust it is another question.

    Raises:
        BundleError: when the file is missing.
        NoteError: when it is malformed.
    """
    return parse_key(read_small(directory / "key.pub"))


def parse_key(data: bytes) -> Verifier:
    """A verifier key from a file's bytes, with or without a last newline."""
    return Verifier.parse(data.decode("utf-8", "replace").removesuffix("\n"))


def read_notes(directory: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the notes in `history`, `anchors` or `keys`, in order of their names."""
    path = directory / folder
    if path.is_symlink():
        raise BundleError(
            "RF-A227",
            N_("The folder {folder} of a log is a link; links are not followed."),
            folder=folder,
        )
    if path.is_dir():
        for name in sorted(entry.name for entry in path.iterdir()):
            yield f"{folder}/{name}", read_small(path / name)


def list_files(directory: Path) -> list[str]:
    """Names of a log's files but the manifest, those of its folders with their folder."""
    names = [
        entry.name for entry in directory.iterdir() if not entry.is_dir() and entry.name != "manifest.json"
    ]
    for folder in FOLDERS:
        if (directory / folder).is_dir():
            names += [f"{folder}/{entry.name}" for entry in (directory / folder).iterdir()]
    return names


def read_lines(path: Path) -> Iterator[bytes]:
    """The events of `log.jsonl`, without their newlines, one at a time.

    A line that is over-long or lacks its newline comes out as bytes that no event has, so it is found by its
    hash like every other alteration.

    Raises:
        BundleError: when the file is missing or no regular file.
    """
    if path.is_symlink() or not path.is_file():
        raise BundleError("RF-A077", N_("The bundle holds no file log.jsonl with events."))
    with path.open("rb") as file:
        while line := file.readline(MAX_LEAF + 1):
            yield line[:-1] if line.endswith(b"\n") else line + b"\n"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    state = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()
