"""House rules of the log: what the verifying half imports, codes, the page of events, and the page of the
bundle.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from ringfence.audit import errors
from ringfence.audit.catalogue import EVENT_TYPES
from ringfence.audit.errors import AuditError, AuditUsageError, BundleError, printable, use_language

ROOT = Path(__file__).resolve().parents[2]
AUDIT = ROOT / "audit"
VERIFYING = {
    *("__init__", "bundle", "canonical", "catalogue", "checkpoint", "cli", "errors", "events", "time_spans"),
    *("guard", "merkle", "note", "usage", "witness"),
    *(path.relative_to(AUDIT).with_suffix("").as_posix() for path in (AUDIT / "verification").glob("*.py")),
}
WRITING = {"export", "group", "handing", "listing", "log", "recovery", "rows", "store"}


def modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_file_belongs_to_one_half() -> None:
    assert {
        path.relative_to(AUDIT).with_suffix("").as_posix() for path in AUDIT.rglob("*.py")
    } == VERIFYING | WRITING


@pytest.mark.parametrize("name", sorted(VERIFYING))
def test_verifying_half_imports_the_standard_library_and_cryptography_only(name: str) -> None:
    for module in modules(AUDIT / f"{name}.py"):
        first = module.split(".")[0]
        if first == "ringfence":
            assert module.startswith("ringfence.audit.")
            assert module.split(".")[2] not in WRITING
        else:
            assert first in sys.stdlib_module_names | {"cryptography"}


def test_a_code_has_one_sentence() -> None:
    sentences: dict[str, set[str]] = defaultdict(set)
    for path in AUDIT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and node.value.startswith("RF-A")
            ):
                sentences[node.value].add(f"{path.name}:{node.lineno}")
    assert len(sentences) > 60
    assert {code: places for code, places in sentences.items() if len(places) > 1} == {}


def test_every_event_type_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "reference" / "events.md").read_text()
    table = page.split("## Actions")[1].split("## ")[0]
    documented = {
        cells[1].strip(" `"): cells[2].strip()
        for cells in (line.split("|") for line in table.splitlines() if line.startswith("| `"))
    }
    assert documented == dict(EVENT_TYPES)


def test_page_names_every_file_of_a_bundle() -> None:
    from ringfence.audit.bundle import FOLDERS, NAMES

    page = (ROOT / "docs" / "reference" / "events.md").read_text().split("## The bundle")[1]
    for name in (*NAMES, *(f"{folder}/" for folder in FOLDERS), "manifest.json"):
        assert f"| `{name}` |" in page


def test_errors_read_well_and_cannot_steer_a_terminal() -> None:
    error = BundleError("RF-A000", "The file {file} is odd.", file="a\x1b[2J\nb\ud800")
    assert str(error) == "RF-A000: The file a\\x1b[2J\\nb\\ud800 is odd."
    assert isinstance(error, AuditError)
    assert (error.exit_status, AuditUsageError.exit_status) == (1, 2)
    assert printable("中文 ok") == "中文 ok"


def test_language_can_be_chosen_and_reset() -> None:
    for language in ("zh", "en", "fr", None):
        use_language(language)
        assert errors._("No such sentence.") == "No such sentence."
