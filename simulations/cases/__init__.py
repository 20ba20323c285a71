"""Packaged case files: schema, contract, study and a page of reasons for data sets anybody can get.

The data itself is never packaged. A case is read from the installed wheel and copied out to be worked on.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from ringfence.privacy.errors import N_, UsageError, reason_of

# The public files of the cases, as those who publish them call them.
EVENT_TABLES = {"cdnow": "CDNOW_master.txt", "online_retail": "online_retail.parquet"}
TABLES = {"telco": "WA_Fn-UseC_-Telco-Customer-Churn.csv", "credit_default": "UCI_Credit_Card.csv"}


def list_cases() -> dict[str, str]:
    """Name of every packaged case and its title, the first heading of its README."""
    return {name: _title(name) for name in sorted(_folders())}


def case_files(name: str) -> tuple[str, ...]:
    """Names of the files of a case, sorted.

    Raises:
        UsageError: there is no such case.
    """
    folder = _folders().get(name)
    if folder is None:
        raise UsageError(
            "RF-U311",
            N_("There is no case {name}; there are {known}. Name one of these."),
            name=repr(name),
            known=", ".join(sorted(_folders())),
        )
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.name.endswith((".toml", ".md"))))


def read_case(name: str, file: str) -> str:
    """Text of one file of a case.

    Raises:
        UsageError: there is no such case, or no such file in it.
    """
    known = case_files(name)
    if file not in known:
        raise UsageError(
            "RF-U312",
            N_("The case {name} has no file {file}; it has {known}."),
            name=name,
            file=repr(file),
            known=", ".join(known),
        )
    return (_folders()[name] / file).read_text(encoding="utf-8")


def copy_case(name: str, directory: Path) -> list[Path]:
    """Copy the files of a case into a directory, which is created when absent.

    Nothing is overwritten: either all files are copied or none.

    Returns:
        The files written.

    Raises:
        UsageError: there is no such case, a file of that name is there already, or the directory is a file or
            cannot be written.
    """
    targets = {file: directory / file for file in case_files(name)}
    for target in targets.values():
        if target.exists():
            raise UsageError(
                "RF-U313",
                N_("{file} is in {directory} already and is not overwritten. Choose another directory."),
                file=target.name,
                directory=str(directory),
            )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, target in targets.items():
            target.write_text(read_case(name, file), encoding="utf-8")
    except OSError as fault:
        raise UsageError(
            "RF-U314",
            N_("The case cannot be copied to {directory}: {reason}. Choose a directory you may write to."),
            directory=str(directory),
            reason=reason_of(fault),
        ) from fault
    return list(targets.values())


def _folders() -> dict[str, Traversable]:
    """Folders beside this file that hold a study."""
    root = resources.files(__name__)
    return {
        entry.name: entry for entry in root.iterdir() if entry.is_dir() and (entry / "study.toml").is_file()
    }


def _title(name: str) -> str:
    """First heading of the case's README, without the mark."""
    first = read_case(name, "README.md").splitlines()[0]
    return first.removeprefix("# ").strip()
