"""Try the newest release of everything that pyproject.toml allows, and say what it breaks: `make newest`.

Makes `.venv-newest` beside `.venv`, without the constraints file, and runs each check there. What pip chose
is left as `out/newest/constraints.txt`, which may take the place of `constraints.txt` once every check
passes.
"""

from __future__ import annotations

import subprocess
import sys

from checkout import ROOT

FOLDER = ".venv-newest"
CHECKS = ("ruff", "mypy", "pyright", "imports", "test", "prove")
_HEAD = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("#")]


def make(target: str) -> int:
    """Run one target of the Makefile in the new environment, without constraints."""
    print(f"== {target}", flush=True)
    return subprocess.run(
        ["make", f"VENV={FOLDER}", "PINNED=--upgrade --upgrade-strategy eager", target], cwd=ROOT
    ).returncode


def versions(lines: list[str]) -> dict[str, str]:
    """Name to version, of lines `name==version`; a build tag as in `2.13.0+cpu` is not part of it."""
    pairs = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.lower().replace("_", "-"): version.strip().partition("+")[0] for name, _, version in pairs}


def moved(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """One line for each package that is another version than the pinned one, is new, or is gone."""
    return [
        f"{name}: {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def main() -> int:
    """Build, compare, check; 0 when every check passed with the newest versions."""
    if make(f"{FOLDER}/.test"):
        print("The newest versions cannot be installed together; pip says above which.")
        return 1
    pip = [f"{ROOT / FOLDER}/bin/python", "-m", "pip", "--disable-pip-version-check", "freeze", "--all"]
    frozen = subprocess.run(pip, capture_output=True, text=True, check=True).stdout.splitlines()
    chosen = {name: version for name, version in versions(frozen).items() if name not in {"pip", "ringfence"}}
    pinned = versions((ROOT / "constraints.txt").read_text().splitlines())
    target = ROOT / "out" / "newest" / "constraints.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join([*_HEAD, *(f"{name}=={chosen[name]}" for name in sorted(chosen))]) + "\n")
    broken = [check for check in CHECKS if make(check)]
    print("Other versions than the pinned ones:")
    print("\n".join(f"  {line}" for line in moved(pinned, chosen)) or "  none")
    print(
        f"Broken with them: {', '.join(broken) or 'nothing'}. They are listed in {target.relative_to(ROOT)}."
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
