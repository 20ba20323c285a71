"""Run the import contracts of pyproject.toml over one tree alone: `python docs/tools/layers.py [FOLDER]`.

FOLDER holds a folder `ringfence`; by default it is `.types`. The name is pinned to that folder first, since a
wheel of the same namespace that is installed beside it would otherwise be read as a second half of it.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

from checkout import ROOT
from importlinter.cli import lint_imports


def pin(folder: Path) -> None:
    """Let `ringfence` be the namespace under `folder` and nothing else, for this process."""
    spec = ModuleSpec("ringfence", None, is_package=True)
    spec.submodule_search_locations = [str(folder / "ringfence")]
    sys.modules["ringfence"] = module_from_spec(spec)
    sys.path.insert(0, str(folder))


def main(argv: list[str]) -> int:
    """Check the contracts; 0 when all are kept."""
    pin(Path(argv[0]).resolve() if argv else ROOT / ".types")
    return lint_imports(str(ROOT / "pyproject.toml"), no_cache=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
