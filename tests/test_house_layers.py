"""Guard: the import contracts of pyproject.toml hold over a small good tree and break over each forbidden import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import CODE, ROOT

GOOD = {
    "clients/flower.py": "import flwr",
    "server/flower.py": "import flwr",
    "simulations/flower.py": "import flwr, ray",
    "server/api.py": "import fastapi",
    "server/console/__init__.py": "import fastapi",
    "server/console/pages.py": "import fastapi",
    "clients/api.py": "import fastapi",
    "privacy/pii.py": "import presidio_analyzer",
    "models/neural.py": "import opacus, torch, ringfence.privacy",
    "models/metrics/exact.py": "",
    "simulations/runner.py": "import ringfence.clients.flower, ringfence.server.flower, ringfence.models.metrics.exact",
}
BAD = [
    ("privacy/bad.py", "import ringfence.audit"),
    ("audit/bad.py", "import ringfence.privacy"),
    ("clients/bad.py", "import ringfence.server"),
    ("server/bad.py", "from ringfence import clients"),
    ("models/bad.py", "import ringfence.clients"),
    ("server/bad.py", "import ringfence.simulations"),
    ("privacy/bad.py", "import torch"),
    ("audit/bad.py", "from fastapi import FastAPI"),
    ("privacy/bad.py", "import flwr.app"),
    ("clients/bad.py", "import flwr.app"),
    ("models/bad.py", "def f():\n    import flwr"),
    ("server/bad.py", "import fastapi"),
    ("clients/table.py", "import presidio_analyzer"),
    ("clients/bad.py", "import opacus"),
    ("clients/bad.py", "import ringfence.models.metrics.exact"),
    ("models/bad.py", "import ringfence.models.metrics.exact\n\nimport ringfence.privacy"),
]


def plant(root: Path, sources: dict[str, str]) -> None:
    for folder in (*CODE, "models/metrics", "server/console"):
        (root / "ringfence" / folder).mkdir(parents=True, exist_ok=True)
        (root / "ringfence" / folder / "__init__.py").touch()
    for name, source in sources.items():
        (root / "ringfence" / name).write_text(source + "\n", encoding="utf-8")


def lint(root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs" / "tools" / "layers.py"), str(root)]
    return subprocess.run(command, cwd=root, env={**os.environ, **environment}, capture_output=True, text=True)


def test_a_tree_is_read_alone_whatever_is_installed(tmp_path: Path) -> None:
    good, installed = tmp_path / "good", tmp_path / "installed"
    plant(good, GOOD)
    plant(installed, {**GOOD, "privacy/stray.py": "import torch"})
    assert lint(installed).returncode == 1
    assert lint(good, PYTHONPATH=str(installed)).returncode == 0


def test_a_good_tree_keeps_every_contract(tmp_path: Path) -> None:
    plant(tmp_path, GOOD)
    done = lint(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize(("name", "source"), BAD, ids=[f"{n}:{s.splitlines()[0]}" for n, s in BAD])
def test_a_forbidden_import_breaks_a_contract(name: str, source: str, tmp_path: Path) -> None:
    extra = {"clients/uses.py": "import ringfence.models.bad"} if name == "models/bad.py" else {}
    plant(tmp_path, {**GOOD, **extra, name: source})
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout
