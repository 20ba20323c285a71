"""Guard: packaging lists, folders, file form and words that must not be in the repository."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from checkout import CODE, ROOT, files, parsed, project, python_files

LONGEST = 400
LONGEST_FUNCTION = 60
_TEXT = {
    ".py",
    ".md",
    ".toml",
    ".sh",
    ".yml",
    ".yaml",
    ".json",
    ".html",
    ".css",
    ".js",
    ".svg",
    ".po",
    ".txt",
    ".service",
    ".conf",
    ".Dockerfile",
    "",
}
# Pieces are joined so that this file does not hold what it looks for.
_HOSTS = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "download." + "pytorch.org",
    "registry." + "npmjs",
    "mirrors" + ".",
    "local" + "host mirror",
)
_PLACES = ("/wo" + "rk/", "/ro" + "ot/", "/opt/" + "py" + "pi", "file:///" + "opt")
_MAKING = ("sub" + "-agent", "sub" + "agent", "SPEC" + ".md", "as an a" + "i ", "co-authored" + "-by")


def setuptools_table() -> dict[str, object]:
    tools = project()["tool"]
    assert isinstance(tools, dict)
    table = tools["setuptools"]
    assert isinstance(table, dict)
    return table


def package_folders() -> set[str]:
    return {name.parent.as_posix() for name in python_files(*CODE) if name.name == "__init__.py"}


def test_the_package_list_is_the_folders_that_hold_an_init() -> None:
    listed = setuptools_table()["packages"]
    assert isinstance(listed, list)
    assert sorted(listed) == listed
    assert set(listed) == {"ringfence." + folder.replace("/", ".") for folder in package_folders()}


def test_every_package_is_mapped_to_its_folder() -> None:
    wanted = {"ringfence." + folder.replace("/", "."): folder for folder in package_folders()}
    assert setuptools_table()["package-dir"] == wanted


def test_every_folder_with_code_is_a_package() -> None:
    """Python files in a folder without `__init__.py` would be left out of the wheel silently."""
    assert {name.parent.as_posix() for name in python_files(*CODE)} == package_folders()


def test_the_type_checkers_see_every_top_folder() -> None:
    links = ROOT / ".types" / "ringfence"
    assert {link.name for link in links.iterdir()} == set(CODE)
    assert {link.resolve() for link in links.iterdir()} == {ROOT / folder for folder in CODE}
    tools = project()["tool"]
    assert isinstance(tools, dict)
    assert sorted(tools["pyright"]["include"]) == sorted(CODE)
    assert ".types/ringfence" in tools["mypy"]["files"]


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_table_of_folders_is_complete(page: str) -> None:
    folders = {name.parts[0] for name in files() if len(name.parts) > 1 and not name.parts[0].startswith(".")}
    rows = re.findall(r"^\| \[?`([a-z]+)/`", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(folders)


@pytest.mark.parametrize("name", python_files(), ids=str)
def test_a_file_says_its_reason_and_stays_short(name: Path) -> None:
    first = ast.get_docstring(parsed(name))
    assert first, f"{name} does not begin with a docstring that says its reason"
    lines = (ROOT / name).read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST, f"{name} has {lines} lines; cut it along its reasons"


def long_functions(tree: ast.AST, most: int = LONGEST_FUNCTION) -> list[str]:
    """Functions of more lines than fit a screen, their first line and docstring counted."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    sizes = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    return [f"{name}: {lines} lines" for name, lines in sizes.items() if lines > most]


@pytest.mark.parametrize("name", python_files(), ids=str)
def test_a_function_fits_a_screen(name: Path) -> None:
    assert long_functions(parsed(name)) == [], f"{name}: split it by what its parts mean"


def test_the_search_for_long_functions_finds_them() -> None:
    tree = ast.parse(
        "class A:\n    async def long(self):\n" + "        self.a()\n" * 3 + "def short():\n    pass\n"
    )
    assert long_functions(tree, 3) == ["long: 4 lines"]
    assert long_functions(tree, 4) == []


def test_test_files_have_names_of_their_own() -> None:
    """Test modules live in folders without `__init__.py`; two of one name would shadow each other."""
    # pytest knows the first by folder, and never collects the second.
    apart = ("conftest.py", "__main__.py")
    names = [name.name for name in python_files("tests") if name.name not in apart]
    assert sorted(set(names)) == sorted(names)


def forbidden_words(text: str) -> list[str]:
    lower = text.lower()
    return [word for word in (*_HOSTS, *_PLACES, *_MAKING) if word.lower() in lower]


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = {
        str(name): words
        for name in files()
        if name.suffix in _TEXT and (ROOT / name).stat().st_size < 2_000_000
        if (words := forbidden_words((ROOT / name).read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize("word", [*_HOSTS, *_PLACES, *_MAKING])
def test_the_search_for_words_finds_them(word: str) -> None:
    assert forbidden_words(f"see {word}x for more")


def test_no_two_files_differ_only_in_case() -> None:
    names = [str(name).lower() for name in files()]
    assert len(set(names)) == len(names)
