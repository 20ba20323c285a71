"""The folders of a bundle: where its logs lie, and what else lies there that a reader could take for a log.

Nothing is passed over in silence: a link, a folder that cannot be read, and files under other names than a
log's become gaps, since a log that was hidden so would not be missed otherwise.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ringfence.audit.bundle import FOLDERS, MARKS, NAMES
from ringfence.audit.errors import N_, BundleError, _, system_reason
from ringfence.audit.verification.report import Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """What a bundle's folders hold.

    Attributes:
        logs: name and folder of every log, the bundle itself first; a name is the path below the bundle.
        gaps: links, folders that cannot be read, and folders whose files may be a log under other names.
        notices: sentences about files that belong to no log.
    """

    logs: tuple[tuple[str, Path], ...]
    gaps: tuple[Gap, ...]
    notices: tuple[str, ...]


def find_logs(bundle: Path) -> list[tuple[str, Path]]:
    """Name and folder of every log in a bundle, the bundle itself first; a name is the path below it.

    Raises:
        BundleError: when there is none.
    """
    return list(walk(bundle).logs)


def walk(bundle: Path) -> Folders:
    """Look through a bundle without following links.

    Raises:
        BundleError: when it holds no log.
    """
    logs: list[tuple[str, Path]] = []
    gaps: list[Gap] = []
    notices: list[str] = []

    def unreadable(error: OSError) -> None:
        gaps.append(_unreadable(bundle, error))

    for folder, below, files in os.walk(bundle, onerror=unreadable):
        below.sort()
        here = Path(folder)
        name = here.relative_to(bundle).as_posix()
        gaps += [_link(_below(name, one)) for one in sorted(below) if (here / one).is_symlink()]
        if any(mark in files for mark in MARKS):
            below[:] = [one for one in below if one not in FOLDERS]
            logs.append((name, here))
            continue
        gaps += [_link(_below(name, one)) for one in sorted(files) if (here / one).is_symlink()]
        plain = sorted(one for one in files if not (here / one).is_symlink())
        if plain and (not below or any(map(_like_a_mark, plain))):
            gaps.append(_no_log(name))
            below[:] = [one for one in below if one not in FOLDERS]
        elif plain:
            notices.append(_("Files that belong to no log: {files}.").format(files=", ".join(plain[:5])))
    if not logs:
        raise BundleError(
            "RF-A075",
            N_("{folder} holds no log; a folder written by an export is expected."),
            folder=bundle.name,
        )
    return Folders(logs=tuple(logs), gaps=tuple(gaps), notices=tuple(notices))


def _below(name: str, one: str) -> str:
    return one if name == "." else f"{name}/{one}"


def _like_a_mark(name: str) -> bool:
    """Whether a file's name holds that of a log's file, in whatever case and with whatever around it."""
    return any(mark.partition(".")[0] in name.casefold() for mark in (*MARKS, *NAMES))


def _unreadable(bundle: Path, error: OSError) -> Gap:
    path = Path(error.filename or bundle)
    name = path.relative_to(bundle).as_posix() if path.is_relative_to(bundle) else path.name
    return Gap(
        error=BundleError(
            "RF-A207",
            N_("The folder {folder} cannot be read: {reason}."),
            folder=name,
            reason=system_reason(error),
        )
    )


def _link(name: str) -> Gap:
    return Gap(
        error=BundleError(
            "RF-A206",
            N_("{file} is a link, and links are not followed: a bundle holds plain folders and files."),
            file=name,
        )
    )


def _no_log(name: str) -> Gap:
    return Gap(
        error=BundleError(
            "RF-A208",
            N_(
                "The folder {folder} holds files, but none is called {marks}: if a log lies there, its files "
                "were renamed."
            ),
            folder=name,
            marks=", ".join(MARKS),
        )
    )
