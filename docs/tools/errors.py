"""Collect every error sentence from the sources into docs/reference/errors.md, or check that the page is
current.

`python docs/tools/errors.py` writes the page, `--check` compares it. An error is known by the literal pair
`"RF-X123", N_("...")`, by position or as `code=` and `template=`; the page lists code, exit status and
sentence.
"""

from __future__ import annotations

import ast
import itertools
import re
import string
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkout import CODE, ROOT, parsed, python_files

PAGE = Path("docs/reference/errors.md")
CODE_FORM = re.compile(r"RF-[A-Z]\d{3}")
AREAS = {
    "A": "Audit log",
    "B": "Budget and ledger",
    "C": "Contract and schema",
    "K": "Keys and signatures",
    "N": "Consent",
    "S": "Study",
    "T": "Table and quality",
    "U": "Usage and machine",
    "W": "Waist gate, secure sums, rounds",
    "X": "Export gate",
}
_USAGE = {"UsageError", "AuditUsageError"}
_INTERRUPTED = "RF-U904"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One place in the sources where an error is made.

    Attributes:
        code: such as `RF-C012`.
        template: the English sentence with named fields.
        maker: the name that is called, usually the exception's class.
        given: names of the fields that the call fills, None when it passes them as a dictionary.
        place: file and line.
    """

    code: str
    template: str
    maker: str
    given: frozenset[str] | None
    place: str

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields in the template."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.template) if name)


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_code(node: ast.expr | None) -> bool:
    return CODE_FORM.fullmatch(_text(node) or "") is not None


class _Reader:
    """Reads one file; sentences kept in module-level names and tables are looked up there."""

    def __init__(self, tree: ast.AST, name: Path) -> None:
        self.name = name
        self.tree = tree
        self.constants: dict[str, ast.expr] = {}
        for node in getattr(tree, "body", []):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        self.constants[target.id] = node.value

    def sentence(self, node: ast.expr | None) -> str | None:
        """The English of `N_("...")`, of a constant that holds one, or of `TABLE["key"]`."""
        match node:
            case ast.Call(func=ast.Name(id="N_" | "_"), args=[first, *_]):
                return _text(first)
            case ast.Name(id=name) if name in self.constants:
                return self.sentence(self.constants[name])
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=wanted)):
                table = self.constants.get(name)
                for key, value in (
                    zip(table.keys, table.values, strict=True) if isinstance(table, ast.Dict) else ()
                ):
                    if _text(key) == wanted:
                        return self.sentence(value)
        return None

    def pairs(self, items: Sequence[ast.expr | None]) -> Iterator[tuple[str, str]]:
        """Codes with a sentence beside them, in either order."""
        for one, other in itertools.pairwise(items):
            for first, second in ((one, other), (other, one)):
                code, template = _text(first), self.sentence(second)
                if code is not None and template is not None and _is_code(first):
                    yield code, template

    def call(self, node: ast.Call) -> Iterator[tuple[str, str, frozenset[str] | None]]:
        """Pairs of a call, and the fields it fills where that can be read off."""
        words = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if _is_code(words.get("code")) and "template" in words:
            values = words.get("values")
            plain = isinstance(values, ast.Dict) and all(_text(key) for key in values.keys)
            filled = (
                frozenset(_text(key) or "" for key in values.keys) if isinstance(values, ast.Dict) else None
            )
            for code, template in self.pairs([words["code"], words["template"]]):
                yield code, template, filled if plain else None if values else frozenset()
        exact = all(keyword.arg for keyword in node.keywords) and bool(node.args) and _is_code(node.args[0])
        raised = _called(node)[:1].isupper()
        for code, template in self.pairs(node.args):
            yield code, template, frozenset(words) if exact and raised else None


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "?")


def sentences_in(tree: ast.AST, name: Path) -> Iterator[Sentence]:
    """All error sentences of one file: in calls, by position or by keyword, and in tables."""
    reader = _Reader(tree, name)
    for node in ast.walk(tree):
        found: Iterable[tuple[str, str, frozenset[str] | None]] = ()
        maker = "?"
        if isinstance(node, ast.Call):
            maker, found = _called(node), reader.call(node)
        elif isinstance(node, ast.Tuple | ast.List):
            found = ((*pair, None) for pair in reader.pairs(node.elts))
        elif isinstance(node, ast.Dict):
            both = zip(node.keys, node.values, strict=True)
            found = ((*pair, None) for items in both for pair in reader.pairs(items))
        for code, template, given in found:
            place = f"{name}:{getattr(node, 'lineno', 0)}"
            yield Sentence(code=code, template=template, maker=maker, given=given, place=place)


def codes_in(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every string of a file that is a code, wherever it stands, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE_FORM.fullmatch(node.value):
            yield node.value, node.lineno


def collect() -> list[Sentence]:
    """All error sentences of the installed packages' sources, by code."""
    found = [sentence for name in python_files(*CODE) for sentence in sentences_in(parsed(name), name)]
    return sorted(found, key=lambda sentence: (sentence.code, sentence.place))


def _status(sentence: Sentence) -> int:
    return 130 if sentence.code == _INTERRUPTED else 2 if sentence.maker in _USAGE else 1


def page(found: list[Sentence]) -> str:
    """The text of docs/reference/errors.md."""
    lines = [
        "# Error codes",
        "",
        "Every refusal and every failure is one sentence on standard error with a code that keeps its "
        "meaning. The",
        "letter names the area. Exit status: 1 refused or failed, 2 the command was called wrongly, 130 "
        "stopped from",
        "the keyboard. Words in braces are filled in; they never hold a customer's value or a secret.",
        "",
        "This page is written by `python docs/tools/errors.py` from the sources; a test fails when it is not "
        "current.",
    ]
    by_code = {sentence.code: sentence for sentence in reversed(found)}
    for letter in sorted({code[3] for code in by_code}):
        lines += [
            "",
            f"## {letter}: {AREAS.get(letter, letter)}",
            "",
            "| code | exit | sentence |",
            "|---|---|---|",
        ]
        for code in sorted(code for code in by_code if code[3] == letter):
            sentence = by_code[code]
            template = sentence.template.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
            lines.append(f'| <a id="{code.lower()}"></a>`{code}` | {_status(sentence)} | {template} |')
    return "\n".join(lines) + "\n"


def main(argv: list[str]) -> int:
    """Write the page, or compare it with `--check`."""
    text = page(collect())
    target = ROOT / PAGE
    if argv == ["--check"]:
        current = target.exists() and target.read_text(encoding="utf-8") == text
        print(
            f"{PAGE} is current." if current else f"{PAGE} is not current; run python docs/tools/errors.py."
        )
        return 0 if current else 1
    target.write_text(text, encoding="utf-8")
    print(f"Wrote {PAGE}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
