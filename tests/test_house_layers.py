"""Guard: the import contracts of pyproject.toml hold over a small good tree and break over each forbidden
import.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from checkout import CODE, ROOT, python_files

GOOD = {
    "clients/commands/__init__.py": "",
    "clients/commands/bad.py": "import ringfence.clients.desk",
    "clients/desk/__init__.py": "",
    "clients/flower.py": "import flwr",
    "server/flower.py": "import flwr",
    "simulations/flower.py": "import flwr, ray",
    "server/api.py": "import fastapi",
    "server/console/__init__.py": "import fastapi",
    "server/console/pages.py": "import fastapi",
    "clients/api.py": "import fastapi",
    "privacy/identifiers/pii.py": "import presidio_analyzer",
    "models/neural.py": "import opacus, torch, ringfence.privacy",
    "models/metrics/exact.py": "",
    "simulations/runner.py": "import ringfence.clients.flower, ringfence.server.flower, "
    "ringfence.models.metrics.exact",
}
BAD = [
    ("clients/desk/bad.py", "import ringfence.clients.commands.bad"),
    ("privacy/waist.py", "import ringfence.audit"),
    ("audit/bad.py", "import ringfence.privacy"),
    ("clients/bad.py", "import ringfence.server"),
    ("server/bad.py", "from ringfence import clients"),
    ("models/bad.py", "import ringfence.clients"),
    ("server/bad.py", "import ringfence.simulations"),
    ("privacy/waist.py", "import torch"),
    ("audit/bad.py", "from fastapi import FastAPI"),
    ("privacy/waist.py", "import flwr.app"),
    ("clients/bad.py", "import flwr.app"),
    ("models/bad.py", "def f():\n    import flwr"),
    ("server/bad.py", "import fastapi"),
    ("clients/rows/table.py", "import presidio_analyzer"),
    ("clients/bad.py", "import opacus"),
    ("clients/bad.py", "import ringfence.models.metrics.exact"),
    ("models/bad.py", "import ringfence.models.metrics.exact\n\nimport ringfence.privacy"),
    ("privacy/toml/reading.py", "import ringfence.privacy.agreements"),
    ("privacy/crypto/keys.py", "import ringfence.privacy.toml"),
    ("privacy/stray.py", ""),
]
CIRCLES = [
    {"clients/a.py": "import ringfence.clients.b", "clients/b.py": "import ringfence.clients.a"},
    {
        "clients/rows/a.py": "import ringfence.clients.desk.b",
        "clients/desk/b.py": "def f():\n    import ringfence.clients.rows.c",
        "clients/rows/c.py": "",
    },
]
# Modules and folders at one door; a folder that needs more has two reasons to exist.
WIDEST = 24
ROOMS = (
    "models/metrics",
    "server/console",
    "clients/rows",
    "clients/desk",
    *(f"privacy/{room}" for room in ("agreements", "crypto", "identifiers", "toml")),
)


def plant(root: Path, sources: dict[str, str]) -> None:
    for folder in (*CODE, *ROOMS):
        (root / "ringfence" / folder).mkdir(parents=True, exist_ok=True)
        (root / "ringfence" / folder / "__init__.py").touch()
    for name, source in sources.items():
        path = root / "ringfence" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + "\n", encoding="utf-8")


def lint(root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs" / "tools" / "layers.py"), str(root)]
    return subprocess.run(
        command, cwd=root, env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_a_tree_is_read_alone_whatever_is_installed(tmp_path: Path) -> None:
    good, installed = tmp_path / "good", tmp_path / "installed"
    plant(good, GOOD)
    plant(installed, {**GOOD, "privacy/waist.py": "import torch"})
    assert lint(installed).returncode == 1
    assert lint(good, PYTHONPATH=str(installed)).returncode == 0


def test_a_good_tree_keeps_every_contract(tmp_path: Path) -> None:
    plant(tmp_path, GOOD)
    done = lint(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize(("name", "source"), BAD, ids=[f"{n}:{s.partition(chr(10))[0]}" for n, s in BAD])
def test_a_forbidden_import_breaks_a_contract(name: str, source: str, tmp_path: Path) -> None:
    extra = {"clients/uses.py": "import ringfence.models.bad"} if name == "models/bad.py" else {}
    plant(tmp_path, {**GOOD, **extra, name: source})
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


@pytest.mark.parametrize("sources", CIRCLES, ids=["modules", "folders"])
def test_an_import_that_leads_in_a_circle_breaks_a_contract(sources: dict[str, str], tmp_path: Path) -> None:
    plant(tmp_path, {**GOOD, **sources})
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "No cycles are allowed in ringfence.clients." in done.stdout


def doors(names: Iterable[Path]) -> dict[str, int]:
    """How many modules and folders with code stand at the door of each folder."""
    inside: dict[str, set[str]] = {}
    for name in names:
        parts = name.parts
        for depth in range(1, len(parts)):
            if parts[depth] != "__init__.py":
                inside.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
    return {folder: len(entries) for folder, entries in inside.items()}


def test_no_folder_is_wider_than_one_look() -> None:
    assert {folder: count for folder, count in doors(python_files(*CODE)).items() if count > WIDEST} == {}


def test_the_count_of_a_door_sees_modules_and_folders() -> None:
    names = [
        Path("a/__init__.py"),
        Path("a/x.py"),
        Path("a/b/__init__.py"),
        Path("a/b/y.py"),
        Path("a/b/z.py"),
    ]
    assert doors(names) == {"a": 2, "a/b": 2}
