"""Guard: every test asserts something, by itself or by a helper that asserts."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from checkout import parsed, python_files

Function = ast.FunctionDef | ast.AsyncFunctionDef
# Calls that fail by themselves where something is not as it should be.
ASSERTING = ("raises", "warns", "fail", "assert_array_equal", "assert_frame_equal", "assert_allclose")


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def called(function: Function) -> set[str]:
    """Last names of all that a function calls."""
    names = (ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call))
    return {name.rpartition(".")[2] for name in names}


def asserts(function: Function, helpers: Iterable[str] = ()) -> bool:
    """Whether a function asserts, or calls what does."""
    if any(isinstance(node, ast.Assert) for node in ast.walk(function)):
        return True
    return not called(function).isdisjoint({*ASSERTING, *helpers})


def asserting(trees: Iterable[ast.AST]) -> set[str]:
    """Names of the helpers that assert, directly or by one another."""
    helpers: defaultdict[str, list[Function]] = defaultdict(list)
    for tree in trees:
        for function in functions(tree):
            if not function.name.startswith("test_"):
                helpers[function.name].append(function)
    known: set[str] = set()
    while True:
        more = {name for name, same in helpers.items() if any(asserts(each, known) for each in same)}
        if more == known:
            return known
        known = more


def idle(tree: ast.AST, helpers: set[str]) -> list[str]:
    """Tests that run and compare nothing."""
    tests = (each for each in functions(tree) if each.name.startswith("test_"))
    return [each.name for each in tests if not asserts(each, helpers)]


@cache
def all_helpers() -> frozenset[str]:
    return frozenset(asserting(parsed(path) for path in python_files("tests")))


@pytest.mark.parametrize("path", python_files("tests"), ids=str)
def test_every_test_asserts(path: Path) -> None:
    """A test that only runs something passes for a product that does nothing."""
    assert idle(parsed(path), set(all_helpers())) == []


def test_the_search_for_idle_tests_finds_them() -> None:
    source = (
        "def check(x):\n    assert x\n"
        "def deeper(x):\n    check(x)\n"
        "def run(x): ...\n"
        "def test_a():\n    assert 1\n"
        "def test_b():\n    deeper(1)\n"
        "def test_c():\n    with pytest.raises(ValueError):\n        run(1)\n"
        "def test_d():\n    run(1)\n"
        "async def test_e(): ...\n"
    )
    tree = ast.parse(source)
    assert asserting([tree]) == {"check", "deeper"}
    assert idle(tree, {"check", "deeper"}) == ["test_d", "test_e"]
