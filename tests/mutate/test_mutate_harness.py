"""The mutation tester itself: what it changes, what it leaves alone, and that it tells noticed from not.

It needs the extra `mutants`, which `make mutants` installs and `make test` does not.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mutmut", reason="comes with the extra `mutants`")

from mutate import equivalents, generating
from mutate.__main__ import draw, report, score
from mutate.equivalents import Equivalent, known, stale
from mutate.forking import Result
from mutate.generating import Mutant, changes
from mutate.targets import TARGETS

SMALL = '''"""A module."""

from __future__ import annotations

LIMIT: int = 3


def inside(value: int) -> bool:
    """Whether it is inside."""
    if value < 0:
        raise ValueError("a negative value")
    return value <= LIMIT
'''


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "small.py").write_text(SMALL, encoding="utf-8")
    monkeypatch.setattr(generating, "ROOT", tmp_path)
    return "small.py"


def test_what_is_changed_and_what_is_left_alone(small: str) -> None:
    found = [change.mutant() for change in changes(small)]
    assert sorted(each.plus for each in found if each) == [
        "LIMIT: int = 4",
        "LIMIT: int = None",
        "if value < 1:",
        "if value <= 0:",
        "return value < LIMIT",
    ]
    assert {each.minus for each in found if each} == {
        "LIMIT: int = 3",
        "if value < 0:",
        "return value <= LIMIT",
    }
    assert {each.function for each in found if each} == {"(module)", "inside"}


def test_a_draw_is_that_of_its_seed_and_leaves_equivalents_out(
    small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, total = draw([small], 3, 1)
    assert (len(first), total) == (3, 5)
    assert draw([small], 3, 1)[0] == first
    assert len(draw([small], 0, 1)[0]) == 5
    same = Equivalent(module=small, minus="if value < 0:", plus="if value < 1:", reason="for the test")
    monkeypatch.setattr("mutate.__main__.known", lambda: (same,))
    assert len(draw([small], 0, 1)[0]) == 4


def test_an_entry_that_fits_no_change_is_told(small: str) -> None:
    good = Equivalent(module=small, minus="if value < 0:", plus="if value < 1:", reason="for the test")
    gone = Equivalent(module=small, minus="if value < 0:", plus="if value < 2:", reason="for the test")
    assert stale([good, gone]) == [gone]


def test_the_list_of_equivalents_fits_the_source_and_gives_reasons() -> None:
    modules = {module for group in TARGETS.values() for module in group}
    for each in known():
        assert each.module in modules
        assert len(each.reason) > 20
    assert stale(known()) == []
    assert equivalents.FILE.exists()


def test_the_report_counts() -> None:
    mutant = Mutant(module="a.py", line=1, function="f", minus="x", plus="y", source="")
    results = [Result(mutant=mutant, noticed=noticed, seconds=0.1) for noticed in (True, True, False)]
    assert score(results) == pytest.approx(200 / 3)
    assert report(results).splitlines() == ["   2 of    3  a.py", "2 of 3 noticed: 66.7 %"]
