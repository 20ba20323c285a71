"""What stands in a checkout: its files, its packages, its parsed Python; shared by the tools and the guard
tests.
"""

from __future__ import annotations

import ast
import subprocess
import tomllib
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("audit", "clients", "models", "privacy", "server", "simulations")
_MADE = {".venv", ".git", "build", "dist", "out", "__pycache__", "ringfence.egg-info", ".hypothesis"}


@lru_cache(maxsize=1)
def files() -> tuple[Path, ...]:
    """All files of the checkout, relative to its root: git's list (tracked, or new and not ignored), else a
    walk.
    """
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split("\0")
        names = {Path(name) for name in listed if name}
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive has no .git
        names = {path.relative_to(ROOT) for path in ROOT.rglob("*")}
    return tuple(
        sorted(
            name
            for name in names
            if (ROOT / name).is_file()
            and not _MADE & set(name.parts)
            and not any(part.endswith("_cache") for part in name.parts)
            and name.parts[0] != ".types"
        )
    )


def python_files(*folders: str) -> tuple[Path, ...]:
    """Python files of the checkout, or of some of its folders."""
    return tuple(
        name for name in files() if name.suffix == ".py" and (not folders or name.parts[0] in folders)
    )


@lru_cache(maxsize=1024)
def parsed(name: Path) -> ast.Module:
    """The syntax tree of one file; its nodes are shared, so readers leave them as they are."""
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=str(name))


@lru_cache(maxsize=1)
def project() -> dict[str, object]:
    """pyproject.toml, as plain dictionaries."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
