"""Mutants of a module: every one-node change that mutmut's operators make, less what no behaviour hangs on.

Left out before anything is drawn: docstrings, annotations, decorators, imports and `__all__`, what only the
type checker runs, the sentences of errors and what is filled into them (a test of words is not a test of
privacy), and changes that leave a default argument or a bare name to fail at import.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).parents[2]
_SENTENCES = {"N_", "_"}
_LEFT_OUT = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Raise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change of one module.

    Attributes:
        module: its file, from the repository's root.
        line: where the change begins.
        function: name of the function or class around it.
        minus, plus: lines that go and lines that come, without their indent.
        source: the whole changed module.
    """

    module: str
    line: int
    function: str
    minus: str
    plus: str
    source: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.function}\n    - {self.minus}\n    + {self.plus}"


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A node and what to put in its place; made into a `Mutant` when it is drawn."""

    module: str
    tree: cst.Module
    text: str
    node: cst.CSTNode
    other: cst.CSTNode
    line: int
    function: str

    def mutant(self) -> Mutant | None:
        """The changed module; None where it is the same, or no Python."""
        changed = self.tree.deep_replace(self.node, self.other)
        assert isinstance(changed, cst.Module)
        source = changed.code
        if not _differs(self.text, source):
            return None
        minus, plus = _lines(self.text, source)
        return Mutant(
            module=self.module,
            line=self.line,
            function=self.function,
            minus=minus,
            plus=plus,
            source=source,
        )


def changes(module: str) -> list[Change]:
    """All of a module, in the order of its text."""
    text = (ROOT / module).read_text(encoding="utf-8")
    wrapper = MetadataWrapper(cst.parse_module(text))
    parents, places = wrapper.resolve(ParentNodeProvider), wrapper.resolve(PositionProvider)
    found = []
    for node in _nodes(wrapper.module):
        above = list(_above(node, parents))
        if _left_out(node, above):
            continue
        for kind, operator in mutation_operators:
            if not isinstance(node, kind):
                continue
            for other in operator(node):
                place = places.get(node)
                found.append(
                    Change(
                        module=module,
                        tree=wrapper.module,
                        text=text,
                        node=node,
                        other=other,
                        line=place.start.line if place else 0,
                        function=_named(above),
                    )
                )
    return sorted(found, key=lambda change: change.line)


def _nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _above(node: cst.CSTNode, parents: object) -> Iterator[cst.CSTNode]:
    while node in parents:  # type: ignore[operator]
        node = parents[node]  # type: ignore[index]
        yield node


def _named(above: list[cst.CSTNode]) -> str:
    names = [each.name.value for each in above if isinstance(each, cst.FunctionDef | cst.ClassDef)]
    return ".".join(reversed(names)) or "(module)"


def _left_out(node: cst.CSTNode, above: list[cst.CSTNode]) -> bool:
    if any(isinstance(each, _LEFT_OUT) for each in (node, *above)):
        return True
    if any(isinstance(each, cst.Call) and _called(each) in _SENTENCES for each in (node, *above)):
        return True
    if any(isinstance(each, cst.If) and _is_for_types(each) for each in above):
        return True
    # A fault that is made in a function of its own and raised elsewhere.
    if any(
        isinstance(each, cst.Call) and _called(each).endswith(("Error", "Fault")) for each in (node, *above)
    ):
        return True
    statement = next((each for each in (node, *above) if isinstance(each, cst.SimpleStatementLine)), None)
    return statement is not None and _only_tells(statement)


def _called(call: cst.Call) -> str:
    return call.func.value if isinstance(call.func, cst.Name) else ""


def _is_for_types(each: cst.If) -> bool:
    return isinstance(each.test, cst.Name) and each.test.value == "TYPE_CHECKING"


def _only_tells(statement: cst.SimpleStatementLine) -> bool:
    """A docstring, an assertion for the type checker, `__all__`, the slots of a class, or what names a
    type.
    """
    first = statement.body[0]
    if isinstance(first, cst.Expr):
        return isinstance(first.value, cst.SimpleString | cst.ConcatenatedString)
    if isinstance(first, cst.Assign):
        target, value = first.targets[0].target, first.value
        if isinstance(value, cst.Call) and _called(value) == "TypeVar":
            return True
        return isinstance(target, cst.Name) and target.value in ("__all__", "__slots__")
    if isinstance(first, cst.AnnAssign):
        return isinstance(first.annotation.annotation, cst.Name) and (
            first.annotation.annotation.value == "TypeAlias"
        )
    return isinstance(first, cst.Assert)


def _differs(text: str, source: str) -> bool:
    try:
        return ast.dump(ast.parse(text)) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def _lines(text: str, source: str) -> tuple[str, str]:
    """Lines that go and lines that come."""
    minus, plus = [], []
    for line in difflib.unified_diff(text.splitlines(), source.splitlines(), n=0, lineterm=""):
        if line.startswith(("---", "+++", "@@")):
            continue
        (minus if line.startswith("-") else plus).append(line[1:].strip())
    return " ".join(minus), " ".join(plus)
