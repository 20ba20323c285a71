"""Guard: the pinned versions lie in the ranges that users are given, and every install of the Makefile uses
them.
"""

from __future__ import annotations

import re

import pytest
from checkout import ROOT, project
from newest import moved, versions
from packaging.requirements import Requirement

PINNED = versions((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())


def requirements() -> list[str]:
    table = project()["project"]
    assert isinstance(table, dict)
    extras = [line for lines in table["optional-dependencies"].values() for line in lines]
    return sorted({*table["dependencies"], *extras})


@pytest.mark.parametrize("line", requirements())
def test_a_pin_lies_in_the_range_that_users_are_given(line: str) -> None:
    requirement = Requirement(line)
    version = PINNED.get(requirement.name.lower().replace("_", "-"))
    assert version is not None, f"constraints.txt does not pin {requirement.name}; `make newest` writes it"
    assert requirement.specifier.contains(version, prereleases=True)


def test_every_install_of_the_makefile_takes_the_pins() -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    installs = [line for line in lines if "$(PIP) install" in line]
    assert installs
    assert [line for line in installs if "$(PINNED)" not in line and "--no-deps" not in line] == []
    assert "PINNED := --constraint constraints.txt" in lines


def test_pins_name_no_build_and_no_place() -> None:
    """`torch==2.13.0+cpu` or `x @ file:...` can be had on one machine only."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"#.*|[a-z0-9-]+==[0-9][0-9a-z.]*", line)]
    assert wrong == []


def test_moved_versions_are_told() -> None:
    before, after = (
        versions(["# head", "a==1", "B_c==2+cpu", "gone==1"]),
        versions(["a==1", "b-c==3", "new==1"]),
    )
    assert before == {"a": "1", "b-c": "2", "gone": "1"}
    assert moved(before, after) == ["b-c: 2 -> 3", "gone: 1 -> absent", "new: absent -> 1"]
