"""Collect the wheels of Ringfence and of everything it needs into one folder, from which machines without a
network install: `make wheelhouse`.

Run by the Python that the machines will have, with Ringfence's own wheel:
`python docs/tools/wheelhouse.py dist/ringfence-*.whl`. pip takes the versions in `constraints.txt` from
wherever it is configured to. Where PyTorch is installed beside this Python as a build of its own, such as
`2.13.0+cpu`, that build is taken and no other. The folder gets one requirements file for each kind of
installation, with the SHA-256 of every wheel, and a bill of materials. It takes the place of an earlier one
when it is whole, and not before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from checkout import ROOT
from sbom import Wheel, bill, read_wheel

BILL = "sbom.cdx.json"
# What an installation is for, and the extras that it takes.
KINDS = {"client": "", "coordinator": "server", "simulation": "simulate"}
_HEAD = """\
# What a Ringfence {kind} needs, from this folder alone, each file by its SHA-256.
# Made by CPython {python} on {system}; another one needs a folder of its own.
--no-index
--find-links .
--only-binary :all:
--require-hashes
"""


class WheelhouseFault(Exception):
    """The folder cannot be made; one sentence says why."""


def pip(*words: str, settings: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the pip of this Python; what it says is kept.

    Args:
        words: of the command line.
        settings: whether pip looks where this machine is configured to; otherwise it sees its words alone.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *words]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment = dict(os.environ) if settings else {**kept, "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def own_build(package: str = "torch") -> str | None:
    """The constraint that holds a package to the build installed here; None where it is a plain one."""
    try:
        installed = version(package)
    except PackageNotFoundError:
        return None
    return f"{package}=={installed}" if "+" in installed else None


def constraints(pins: str, build: str | None) -> str:
    """Pins with one of them held to a build; the pinned version gives way to the installed one."""
    if build is None:
        return pins
    name = build.partition("==")[0]
    kept = [line for line in pins.splitlines() if line.partition("==")[0] != name]
    return "\n".join([*kept, build]) + "\n"


def collect(wheel: Path, folder: Path, pins: str, kinds: Mapping[str, str]) -> None:
    """Put a wheel and all that its installations need into a folder; what has no wheel is built into one.

    Raises:
        WheelhouseFault: pip finds no set of versions, or cannot fetch or build one.
    """
    extras = ",".join(sorted({extra for extra in kinds.values() if extra}))
    asked = f"{wheel}[{extras}]" if extras else str(wheel)
    given = folder.parent / "constraints.txt"
    given.write_text(pins, encoding="utf-8")
    done = pip("wheel", "--quiet", "--wheel-dir", str(folder), "--constraint", str(given), asked)
    if done.returncode:
        held = [line for line in pins.splitlines() if "+" in line]
        hint = (
            f" {held[0]} is installed here and was asked for; if it was not found, name the index "
            "that it came from in PIP_EXTRA_INDEX_URL, or a folder with its wheel in PIP_FIND_LINKS."
            if held
            else ""
        )
        said = [
            line for line in done.stderr.splitlines() if line.startswith("ERROR")
        ] or done.stderr.splitlines()
        raise WheelhouseFault(f"pip could not collect the wheels: {' '.join(said[-2:])}{hint}")


def chosen(folder: Path, extra: str, name: str = "ringfence") -> dict[str, Path]:
    """The wheels that one kind of installation takes from a folder, by name.

    Raises:
        WheelhouseFault: the folder does not hold all that it needs.
    """
    asked = f"{name}[{extra}]" if extra else name
    words = ("--dry-run", "--ignore-installed", "--no-index", "--find-links", str(folder))
    report = folder.parent / "report.json"
    done = pip("install", "--quiet", *words, "--report", str(report), asked, settings=False)
    if done.returncode:
        raise WheelhouseFault(f"The folder does not hold what {asked} needs: {done.stderr.strip()}")
    found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {
        each["metadata"]["name"]: folder / Path(each["download_info"]["url"].replace("%2B", "+")).name
        for each in found
    }


def requirements(kind: str, wheels: Sequence[Wheel]) -> str:
    """The requirements file of one kind of installation."""
    head = _HEAD.format(
        kind=kind,
        python=".".join(platform.python_version_tuple()[:2]),
        system=f"{platform.system()} {platform.machine()}",
    )
    lines = [
        f"{each.name}=={each.version} --hash=sha256:{each.sha256}"
        for each in sorted(wheels, key=lambda each: each.name.lower())
    ]
    return head + "\n".join(lines) + "\n"


def fill(folder: Path, kinds: Mapping[str, str]) -> list[Wheel]:
    """Write the requirements files and the bill of a folder; wheels that nobody takes are removed."""
    needed_by: defaultdict[str, set[str]] = defaultdict(set)
    taken: dict[Path, Wheel] = {}
    for kind, extra in kinds.items():
        paths = chosen(folder, extra).values()
        taken |= {path: read_wheel(path) for path in paths if path not in taken}
        for path in paths:
            needed_by[taken[path].name].add(kind)
        text = requirements(kind, [taken[path] for path in paths])
        (folder / f"{kind}.txt").write_text(text, encoding="utf-8")
    for path in set(folder.glob("*.whl")) - taken.keys():
        path.unlink()
    wheels = list(taken.values())
    (folder / BILL).write_text(bill(wheels, needed_by), encoding="utf-8")
    return wheels


def make(wheel: Path, out: Path, pins: str, kinds: Mapping[str, str] = KINDS) -> list[Wheel]:
    """Make the folder `out`, or leave what stands there as it is.

    Raises:
        WheelhouseFault: it cannot be made, or something else than a wheelhouse stands there.
    """
    if not wheel.is_file():
        raise WheelhouseFault(f"There is no wheel {wheel}; make it first: make dist/.built")
    if out.exists() and not (out / BILL).is_file():
        raise WheelhouseFault(f"{out} exists and is no earlier wheelhouse; name another folder with --out.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".wheelhouse-") as scratch:
        folder = Path(scratch) / "wheelhouse"
        folder.mkdir()
        collect(wheel.absolute(), folder, pins, kinds)
        wheels = fill(folder, kinds)
        if out.exists():
            shutil.rmtree(out)
        os.rename(folder, out)
    return wheels


def tell(wheels: Sequence[Wheel], out: Path) -> None:
    """Say what was collected, and what a person should look at."""
    size = sum(path.stat().st_size for path in out.iterdir())
    print(f"{len(wheels)} wheels, {size / 1e6:.0f} MB, in {out}; who needs what: {', '.join(KINDS)}.")
    for each in wheels:
        if each.needs_a_look:
            licences = ", ".join(each.licences) or "it names none"
            print(f"Read the licence of {each.name} {each.version}: {licences}")
    if any(each.name.startswith("nvidia-") for each in wheels):
        print(
            "PyTorch's CUDA build was taken. For the CPU build install that one beside this Python "
            "first and run this again (README.md, Three commands)."
        )
    print(f"Install: pip install --no-index --find-links {out} --require-hashes -r {out / 'client.txt'}")


def main(argv: Sequence[str] | None = None) -> int:
    """Collect; 0 when the folder is whole."""
    parser = argparse.ArgumentParser(description="Collect the wheels for machines without a network.")
    parser.add_argument("wheel", type=Path, help="Ringfence's own wheel")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "wheelhouse", help="folder to make")
    arguments = parser.parse_args(argv)
    pins = constraints((ROOT / "constraints.txt").read_text(encoding="utf-8"), own_build())
    try:
        wheels = make(arguments.wheel, arguments.out, pins)
    except (WheelhouseFault, OSError, ValueError) as fault:
        print(fault, file=sys.stderr)
        return 1
    tell(wheels, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
